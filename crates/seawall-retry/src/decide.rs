//! Whether and when another attempt is made: a pure decision.
//!
//! What costs something or changes something (the draw, the clock, the budget) is asked for last
//! and only when the answer matters, so it is passed in as questions.

use std::time::Duration;

use seawall_core::{FailureKind, InstanceName, Outcome, Reason, Rejection, Replay, Sent};

use seawall_core::Backoff;

use crate::{RetryConfig, RetryDecision, StopReason};

/// What is known when an attempt was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    /// The local rejection, if the answer is one.
    pub(crate) rejection: Option<Rejection>,
    /// The upstream's wish in an answer whose outcome has no room for one.
    pub(crate) hint: Option<Duration>,
    pub(crate) replay: Replay,
    /// Attempts made so far, this one included.
    pub(crate) attempt: u32,
}

impl Answered {
    /// Whether a layer below rejected the attempt before anything was sent.
    pub(crate) fn is_rejected_unsent(&self) -> bool {
        self.rejection.is_some_and(|r| r.sent() == Sent::No) && self.outcome == Outcome::Ignored
    }

    /// Whether nothing of the attempt can have reached the upstream.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_rejected_unsent() || self.outcome == NOT_SENT
    }
}

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

/// A wait that the backoff wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) delay: Duration,
    /// The part of it that was left to chance.
    pub(crate) chance: Duration,
}

/// What is asked of the world, in this order and each at most once.
pub(crate) trait World {
    /// Whether there is an adviser.
    const ADVISED: bool;
    /// Whether there is a copy of the request that can be sent.
    fn has_copy(&mut self) -> bool;
    /// What the adviser wants.
    fn advice(&mut self) -> RetryDecision;
    /// The next wait of the backoff; `None` when there is none any more.
    fn pause(&mut self, backoff: &Backoff) -> Option<Pause>;
    /// The time left until the deadline, if there is one.
    fn time_left(&mut self) -> Option<Duration>;
    /// The wait until the sending rate has a place, which is taken; `None` when that is longer
    /// than `longest`.
    fn place(&mut self, longest: Duration) -> Option<Duration>;
    /// Pays for another attempt; `false` when there is not enough.
    fn withdraw(&mut self) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This is the answer.
    StopReason(StopReason),
    /// Another attempt after this wait.
    Wait(Duration),
}

/// Decides what follows an answer.
pub(crate) fn decide<W: World>(config: &RetryConfig, seen: &Answered, world: &mut W) -> Decision {
    let told = match wish(config, seen, world) {
        Ok(told) => told,
        Err(end) => return Decision::StopReason(end),
    };
    let mut longest = config.max_retry_after();
    if seen.is_rejected_unsent() {
        longest = longest.max(config.max_rejection_wait());
    }
    // The longest duration means never, whatever is allowed.
    if told == Duration::MAX || told > longest {
        return Decision::StopReason(StopReason::RetryAfter);
    }
    let backoff = match seen.outcome {
        Outcome::Throttled { .. } => config.throttled_backoff(),
        _ => config.backoff(),
    };
    let Some(pause) = world.pause(backoff) else {
        return Decision::StopReason(StopReason::Attempts);
    };
    // Never earlier than told, and what the backoff leaves to chance on top, since all who were
    // told the same time would come back at one instant.
    let delay = pause.delay.max(told.saturating_add(pause.chance));
    let left = world.time_left();
    if left.is_some_and(|left| left <= delay) {
        return Decision::StopReason(StopReason::Deadline);
    }
    // A place that is as far away as the deadline is of no use either.
    let before = left.map(|left| left.saturating_sub(Duration::from_nanos(1)));
    let longest = config
        .max_retry_after()
        .min(before.unwrap_or(Duration::MAX));
    let Some(paced) = world.place(longest) else {
        return Decision::StopReason(StopReason::Paced);
    };
    // A rejected attempt was not sent, so another one in its place is no extra load.
    if !seen.is_rejected_unsent() && !world.withdraw() {
        return Decision::StopReason(StopReason::Budget);
    }
    Decision::Wait(delay.max(paced))
}

/// Whether another attempt is wanted and can be had, and the wait that was asked for.
fn wish<W: World>(
    config: &RetryConfig,
    seen: &Answered,
    world: &mut W,
) -> Result<Duration, StopReason> {
    let by_table = table(config, seen);
    if let Err(end) = by_table
        && (!W::ADVISED || !may_be_widened(seen))
    {
        return Err(end);
    }
    let missing = if seen.attempt >= config.attempts() {
        Some(StopReason::Attempts)
    } else if !world.has_copy() {
        Some(no_copy(config, seen))
    } else {
        None
    };
    if let Some(end) = missing {
        // What the table answers anyway is no call that was given up.
        return Err(by_table.err().unwrap_or(end));
    }
    let advice = if W::ADVISED {
        world.advice()
    } else {
        RetryDecision::Default
    };
    let asked = seen.outcome.retry_after().max(seen.hint);
    match (advice, by_table) {
        (RetryDecision::Stop, Err(end @ StopReason::Answered)) => Err(end),
        (RetryDecision::Stop, _) => Err(StopReason::Advised),
        (RetryDecision::Default, by_table) => by_table.map(Option::unwrap_or_default),
        (RetryDecision::Retry, by_table) => Ok(by_table.unwrap_or(asked).unwrap_or_default()),
        (RetryDecision::RetryAfter(wait), by_table) => {
            Ok(by_table.unwrap_or(asked).unwrap_or_default().max(wait))
        }
    }
}

/// Whether an adviser may ask for another attempt although the table says no. Never where the
/// request may be executed a second time, and never where trying again is known to be in vain.
fn may_be_widened(seen: &Answered) -> bool {
    seen.rejection.is_none()
        && seen.replay.is_safe()
        && matches!(
            seen.outcome,
            Outcome::Success | Outcome::Ignored | Outcome::Throttled { .. }
        )
}

/// What the caller hears in place of an answer which says that nothing was sent, when an earlier
/// attempt may have been; `None` where the answer does not say that.
pub(crate) fn corrected(
    outcome: Outcome,
    rejection: Option<Rejection>,
    name: InstanceName,
) -> Option<Rejection> {
    match rejection {
        Some(rejection) => (rejection.sent() == Sent::No).then(|| rejection.with_sent(Sent::Maybe)),
        // The error is the client's own and cannot be changed.
        None => (outcome == NOT_SENT)
            .then(|| Rejection::new(Reason::OutcomeUnknown, name).with_sent(Sent::Maybe)),
    }
}

/// Whether the table wants another attempt, and the wait that was asked for.
fn table(config: &RetryConfig, seen: &Answered) -> Result<Option<Duration>, StopReason> {
    if seen.is_rejected_unsent() {
        return rejection(config, seen);
    }
    let safe = if seen.replay.is_safe() {
        // A verdict about the body and the headers may disagree: the longer wait holds.
        Ok(seen.outcome.retry_after().max(seen.hint))
    } else {
        Err(StopReason::Unsafe)
    };
    match seen.outcome {
        Outcome::Success | Outcome::Ignored => Err(match seen.rejection {
            Some(rejection) if rejection.reason() == Reason::DeadlineExceeded => {
                StopReason::Deadline
            }
            Some(_) => StopReason::Rejected,
            None => StopReason::Answered,
        }),
        Outcome::Banned { .. } | Outcome::QuotaExhausted { .. } => Err(StopReason::Hopeless),
        Outcome::Failure(FailureKind::NotSent) => Ok(seen.hint),
        Outcome::Throttled { .. } if !config.retry_throttled() => Err(StopReason::Hopeless),
        Outcome::Failure(_) | Outcome::Throttled { .. } | Outcome::Unknown => safe,
        // An outcome that this version does not know is tried again by nobody.
        _ => Err(StopReason::Hopeless),
    }
}

fn rejection(config: &RetryConfig, seen: &Answered) -> Result<Option<Duration>, StopReason> {
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
        )
    };
    let rejection = seen.rejection.filter(passes).ok_or(StopReason::Rejected)?;
    // A half-open circuit cannot say when a place for a probe will be free, and one that has
    // changed since says nothing at all: the backoff is the best guess.
    let unsaid = matches!(rejection.reason(), Reason::CircuitOpen | Reason::NotReady);
    match rejection.retry_after() {
        Some(told) if !allowed.is_zero() && told <= allowed => Ok(Some(told)),
        None if !allowed.is_zero() && unsaid => Ok(None),
        _ => Err(StopReason::Rejected),
    }
}

/// Without a copy there is no other attempt; the cause is the request's replay safety where that
/// is why none was made.
fn no_copy(config: &RetryConfig, seen: &Answered) -> StopReason {
    if seen.replay.is_safe() || config.retry_if_not_sent() {
        StopReason::NoCopy
    } else {
        StopReason::Unsafe
    }
}

/// Whether a copy of a request is worth having before attempt `attempt`, counted from 1.
#[inline]
pub(crate) fn wants_copy(config: &RetryConfig, replay: Replay, attempt: u32) -> bool {
    attempt < config.attempts() && (replay.is_safe() || config.retry_if_not_sent())
}

#[cfg(test)]
mod tests;
