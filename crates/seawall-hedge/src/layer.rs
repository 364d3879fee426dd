//! The layer: what all its services share.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::striped::{Anchor, Local, Shared};
use seawall_core::{Budget, BudgetConfig, CloneRequest, DefaultMeta, ErrorIsFailure, InstanceName};
use tower_layer::Layer;

use crate::observe::{Counters, Ledger};
use crate::{Hedge, HedgeConfig, HedgeHandle};

/// Sends a request again when its answer is slow, and takes the first good answer.
///
/// Every service of one layer value and its clones shares one budget, one learned delay and one
/// set of counters. The type parameters are the classifier `C`, the describer `D` and the copier
/// `P`.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use std::time::Duration;
/// use seawall_core::{ConstMeta, WrapErrorLayer, RequestMeta, Replay};
/// use seawall_hedge::{HedgeConfig, HedgeLayer};
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = HedgeConfig::builder().delay(Duration::from_millis(50)).build()?;
/// let hedge = HedgeLayer::new("polygon", config).describe(ConstMeta(RequestMeta::new(Replay::Safe)));
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
/// assert_eq!((handle.hedges(), handle.won()), (1, 1));
/// # Ok(()) }
/// ```
pub struct HedgeLayer<C = ErrorIsFailure, D = DefaultMeta, P = CloneRequest> {
    core: Core,
    classify: C,
    describe: D,
    copy: P,
}

/// What does not depend on the types of a service.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) purse: Purse,
    pub(crate) ledger: Arc<Ledger>,
}

/// What extra attempts are paid from.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    pub(crate) budget: Option<Budget>,
    /// Whether the successes seen here fill it.
    pub(crate) fill: bool,
}

/// What the services of one `layer()` share; the futures hold a reference to it.
pub(crate) struct Common<S, C, D, P> {
    pub(crate) core: Core,
    pub(crate) classify: C,
    pub(crate) describe: D,
    pub(crate) copy: P,
    /// Never called itself: extra attempts call clones of it. One service here spares every call
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

impl HedgeLayer {
    /// A layer of that name, with a budget of its own: one extra attempt per ten successes, one
    /// per second as a floor, ten saved up. That is twice what a delay at the 95th percentile
    /// needs, and stops the hedging of everything when everything is slow.
    ///
    /// Without [`describe`](Self::describe) no request is known to be safe, and none is hedged.
    pub fn new(name: impl Into<InstanceName>, config: HedgeConfig) -> Self {
        Self {
            core: Core {
                purse: Purse {
                    // None of the three can be rejected.
                    budget: Some(
                        BudgetConfig::new(0.1, 1.0, 10)
                            .map_or_else(|_| Budget::default(), Budget::new),
                    ),
                    fill: true,
                },
                ledger: Ledger::new(name.into(), config),
            },
            classify: ErrorIsFailure,
            describe: DefaultMeta,
            copy: CloneRequest,
        }
    }
}

impl<C, D, P> HedgeLayer<C, D, P> {
    /// Pays for extra attempts from `budget`, and fills it by one deposit per call that succeeds.
    ///
    /// For a budget that no other layer of the same calls fills; see
    /// [`shared_budget`](Self::shared_budget). Services and handles that were made before keep the
    /// budget they have.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.core.purse = Purse {
            budget: Some(budget),
            fill: true,
        };
        self
    }

    /// Pays for extra attempts from `budget`, and leaves it to the retry layer around this one to
    /// fill it: one success that two layers deposit would buy twice as many attempts.
    #[must_use]
    pub fn shared_budget(mut self, budget: Budget) -> Self {
        self.core.purse = Purse {
            budget: Some(budget),
            fill: false,
        };
        self
    }

    /// Leaves extra attempts unpaid. With a fixed delay, an upstream that slows down beyond it
    /// then gets all its requests at least twice.
    #[must_use]
    pub fn without_budget(mut self) -> Self {
        self.core.purse.budget = None;
        self
    }

    /// Judges answers with `classify`: `Success`, and `Ignored` if no layer below rejected, are
    /// good answers, everything else waits for a better one.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> HedgeLayer<C2, D, P> {
        HedgeLayer {
            core: self.core,
            classify,
            describe: self.describe,
            copy: self.copy,
        }
    }

    /// Learns from `describe` whether a request may be sent twice, and its deadline.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> HedgeLayer<C, D2, P> {
        HedgeLayer {
            core: self.core,
            classify: self.classify,
            describe,
            copy: self.copy,
        }
    }

    /// Copies requests with `copy` in place of `Clone`.
    #[must_use]
    pub fn copy<P2>(self, copy: P2) -> HedgeLayer<C, D, P2> {
        HedgeLayer {
            core: self.core,
            classify: self.classify,
            describe: self.describe,
            copy,
        }
    }

    /// A handle to read the counters, the learned delay and the budget.
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle::new(self.core.purse.clone(), Arc::clone(&self.core.ledger))
    }
}

impl<S, C, D, P> Layer<S> for HedgeLayer<C, D, P>
where
    S: Clone,
    C: Clone,
    D: Clone,
    P: Clone,
{
    type Service = Hedge<S, C, D, P>;

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
        Hedge::new(inner, shared.anchor())
    }
}

impl<C: Clone, D: Clone, P: Clone> Clone for HedgeLayer<C, D, P> {
    /// Shares the budget, what was learned, and the counters.
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            classify: self.classify.clone(),
            describe: self.describe.clone(),
            copy: self.copy.clone(),
        }
    }
}

impl<C, D, P> fmt::Debug for HedgeLayer<C, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeLayer")
            .field("name", &self.core.ledger.observer.name())
            .field("config", &self.core.ledger.config)
            .field("budget", &self.core.purse.budget)
            .finish_non_exhaustive()
    }
}
