//! What the services of one layer share: counters per thread, and the probabilities of rejection
//! that follow from them.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use seawall_core::striped::{Local, Shared, Stripes};
use seawall_core::{
    Clock, EventKind, EventSource, InstanceName, InvalidConfig, Reason, Rejection, ns,
};

use crate::counts::{AdaptiveThrottleCounts, ClassCounters};
use crate::formula::{CLASSES, Probabilities, STEP, mix};
use crate::window::{Totals, Window};
use crate::{AdaptiveThrottleConfig, PriorityClass};

pub(crate) type State = Shared<Common, Stripe>;

/// The counters of one stripe. They only grow: the window finds by subtraction what it has of
/// them.
#[derive(Debug)]
pub(crate) struct Stripe {
    classes: [ClassCounters; CLASSES],
    draws: AtomicU64,
}

impl Stripe {
    fn new(seed: u64) -> Self {
        Self {
            classes: Default::default(),
            draws: AtomicU64::new(seed),
        }
    }

    #[inline]
    pub(crate) const fn of(&self, class: PriorityClass) -> &ClassCounters {
        &self.classes[class as usize]
    }

    fn draw(&self) -> u64 {
        mix(self.draws.fetch_add(STEP, Ordering::Relaxed))
    }
}

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Common {
    /// How likely a call is to be rejected, as of the last evaluation. Calls read this and the
    /// time of the next evaluation, and write neither.
    probabilities: AtomicU64,
    next_evaluation: AtomicU64,
    shadow: AtomicBool,
    count_failures: AtomicBool,
    clock: Clock,
    pub(crate) events: EventSource,
    until_evaluation: Padded,
    core: Mutex<Core>,
}

/// How many more requests may be rejected by the upstream before the next evaluation. On a cache
/// line of its own, since each of them writes it.
#[derive(Debug)]
#[repr(align(128))]
struct Padded(AtomicI64);

#[derive(Debug)]
struct Core {
    config: AdaptiveThrottleConfig,
    window: Window,
}

/// The result of an evaluation, for the handle.
pub(crate) struct Evaluation {
    pub(crate) config: AdaptiveThrottleConfig,
    pub(crate) counted: Totals,
    pub(crate) probabilities: [f64; CLASSES],
}

/// The longest time between two evaluations while there are calls.
const MAX_INTERVAL_NS: u64 = 100_000_000;

pub(crate) fn state(name: impl Into<InstanceName>, config: AdaptiveThrottleConfig) -> State {
    let clock = Clock::start();
    let now = clock.now();
    let seed = config.seed();
    let mut unseeded = random();
    let common = Common {
        probabilities: AtomicU64::new(Probabilities::ZERO.0),
        next_evaluation: AtomicU64::new(0),
        shadow: AtomicBool::new(config.shadow()),
        count_failures: AtomicBool::new(config.count_failures()),
        clock,
        events: EventSource::new("throttle", name),
        until_evaluation: Padded(AtomicI64::new(0)),
        core: Mutex::new(Core {
            window: Window::new(config.window(), now),
            config,
        }),
    };
    Shared::new(common, Stripes::auto(), || {
        unseeded = unseeded.wrapping_add(STEP);
        // With a seed, all stripes draw alike: which one a thread gets is not known beforehand.
        Stripe::new(seed.unwrap_or_else(|| mix(unseeded)))
    })
}

/// Random bits without a dependency: the keys of the standard library's hash maps.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn totals<'a>(stripes: impl Iterator<Item = &'a Stripe>) -> Totals {
    let mut totals = Totals::default();
    for stripe in stripes {
        for (total, counters) in totals.iter_mut().zip(&stripe.classes) {
            let accepts = counters.accepted.get();
            total.accepts += accepts;
            // From the same reading, so that there are never more accepts than requests.
            total.requests += accepts + counters.not_accepted.get() + counters.rejected.get();
        }
    }
    totals
}

pub(crate) fn counts(state: &State) -> AdaptiveThrottleCounts {
    AdaptiveThrottleCounts::sum(state.stripes().flat_map(|stripe| &stripe.classes))
}

impl Common {
    /// Whether it is time for the next evaluation.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.clock.now() >= self.next_evaluation.load(Ordering::Relaxed)
    }

    /// Evaluates the counters, unless another thread does so now.
    #[cold]
    pub(crate) fn evaluate<'a>(&self, stripes: impl Iterator<Item = &'a Stripe>) {
        let mut core = match self.core.try_lock() {
            Ok(core) => core,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.evaluate_locked(&mut core, totals(stripes));
    }

    fn evaluate_locked(&self, core: &mut Core, totals: Totals) -> (Totals, [f64; CLASSES]) {
        let now = self.clock.now();
        core.window.advance(now, &totals);
        let counted = core.window.counted(&totals);
        let probabilities = core.config.probabilities(&counted);
        let packed = Probabilities::new(probabilities);
        self.probabilities.store(packed.0, Ordering::Relaxed);
        let interval = (ns(core.config.window()) / 1_024).clamp(1, MAX_INTERVAL_NS);
        let next = now.saturating_add(interval).min(core.window.next_slice());
        self.next_evaluation.store(next, Ordering::Relaxed);
        let until = i64::try_from(core.config.until_evaluation(&counted)).unwrap_or(i64::MAX);
        self.until_evaluation.0.store(until, Ordering::Relaxed);
        (counted, probabilities)
    }

    /// Counts a request that the upstream did not accept, and evaluates if there were enough.
    #[cold]
    #[inline(never)]
    pub(crate) fn not_accepted(&self, class: PriorityClass, local: &Local<Self, Stripe>) {
        if self.is_due() {
            // What was counted before this belongs to earlier slices.
            self.evaluate(local.stripes());
        }
        local.stripe().of(class).not_accepted.add();
        if self.until_evaluation.0.fetch_sub(1, Ordering::Relaxed) <= 1 {
            self.evaluate(local.stripes());
        }
    }

    #[cold]
    pub(crate) fn abandoned(&self, class: PriorityClass, stripe: &Stripe) {
        stripe.of(class).abandoned.add();
        self.events.emit_call(|| EventKind::Abandoned);
    }

    /// Draws for one call; true if it is to be rejected.
    #[inline]
    pub(crate) fn draw(&self, class: PriorityClass, stripe: &Stripe) -> bool {
        let probabilities = Probabilities(self.probabilities.load(Ordering::Relaxed));
        probabilities != Probabilities::ZERO && probabilities.reject(class, stripe.draw())
    }

    /// Counts and emits a rejection; none in shadow mode.
    #[cold]
    pub(crate) fn reject(&self, class: PriorityClass, stripe: &Stripe) -> Option<Rejection> {
        let rejection = self.events.rejection(Reason::ClientThrottled);
        if self.is_shadow() {
            stripe.of(class).shadowed.add();
            self.events.emit_call(|| EventKind::Shadowed(rejection));
            return None;
        }
        stripe.of(class).rejected.add();
        self.events.emit_call(|| EventKind::Rejected(rejection));
        Some(rejection)
    }

    #[inline]
    pub(crate) fn counts_failures(&self) -> bool {
        self.count_failures.load(Ordering::Relaxed)
    }

    pub(crate) fn is_shadow(&self) -> bool {
        self.shadow.load(Ordering::Relaxed)
    }

    pub(crate) fn set_shadow(&self, on: bool) {
        self.shadow.store(on, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn inspect(state: &State) -> Evaluation {
    let common = state.common();
    let mut core = common.lock();
    let (counted, probabilities) = common.evaluate_locked(&mut core, totals(state.stripes()));
    Evaluation {
        config: core.config.clone(),
        counted,
        probabilities,
    }
}

pub(crate) fn configure(
    state: &State,
    config: AdaptiveThrottleConfig,
) -> Result<(), InvalidConfig> {
    let common = state.common();
    let mut core = common.lock();
    let config = config.keeping_seed(core.config.seed())?;
    let totals = totals(state.stripes());
    let now = common.clock.now();
    core.window.advance(now, &totals);
    if config.window() != core.config.window() {
        core.window = core.window.resized(config.window(), now);
    }
    common.set_shadow(config.shadow());
    let count_failures = config.count_failures();
    common
        .count_failures
        .store(count_failures, Ordering::Relaxed);
    core.config = config;
    common.evaluate_locked(&mut core, totals);
    Ok(())
}

pub(crate) fn reset(state: &State) {
    let common = state.common();
    let mut core = common.lock();
    let totals = totals(state.stripes());
    core.window.clear(&totals);
    common.set_shadow(core.config.shadow());
    common.evaluate_locked(&mut core, totals);
}
