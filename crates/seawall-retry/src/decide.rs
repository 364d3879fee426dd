//! Whether and when another attempt is made: a pure decision.
//!
//! What costs something or changes something (the draw, the clock, the budget) is asked for last
//! and only when the answer matters, so it is passed in as questions.

use std::time::Duration;

use seawall_core::{FailureKind, Name, Outcome, Reason, Rejection, Replay, Sent};

use crate::RetryConfig;

/// What is known when an attempt was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    /// The local refusal, if the answer is one.
    pub(crate) refusal: Option<Rejection>,
    /// The upstream's wish in an answer whose outcome has no room for one.
    pub(crate) hint: Option<Duration>,
    pub(crate) replay: Replay,
    /// Attempts made so far, this one included.
    pub(crate) attempt: u32,
}

impl Answered {
    /// Whether a layer below refused the attempt before anything was sent.
    pub(crate) fn is_refused_unsent(&self) -> bool {
        self.refusal.is_some_and(|r| r.sent() == Sent::No) && self.outcome == Outcome::Ignored
    }

    /// Whether nothing of the attempt can have reached the upstream.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_refused_unsent() || self.outcome == NOT_SENT
    }
}

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

/// What is asked of the world, in this order and each at most once.
pub(crate) trait World {
    /// Whether there is a copy of the request that can be sent.
    fn has_copy(&mut self) -> bool;
    /// A number from `[0, 1)`.
    fn draw(&mut self) -> f64;
    /// The time left until the request's deadline, if it has one.
    fn time_left(&mut self) -> Option<Duration>;
    /// Takes one token; `false` when there is none.
    fn withdraw(&mut self) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This is the answer.
    End(End),
    /// Another attempt after this wait.
    Wait(Duration),
}

/// Why there is no other attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing to try again: a success, or an answer that says nothing of the upstream.
    Answered,
    /// Trying again cannot help: banned, or the quota is used up.
    Hopeless,
    /// A layer below refused.
    Refused,
    /// The request may have been executed and must not be executed twice.
    Unsafe,
    /// All attempts were made.
    Attempts,
    /// There is no copy of the request.
    NoCopy,
    /// The upstream asks for a longer wait than is allowed.
    RetryAfter,
    /// The wait could not end before the request's deadline.
    Deadline,
    /// The budget has no token.
    Budget,
    /// The spare service failed to become ready.
    NotReady,
}

impl End {
    pub(crate) const ALL: [Self; 10] = [
        Self::Answered,
        Self::Hopeless,
        Self::Refused,
        Self::Unsafe,
        Self::Attempts,
        Self::NoCopy,
        Self::RetryAfter,
        Self::Deadline,
        Self::Budget,
        Self::NotReady,
    ];
}

/// Decides what follows an answer.
pub(crate) fn decide(config: &RetryConfig, seen: &Answered, world: &mut impl World) -> Decision {
    let told = match wish(config, seen) {
        Ok(told) => told,
        Err(end) => return Decision::End(end),
    };
    if seen.attempt >= config.attempts() {
        return Decision::End(End::Attempts);
    }
    if !world.has_copy() {
        return Decision::End(no_copy(config, seen));
    }
    let told = told.unwrap_or(Duration::ZERO);
    // The longest duration means never, whatever is allowed.
    let in_vain = told == Duration::MAX || told > config.max_retry_after();
    if !seen.is_refused_unsent() && in_vain {
        return Decision::End(End::RetryAfter);
    }
    let delay = delay(config, seen, told, world.draw());
    if world.time_left().is_some_and(|left| left <= delay) {
        return Decision::End(End::Deadline);
    }
    // A refused attempt was not sent, so another one in its place is no extra load.
    if !seen.is_refused_unsent() && !world.withdraw() {
        return Decision::End(End::Budget);
    }
    Decision::Wait(delay)
}

/// The wait for a draw: never earlier than told, and what the backoff leaves to chance on top,
/// since all who were told the same time would come back at one instant.
fn delay(config: &RetryConfig, seen: &Answered, told: Duration, draw: f64) -> Duration {
    let (backoff, nth) = (config.backoff(), seen.attempt - 1);
    let drawn = backoff.delay(nth, draw);
    let chance = drawn.saturating_sub(backoff.delay(nth, 0.0));
    drawn.max(told.saturating_add(chance))
}

/// What the caller hears in place of an answer which says that nothing was sent, when an earlier
/// attempt may have been; `None` where the answer does not say that.
pub(crate) fn corrected(
    outcome: Outcome,
    refusal: Option<Rejection>,
    name: Name,
) -> Option<Rejection> {
    match refusal {
        Some(refusal) => (refusal.sent() == Sent::No).then(|| refusal.with_sent(Sent::Maybe)),
        // The error is the client's own and cannot be changed.
        None => (outcome == NOT_SENT)
            .then(|| Rejection::new(Reason::OutcomeUnknown, name).with_sent(Sent::Maybe)),
    }
}

/// Whether another attempt is wanted, and the wait that was asked for.
fn wish(config: &RetryConfig, seen: &Answered) -> Result<Option<Duration>, End> {
    if seen.is_refused_unsent() {
        return refusal(config, seen);
    }
    let safe = if seen.replay.is_safe() {
        // A verdict about the body and the headers may disagree: the longer wait holds.
        Ok(seen.outcome.retry_after().max(seen.hint))
    } else {
        Err(End::Unsafe)
    };
    match seen.outcome {
        Outcome::Success | Outcome::Ignored => Err(match seen.refusal {
            Some(_) => End::Refused,
            None => End::Answered,
        }),
        Outcome::Banned { .. } | Outcome::QuotaExhausted { .. } => Err(End::Hopeless),
        Outcome::Failure(FailureKind::NotSent) => Ok(seen.hint),
        Outcome::Throttled { .. } if !config.retry_throttled() => Err(End::Hopeless),
        Outcome::Failure(_) | Outcome::Throttled { .. } | Outcome::Unknown => safe,
        // An outcome that this version does not know is tried again by nobody.
        _ => Err(End::Hopeless),
    }
}

fn refusal(config: &RetryConfig, seen: &Answered) -> Result<Option<Duration>, End> {
    let allowed = config.refusal_wait();
    let passes = |rejection: &Rejection| {
        matches!(
            rejection.reason(),
            Reason::CircuitOpen
                | Reason::NotReady
                | Reason::RateLimited
                | Reason::BulkheadFull
                | Reason::QueueTimeout
        )
    };
    let refusal = seen.refusal.filter(passes).ok_or(End::Refused)?;
    // A half-open circuit cannot say when a place for a probe will be free, and one that has
    // changed since says nothing at all: the backoff is the best guess.
    let unsaid = matches!(refusal.reason(), Reason::CircuitOpen | Reason::NotReady);
    match refusal.retry_after() {
        Some(told) if !allowed.is_zero() && told <= allowed => Ok(Some(told)),
        None if !allowed.is_zero() && unsaid => Ok(None),
        _ => Err(End::Refused),
    }
}

/// Without a copy there is no other attempt; the cause is the request's replay safety where that
/// is why none was made.
fn no_copy(config: &RetryConfig, seen: &Answered) -> End {
    if seen.replay.is_safe() || config.retry_unsent() {
        End::NoCopy
    } else {
        End::Unsafe
    }
}

/// Whether a copy of a request is worth having before attempt `attempt`, counted from 1.
#[inline]
pub(crate) fn wants_copy(config: &RetryConfig, replay: Replay, attempt: u32) -> bool {
    attempt < config.attempts() && (replay.is_safe() || config.retry_unsent())
}

#[cfg(test)]
mod tests;
