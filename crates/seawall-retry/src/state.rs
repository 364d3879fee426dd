//! What all services of a layer value and its handles share.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use seawall_core::striped::StripeSet;
use seawall_core::{
    BudgetHandle, Clock, EventKind, EventSource, Figure, InstanceName, Misconfiguration, Outcome,
    Reason, Rejection, Replay, Sent, ns,
};

use crate::counts::RetryStripe;
use crate::decide::Attempted;
use crate::{AdaptiveRate, RetryConfig, StopReason};

/// The settings, the counters and the events of one layer value and its clones.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) events: EventSource,
    pub(crate) stripes: StripeSet<RetryStripe>,
    pub(crate) clock: Clock,
    hot: HotSettings,
    /// Read where a call has not succeeded at once.
    control: RwLock<Control>,
}

#[derive(Debug)]
struct Control {
    config: Arc<RetryConfig>,
    /// Whether an operator has switched retries off.
    bypassed: bool,
}

/// The settings that calls read which succeed at once. They are written one by one while calls
/// read them; each combination of old and new ones is harmless.
// On cache lines of its own: failed calls write the lock beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct HotSettings {
    /// The attempts in the upper half, flags below.
    attempts: AtomicU64,
    /// Nanoseconds, 0 for no limit.
    attempt_timeout: AtomicU64,
    /// Nanoseconds, 0 for no limit.
    overall_timeout: AtomicU64,
    /// Nanoseconds.
    max_retry_after: AtomicU64,
}

const TIMED: u64 = 1;
const RETRY_IF_NOT_SENT: u64 = 2;
const BYPASSED: u64 = 4;

/// The settings of an attempt, read once when it is made.
#[derive(Clone, Copy)]
pub(crate) struct AttemptSettings(u64);

impl AttemptSettings {
    /// Whether the attempt is limited in time.
    #[inline]
    pub(crate) const fn is_timed(self) -> bool {
        self.0 & TIMED != 0
    }

    /// Whether a copy of a request is worth having before attempt `attempt`, counted from 1.
    #[inline]
    pub(crate) const fn want_copy(self, replay: Replay, attempt: u32) -> bool {
        (attempt as u64) < self.0 >> 32 && (replay.is_safe() || self.0 & RETRY_IF_NOT_SENT != 0)
    }
}

impl HotSettings {
    fn publish(&self, control: &Control) {
        let config = &control.config;
        let limit = |limit: Option<Duration>| limit.map_or(0, ns);
        let attempt_timeout = limit(config.attempt_timeout());
        let overall_timeout = limit(config.overall_timeout());
        let attempts = if control.bypassed {
            1 << 32 | BYPASSED
        } else {
            let timed = attempt_timeout != 0 || overall_timeout != 0;
            u64::from(config.attempts()) << 32
                | if timed { TIMED } else { 0 }
                | if config.retry_if_not_sent() {
                    RETRY_IF_NOT_SENT
                } else {
                    0
                }
        };
        self.attempt_timeout
            .store(attempt_timeout, Ordering::Relaxed);
        self.overall_timeout
            .store(overall_timeout, Ordering::Relaxed);
        self.max_retry_after
            .store(ns(config.max_retry_after()), Ordering::Relaxed);
        // Last: an attempt that finds itself timed finds the timeouts.
        self.attempts.store(attempts, Ordering::Release);
    }
}

impl State {
    pub(crate) fn new(name: InstanceName, config: RetryConfig) -> Arc<Self> {
        let control = Control {
            config: Arc::new(config),
            bypassed: false,
        };
        let hot = HotSettings::default();
        hot.publish(&control);
        Arc::new(Self {
            events: EventSource::new("retry", name),
            stripes: StripeSet::new(),
            clock: Clock::start(),
            hot,
            control: RwLock::new(control),
        })
    }

    pub(crate) fn config(&self) -> Arc<RetryConfig> {
        let control = self.control.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&control.config)
    }

    pub(crate) fn configure(&self, config: RetryConfig) {
        self.change(|control| control.config = Arc::new(config));
    }

    pub(crate) fn set_bypassed(&self, bypassed: bool) {
        self.change(|control| control.bypassed = bypassed);
    }

    fn change(&self, change: impl FnOnce(&mut Control)) {
        let mut control = self.control.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut control);
        self.hot.publish(&control);
    }

    pub(crate) fn is_bypassed(&self) -> bool {
        self.hot.attempts.load(Ordering::Relaxed) & BYPASSED != 0
    }

    #[inline]
    pub(crate) fn attempt_settings(&self) -> AttemptSettings {
        AttemptSettings(self.hot.attempts.load(Ordering::Relaxed))
    }

    pub(crate) fn attempt_timeout(&self) -> Option<Duration> {
        limit(&self.hot.attempt_timeout)
    }

    pub(crate) fn overall_timeout(&self) -> Option<Duration> {
        limit(&self.hot.overall_timeout)
    }

    pub(crate) fn max_retry_after(&self) -> Duration {
        Duration::from_nanos(self.hot.max_retry_after.load(Ordering::Relaxed))
    }

    /// A failed attempt was not retried only because nobody has described its request.
    pub(crate) fn not_described(&self) {
        self.events.misconfigure(Misconfiguration::Undescribed);
    }
}

fn limit(nanoseconds: &AtomicU64) -> Option<Duration> {
    // With the store of the flag that says that there is a limit.
    fence(Ordering::Acquire);
    match nanoseconds.load(Ordering::Relaxed) {
        0 => None,
        limit => Some(Duration::from_nanos(limit)),
    }
}

/// What the services of a layer value and its handles share: the state, the budget and the rate.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) state: Arc<State>,
    pub(crate) budget: BudgetHandle,
    pub(crate) rate: Option<AdaptiveRate>,
    pub(crate) random: Option<Arc<Mutex<fastrand::Rng>>>,
}

impl Core {
    /// A number from `[0, 1)`: from the seeded generator, or from the thread's own.
    pub(crate) fn draw(&self) -> f64 {
        match &self.random {
            Some(seeded) => seeded.lock().unwrap_or_else(PoisonError::into_inner).f64(),
            None => fastrand::f64(),
        }
    }

    /// Adapts the sending rate to the success of an attempt.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if let Some(rate) = &self.rate {
            rate.on_response(false, rate.now());
        }
    }

    /// Adapts the sending rate to the result of an attempt, which has taken a token of it or not.
    pub(crate) fn adapt_rate(&self, attempted: &Attempted, has_token: bool) {
        let Some(rate) = &self.rate else {
            return;
        };
        if attempted.is_rejected_unsent() {
            if has_token {
                rate.release();
            }
        } else {
            let throttled = matches!(attempted.outcome, Outcome::Throttled { .. });
            rate.on_response(throttled, rate.now());
        }
    }

    /// A rejection of the layer itself.
    pub(crate) fn rejection(&self, reason: Reason, sent: Sent) -> Rejection {
        self.state.events.rejection(reason).with_sent(sent)
    }

    /// How much it was that ended a call's attempts.
    pub(crate) fn figure(&self, reason: StopReason, attempts: u32) -> Figure {
        match self.budget.budget() {
            Some(budget) if reason == StopReason::BudgetExhausted => Figure::Budget {
                attempts,
                tenths_left: (budget.balance() * 10.0) as u32,
            },
            _ => Figure::Attempts(attempts),
        }
    }

    /// A rejection of the layer itself, emitted.
    pub(crate) fn reject(&self, reason: Reason, sent: Sent) -> Rejection {
        self.emitted(self.rejection(reason, sent))
    }

    pub(crate) fn emitted(&self, rejection: Rejection) -> Rejection {
        let event = || EventKind::Rejected(rejection);
        self.state.events.emit_call(event);
        rejection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_copied_only_where_a_copy_can_be_of_use() {
        let two = RetryConfig::builder().attempts(2);
        let state = State::new("r".into(), two.clone().build().unwrap());
        assert!(state.attempt_settings().want_copy(Replay::Safe, 1));
        assert!(state.attempt_settings().want_copy(Replay::Never, 1));
        assert!(
            !state.attempt_settings().want_copy(Replay::Safe, 2),
            "the last attempt"
        );
        state.configure(two.retry_if_not_sent(false).build().unwrap());
        assert!(state.attempt_settings().want_copy(Replay::SafeWithKey, 1));
        assert!(!state.attempt_settings().want_copy(Replay::Never, 1));
        state.set_bypassed(true);
        assert!(!state.attempt_settings().want_copy(Replay::Safe, 1));
        state.set_bypassed(false);
        assert!(state.attempt_settings().want_copy(Replay::Safe, 1));
        state.configure(RetryConfig::builder().attempts(1).build().unwrap());
        assert!(!state.attempt_settings().want_copy(Replay::Safe, 1));
        state.configure(RetryConfig::builder().attempts(u32::MAX).build().unwrap());
        assert!(
            state
                .attempt_settings()
                .want_copy(Replay::Safe, u32::MAX - 1)
        );
    }

    #[test]
    fn limits_hold_also_while_retries_are_switched_off_and_on_again() {
        let limit = Duration::from_secs(3);
        let config = RetryConfig::builder().attempt_timeout(limit);
        let state = State::new("r".into(), config.build().unwrap());
        assert!(state.attempt_settings().is_timed());
        state.set_bypassed(true);
        assert!(!state.attempt_settings().is_timed());
        state.set_bypassed(false);
        assert!(state.attempt_settings().is_timed());
        assert_eq!(state.attempt_timeout(), Some(limit));
        assert_eq!(state.overall_timeout(), None);
        state.configure(RetryConfig::default());
        assert!(!state.attempt_settings().is_timed());
        assert_eq!(state.attempt_timeout(), None);
    }
}
