//! The layer: owns what its services count into.

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{InstanceName, Policy};
use tower_layer::Layer;

use crate::state::{Common, State, Stripe};
use crate::{Health, HealthConfig, HealthHandle};

/// Observes the calls that pass, and reports how healthy the service is. It rejects nothing.
///
/// Every service of one layer value, of its clones, and every clone of those services count into
/// the same window.
///
/// ```
/// use seawall_health::{HealthConfig, HealthLayer, Status};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
/// let config = HealthConfig::builder().min_calls(1).build()?;
/// let layer = HealthLayer::new("quotes", config);
/// let handle = layer.handle();
/// let client = ServiceBuilder::new()
///     .layer(layer)
///     .service(service_fn(|_: ()| async { Ok::<_, tower::BoxError>("last: 101.5") }));
///
/// assert_eq!(handle.status(), Status::Unknown);
/// client.oneshot(()).await?;
/// assert_eq!(handle.status(), Status::Healthy);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HealthLayer<X = Policy> {
    state: State,
    policy: X,
}

impl HealthLayer {
    /// A layer of that name that counts every error as a failure and every response as a success.
    pub fn new(name: impl Into<InstanceName>, config: HealthConfig) -> Self {
        Self {
            state: Shared::new(Common::new(name, config), Stripes::auto(), Stripe::new),
            policy: Policy::new(),
        }
    }
}

impl<X> HealthLayer<X> {
    /// A handle to read and control the layer, from any thread.
    pub fn handle(&self) -> HealthHandle {
        HealthHandle::new(self.state.clone())
    }
}

seawall_core::policy_setters!(HealthLayer { state }: classify, track_completion);

impl<S, X: Clone> Layer<S> for HealthLayer<X> {
    type Service = Health<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        self.state.common().source.check_classifier::<S, X>();
        Health::new(inner, self.state.anchor(), self.policy.clone())
    }
}
