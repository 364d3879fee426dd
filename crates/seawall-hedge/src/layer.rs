//! The layer: what its services share, and its setters.

use seawall_core::{
    Budget, BudgetConfig, BudgetHandle, ConstMeta, InstanceName, Policy, RequestMeta, impl_debug,
    policy_setters,
};
use tower_layer::Layer;

use crate::state::{Common, Core, State};
use crate::{Hedge, HedgeConfig, HedgeHandle};

/// Sends a request again when its response is slow, and takes the first good result.
///
/// Every service of one layer value and its clones shares one budget, one learned delay, one set
/// of counters and the settings. `X` is the [`Policy`]: the classifier, the describer and the
/// copier.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use std::time::Duration;
/// use seawall_hedge::{HedgeConfig, HedgeLayer, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = HedgeConfig::builder().delay(Duration::from_millis(50)).build()?;
/// let hedge = HedgeLayer::new("polygon", config).assume_idempotent();
/// let handle = hedge.handle();
///
/// // The first attempt hangs, the second takes 10 ms.
/// let slow = Arc::new(AtomicU64::new(60_000));
/// let mut client = ServiceBuilder::new()
///     .layer(hedge)
///     .layer(WrapErrorLayer)
///     .service(service_fn(move |symbol: &'static str| {
///         let wait = Duration::from_millis(slow.swap(10, Relaxed));
///         async move {
///             tokio::time::sleep(wait).await;
///             Ok::<_, std::io::Error>(symbol.len())
///         }
///     }));
///
/// let before = tokio::time::Instant::now();
/// assert_eq!(client.call("SPY").await?, 3);
/// assert!(before + Duration::from_millis(65) > tokio::time::Instant::now());
/// let extra = handle.counts().extra;
/// assert_eq!((extra.begun, extra.won), (1, 1));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HedgeLayer<X = Policy> {
    core: Core,
    policy: X,
}

impl HedgeLayer {
    /// A layer of that name, with a budget of its own: one extra attempt per ten successes, one
    /// per second as a floor, ten saved up. That is twice what a delay at the 95th percentile
    /// needs, and stops the hedging of everything when everything is slow.
    ///
    /// **Without a describer it hedges nothing:** no request is known to be idempotent. Set
    /// [`describe`](Self::describe), or [`assume_idempotent`](Self::assume_idempotent) where every
    /// request may be sent twice. The first call that is not hedged for this reason is emitted and
    /// logged as [`Undescribed`](seawall_core::Misconfiguration), and all of them are counted as
    /// [`not_described`](crate::SkipCounts::not_described).
    ///
    /// **Errors inside `Ok` need a classifier:** by default every `Ok` is a good result, and wins.
    /// See [`classify`](Self::classify): `Success`, and `Ignored` if no layer below rejected, are
    /// good results; everything else waits for a better one.
    pub fn new(name: impl Into<InstanceName>, config: HedgeConfig) -> Self {
        // None of the three can be rejected.
        let budget = BudgetConfig::new(0.1, 1.0, 10).unwrap_or_default();
        Self {
            core: Core {
                state: State::new(name.into(), config),
                budget: BudgetHandle::filled(Budget::new(budget)),
            },
            policy: Policy::new(),
        }
    }
}

policy_setters!(HedgeLayer { core }: classify, describe, copy, keep);

impl<C, D, T, P, K> HedgeLayer<Policy<C, D, T, P, K>> {
    /// Describes every request as [idempotent](RequestMeta::idempotent): each may be sent twice.
    /// For clients that only read, or whose requests have keys by which the upstream recognizes a
    /// second copy.
    ///
    /// Short for `describe(ConstMeta(RequestMeta::idempotent()))`.
    #[must_use]
    pub fn assume_idempotent(self) -> HedgeLayer<Policy<C, ConstMeta, T, P, K>> {
        self.describe(ConstMeta(RequestMeta::idempotent()))
    }
}

impl<X> HedgeLayer<X> {
    /// Pays for extra attempts from `budget`, and fills it by one deposit per call that succeeds.
    ///
    /// For a budget that no other layer of the same calls fills; see
    /// [`shared_budget`](Self::shared_budget). Services and handles that were made before keep the
    /// budget they have.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        self.pay_from(BudgetHandle::filled(budget))
    }

    /// Pays for extra attempts from `budget`, and leaves it to the retry layer around this one to
    /// fill it: one success that two layers deposit would buy twice as many attempts.
    #[must_use]
    pub fn shared_budget(self, budget: Budget) -> Self {
        self.pay_from(BudgetHandle::shared(budget))
    }

    /// Makes extra attempts free. With a fixed delay, an upstream that slows down beyond it then
    /// gets all its requests at least twice.
    #[must_use]
    pub fn without_budget(self) -> Self {
        self.pay_from(BudgetHandle::FREE)
    }

    fn pay_from(mut self, budget: BudgetHandle) -> Self {
        self.core.budget = budget;
        self
    }

    /// A handle to read and control every service of this layer.
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle::new(self.core.clone())
    }
}

impl<S: Clone, X: Clone> Layer<S> for HedgeLayer<X> {
    type Service = Hedge<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        self.core.state.events.check_classifier::<S, X>();
        let common = Common::new(self.core.clone(), self.policy.clone(), inner.clone());
        let shared = self.core.state.stripes.share(common);
        Hedge::new(inner, shared.anchor())
    }
}

impl_debug!(HedgeLayer<X>: |this|
    name = this.core.state.events.name(),
    config = this.core.state.config(),
    budget = this.core.budget,
);
