//! The layer: what all its services share.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::striped::{Anchor, Local, Shared};
use seawall_core::{
    Budget, DefaultMeta, ErrorIsFailure, EventKind, InstanceName, Outcome, Reason, Rejection, Sent,
};
use tower_layer::Layer;

use crate::decide::Answered;
use crate::observe::{Counters, Ledger};
use crate::purse::Purse;
use crate::{AdaptiveRate, CloneRequest, Hooks, Retry, RetryConfig, RetryHandle};

/// Tries calls again that failed, when it is safe, allowed and worth it.
///
/// Every service of one layer value and its clones shares one budget and one set of counters. The
/// type parameters are the classifier `C`, the describer `D`, the copier `P` and the [`Hooks`] `H`.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use std::time::Duration;
/// use seawall_core::{ConstMeta, Backoff, WrapErrorLayer, RequestMeta, Replay};
/// use seawall_retry::{RetryConfig, RetryLayer};
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = RetryConfig::builder()
///     .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(2))?)
///     .build()?;
/// let retry = RetryLayer::new("polygon", config).describe(ConstMeta(RequestMeta::new(Replay::Safe)));
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
/// assert_eq!((handle.attempts(), handle.retries()), (3, 2));
/// # Ok(()) }
/// ```
pub struct RetryLayer<C = ErrorIsFailure, D = DefaultMeta, P = CloneRequest, H = Hooks> {
    pub(crate) rules: Rules<C, D, P, H>,
}

/// What decides: the same for all services of a layer value.
#[derive(Clone)]
pub(crate) struct Rules<C, D, P, H> {
    pub(crate) core: Core,
    pub(crate) classify: C,
    pub(crate) describe: D,
    pub(crate) copy: P,
    pub(crate) hooks: H,
}

/// What does not depend on the types of a service.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) config: RetryConfig,
    pub(crate) budget: Purse,
    pub(crate) rate: Option<AdaptiveRate>,
    pub(crate) ledger: Arc<Ledger>,
    /// Whether attempts are limited in time.
    pub(crate) timed: bool,
    random: Option<Arc<Mutex<fastrand::Rng>>>,
}

impl Core {
    /// A number from `[0, 1)`: from the seeded generator, or from the thread's own.
    pub(crate) fn draw(&self) -> f64 {
        match &self.random {
            Some(seeded) => seeded.lock().unwrap_or_else(PoisonError::into_inner).f64(),
            None => fastrand::f64(),
        }
    }

    /// An attempt succeeded.
    #[inline]
    pub(crate) fn succeeded(&self) {
        self.budget.deposit();
        if let Some(rate) = &self.rate {
            rate.on_response(false, rate.now());
        }
    }

    /// Tells the sending rate of an answer to an attempt that has taken a token of it or not.
    pub(crate) fn learn(&self, seen: &Answered, placed: bool) {
        let Some(rate) = &self.rate else {
            return;
        };
        if seen.is_rejected_unsent() {
            if placed {
                rate.release();
            }
        } else {
            let throttled = matches!(seen.outcome, Outcome::Throttled { .. });
            rate.on_response(throttled, rate.now());
        }
    }

    /// A rejection of the layer itself, told.
    pub(crate) fn reject(&self, reason: Reason, sent: Sent) -> Rejection {
        let observer = &self.ledger.observer;
        let rejection = observer.rejection(reason).with_sent(sent);
        observer.emit(|| EventKind::Rejected(rejection));
        rejection
    }
}

/// What the services of one `layer()` share; the futures hold a reference to it.
pub(crate) struct Common<S, C, D, P, H> {
    pub(crate) rules: Rules<C, D, P, H>,
    /// Never called itself: later attempts call clones of it. One service here spares every call
    /// a clone that it will most likely not need.
    spare: Mutex<S>,
}

impl<S: Clone, C, D, P, H> Common<S, C, D, P, H> {
    pub(crate) fn spare(&self) -> S {
        self.spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

// A stripe is the layer's counters of that stripe, so that all its services count together.
pub(crate) type CommonAnchor<S, C, D, P, H> = Anchor<Common<S, C, D, P, H>, Arc<Counters>>;
pub(crate) type CommonLocal<S, C, D, P, H> = Local<Common<S, C, D, P, H>, Arc<Counters>>;

impl RetryLayer {
    /// A layer of that name, with a [`Budget`] of its own and of default size.
    ///
    /// Without [`describe`](Self::describe) no request is known to be safe, and only what was
    /// certainly not sent is tried again.
    pub fn new(name: impl Into<InstanceName>, config: RetryConfig) -> Self {
        let timed = config.attempt_timeout().or(config.overall_timeout());
        Self {
            rules: Rules {
                core: Core {
                    timed: timed.is_some(),
                    config,
                    budget: Purse::Ours(Budget::default()),
                    rate: None,
                    ledger: Ledger::new(name.into()),
                    random: None,
                },
                classify: ErrorIsFailure,
                describe: DefaultMeta,
                copy: CloneRequest,
                hooks: Hooks::NONE,
            },
        }
    }
}

impl<C, D, P, H> RetryLayer<C, D, P, H> {
    /// Pays for extra attempts from `budget`, which may be shared with other layers.
    ///
    /// Services and handles that were made before keep the budget they have.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.rules.core.budget = Purse::Ours(budget);
        self
    }

    /// Leaves extra attempts unpaid. Every caller then sends up to the configured attempts while
    /// the upstream is down, which is when it can bear them least.
    #[must_use]
    pub fn without_budget(mut self) -> Self {
        self.rules.core.budget = Purse::Open;
        self
    }

    /// Limits how fast all attempts are sent, first ones included, by a rate that is learned from
    /// throttles; layers that send to one upstream share it.
    ///
    /// Nothing is limited until the upstream throttles for the first time. From then on a first attempt that
    /// finds no place in the rate waits for it in the call's future, and is rejected as
    /// `RateLimited` when that would take longer than the
    /// [longest wait](crate::RetryConfigBuilder::max_retry_after) or than its deadline allows. Each
    /// attempt takes a short lock and reads the clock when it is made and when it is answered; a
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

    /// Judges answers with `classify`.
    ///
    /// ```
    /// use seawall_core::{FailureKind, Outcome};
    /// use seawall_retry::{RetryConfig, RetryLayer};
    ///
    /// fn by_status(result: Result<&u16, &seawall_core::Error<std::io::Error>>) -> Outcome {
    ///     match result {
    ///         Ok(500..) | Err(_) => Outcome::Failure(FailureKind::Server),
    ///         Ok(400..) => Outcome::Ignored,
    ///         Ok(_) => Outcome::Success,
    ///     }
    /// }
    /// let layer = RetryLayer::new("alpaca", RetryConfig::default()).classify(by_status);
    /// ```
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> RetryLayer<C2, D, P, H> {
        let Rules {
            core,
            describe,
            copy,
            hooks,
            ..
        } = self.rules;
        RetryLayer::of(Rules {
            core,
            classify,
            describe,
            copy,
            hooks,
        })
    }

    /// Learns from `describe` whether a request may be sent twice, and its deadline.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> RetryLayer<C, D2, P, H> {
        let Rules {
            core,
            classify,
            copy,
            hooks,
            ..
        } = self.rules;
        RetryLayer::of(Rules {
            core,
            classify,
            describe,
            copy,
            hooks,
        })
    }

    /// Copies requests with `copy` in place of `Clone`.
    #[must_use]
    pub fn copy<P2>(self, copy: P2) -> RetryLayer<C, D, P2, H> {
        let Rules {
            core,
            classify,
            describe,
            hooks,
            ..
        } = self.rules;
        RetryLayer::of(Rules {
            core,
            classify,
            describe,
            copy,
            hooks,
        })
    }

    pub(crate) fn hooked<H2>(self, hook: impl FnOnce(H) -> H2) -> RetryLayer<C, D, P, H2> {
        let Rules {
            core,
            classify,
            describe,
            copy,
            hooks,
        } = self.rules;
        let hooks = hook(hooks);
        RetryLayer::of(Rules {
            core,
            classify,
            describe,
            copy,
            hooks,
        })
    }

    pub(crate) const fn of(rules: Rules<C, D, P, H>) -> Self {
        Self { rules }
    }

    /// A handle to read the counters and the budget.
    pub fn handle(&self) -> RetryHandle {
        let core = &self.rules.core;
        RetryHandle::new(
            core.config.clone(),
            core.budget.clone(),
            core.rate.clone(),
            Arc::clone(&core.ledger),
        )
    }
}

impl<C, D, P, A, B, M> RetryLayer<C, D, P, Hooks<A, B, M>> {
    /// Asks `advise` after each answer whether there should be another attempt; see
    /// [`RetryDecision`](crate::RetryDecision) for what it can change and what it cannot.
    ///
    /// ```
    /// use seawall_core::{Error, Replay};
    /// use seawall_retry::{RetryDecision, RetryConfig, RetryLayer, AttemptOutcome};
    ///
    /// // A report that is still being made is asked for again, a large one only once.
    /// fn advise(seen: AttemptOutcome<'_, &str, u16, Error<std::io::Error>>) -> RetryDecision {
    ///     match seen.result {
    ///         Ok(202) if seen.request.starts_with("GET /reports/") => RetryDecision::Retry,
    ///         Err(_) if seen.meta.cost > 10 && seen.attempt > 1 => RetryDecision::Stop,
    ///         _ => RetryDecision::Default,
    ///     }
    /// }
    /// let layer = RetryLayer::new("reports", RetryConfig::default()).retry_if(advise);
    /// ```
    #[must_use]
    pub fn retry_if<A2>(self, advise: A2) -> RetryLayer<C, D, P, Hooks<A2, B, M>> {
        self.hooked(|hooks| Hooks {
            advise,
            prepare: hooks.prepare,
            annotate_give_up: hooks.annotate_give_up,
        })
    }

    /// Prepares each request right before its attempt, the first one included; see
    /// [`PrepareAttempt`](crate::PrepareAttempt).
    ///
    /// ```
    /// use seawall_core::Error;
    /// use seawall_retry::{Attempt, RetryConfig, RetryLayer};
    ///
    /// #[derive(Clone)]
    /// struct Order { text: String, attempt: u32, signature: u64 }
    ///
    /// # fn sign(text: &str, attempt: u32) -> u64 { text.len() as u64 + u64::from(attempt) }
    /// fn sign_anew(order: &mut Order, attempt: Attempt) -> Result<(), Error<std::io::Error>> {
    ///     order.attempt = attempt.number;
    ///     order.signature = sign(&order.text, order.attempt);
    ///     Ok(())
    /// }
    /// let layer = RetryLayer::new("orders", RetryConfig::default()).prepare(sign_anew);
    /// ```
    #[must_use]
    pub fn prepare<B2>(self, prepare: B2) -> RetryLayer<C, D, P, Hooks<A, B2, M>> {
        self.hooked(|hooks| Hooks {
            advise: hooks.advise,
            prepare,
            annotate_give_up: hooks.annotate_give_up,
        })
    }

    /// Marks answers that were given up on, so that the caller can tell a failure that was not
    /// tried again for want of budget from one that was; see [`AnnotateGiveUp`](crate::AnnotateGiveUp).
    ///
    /// ```
    /// use seawall_retry::{StopReason, Stopped, RetryConfig, RetryLayer};
    ///
    /// # enum Fault { Rejected(seawall_core::Rejection), Failed { status: u16, why: Option<StopReason> } }
    /// # seawall_core::rejectable!(Fault::Rejected);
    /// fn note_reason(result: &mut Result<u16, Fault>, ended: Stopped) {
    ///     if let Err(Fault::Failed { why, .. }) = result {
    ///         *why = Some(ended.end);
    ///     }
    /// }
    /// let layer = RetryLayer::new("quotes", RetryConfig::default()).annotate_give_up(note_reason);
    /// ```
    #[must_use]
    pub fn annotate_give_up<M2>(
        self,
        annotate_give_up: M2,
    ) -> RetryLayer<C, D, P, Hooks<A, B, M2>> {
        self.hooked(|hooks| Hooks {
            advise: hooks.advise,
            prepare: hooks.prepare,
            annotate_give_up,
        })
    }
}

impl<S, C, D, P, H> Layer<S> for RetryLayer<C, D, P, H>
where
    S: Clone,
    C: Clone,
    D: Clone,
    P: Clone,
    H: Clone,
{
    type Service = Retry<S, C, D, P, H>;

    fn layer(&self, inner: S) -> Self::Service {
        let common = Common {
            rules: self.rules.clone(),
            spare: Mutex::new(inner.clone()),
        };
        let ledger = &self.rules.core.ledger;
        let mut counters = ledger.counters.iter().map(Arc::clone);
        // As many stripes as counters, asked for in order.
        let shared = Shared::new(common, ledger.stripes, || {
            counters.next().unwrap_or_default()
        });
        Retry::new(inner, shared.anchor())
    }
}

impl<C: Clone, D: Clone, P: Clone, H: Clone> Clone for RetryLayer<C, D, P, H> {
    /// Shares the budget, the sending rate and the counters.
    fn clone(&self) -> Self {
        Self {
            rules: self.rules.clone(),
        }
    }
}

impl<C, D, P, H> fmt::Debug for RetryLayer<C, D, P, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.rules.core;
        f.debug_struct("RetryLayer")
            .field("name", &core.ledger.observer.name())
            .field("config", &core.config)
            .field("budget", &core.budget)
            .finish_non_exhaustive()
    }
}
