//! The layer: owns the circuit.

use seawall_core::striped::Stripes;
use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use crate::access::{Access, Single};
use crate::config::BreakerConfig;
use crate::gate::GateLayer;
use crate::handle::BreakerHandle;
use crate::service::Breaker;

/// Puts a circuit breaker around a service.
///
/// The layer owns the circuit: its clones, every service that it makes and their clones share it,
/// and so do the [`gate`](Self::gate) and the [`handle`](Self::handle). Its [`Policy`] finds the
/// outcome of a result (`classify`) and the moment at which a call is over (`track_completion`).
///
/// ```
/// use seawall_breaker::{
///     BreakerConfig, BreakerLayer, CircuitState, Reason, Rejectable, WrapErrorLayer,
/// };
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
/// assert_eq!(handle.state(), CircuitState::Open);
/// let rejected = client.ready().await?.call(()).await.unwrap_err();
/// assert_eq!(rejected.rejection().unwrap().reason(), Reason::CircuitOpen);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct BreakerLayer<X = Policy> {
    circuit: Single,
    policy: X,
}

impl BreakerLayer {
    /// A breaker named `name`, closed, that counts errors as failures.
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
        Self {
            circuit: Single::new(name.into(), config, stripes),
            policy: Policy::new(),
        }
    }
}

impl<X> BreakerLayer<X> {
    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> BreakerLayer<Y> {
        BreakerLayer {
            circuit: self.circuit,
            policy: change(self.policy),
        }
    }

    /// The gate of this circuit, to be stacked outside of everything that waits.
    pub fn gate(&self) -> GateLayer {
        GateLayer::new(self.circuit.clone())
    }

    /// Reads and controls the circuit from outside.
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle::new(self.circuit.clone())
    }
}

policy_setters!(BreakerLayer: classify, track_completion);

impl<S, X: Clone> Layer<S> for BreakerLayer<X> {
    type Service = Breaker<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        let events = &self.circuit.common().setup.breaker_events;
        events.check_classifier::<S, X>();
        Breaker::new(inner, self.circuit.anchor(), self.policy.clone())
    }
}
