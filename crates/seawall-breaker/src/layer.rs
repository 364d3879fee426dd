//! The layer: owns the circuit.

use std::fmt;
use std::sync::Arc;

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{CompleteOnResponse, ErrorIsFailure, InstanceName};
use tower_layer::Layer;

use crate::config::BreakerConfig;
use crate::gate::GateLayer;
use crate::handle::BreakerHandle;
use crate::service::Breaker;
use crate::shared::{Common, Root, Setup, Stripe};

/// Puts a circuit breaker around a service.
///
/// The layer owns the circuit: its clones, every service that it makes and their clones share it,
/// and so do the [`gate`](Self::gate) and the [`handle`](Self::handle).
///
/// ```
/// use seawall_breaker::{BreakerConfig, BreakerLayer, State};
/// use seawall_core::{WrapErrorLayer, Reason, Rejectable};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = BreakerConfig::builder().consecutive_failures(2).build()?;
/// let breaker = BreakerLayer::new("alpaca", config);
/// let handle = breaker.handle();
/// let mut client = ServiceBuilder::new()
///     .layer(breaker)
///     .layer(WrapErrorLayer)
///     .service(service_fn(|_: ()| async { Err::<(), _>(std::io::Error::other("down")) }));
///
/// for _ in 0..2 {
///     let _ = client.ready().await?.call(()).await;
/// }
/// assert_eq!(handle.state(), State::Open);
/// let rejected = client.ready().await?.call(()).await.unwrap_err();
/// assert_eq!(rejected.rejection().unwrap().reason(), Reason::CircuitOpen);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct BreakerLayer<C = ErrorIsFailure, H = CompleteOnResponse> {
    root: Root,
    classify: C,
    hold: H,
}

impl BreakerLayer {
    /// A breaker named `name`, closed, that takes errors for failures.
    pub fn new(name: impl Into<InstanceName>, config: BreakerConfig) -> Self {
        Self::with_stripes(name, config, Stripes::auto())
    }

    /// As [`new`](Self::new), with a number of stripes of your own: one stripe takes the least
    /// memory, more let more threads share the circuit without slowing each other down.
    pub fn with_stripes(
        name: impl Into<InstanceName>,
        config: BreakerConfig,
        stripes: Stripes,
    ) -> Self {
        let config = Arc::new(config);
        let common = Common::new(Setup::new(name.into()), Arc::clone(&config));
        Self {
            root: Shared::new(common, stripes, || Stripe::new(&config)),
            classify: ErrorIsFailure,
            hold: CompleteOnResponse,
        }
    }
}

impl<C, H> BreakerLayer<C, H> {
    /// Judges answers with `classify`: a closure, a `fn` pointer or a type of your own.
    #[must_use]
    pub fn classify<D>(self, classify: D) -> BreakerLayer<D, H> {
        BreakerLayer {
            root: self.root,
            classify,
            hold: self.hold,
        }
    }

    /// Decides when a call is over: with its answer (the default), or with the answer's body.
    #[must_use]
    pub fn track_completion<I>(self, hold: I) -> BreakerLayer<C, I> {
        BreakerLayer {
            root: self.root,
            classify: self.classify,
            hold,
        }
    }

    /// The gate of this circuit, to be stacked outside of everything that waits.
    pub fn gate(&self) -> GateLayer {
        GateLayer::new(self.root.clone())
    }

    /// Reads and controls the circuit from outside.
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle::new(self.root.clone())
    }
}

impl<S, C: Clone, H: Clone> Layer<S> for BreakerLayer<C, H> {
    type Service = Breaker<S, C, H>;

    fn layer(&self, inner: S) -> Self::Service {
        Breaker::new(
            inner,
            self.root.anchor(),
            self.classify.clone(),
            self.hold.clone(),
        )
    }
}

impl<C, H> fmt::Debug for BreakerLayer<C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let common = self.root.common();
        f.debug_struct("BreakerLayer")
            .field("name", &common.setup.observer.name())
            .field("state", &common.word().state())
            .finish_non_exhaustive()
    }
}
