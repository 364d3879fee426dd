//! How a circuit is reached: through a layer, a service, a permit, or the registry of its key.

use std::fmt;
use std::sync::Arc;

use seawall_core::InstanceName;
use seawall_core::striped::Stripes;

use crate::config::BreakerConfig;
use crate::state::{AnchoredState, Common, LocalState, Setup, SharedState};
use crate::stripe::Stripe;
use crate::transition::Change;

/// The circuit of one admission, settlement or command.
pub(crate) trait Access {
    /// The part without stripes.
    fn common(&self) -> &Common;
    /// Every stripe.
    fn stripes(&self) -> impl Iterator<Item = &Stripe>;
    /// The stripe to count in.
    fn stripe(&self) -> &Stripe;

    /// Reports a transition. Called outside of the lock.
    fn report(&self, change: &Change) {
        self.common().setup.breaker_events.emit_transition(
            change.from.as_str(),
            change.to.as_str(),
            change.cause.as_str(),
            change,
        );
    }
}

/// A circuit that handles, permits and futures belong to: [`Single`] or [`Keyed`](crate::Keyed).
pub(crate) trait CircuitRef: Access + Clone {
    /// What a permit holds of the circuit.
    type Held: Access;

    /// Whether it is one of many of its instance.
    const IS_OF_KEY: bool;

    /// The circuit, for the running thread.
    fn held(&self) -> Self::Held;
}

/// The only circuit of a [`BreakerLayer`](crate::BreakerLayer); see
/// [`CircuitHandle`](crate::CircuitHandle).
#[derive(Clone)]
pub struct Single(SharedState);

impl Single {
    pub(crate) fn new(name: InstanceName, config: BreakerConfig, stripes: Stripes) -> Self {
        let config = Arc::new(config);
        let common = Common::new(Setup::new(name), Arc::clone(&config));
        Self(SharedState::new(common, stripes, || Stripe::new(&config)))
    }

    pub(crate) fn anchor(&self) -> AnchoredState {
        self.0.anchor()
    }
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.common().fmt(f)
    }
}

impl CircuitRef for Single {
    type Held = LocalState;
    const IS_OF_KEY: bool = false;

    #[inline]
    fn held(&self) -> LocalState {
        self.0.local()
    }
}

impl Access for Single {
    #[inline]
    fn common(&self) -> &Common {
        self.0.common()
    }

    fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        self.0.stripes()
    }

    fn stripe(&self) -> &Stripe {
        self.0.here()
    }
}

// Always: without it, a success of a closed circuit costs a twentieth more.
impl Access for LocalState {
    #[inline(always)]
    fn common(&self) -> &Common {
        self.common()
    }

    fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes()
    }

    #[inline(always)]
    fn stripe(&self) -> &Stripe {
        self.stripe()
    }
}

impl Access for AnchoredState {
    #[inline(always)]
    fn common(&self) -> &Common {
        self.common()
    }

    fn stripes(&self) -> impl Iterator<Item = &Stripe> {
        self.stripes()
    }

    #[inline(always)]
    fn stripe(&self) -> &Stripe {
        self.here()
    }
}
