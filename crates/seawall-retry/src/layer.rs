//! The layer: what all its services share.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::striped::{Anchor, Local, Shared};
use seawall_core::{Budget, ErrorIsFailure, Name, Undescribed};
use tower_layer::Layer;

use crate::observe::{Counters, Ledger};
use crate::{CloneRequest, Retry, RetryConfig, RetryHandle};

/// Tries calls again that failed, when it is safe, allowed and worth it.
///
/// Every service of one layer value and its clones shares one budget and one set of counters. The
/// type parameters are the classifier `C`, the describer `D` and the copier `P`.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use std::time::Duration;
/// use seawall_core::{Always, Backoff, LiftLayer, Meta, Replay};
/// use seawall_retry::{RetryConfig, RetryLayer};
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = RetryConfig::builder()
///     .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(2))?)
///     .build()?;
/// let retry = RetryLayer::new("polygon", config).describe(Always(Meta::new(Replay::Safe)));
/// let handle = retry.handle();
///
/// let failures = Arc::new(AtomicU32::new(2));
/// let mut client = ServiceBuilder::new()
///     .layer(retry)
///     .layer(LiftLayer)
///     .service(service_fn(move |symbol: &'static str| {
///         let left = failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
///         async move { if left.is_ok() { Err("down") } else { Ok(symbol.len()) } }
///     }));
///
/// assert_eq!(client.call("SPY").await, Ok(3));
/// assert_eq!((handle.attempts(), handle.retries()), (3, 2));
/// # Ok(()) }
/// ```
pub struct RetryLayer<C = ErrorIsFailure, D = Undescribed, P = CloneRequest> {
    core: Core,
    classify: C,
    describe: D,
    copy: P,
}

/// What does not depend on the types of a service.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) config: RetryConfig,
    pub(crate) budget: Option<Budget>,
    pub(crate) ledger: Arc<Ledger>,
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
}

/// What the services of one `layer()` share; the futures hold a reference to it.
pub(crate) struct Common<S, C, D, P> {
    pub(crate) core: Core,
    pub(crate) classify: C,
    pub(crate) describe: D,
    pub(crate) copy: P,
    /// Never called itself: later attempts call clones of it. One service here spares every call
    /// a clone that it will most likely not need.
    spare: Mutex<S>,
}

impl<S: Clone, C, D, P> Common<S, C, D, P> {
    pub(crate) fn spare(&self) -> S {
        self.spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

// A stripe is the layer's counters of that stripe, so that all its services count together.
pub(crate) type CommonAnchor<S, C, D, P> = Anchor<Common<S, C, D, P>, Arc<Counters>>;
pub(crate) type CommonLocal<S, C, D, P> = Local<Common<S, C, D, P>, Arc<Counters>>;

impl RetryLayer {
    /// A layer of that name, with a [`Budget`] of its own and of default size.
    ///
    /// Without [`describe`](Self::describe) no request is known to be safe, and only what was
    /// certainly not sent is tried again.
    pub fn new(name: impl Into<Name>, config: RetryConfig) -> Self {
        Self {
            core: Core {
                config,
                budget: Some(Budget::default()),
                ledger: Ledger::new(name.into()),
                random: None,
            },
            classify: ErrorIsFailure,
            describe: Undescribed,
            copy: CloneRequest,
        }
    }
}

impl<C, D, P> RetryLayer<C, D, P> {
    /// Pays for extra attempts from `budget`, which may be shared with other layers.
    ///
    /// Services and handles that were made before keep the budget they have.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.core.budget = Some(budget);
        self
    }

    /// Leaves extra attempts unpaid. Every caller then sends up to the configured attempts while
    /// the upstream is down, which is when it can bear them least.
    #[must_use]
    pub fn without_budget(mut self) -> Self {
        self.core.budget = None;
        self
    }

    /// Draws jitter from a generator with this seed, so that a test can be repeated.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.core.random = Some(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))));
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
    pub fn classify<C2>(self, classify: C2) -> RetryLayer<C2, D, P> {
        RetryLayer {
            core: self.core,
            classify,
            describe: self.describe,
            copy: self.copy,
        }
    }

    /// Learns from `describe` whether a request may be sent twice, and its deadline.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> RetryLayer<C, D2, P> {
        RetryLayer {
            core: self.core,
            classify: self.classify,
            describe,
            copy: self.copy,
        }
    }

    /// Copies requests with `copy` in place of `Clone`.
    #[must_use]
    pub fn copy<P2>(self, copy: P2) -> RetryLayer<C, D, P2> {
        RetryLayer {
            core: self.core,
            classify: self.classify,
            describe: self.describe,
            copy,
        }
    }

    /// A handle to read the counters and the budget.
    pub fn handle(&self) -> RetryHandle {
        RetryHandle::new(
            self.core.config.clone(),
            self.core.budget.clone(),
            Arc::clone(&self.core.ledger),
        )
    }
}

impl<S, C, D, P> Layer<S> for RetryLayer<C, D, P>
where
    S: Clone,
    C: Clone,
    D: Clone,
    P: Clone,
{
    type Service = Retry<S, C, D, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let common = Common {
            core: self.core.clone(),
            classify: self.classify.clone(),
            describe: self.describe.clone(),
            copy: self.copy.clone(),
            spare: Mutex::new(inner.clone()),
        };
        let ledger = &self.core.ledger;
        let mut counters = ledger.counters.iter().map(Arc::clone);
        // As many stripes as counters, asked for in order.
        let shared = Shared::new(common, ledger.stripes, || {
            counters.next().unwrap_or_default()
        });
        Retry::new(inner, shared.anchor())
    }
}

impl<C: Clone, D: Clone, P: Clone> Clone for RetryLayer<C, D, P> {
    /// Shares the budget and the counters.
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            classify: self.classify.clone(),
            describe: self.describe.clone(),
            copy: self.copy.clone(),
        }
    }
}

impl<C, D, P> fmt::Debug for RetryLayer<C, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("name", &self.core.ledger.observer.name())
            .field("config", &self.core.config)
            .field("budget", &self.core.budget)
            .finish_non_exhaustive()
    }
}
