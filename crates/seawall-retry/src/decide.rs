//! Whether and when another attempt is made: a pure decision.
//!
//! What costs something or changes something (the draw, the clock, the budget) comes last, and
//! only when it matters; so it is passed in as [`Effects`].

use std::time::Duration;

use seawall_core::{Backoff, FailureKind, Outcome, Reason, Rejection, Replay, Sent};

use crate::{RetryConfig, RetryDecision, StopReason};

/// What is known of an attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempted {
    pub(crate) outcome: Outcome,
    /// The local rejection, if the result is one.
    pub(crate) rejection: Option<Rejection>,
    /// The wait that the upstream asks for in a result whose outcome cannot hold it.
    pub(crate) hint: Option<Duration>,
    pub(crate) replay: Replay,
    /// Attempts made so far, this one included.
    pub(crate) attempt: u32,
    /// Whether an operator has switched retries off.
    pub(crate) bypassed: bool,
}

impl Attempted {
    /// Whether a layer below rejected the attempt before anything was sent.
    pub(crate) fn is_rejected_unsent(&self) -> bool {
        self.rejection.is_some_and(|r| r.sent() == Sent::No) && self.outcome == Outcome::Ignored
    }

    /// Whether the attempt failed, by itself and not by a layer below.
    pub(crate) fn is_failure(&self) -> bool {
        !self.is_rejected_unsent()
            && matches!(
                self.outcome,
                Outcome::Failure(_) | Outcome::Throttled { .. } | Outcome::Unknown
            )
    }

    /// Whether nothing of the attempt can have reached the upstream.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_rejected_unsent() || self.outcome == NOT_SENT
    }
}

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

/// A wait that the backoff wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackoffDelay {
    pub(crate) delay: Duration,
    /// The part of it that was left to chance.
    pub(crate) chance: Duration,
}

/// What a decision reads and takes, in this order and each at most once.
pub(crate) trait Effects {
    /// Whether there is a predicate.
    const HAS_PREDICATE: bool;
    /// Whether there is a copy of the request that can be sent.
    fn has_copy(&mut self) -> bool;
    /// What the predicate decides.
    fn predicate(&mut self) -> RetryDecision;
    /// The next wait of the backoff, which begins again where `restart` says so; `None` when there
    /// is none any more.
    fn next_delay(&mut self, backoff: &Backoff, restart: bool) -> Option<BackoffDelay>;
    /// A number from `[0, 1)`.
    fn draw(&mut self) -> f64;
    /// The time left until the deadline, if there is one.
    fn time_left(&mut self) -> Option<Duration>;
    /// Takes a token of the sending rate, and says how long it takes to come; `None`, and nothing
    /// is taken, when that is longer than `longest`.
    fn take_token(&mut self, longest: Duration) -> Option<Duration>;
    /// Pays for another attempt; `false` when there is not enough.
    fn withdraw(&mut self) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The result is that of the call.
    Stop(StopReason),
    /// Another attempt after this wait.
    Retry(Duration),
}

/// Decides what follows an attempt.
pub(crate) fn decide<E: Effects>(
    config: &RetryConfig,
    attempted: &Attempted,
    effects: &mut E,
) -> Decision {
    let requested = match requested_wait(config, attempted, effects) {
        Ok(requested) => requested,
        Err(reason) => return Decision::Stop(reason),
    };
    let mut longest = config.max_retry_after();
    if attempted.is_rejected_unsent() {
        longest = longest.max(config.max_rejection_wait());
    }
    // The longest duration means never, whatever is allowed.
    if requested == Duration::MAX || requested > longest {
        return Decision::Stop(StopReason::RetryAfter);
    }
    let backoff = match attempted.outcome {
        Outcome::Throttled { .. } => config.throttled_backoff(),
        _ => config.backoff(),
    };
    // A wait that was named says more than the growth of those before it.
    let named = !requested.is_zero();
    let Some(next) = effects.next_delay(backoff, named) else {
        return Decision::Stop(StopReason::AttemptsExhausted);
    };
    let left = effects.time_left();
    let delay = if named {
        let spread = scale(requested, config.retry_after_jitter());
        let wait = NamedWait { requested, spread };
        wait.spread_out(next, left, effects.draw())
    } else {
        next.delay
    };
    if left.is_some_and(|left| left <= delay) {
        return Decision::Stop(StopReason::Deadline);
    }
    // A token that is as far away as the deadline is of no use either.
    let before = left.map(|left| left.saturating_sub(Duration::from_nanos(1)));
    let longest = config
        .max_retry_after()
        .min(before.unwrap_or(Duration::MAX));
    let Some(paced) = effects.take_token(longest) else {
        return Decision::Stop(StopReason::AdaptiveRate);
    };
    // A rejected attempt was not sent, so another one instead is no extra load.
    if !attempted.is_rejected_unsent() && !effects.withdraw() {
        return Decision::Stop(StopReason::BudgetExhausted);
    }
    Decision::Retry(delay.max(paced))
}

/// `duration` times a share from 0 to 1.
fn scale(duration: Duration, share: f64) -> Duration {
    // Rounded, a very long one may be longer than there is.
    let scaled = Duration::try_from_secs_f64(duration.as_secs_f64() * share);
    scaled.unwrap_or(duration).min(duration)
}

/// A wait that the upstream or a layer below has named.
struct NamedWait {
    requested: Duration,
    /// Over how long a time after it attempts are spread.
    spread: Duration,
}

impl NamedWait {
    /// The delay: never shorter than what was named or than the backoff, and spread over a time
    /// after it, since all clients that got the same time would come back at one instant.
    fn spread_out(&self, next: BackoffDelay, left: Option<Duration>, draw: f64) -> Duration {
        let own = next.delay - next.chance;
        let least = self.requested.max(own);
        let drawn = scale(self.spread, draw).max(next.chance);
        let delay = least.saturating_add(drawn);
        match left {
            // An attempt that could be made in time is not given up for what chance adds.
            Some(left) if left <= delay && least < left => least + scale(left - least, draw),
            _ => delay,
        }
    }
}

/// Whether another attempt is wanted and possible, and the wait that was asked for.
fn requested_wait<E: Effects>(
    config: &RetryConfig,
    attempted: &Attempted,
    effects: &mut E,
) -> Result<Duration, StopReason> {
    let by_table = table(config, attempted);
    if let Err(reason) = by_table
        && (!E::HAS_PREDICATE || !can_be_widened(attempted))
    {
        return Err(reason);
    }
    let missing = if attempted.bypassed {
        Some(StopReason::Bypassed)
    } else if attempted.attempt >= config.attempts() {
        Some(StopReason::AttemptsExhausted)
    } else if !effects.has_copy() {
        Some(no_copy(config, attempted))
    } else {
        None
    };
    if let Some(reason) = missing {
        // A call that the table does not retry anyway is no call that was given up.
        return Err(by_table.err().unwrap_or(reason));
    }
    let decision = if E::HAS_PREDICATE {
        effects.predicate()
    } else {
        RetryDecision::Default
    };
    let hint = attempted.outcome.retry_after().max(attempted.hint);
    match (decision, by_table) {
        (RetryDecision::Stop, Err(reason @ StopReason::Completed)) => Err(reason),
        (RetryDecision::Stop, _) => Err(StopReason::Predicate),
        (RetryDecision::Default, by_table) => by_table.map(Option::unwrap_or_default),
        (RetryDecision::Retry, by_table) => Ok(by_table.unwrap_or(hint).unwrap_or_default()),
        (RetryDecision::RetryAfter(wait), by_table) => {
            Ok(by_table.unwrap_or(hint).unwrap_or_default().max(wait))
        }
    }
}

/// Whether a predicate may ask for another attempt although the table says no. Never where the
/// request may be executed a second time, and never where a retry is known to be useless.
fn can_be_widened(attempted: &Attempted) -> bool {
    attempted.rejection.is_none()
        && attempted.replay.is_safe()
        && matches!(
            attempted.outcome,
            Outcome::Success | Outcome::Ignored | Outcome::Throttled { .. }
        )
}

/// The rejection in a result which says that nothing was sent, or `unknown` where it is an error of
/// the client's own; `None` where the result does not say that.
pub(crate) fn not_sent_claim(
    outcome: Outcome,
    rejection: Option<Rejection>,
    unknown: impl FnOnce() -> Rejection,
) -> Option<Rejection> {
    match rejection {
        Some(rejection) => (rejection.sent() == Sent::No).then_some(rejection),
        // The error is the client's own and cannot be changed.
        None => (outcome == NOT_SENT).then(unknown),
    }
}

/// Whether the table wants another attempt, and the wait that was asked for.
fn table(config: &RetryConfig, attempted: &Attempted) -> Result<Option<Duration>, StopReason> {
    if attempted.is_rejected_unsent() {
        return rejected(config, attempted);
    }
    if attempted.rejection.is_some_and(|r| r.is_final()) {
        return Err(StopReason::Rejected);
    }
    let if_safe = if attempted.replay.is_safe() {
        // What the body says and what the headers say may differ: the longer wait holds.
        Ok(attempted.outcome.retry_after().max(attempted.hint))
    } else {
        Err(StopReason::NotReplaySafe)
    };
    match attempted.outcome {
        Outcome::Success | Outcome::Ignored | Outcome::Degraded => Err(match attempted.rejection {
            Some(rejection) if rejection.reason() == Reason::DeadlineExceeded => {
                StopReason::Deadline
            }
            Some(_) => StopReason::Rejected,
            None => StopReason::Completed,
        }),
        Outcome::Banned { .. } | Outcome::QuotaExhausted { .. } => Err(StopReason::NotRetryable),
        Outcome::Failure(FailureKind::NotSent) => Ok(attempted.hint),
        Outcome::Throttled { .. } if !config.retry_throttled() => Err(StopReason::NotRetryable),
        Outcome::Failure(_) | Outcome::Throttled { .. } | Outcome::Unknown => if_safe,
        // An outcome that this version does not know is never retried.
        _ => Err(StopReason::NotRetryable),
    }
}

fn rejected(config: &RetryConfig, attempted: &Attempted) -> Result<Option<Duration>, StopReason> {
    let allowed = config.max_rejection_wait();
    let passes = |rejection: &Rejection| {
        matches!(
            rejection.reason(),
            Reason::CircuitOpen
                | Reason::NotReady
                | Reason::RateLimited
                | Reason::BulkheadFull
                | Reason::QueueTimeout
                | Reason::Paused
                | Reason::NoRoute
        )
    };
    let rejection = attempted
        .rejection
        .filter(passes)
        .ok_or(StopReason::Rejected)?;
    // A half-open circuit cannot say when it will admit a probe, and one that has changed since
    // says nothing at all: the backoff is the best guess.
    let may_be_unknown = matches!(rejection.reason(), Reason::CircuitOpen | Reason::NotReady);
    match rejection.retry_after() {
        Some(wait) if !allowed.is_zero() && wait <= allowed => Ok(Some(wait)),
        None if !allowed.is_zero() && may_be_unknown => Ok(None),
        _ => Err(StopReason::Rejected),
    }
}

/// Why there is no copy: the request's replay safety where none was made for that reason.
fn no_copy(config: &RetryConfig, attempted: &Attempted) -> StopReason {
    if attempted.replay.is_safe() || config.retry_if_not_sent() {
        StopReason::NoCopy
    } else {
        StopReason::NotReplaySafe
    }
}

#[cfg(test)]
mod tests;
