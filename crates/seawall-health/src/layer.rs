//! The layer: owns what its services count into.

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{Clock, CompleteOnResponse, ErrorIsFailure, EventSource, InstanceName};
use tower_layer::Layer;

use crate::handle::HealthHandle;
use crate::ticket::{Common, Stripe};
use crate::{Health, HealthConfig};

/// Observes the calls that pass, and says how well the service is. It rejects nothing.
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
pub struct HealthLayer<C = ErrorIsFailure, H = CompleteOnResponse> {
    shared: Shared<Common, Stripe>,
    classify: C,
    hold: H,
}

impl HealthLayer {
    /// A layer that counts every error as a failure and every answer as a success.
    pub fn new(name: impl Into<InstanceName>, config: HealthConfig) -> Self {
        let common = Common {
            observer: EventSource::new("health", name),
            config,
            clock: Clock::start(),
        };
        Self {
            shared: Shared::new(common, Stripes::auto(), Stripe::new),
            classify: ErrorIsFailure,
            hold: CompleteOnResponse,
        }
    }
}

impl<C, H> HealthLayer<C, H> {
    /// Judges results by `classify`. It is cloned per call, so it should be cheap to clone.
    #[must_use]
    pub fn classify<D>(self, classify: D) -> HealthLayer<D, H> {
        HealthLayer {
            shared: self.shared,
            classify,
            hold: self.hold,
        }
    }

    /// Decides by `hold` when a call is over: with its answer, or later, with a body.
    #[must_use]
    pub fn track_completion<I>(self, hold: I) -> HealthLayer<C, I> {
        HealthLayer {
            shared: self.shared,
            classify: self.classify,
            hold,
        }
    }

    /// Reads what was observed, from any thread.
    pub fn handle(&self) -> HealthHandle {
        HealthHandle::new(self.shared.clone())
    }
}

impl<S, C: Clone, H: Clone> Layer<S> for HealthLayer<C, H> {
    type Service = Health<S, C, H>;

    fn layer(&self, inner: S) -> Self::Service {
        Health::new(
            inner,
            self.shared.anchor(),
            self.classify.clone(),
            self.hold.clone(),
        )
    }
}
