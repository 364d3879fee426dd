//! The layers as methods of `ServiceBuilder`.

use seawall_breaker::{BreakerLayer, GateLayer, KeyedBreakerLayer};
use seawall_bulkhead::BulkheadLayer;
use seawall_core::WrapErrorLayer;
use seawall_health::HealthLayer;
use seawall_hedge::HedgeLayer;
use seawall_ratelimit::{FeedbackLayer, KeyedRateLimitLayer, RateLimitLayer};
use seawall_retry::RetryLayer;
use seawall_throttle::AdaptiveThrottleLayer;
use seawall_timeout::{AttemptTimeoutLayer, DeadlineLayer};
use tower::ServiceBuilder;
use tower::layer::util::Stack;

/// A builder with one more layer.
type Builder<T, L> = ServiceBuilder<Stack<T, L>>;

/// Methods of [`ServiceBuilder`] for the layers of Seawall. Each is the same as
/// [`layer`](ServiceBuilder::layer).
///
/// ```
/// use std::time::Duration;
/// use seawall::{AttemptTimeoutLayer, BreakerConfig, BreakerLayer, SeawallExt};
/// use tower::{ServiceBuilder, service_fn};
///
/// # fn main() -> Result<(), seawall::InvalidConfig> {
/// let client = ServiceBuilder::new()
///     .breaker(BreakerLayer::new("vendor", BreakerConfig::default()))
///     .attempt_timeout(AttemptTimeoutLayer::new("vendor", Duration::from_secs(5))?)
///     .lift_errors()
///     .service(service_fn(|_: ()| async { Ok::<_, std::io::Error>(()) }));
/// # let _ = client; Ok(()) }
/// ```
pub trait SeawallExt<L>: Sized {
    /// Bounds the whole call.
    fn deadline<T>(self, layer: DeadlineLayer<T>) -> ServiceBuilder<Stack<DeadlineLayer<T>, L>>;

    /// Tries again what may be tried again.
    fn retrying<C, D, P, H>(
        self,
        layer: RetryLayer<C, D, P, H>,
    ) -> ServiceBuilder<Stack<RetryLayer<C, D, P, H>, L>>;

    /// Sends a second attempt when the first is late.
    fn hedged<C, D, P>(
        self,
        layer: HedgeLayer<C, D, P>,
    ) -> ServiceBuilder<Stack<HedgeLayer<C, D, P>, L>>;

    /// Rejects early while a circuit is open.
    fn gate(self, layer: GateLayer) -> ServiceBuilder<Stack<GateLayer, L>>;

    /// Limits how many calls are under way.
    fn bulkhead<H, D, C>(
        self,
        layer: BulkheadLayer<H, D, C>,
    ) -> ServiceBuilder<Stack<BulkheadLayer<H, D, C>, L>>;

    /// Limits how many calls depart per time.
    fn rate_limited<D, P>(
        self,
        layer: RateLimitLayer<D, P>,
    ) -> ServiceBuilder<Stack<RateLimitLayer<D, P>, L>>;

    /// Limits how many calls of each key depart per time.
    fn rate_limited_per_key<D, P>(
        self,
        layer: KeyedRateLimitLayer<D, P>,
    ) -> ServiceBuilder<Stack<KeyedRateLimitLayer<D, P>, L>>;

    /// Corrects a rate limit above by what answers say.
    fn feeding_back<F, D, P>(
        self,
        layer: FeedbackLayer<F, D, P>,
    ) -> ServiceBuilder<Stack<FeedbackLayer<F, D, P>, L>>;

    /// Rejects a share of the calls while the upstream rejects too many.
    fn throttled<X>(
        self,
        layer: AdaptiveThrottleLayer<X>,
    ) -> ServiceBuilder<Stack<AdaptiveThrottleLayer<X>, L>>;

    /// Judges calls and opens when too many fail.
    fn breaker<C, H>(
        self,
        layer: BreakerLayer<C, H>,
    ) -> ServiceBuilder<Stack<BreakerLayer<C, H>, L>>;

    /// Judges calls by a key of theirs, each key apart.
    fn breaker_per_key<K, X, C, H, B>(
        self,
        layer: KeyedBreakerLayer<K, X, C, H, B>,
    ) -> Builder<KeyedBreakerLayer<K, X, C, H, B>, L>
    where
        K: ToOwned + ?Sized;

    /// Bounds one attempt.
    fn attempt_timeout<D, T, K>(
        self,
        layer: AttemptTimeoutLayer<D, T, K>,
    ) -> ServiceBuilder<Stack<AttemptTimeoutLayer<D, T, K>, L>>;

    /// Observes outcomes and response times.
    fn observed<C, H>(
        self,
        layer: HealthLayer<C, H>,
    ) -> ServiceBuilder<Stack<HealthLayer<C, H>, L>>;

    /// Wraps the error of the client in [`Error`](seawall_core::Error).
    fn lift_errors(self) -> ServiceBuilder<Stack<WrapErrorLayer, L>>;
}

impl<L> SeawallExt<L> for ServiceBuilder<L> {
    fn deadline<T>(self, layer: DeadlineLayer<T>) -> ServiceBuilder<Stack<DeadlineLayer<T>, L>> {
        self.layer(layer)
    }

    fn retrying<C, D, P, H>(
        self,
        layer: RetryLayer<C, D, P, H>,
    ) -> ServiceBuilder<Stack<RetryLayer<C, D, P, H>, L>> {
        self.layer(layer)
    }

    fn hedged<C, D, P>(
        self,
        layer: HedgeLayer<C, D, P>,
    ) -> ServiceBuilder<Stack<HedgeLayer<C, D, P>, L>> {
        self.layer(layer)
    }

    fn gate(self, layer: GateLayer) -> ServiceBuilder<Stack<GateLayer, L>> {
        self.layer(layer)
    }

    fn bulkhead<H, D, C>(
        self,
        layer: BulkheadLayer<H, D, C>,
    ) -> ServiceBuilder<Stack<BulkheadLayer<H, D, C>, L>> {
        self.layer(layer)
    }

    fn rate_limited<D, P>(
        self,
        layer: RateLimitLayer<D, P>,
    ) -> ServiceBuilder<Stack<RateLimitLayer<D, P>, L>> {
        self.layer(layer)
    }

    fn rate_limited_per_key<D, P>(
        self,
        layer: KeyedRateLimitLayer<D, P>,
    ) -> ServiceBuilder<Stack<KeyedRateLimitLayer<D, P>, L>> {
        self.layer(layer)
    }

    fn feeding_back<F, D, P>(
        self,
        layer: FeedbackLayer<F, D, P>,
    ) -> ServiceBuilder<Stack<FeedbackLayer<F, D, P>, L>> {
        self.layer(layer)
    }

    fn throttled<X>(
        self,
        layer: AdaptiveThrottleLayer<X>,
    ) -> ServiceBuilder<Stack<AdaptiveThrottleLayer<X>, L>> {
        self.layer(layer)
    }

    fn breaker<C, H>(
        self,
        layer: BreakerLayer<C, H>,
    ) -> ServiceBuilder<Stack<BreakerLayer<C, H>, L>> {
        self.layer(layer)
    }

    fn breaker_per_key<K, X, C, H, B>(
        self,
        layer: KeyedBreakerLayer<K, X, C, H, B>,
    ) -> Builder<KeyedBreakerLayer<K, X, C, H, B>, L>
    where
        K: ToOwned + ?Sized,
    {
        self.layer(layer)
    }

    fn attempt_timeout<D, T, K>(
        self,
        layer: AttemptTimeoutLayer<D, T, K>,
    ) -> ServiceBuilder<Stack<AttemptTimeoutLayer<D, T, K>, L>> {
        self.layer(layer)
    }

    fn observed<C, H>(
        self,
        layer: HealthLayer<C, H>,
    ) -> ServiceBuilder<Stack<HealthLayer<C, H>, L>> {
        self.layer(layer)
    }

    fn lift_errors(self) -> ServiceBuilder<Stack<WrapErrorLayer, L>> {
        self.layer(WrapErrorLayer)
    }
}
