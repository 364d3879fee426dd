//! The layers: around everything, and around each attempt.

use std::sync::Arc;

use seawall_core::{InstanceName, Policy};
use tower_layer::Layer;

use crate::state::Instance;
use crate::{Telemetry, TelemetryConfig, TelemetryHandle};

/// Measures the calls that pass: outermost, so that their time has every wait and every attempt in it.
///
/// Clones, every service that they make, and the layer of the [attempts](Self::attempts) share what
/// they count. Without a classifier every error is a failure; without a describer every call has the operation
/// `other`.
///
/// ```
/// use seawall_telemetry::{ClientProbeLayer, TelemetryConfig, TelemetryLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
/// let telemetry = TelemetryLayer::new("quotes", TelemetryConfig::default());
/// let handle = telemetry.handle();
/// let client = ServiceBuilder::new()
///     .layer(telemetry.clone())
///     // retry, breaker, ...
///     .layer(telemetry.attempts())
///     .layer(ClientProbeLayer::new())
///     .service(service_fn(|_: ()| async { Ok::<_, tower::BoxError>("last: 101.5") }));
///
/// client.oneshot(()).await?;
/// let counts = handle.counts();
/// assert_eq!((counts.calls.success, counts.attempts.success), (1, 1));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TelemetryLayer<X = Policy> {
    instance: Arc<Instance>,
    policy: X,
}

impl TelemetryLayer {
    /// A layer of that name that has counted nothing.
    pub fn new(name: impl Into<InstanceName>, config: TelemetryConfig) -> Self {
        Self {
            instance: Instance::new(name.into(), config),
            policy: Policy::new(),
        }
    }
}

impl<X> TelemetryLayer<X> {
    /// The layer around the client, which measures each attempt of these calls.
    pub fn attempts(&self) -> AttemptTelemetryLayer {
        AttemptTelemetryLayer {
            instance: Arc::clone(&self.instance),
            policy: Policy::new(),
        }
    }

    /// A handle to read and control both layers, from any thread.
    pub fn handle(&self) -> TelemetryHandle {
        TelemetryHandle::new(Arc::clone(&self.instance))
    }
}

seawall_core::policy_setters!(TelemetryLayer { instance }: classify, describe, track_completion);

impl<S, X: Clone> Layer<S> for TelemetryLayer<X> {
    type Service = Telemetry<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        self.instance.source.check_classifier::<S, X>();
        Telemetry::new(inner, self.instance.id(), false, self.policy.clone())
    }
}

seawall_core::impl_debug!(TelemetryLayer<X>: |this| name = this.instance.source.name());

/// Measures each attempt, around the client and its timeout: below retry, hedge and every wait. Made by
/// [`TelemetryLayer::attempts`].
///
/// An attempt is over with the head of its response.
#[derive(Clone)]
pub struct AttemptTelemetryLayer<X = Policy> {
    instance: Arc<Instance>,
    policy: X,
}

seawall_core::policy_setters!(AttemptTelemetryLayer { instance }: classify, describe);

impl<S, X: Clone> Layer<S> for AttemptTelemetryLayer<X> {
    type Service = Telemetry<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        self.instance.source.check_classifier::<S, X>();
        Telemetry::new(inner, self.instance.id(), true, self.policy.clone())
    }
}

seawall_core::impl_debug!(AttemptTelemetryLayer<X>: |this| name = this.instance.source.name());
