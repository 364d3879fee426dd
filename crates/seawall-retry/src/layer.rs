//! The layer: what its services share, and its setters.

use std::sync::{Arc, Mutex};

use seawall_core::{
    Budget, BudgetHandle, ConstMeta, InstanceName, Policy, RequestMeta, impl_debug, policy_setters,
};
use tower_layer::Layer;

use crate::hooks::Hooks;
use crate::rules::{Common, Rules};
use crate::state::{Core, State};
use crate::{AdaptiveRate, Retry, RetryConfig, RetryHandle};

/// Tries calls again that failed, when it is safe, allowed and worth it.
///
/// Every service of one layer value and its clones shares one budget, one set of counters and the
/// settings. `X` is the [`Policy`]: the classifier, the describer, the copier and the keeper. `H`
/// holds the hooks that [`retry_if`](Self::retry_if), [`prepare`](Self::prepare) and
/// [`annotate_give_up`](Self::annotate_give_up) set.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use std::time::Duration;
/// use seawall_retry::{Backoff, RetryConfig, RetryLayer, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = RetryConfig::builder()
///     .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(2))?)
///     .build()?;
/// let retry = RetryLayer::new("polygon", config).assume_idempotent();
/// let handle = retry.handle();
///
/// let failures = Arc::new(AtomicU32::new(2));
/// let mut client = ServiceBuilder::new()
///     .layer(retry)
///     .layer(WrapErrorLayer)
///     .service(service_fn(move |symbol: &'static str| {
///         let left = failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
///         async move { if left.is_ok() { Err("down") } else { Ok(symbol.len()) } }
///     }));
///
/// assert_eq!(client.call("SPY").await, Ok(3));
/// let counts = handle.counts();
/// assert_eq!((counts.attempts.total(), counts.retries), (3, 2));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RetryLayer<X = Policy, H = Hooks> {
    pub(crate) rules: Rules<X, H>,
}

impl RetryLayer {
    /// A layer of that name, with a [`Budget`] of its own and of default size.
    ///
    /// **Without a describer it retries hardly anything:** no request is known to be idempotent,
    /// so only what was certainly not sent is retried. Set [`describe`](Self::describe), or
    /// [`assume_idempotent`](Self::assume_idempotent) where every request may be sent twice. The
    /// first failed attempt that is not retried for this reason alone is emitted and logged as
    /// [`Undescribed`](seawall_core::Misconfiguration), which the handle knows from then on; all of
    /// them are counted as [`not_described`](crate::GiveUpCounts::not_described).
    ///
    /// **Errors inside `Ok` need a classifier:** by default every `Ok` is a success and every
    /// `Err` a failure. An HTTP response with status 503, or an error object in a response of a
    /// model, is retried only if [`classify`](Self::classify) says that it is a failure.
    pub fn new(name: impl Into<InstanceName>, config: RetryConfig) -> Self {
        Self {
            rules: Rules {
                core: Core {
                    state: State::new(name.into(), config),
                    budget: BudgetHandle::filled(Budget::default()),
                    rate: None,
                    random: None,
                },
                policy: Policy::new(),
                hooks: Hooks::NONE,
            },
        }
    }
}

policy_setters!(RetryLayer[H]: classify, describe, copy, keep);

impl<C, D, T, P, K, H> RetryLayer<Policy<C, D, T, P, K>, H> {
    /// Describes every request as [idempotent](RequestMeta::idempotent): each may be sent again
    /// after any failure. For clients that only read, or whose requests have keys by which the
    /// upstream recognizes a second copy.
    ///
    /// Short for `describe(ConstMeta(RequestMeta::idempotent()))`.
    #[must_use]
    pub fn assume_idempotent(self) -> RetryLayer<Policy<C, ConstMeta, T, P, K>, H> {
        self.describe(ConstMeta(RequestMeta::idempotent()))
    }
}

impl<X, H> RetryLayer<X, H> {
    /// Pays for extra attempts from `budget`, which may be shared with other layers.
    ///
    /// Services and handles that were made before keep the budget they have.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        self.pay_from(BudgetHandle::filled(budget))
    }

    /// Makes extra attempts free. Every caller then sends up to the configured attempts while
    /// the upstream is down, which is when it can serve them least.
    #[must_use]
    pub fn without_budget(self) -> Self {
        self.pay_from(BudgetHandle::FREE)
    }

    pub(crate) fn pay_from(mut self, budget: BudgetHandle) -> Self {
        self.rules.core.budget = budget;
        self
    }

    /// Limits how fast all attempts are sent, first ones included, by a rate that is learned from
    /// throttles; layers that send to one upstream share it.
    ///
    /// Nothing is limited until the upstream throttles for the first time. From then on a first
    /// attempt without a token of the rate waits for it in the call's future. It is rejected as
    /// `RateLimited` when that would take longer than the
    /// [longest wait](crate::RetryConfigBuilder::max_retry_after), or than its deadline allows.
    /// Each attempt takes a short lock and reads the clock when it begins and when it ends; a
    /// layer without a rate pays nothing.
    ///
    /// ```
    /// use seawall_retry::{AdaptiveRate, RetryConfig, RetryLayer};
    ///
    /// let rate = AdaptiveRate::new();
    /// let quotes = RetryLayer::new("quotes", RetryConfig::default()).adaptive_rate(rate.clone());
    /// let orders = RetryLayer::new("orders", RetryConfig::default()).adaptive_rate(rate.clone());
    /// assert!(!rate.is_enabled(), "until the first throttle");
    /// ```
    #[must_use]
    pub fn adaptive_rate(mut self, rate: AdaptiveRate) -> Self {
        self.rules.core.rate = Some(rate);
        self
    }

    /// Draws jitter from a generator with this seed, so that a test can be repeated.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rules.core.random = Some(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))));
        self
    }

    /// A handle to read and control every service of this layer.
    pub fn handle(&self) -> RetryHandle {
        RetryHandle::new(self.rules.core.clone())
    }

    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> RetryLayer<Y, H> {
        let rules = self.rules;
        RetryLayer {
            rules: Rules {
                core: rules.core,
                policy: change(rules.policy),
                hooks: rules.hooks,
            },
        }
    }

    pub(crate) fn map_hooks<I>(self, change: impl FnOnce(H) -> I) -> RetryLayer<X, I> {
        let rules = self.rules;
        RetryLayer {
            rules: Rules {
                core: rules.core,
                policy: rules.policy,
                hooks: change(rules.hooks),
            },
        }
    }
}

impl<S: Clone, X: Clone, H: Clone> Layer<S> for RetryLayer<X, H> {
    type Service = Retry<S, X, H>;

    fn layer(&self, inner: S) -> Self::Service {
        let events = &self.rules.core.state.events;
        events.check_classifier::<S, X>();
        let common = Common::new(self.rules.clone(), inner.clone());
        let shared = self.rules.core.state.stripes.share(common);
        Retry::new(inner, shared.anchor())
    }
}

impl_debug!(RetryLayer<X, H>: |this|
    name = this.rules.core.state.events.name(),
    config = this.rules.core.state.config(),
    budget = this.rules.core.budget,
);
