//! Whether and when another attempt is made: a pure decision.
//!
//! What costs something or changes something (the draw, the clock, the budget) is asked for last
//! and only when the answer matters, so it is passed in as questions.

use std::time::Duration;

use seawall_core::{FailureKind, Outcome, Reason, Rejection, Replay, Sent};

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
    /// Whether there is a copy of the request to send.
    pub(crate) has_copy: bool,
}

/// What is asked of the world, in this order and each at most once.
pub(crate) trait World {
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
    if !seen.has_copy {
        return Decision::End(no_copy(config, seen));
    }
    let told = told.unwrap_or(Duration::ZERO);
    if !refused_unsent(seen) && told > config.max_retry_after() {
        return Decision::End(End::RetryAfter);
    }
    let backoff = config.backoff().delay(seen.attempt - 1, world.draw());
    // Never earlier than told.
    let delay = backoff.max(told);
    if world.time_left().is_some_and(|left| left <= delay) {
        return Decision::End(End::Deadline);
    }
    // A refused attempt was not sent, so another one in its place is no extra load.
    if !refused_unsent(seen) && !world.withdraw() {
        return Decision::End(End::Budget);
    }
    Decision::Wait(delay)
}

/// Whether another attempt is wanted, and the wait that was asked for.
fn wish(config: &RetryConfig, seen: &Answered) -> Result<Option<Duration>, End> {
    if refused_unsent(seen) {
        return refusal(config, seen);
    }
    let safe = if seen.replay.is_safe() {
        Ok(seen.outcome.retry_after().or(seen.hint))
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

fn refused_unsent(seen: &Answered) -> bool {
    seen.refusal.is_some_and(|r| r.sent() == Sent::No) && seen.outcome == Outcome::Ignored
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
    match seen.refusal.filter(passes).and_then(|r| r.retry_after()) {
        Some(told) if !allowed.is_zero() && told <= allowed => Ok(Some(told)),
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seawall_core::{Backoff, Scope};

    const MS: Duration = Duration::from_millis(1);

    /// A world that writes down what it was asked.
    #[derive(Clone, Copy, Debug, Default)]
    struct Fixed {
        draw: f64,
        left: Option<Duration>,
        tokens: u32,
        draws: u32,
        withdrawals: u32,
    }

    impl World for Fixed {
        fn draw(&mut self) -> f64 {
            self.draws += 1;
            self.draw
        }
        fn time_left(&mut self) -> Option<Duration> {
            self.left
        }
        fn withdraw(&mut self) -> bool {
            self.withdrawals += 1;
            self.tokens > 0
        }
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        let wait = proptest::option::of((0_u64..5_000).prop_map(Duration::from_millis));
        prop_oneof![
            Just(Outcome::Success),
            Just(Outcome::Ignored),
            Just(Outcome::Unknown),
            Just(Outcome::Failure(FailureKind::NotSent)),
            Just(Outcome::Failure(FailureKind::Server)),
            Just(Outcome::Failure(FailureKind::Overloaded)),
            Just(Outcome::Failure(FailureKind::Timeout)),
            Just(Outcome::Failure(FailureKind::Body)),
            Just(Outcome::Failure(FailureKind::Other)),
            wait.clone().prop_map(|retry_after| Outcome::Throttled {
                retry_after,
                scope: Scope::Upstream
            }),
            wait.clone().prop_map(|lasts| Outcome::Banned { lasts }),
            wait.prop_map(|renews_in| Outcome::QuotaExhausted { renews_in }),
        ]
    }

    fn refusals() -> impl Strategy<Value = Rejection> {
        let wait = proptest::option::of((0_u64..5_000).prop_map(Duration::from_millis));
        (
            proptest::sample::select(&Reason::ALL[..]),
            wait,
            any::<bool>(),
        )
            .prop_map(|(reason, wait, maybe)| {
                let sent = if maybe { Sent::Maybe } else { Sent::No };
                let rejection = Rejection::new(reason, "below").with_sent(sent);
                match wait {
                    Some(wait) => rejection.with_retry_after(wait),
                    None => rejection,
                }
            })
    }

    fn replays() -> impl Strategy<Value = Replay> {
        proptest::sample::select(&[Replay::Safe, Replay::SafeWithKey, Replay::Never][..])
    }

    prop_compose! {
        fn answers()(
            outcome in outcomes(),
            refusal in proptest::option::of(refusals()),
            hint in proptest::option::of((0_u64..5_000).prop_map(Duration::from_millis)),
            replay in replays(),
            attempt in 1_u32..6,
            has_copy in any::<bool>(),
        ) -> Answered {
            // As `judge` does: a refusal says for itself what it is.
            let outcome = refusal.map_or(outcome, |r: Rejection| r.outcome());
            Answered { outcome, refusal, hint, replay, attempt, has_copy }
        }
    }

    prop_compose! {
        fn configs()(
            attempts in 1_u32..6,
            base in 1_u64..1_000,
            max_retry_after in 0_u64..4_000,
            refusal_wait in prop_oneof![Just(0_u64), 1_u64..4_000],
            throttled in any::<bool>(),
            unsent in any::<bool>(),
        ) -> RetryConfig {
            let ms = Duration::from_millis;
            RetryConfig::builder()
                .attempts(attempts)
                .backoff(Backoff::exponential(ms(base), ms(base * 4)).unwrap())
                .max_retry_after(ms(max_retry_after))
                .refusal_wait(ms(refusal_wait))
                .retry_throttled(throttled)
                .retry_unsent(unsent)
                .build()
                .unwrap()
        }
    }

    /// The table of the crate's documentation, row by row.
    fn table_allows(config: &RetryConfig, seen: &Answered) -> bool {
        let safe = seen.replay != Replay::Never;
        let refused_in_time = |r: Rejection| {
            let helps = match r.reason() {
                Reason::CircuitOpen
                | Reason::NotReady
                | Reason::RateLimited
                | Reason::BulkheadFull
                | Reason::QueueTimeout => true,
                Reason::DeadlineExceeded | Reason::BudgetExhausted | Reason::TooExpensive => false,
                _ => return safe,
            };
            let wait = config.refusal_wait();
            helps
                && r.sent() == Sent::No
                && wait > Duration::ZERO
                && r.retry_after().is_some_and(|told| told <= wait)
        };
        if let Some(refusal) = seen.refusal {
            return refused_in_time(refusal);
        }
        match seen.outcome {
            Outcome::Failure(FailureKind::NotSent) => true,
            Outcome::Failure(_) | Outcome::Unknown => safe,
            Outcome::Throttled { .. } => safe && config.retry_throttled(),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn another_attempt_is_made_just_when_the_table_says_so_and_there_is_enough_of_everything(
            config in configs(),
            seen in answers(),
            draw in 0.0_f64..1.0,
            left in proptest::option::of((0_u64..4_000).prop_map(Duration::from_millis)),
            tokens in 0_u32..2,
        ) {
            let mut world = Fixed { draw, left, tokens, ..Fixed::default() };
            let decision = decide(&config, &seen, &mut world);

            let free = seen.refusal.is_some_and(|r| r.outcome() == Outcome::Ignored);
            let told = match seen.refusal {
                Some(refusal) if free => refusal.retry_after(),
                // A wish in a refusal of ours is not one of the upstream.
                _ => seen.outcome.retry_after().or(seen.hint),
            };
            let told = told.unwrap_or(Duration::ZERO);
            let backoff = config.backoff().delay(seen.attempt - 1, draw);
            let delay = told.max(backoff);
            let again = table_allows(&config, &seen)
                && seen.attempt < config.attempts()
                && seen.has_copy
                && (free || told <= config.max_retry_after())
                && left.is_none_or(|left| delay < left)
                && (free || tokens > 0);
            prop_assert_eq!(decision == Decision::Wait(delay), again, "{:?}", decision);
            prop_assert!(again || matches!(decision, Decision::End(_)));
            // Nothing is drawn or taken that is not used.
            prop_assert!(world.draws <= 1 && world.withdrawals <= 1);
            if world.withdrawals == 1 && tokens > 0 {
                prop_assert!(again, "a token was taken for no attempt");
            }
            prop_assert!(!(free && world.withdrawals > 0), "a refusal was charged");
        }

        #[test]
        fn a_request_that_must_not_be_sent_twice_is_only_sent_again_when_it_was_not_sent(
            config in configs(),
            seen in answers(),
        ) {
            let seen = Answered { replay: Replay::Never, ..seen };
            let mut world = Fixed { tokens: 1, ..Fixed::default() };
            if let Decision::Wait(_) = decide(&config, &seen, &mut world) {
                let not_sent = match seen.refusal {
                    Some(refusal) => refusal.sent() == Sent::No,
                    None => seen.outcome == Outcome::Failure(FailureKind::NotSent),
                };
                prop_assert!(not_sent, "{:?}", seen);
            }
        }
    }

    fn failed(attempt: u32) -> Answered {
        Answered {
            outcome: Outcome::Failure(FailureKind::Server),
            refusal: None,
            hint: None,
            replay: Replay::Safe,
            attempt,
            has_copy: true,
        }
    }

    #[test]
    fn every_end_has_its_cause() {
        let config = RetryConfig::builder()
            .max_retry_after(100 * MS)
            .retry_throttled(false)
            .build()
            .unwrap();
        let rich = Fixed {
            tokens: 1,
            ..Fixed::default()
        };
        let end = |seen: Answered, mut world: Fixed| match decide(&config, &seen, &mut world) {
            Decision::End(end) => Some(end),
            Decision::Wait(_) => None,
        };
        let one = failed(1);
        let with = |outcome| Answered { outcome, ..one };
        assert_eq!(end(one, rich), None);
        assert_eq!(end(failed(3), rich), Some(End::Attempts));
        assert_eq!(end(with(Outcome::Success), rich), Some(End::Answered));
        assert_eq!(end(with(Outcome::Ignored), rich), Some(End::Answered));
        let banned = with(Outcome::Banned { lasts: None });
        assert_eq!(end(banned, rich), Some(End::Hopeless));
        let throttled = with(Outcome::Throttled {
            retry_after: None,
            scope: Scope::Account,
        });
        assert_eq!(end(throttled, rich), Some(End::Hopeless));
        let unsafe_ = Answered {
            replay: Replay::Never,
            ..one
        };
        assert_eq!(end(unsafe_, rich), Some(End::Unsafe));
        let no_copy = Answered {
            has_copy: false,
            ..one
        };
        assert_eq!(end(no_copy, rich), Some(End::NoCopy));
        let late = Answered {
            hint: Some(101 * MS),
            ..one
        };
        assert_eq!(end(late, rich), Some(End::RetryAfter));
        let refused = Answered {
            refusal: Some(Rejection::new(Reason::CircuitOpen, "below")),
            ..with(Outcome::Ignored)
        };
        assert_eq!(end(refused, rich), Some(End::Refused));
        let hurried = Fixed {
            left: Some(Duration::ZERO),
            ..rich
        };
        assert_eq!(end(one, hurried), Some(End::Deadline));
        assert_eq!(end(one, Fixed::default()), Some(End::Budget));
    }

    #[test]
    fn requests_are_copied_only_where_a_copy_can_be_of_use() {
        let two = RetryConfig::builder().attempts(2);
        let config = two.clone().build().unwrap();
        assert!(wants_copy(&config, Replay::Safe, 1));
        assert!(wants_copy(&config, Replay::Never, 1));
        assert!(!wants_copy(&config, Replay::Safe, 2), "the last attempt");
        let config = two.retry_unsent(false).build().unwrap();
        assert!(wants_copy(&config, Replay::SafeWithKey, 1));
        assert!(!wants_copy(&config, Replay::Never, 1));
        let config = RetryConfig::builder().attempts(1).build().unwrap();
        assert!(!wants_copy(&config, Replay::Safe, 1));
    }
}
