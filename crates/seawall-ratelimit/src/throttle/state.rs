//! What the services of one layer share: counters per thread, and the odds that follow from them.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use seawall_core::striped::{Local, Shared, Stripes};
use seawall_core::{Clock, EventKind, EventSource, InstanceName, Reason, Rejection, ns};

use super::AdaptiveThrottleConfig;
use super::counts::AdaptiveThrottleCounts;
use super::formula::{CLASSES, Odds, PriorityClass, STEP, mix};
use super::window::{Totals, Window};

pub(crate) type State = Shared<Common, Stripe>;

/// The counters of one stripe, by class where the formula needs them so. They only grow: what a
/// window has of them is found by subtraction.
#[derive(Debug)]
pub(crate) struct Stripe {
    accepted: [AtomicU64; CLASSES],
    not_accepted: [AtomicU64; CLASSES],
    rejected: [AtomicU64; CLASSES],
    silent: AtomicU64,
    abandoned: AtomicU64,
    shadowed: AtomicU64,
    draws: AtomicU64,
}

impl Stripe {
    fn new(seed: u64) -> Self {
        Self {
            accepted: Default::default(),
            not_accepted: Default::default(),
            rejected: Default::default(),
            silent: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            shadowed: AtomicU64::new(0),
            draws: AtomicU64::new(seed),
        }
    }

    fn draw(&self) -> u64 {
        mix(self.draws.fetch_add(STEP, Ordering::Relaxed))
    }
}

fn more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Common {
    /// How likely a call is to be rejected, as of the last look. Calls read this and the time of
    /// the next look, and write neither.
    odds: AtomicU64,
    next_look: AtomicU64,
    shadow: AtomicBool,
    count_failures: AtomicBool,
    clock: Clock,
    pub(crate) observer: EventSource,
    until_look: Apart,
    core: Mutex<Core>,
}

/// How many more requests may be rejected by the upstream until the next look. On a line of its
/// own, since it is written by each of them.
#[derive(Debug)]
#[repr(align(128))]
struct Apart(AtomicI64);

#[derive(Debug)]
struct Core {
    config: AdaptiveThrottleConfig,
    window: Window,
}

/// What a look has found.
pub(crate) struct Look {
    pub(crate) config: AdaptiveThrottleConfig,
    pub(crate) counted: Totals,
    pub(crate) probabilities: [f64; CLASSES],
}

/// The longest time between two looks while calls come.
const LOOK_NS: u64 = 100_000_000;

pub(crate) fn state(name: impl Into<InstanceName>, config: AdaptiveThrottleConfig) -> State {
    let clock = Clock::start();
    let now = clock.now();
    let seed = config.seed();
    let mut unseeded = random();
    let common = Common {
        odds: AtomicU64::new(Odds::NONE.0),
        next_look: AtomicU64::new(0),
        shadow: AtomicBool::new(config.shadow()),
        count_failures: AtomicBool::new(config.count_failures()),
        clock,
        observer: EventSource::new("throttle", name),
        until_look: Apart(AtomicI64::new(0)),
        core: Mutex::new(Core {
            window: Window::new(config.window().get(), now),
            config,
        }),
    };
    Shared::new(common, Stripes::auto(), || {
        unseeded = unseeded.wrapping_add(STEP);
        // With a seed, all stripes draw alike: which one a thread has is not known beforehand.
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
        for (class, total) in totals.iter_mut().enumerate() {
            let accepts = read(&stripe.accepted[class]);
            total.accepts += accepts;
            // From the same reading, so that there are never more accepts than requests.
            total.requests +=
                accepts + read(&stripe.not_accepted[class]) + read(&stripe.rejected[class]);
        }
    }
    totals
}

pub(crate) fn counts(state: &State) -> AdaptiveThrottleCounts {
    let mut counts = AdaptiveThrottleCounts::default();
    let sum = |counters: &[AtomicU64; CLASSES]| counters.iter().map(read).sum::<u64>();
    for stripe in state.stripes() {
        counts.accepted += sum(&stripe.accepted);
        counts.not_accepted += sum(&stripe.not_accepted);
        counts.rejected += sum(&stripe.rejected);
        counts.silent += read(&stripe.silent);
        counts.abandoned += read(&stripe.abandoned);
        counts.shadowed += read(&stripe.shadowed);
    }
    counts
}

impl Common {
    /// Whether it is time to look at the counters again.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.clock.now() >= self.next_look.load(Ordering::Relaxed)
    }

    /// Looks at the counters, unless another thread does so now: its odds will do.
    #[cold]
    pub(crate) fn look<'a>(&self, stripes: impl Iterator<Item = &'a Stripe>) {
        let mut core = match self.core.try_lock() {
            Ok(core) => core,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.look_at(&mut core, totals(stripes));
    }

    fn look_at(&self, core: &mut Core, totals: Totals) -> (Totals, [f64; CLASSES]) {
        let now = self.clock.now();
        core.window.advance(now, &totals);
        let counted = core.window.counted(&totals);
        let probabilities = core.config.probabilities(&counted);
        let odds = Odds::new(probabilities);
        self.odds.store(odds.0, Ordering::Relaxed);
        let pause = (ns(core.config.window().get()) / 1_024).clamp(1, LOOK_NS);
        let next = now.saturating_add(pause).min(core.window.next_slice());
        self.next_look.store(next, Ordering::Relaxed);
        let until = core.config.until_look(&counted);
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        self.until_look.0.store(until, Ordering::Relaxed);
        (counted, probabilities)
    }

    #[inline]
    pub(crate) fn accepted(&self, class: PriorityClass, stripe: &Stripe) {
        more(&stripe.accepted[class as usize]);
    }

    /// Counts a request that the upstream did not accept, and looks if enough of them came.
    #[cold]
    #[inline(never)]
    pub(crate) fn not_accepted(&self, class: PriorityClass, local: &Local<Self, Stripe>) {
        if self.is_due() {
            // What came before belongs to earlier slices.
            self.look(local.stripes());
        }
        more(&local.stripe().not_accepted[class as usize]);
        if self.until_look.0.fetch_sub(1, Ordering::Relaxed) <= 1 {
            self.look(local.stripes());
        }
    }

    pub(crate) fn silent(&self, stripe: &Stripe) {
        more(&stripe.silent);
    }

    #[cold]
    pub(crate) fn abandoned(&self, stripe: &Stripe) {
        more(&stripe.abandoned);
        self.observer.emit(|| EventKind::Abandoned);
    }

    /// Whether a call that comes now is rejected by its draw.
    #[inline]
    pub(crate) fn is_unlucky(&self, class: PriorityClass, stripe: &Stripe) -> bool {
        let odds = Odds(self.odds.load(Ordering::Relaxed));
        odds != Odds::NONE && odds.reject(class, stripe.draw())
    }

    /// Counts and tells a rejection, unless the layer only watches.
    #[cold]
    pub(crate) fn reject(&self, class: PriorityClass, stripe: &Stripe) -> Option<Rejection> {
        let rejection = self.observer.rejection(Reason::ClientThrottled);
        if self.shadow.load(Ordering::Relaxed) {
            more(&stripe.shadowed);
            self.observer.emit(|| EventKind::Shadowed(rejection));
            return None;
        }
        more(&stripe.rejected[class as usize]);
        self.observer.emit(|| EventKind::Rejected(rejection));
        Some(rejection)
    }

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

/// What a handle does.
pub(crate) fn inspect(state: &State) -> Look {
    let common = state.common();
    let mut core = common.lock();
    let (counted, probabilities) = common.look_at(&mut core, totals(state.stripes()));
    Look {
        config: core.config.clone(),
        counted,
        probabilities,
    }
}

pub(crate) fn configure(state: &State, config: AdaptiveThrottleConfig) {
    let common = state.common();
    let mut core = common.lock();
    let totals = totals(state.stripes());
    let now = common.clock.now();
    core.window.advance(now, &totals);
    if config.window() != core.config.window() {
        core.window = core.window.resized(config.window().get(), now);
    }
    common.set_shadow(config.shadow());
    common
        .count_failures
        .store(config.count_failures(), Ordering::Relaxed);
    core.config = config;
    common.look_at(&mut core, totals);
}

pub(crate) fn reset(state: &State) {
    let common = state.common();
    let mut core = common.lock();
    let totals = totals(state.stripes());
    core.window.clear(&totals);
    common.look_at(&mut core, totals);
}
