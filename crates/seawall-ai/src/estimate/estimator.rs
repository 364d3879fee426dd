//! The estimator: what was learned of each model, shared by all calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use seawall_core::{Clock, EventSource, InstanceName, Rejection, TokenCount};
use seawall_http::quota::UsageBound;

use super::config::EstimateConfig;
use super::counts::EstimateCounters;
use super::learned::{Expectation, Learned};
use crate::bound::bound_of;
use seawall_http::WatchDeparture;

/// Estimates how many tokens calls will use, and learns from what they have used.
///
/// A clone is the same estimator. [`EstimateLayer`](super::EstimateLayer) does with it what is needed
/// for calls over HTTP; by itself it is for clients of another kind.
///
/// See the [module](super) for what is learned and how.
///
/// ```
/// use seawall_ai::estimate::{EstimateConfig, TokenEstimator};
/// use seawall_core::TokenCount;
///
/// let estimator = TokenEstimator::new("model", EstimateConfig::default());
/// // Nothing is known: four tokens in place of three, and the maximum of the output.
/// let call = estimator.estimate("m-1", 3_000, Some(2_048));
/// assert_eq!(call.tokens(), TokenCount::new(4_000, 2_048));
/// call.departed();
/// call.settle(TokenCount::new(3_300, 87));
/// ```
#[derive(Clone)]
pub struct TokenEstimator {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) events: EventSource,
    pub(super) counters: EstimateCounters,
    pub(super) config: RwLock<EstimateConfig>,
    models: RwLock<HashMap<Box<str>, Arc<Model>>>,
    /// Of all models beyond those that are learned apart.
    others: Arc<Model>,
    clock: Clock,
    /// Whether departures are noted: then a call is in flight from its departure on.
    notes_departures: AtomicBool,
}

type Model = Mutex<Learned>;

/// Names that are longer are of no model.
const LONGEST_NAME: usize = 128;

impl TokenEstimator {
    /// An estimator that has learned nothing. `name` is in its events and metrics.
    pub fn new(name: impl Into<InstanceName>, config: EstimateConfig) -> Self {
        let clock = Clock::start();
        Self {
            shared: Arc::new(Shared {
                events: EventSource::new("estimate", name),
                counters: EstimateCounters::default(),
                config: RwLock::new(config),
                models: RwLock::default(),
                others: Arc::new(Mutex::new(Learned::new(clock.now()))),
                clock,
                notes_departures: AtomicBool::new(false),
            }),
        }
    }

    /// What a call of `model` is expected to use, of which a tokenizer has counted `counted` tokens of
    /// input, and whose output has at most `max_output` tokens, where the request says that.
    pub fn estimate(&self, model: &str, counted: u32, max_output: Option<u32>) -> Expected {
        self.estimate_choices(model, counted, max_output, 1)
    }

    /// The same for a call whose output is written so often, where it has no maximum.
    pub(super) fn estimate_choices(
        &self,
        model: &str,
        counted: u32,
        max_output: Option<u32>,
        choices: u32,
    ) -> Expected {
        let model = self.shared.model(model);
        let expectation = {
            let config = self.shared.config();
            lock(&model).expect(counted, max_output, choices, &config)
        };
        let call = Arc::new(Call {
            shared: Arc::clone(&self.shared),
            model,
            expectation,
            progress: Mutex::new(Progress::Waiting),
        });
        if !self.shared.notes_departures.load(Ordering::Relaxed) {
            call.depart();
        }
        Expected { call }
    }
}

impl Shared {
    pub(super) fn config(&self) -> std::sync::RwLockReadGuard<'_, EstimateConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn model(&self, name: &str) -> Arc<Model> {
        if name.len() > LONGEST_NAME {
            return Arc::clone(&self.others);
        }
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get(name) {
            return Arc::clone(model);
        }
        drop(models);
        let most = self.config().max_models();
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get(name) {
            return Arc::clone(model);
        }
        if models.len() >= most {
            // So that names of no model, whose calls all fail, do not stay.
            models.retain(|_, model| is_kept(model));
        }
        if models.len() >= most {
            return Arc::clone(&self.others);
        }
        let model = Arc::new(Mutex::new(Learned::new(self.clock.now())));
        models.insert(name.into(), Arc::clone(&model));
        model
    }

    /// Calls `read` with what is known of each model, the shared one last, in the order of the names.
    pub(super) fn each(&self, mut read: impl FnMut(&str, &Learned)) {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let mut models: Vec<_> = models
            .iter()
            .map(|(name, model)| (name.clone(), Arc::clone(model)))
            .collect();
        models.sort_by(|one, other| one.0.cmp(&other.0));
        for (name, model) in &models {
            read(name, &lock(model));
        }
        read("", &lock(&self.others));
    }

    pub(super) fn forget(&self) {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        models.clear();
        drop(models);
        // Calls under way would end in what they did not depart in.
        let mut others = lock(&self.others);
        *others = Learned::new(self.clock.now());
    }
}

/// Whether something was learned of a model, or may be: a call that is not over has it, too.
fn is_kept(model: &Arc<Model>) -> bool {
    Arc::strong_count(model) > 1 || lock(model).responses() > 0
}

fn lock(model: &Model) -> MutexGuard<'_, Learned> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    Waiting,
    Departed { at_ns: u64 },
    Ended,
}

/// One call, as its stack and its response know it.
pub(super) struct Call {
    shared: Arc<Shared>,
    model: Arc<Model>,
    expectation: Expectation,
    progress: Mutex<Progress>,
}

impl Call {
    /// The first departure counts.
    fn depart(&self) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if *progress == Progress::Waiting {
            let now = self.shared.clock.now();
            lock(&self.model).departed(now);
            *progress = Progress::Departed { at_ns: now };
        }
    }

    fn end(&self, used: Option<TokenCount>) {
        self.end_as(used.map(|used| (Some(used.input), used.output)));
    }

    fn end_with_output(&self, output: u32) {
        self.end_as(Some((None, output)));
    }

    fn end_as(&self, used: Option<(Option<u32>, u32)>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let departed = match std::mem::replace(&mut *progress, Progress::Ended) {
            Progress::Ended => return,
            Progress::Departed { at_ns } => Some(at_ns),
            Progress::Waiting => None,
        };
        let (config, now) = (self.shared.config(), self.shared.clock.now());
        let mut model = lock(&self.model);
        model.ended(&self.expectation, departed, now, used, &config);
    }
}

impl WatchDeparture for Call {
    fn departs(&self) -> Result<(), Rejection> {
        self.shared.notes_departures.store(true, Ordering::Relaxed);
        self.depart();
        Ok(())
    }
}

/// What one call is expected to use, until it is known.
///
/// Dropped before it was settled, nothing is learned from the call.
pub struct Expected {
    call: Arc<Call>,
}

impl Expected {
    /// What is to be reserved.
    pub fn tokens(&self) -> TokenCount {
        self.call.expectation.tokens
    }

    /// The most that the call can have used.
    pub(super) fn bound(&self) -> UsageBound {
        let expectation = &self.call.expectation;
        let most = expectation.most_output(&self.call.shared.config());
        bound_of(expectation.counted, most)
    }

    /// The call leaves its queues: from now on it is in flight. Once the first call of an estimator
    /// has reported that, all of them must; without that, a call is in flight from the estimate on.
    pub fn departed(&self) {
        // A call reports that it departs, and is never rejected for it.
        let _ = self.call.departs();
    }

    /// The call has used so much; the estimator learns that.
    pub fn settle(self, used: TokenCount) {
        self.call.end(Some(used));
    }

    /// The call has written so much; how much it has read is not known.
    pub(super) fn settle_output(self, output: u32) {
        self.call.end_with_output(output);
    }

    pub(super) fn watcher(&self) -> Arc<Call> {
        Arc::clone(&self.call)
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.call.end(None);
    }
}

seawall_core::impl_debug!(TokenEstimator: |this| name = this.shared.events.name());
seawall_core::impl_debug!(Expected: |this| tokens = this.tokens());
