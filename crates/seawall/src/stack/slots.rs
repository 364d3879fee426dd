//! The layers of a stack in one value.

use seawall_breaker::{BreakerConfig, BreakerLayer};
use seawall_bulkhead::BulkheadLayer;
use seawall_core::{Budget, InstanceName};
use seawall_ratelimit::RateLimitLayer;
use seawall_retry::{AdaptiveRate, RetryHandle, RetryLayer};
use seawall_timeout::AttemptTimeoutLayer;

use super::answers::{Answering, Answers};
use super::attempts::Attempts;
use super::circuit::Circuit;
use super::limits::Limits;
use super::permits::Permits;
use super::slot::{Configure, NoLayer, Slot, sealed};
use crate::settings::Settings;

/// The layers between deadline and client: retry `R`, hedge `H`, throttle `T`, bulkhead `B`, rate
/// limit `L`, breaker `C`, health `M`, attempt timeout `A` and the hook at departure `D`, from the
/// outside; around retry what answers without the upstream (`G`), and around the client what makes it
/// fail on purpose (`J`).
///
/// The default is what every stack has; those that a stack has on demand are [`NoLayer`], of size
/// zero.
/// It is only named where the type of a stack with options is written out.
#[derive(Clone, Debug)]
pub struct Slots<
    R = RetryLayer,
    H = NoLayer,
    T = NoLayer,
    B = BulkheadLayer,
    L = RateLimitLayer,
    C = BreakerLayer,
    M = NoLayer,
    A = AttemptTimeoutLayer,
    D = NoLayer,
    G = Answers,
    J = NoLayer,
> {
    pub(crate) answers: G,
    pub(crate) retry: R,
    pub(crate) hedge: H,
    pub(crate) throttle: T,
    pub(crate) bulkhead: B,
    pub(crate) rate_limit: L,
    pub(crate) breaker: C,
    pub(crate) health: M,
    pub(crate) attempt_timeout: A,
    pub(crate) departure: D,
    pub(crate) chaos: J,
}

/// The parts of [`Slots`]; implemented for it alone.
pub trait StackSlots: sealed::Sealed {
    /// The retry.
    type Retry: Slot<Handle = RetryHandle>;
    /// The hedge.
    type Hedge: Slot;
    /// The adaptive throttle.
    type Throttle: Slot;
    /// The bulkhead.
    type Bulkhead: Permits;
    /// The rate limit.
    type RateLimit: Limits;
    /// The breaker.
    type Breaker: Circuit<Handle: Configure<BreakerConfig>>;
    /// The passive health check.
    type Health: Slot;
    /// The attempt timeout.
    type AttemptTimeout: Attempts;
    /// The hook at departure.
    type Departure: Slot;
    /// What answers without the upstream.
    type Answers: Answering;
    /// What makes the client fail on purpose.
    type Chaos: Slot;

    /// The layers by their slots.
    #[doc(hidden)]
    fn slots(&self) -> SlotsOf<'_, Self>;
}

/// References to the layers of `O`, by their slots.
#[doc(hidden)]
#[derive(Debug)]
pub struct SlotsOf<'a, O: StackSlots + ?Sized> {
    pub(crate) retry: &'a O::Retry,
    pub(crate) hedge: &'a O::Hedge,
    pub(crate) throttle: &'a O::Throttle,
    pub(crate) bulkhead: &'a O::Bulkhead,
    pub(crate) rate_limit: &'a O::RateLimit,
    pub(crate) breaker: &'a O::Breaker,
    pub(crate) health: &'a O::Health,
    pub(crate) attempt_timeout: &'a O::AttemptTimeout,
    pub(crate) departure: &'a O::Departure,
    pub(crate) answers: &'a O::Answers,
    pub(crate) chaos: &'a O::Chaos,
}

impl<R, H, T, B, L, C, M, A, D, G, J> sealed::Sealed for Slots<R, H, T, B, L, C, M, A, D, G, J> {}

impl<R, H, T, B, L, C, M, A, D, G, J> StackSlots for Slots<R, H, T, B, L, C, M, A, D, G, J>
where
    R: Slot<Handle = RetryHandle>,
    H: Slot,
    T: Slot,
    B: Permits,
    L: Limits,
    C: Circuit<Handle: Configure<BreakerConfig>>,
    M: Slot,
    A: Attempts,
    D: Slot,
    G: Answering,
    J: Slot,
{
    type Retry = R;
    type Hedge = H;
    type Throttle = T;
    type Bulkhead = B;
    type RateLimit = L;
    type Breaker = C;
    type Health = M;
    type AttemptTimeout = A;
    type Departure = D;
    type Answers = G;
    type Chaos = J;

    fn slots(&self) -> SlotsOf<'_, Self> {
        SlotsOf {
            retry: &self.retry,
            hedge: &self.hedge,
            throttle: &self.throttle,
            bulkhead: &self.bulkhead,
            rate_limit: &self.rate_limit,
            breaker: &self.breaker,
            health: &self.health,
            attempt_timeout: &self.attempt_timeout,
            departure: &self.departure,
            answers: &self.answers,
            chaos: &self.chaos,
        }
    }
}

/// What pays for extra attempts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pay {
    pub(crate) budget: Budget,
    pub(crate) rate: Option<AdaptiveRate>,
}

impl Slots {
    pub(super) fn new(name: InstanceName, settings: &Settings, pay: Pay) -> Self {
        let retry = RetryLayer::new(name, settings.retry.clone()).budget(pay.budget);
        Self {
            retry: match pay.rate {
                Some(rate) => retry.adaptive_rate(rate),
                None => retry,
            },
            hedge: NoLayer,
            throttle: NoLayer,
            bulkhead: BulkheadLayer::new(name, settings.bulkhead),
            rate_limit: RateLimitLayer::new(name, settings.rate_limit.clone()),
            breaker: BreakerLayer::new(name, settings.breaker.clone()),
            health: NoLayer,
            attempt_timeout: AttemptTimeoutLayer::new(name, settings.attempt_timeout),
            departure: NoLayer,
            answers: Answers::default(),
            chaos: NoLayer,
        }
    }
}
