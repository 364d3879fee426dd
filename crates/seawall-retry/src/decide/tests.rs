//! The decision against the table of the crate's documentation.

use super::*;
use proptest::prelude::*;
use seawall_core::Scope;

const MS: Duration = Duration::from_millis(1);

/// A world that writes down what it was asked.
#[derive(Clone, Copy, Debug, Default)]
struct Fixed {
    draw: f64,
    left: Option<Duration>,
    tokens: u32,
    no_copy: bool,
    /// How many extra attempts there were.
    nth: u32,
    place: Duration,
    draws: u32,
    withdrawals: u32,
}

impl World for Fixed {
    const ADVISED: bool = false;
    fn has_copy(&mut self) -> bool {
        !self.no_copy
    }
    fn advice(&mut self) -> RetryDecision {
        panic!("there is no adviser")
    }
    fn pause(&mut self, backoff: &Backoff) -> Option<Pause> {
        self.draws += 1;
        let delay = backoff.delay(self.nth, self.draw);
        let chance = delay - backoff.delay(self.nth, 0.0);
        Some(Pause { delay, chance })
    }
    fn time_left(&mut self) -> Option<Duration> {
        self.left
    }
    fn place(&mut self, longest: Duration) -> Option<Duration> {
        (self.place <= longest).then_some(self.place)
    }
    fn withdraw(&mut self) -> bool {
        self.withdrawals += 1;
        self.tokens > 0
    }
}

/// A world with an adviser.
struct Advised(Fixed, RetryDecision);

impl World for Advised {
    const ADVISED: bool = true;
    fn has_copy(&mut self) -> bool {
        self.0.has_copy()
    }
    fn advice(&mut self) -> RetryDecision {
        self.1
    }
    fn pause(&mut self, backoff: &Backoff) -> Option<Pause> {
        self.0.pause(backoff)
    }
    fn time_left(&mut self) -> Option<Duration> {
        self.0.time_left()
    }
    fn place(&mut self, longest: Duration) -> Option<Duration> {
        self.0.place(longest)
    }
    fn withdraw(&mut self) -> bool {
        self.0.withdraw()
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

fn rejections() -> impl Strategy<Value = Rejection> {
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
        rejection in proptest::option::of(rejections()),
        hint in proptest::option::of((0_u64..5_000).prop_map(Duration::from_millis)),
        replay in replays(),
        attempt in 1_u32..6,
    ) -> Answered {
        // As `judge` does: a rejection says for itself what it is.
        let outcome = rejection.map_or(outcome, |r: Rejection| r.outcome());
        Answered { outcome, rejection, hint, replay, attempt }
    }
}

prop_compose! {
    fn configs()(
        attempts in 1_u32..6,
        base in 1_u64..1_000,
        max_retry_after in 0_u64..4_000,
        max_rejection_wait in prop_oneof![Just(0_u64), 1_u64..4_000],
        throttled in any::<bool>(),
        unsent in any::<bool>(),
    ) -> RetryConfig {
        let ms = Duration::from_millis;
        RetryConfig::builder()
            .attempts(attempts)
            .backoff(Backoff::exponential(ms(base), ms(base * 4)).unwrap())
            .max_retry_after(ms(max_retry_after))
            .max_rejection_wait(ms(max_rejection_wait))
            .retry_throttled(throttled)
            .retry_if_not_sent(unsent)
            .build()
            .unwrap()
    }
}

/// The table of the crate's documentation, row by row.
fn table_allows(config: &RetryConfig, seen: &Answered) -> bool {
    let safe = seen.replay != Replay::Never;
    let rejected_in_time = |r: Rejection| {
        let helps = match r.reason() {
            Reason::CircuitOpen
            | Reason::NotReady
            | Reason::RateLimited
            | Reason::BulkheadFull
            | Reason::QueueTimeout
            | Reason::Paused => true,
            Reason::DeadlineExceeded
            | Reason::BudgetExhausted
            | Reason::TooExpensive
            | Reason::ClientThrottled
            | Reason::Draining
            | Reason::QuotaExhausted => false,
            Reason::Panicked if r.sent() == Sent::No => false,
            _ => return safe,
        };
        let wait = config.max_rejection_wait();
        let cannot_say = matches!(r.reason(), Reason::CircuitOpen | Reason::NotReady);
        helps
            && r.sent() == Sent::No
            && wait > Duration::ZERO
            && r.retry_after().map_or(cannot_say, |told| told <= wait)
    };
    if let Some(rejection) = seen.rejection {
        return rejected_in_time(rejection);
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
        no_copy in any::<bool>(),
    ) {
        let nth = seen.attempt - 1;
        let mut world = Fixed { draw, left, tokens, no_copy, nth, ..Fixed::default() };
        let decision = decide(&config, &seen, &mut world);

        let free = seen.rejection.is_some_and(|r| r.outcome() == Outcome::Ignored);
        let told = match seen.rejection {
            Some(rejection) if free => rejection.retry_after(),
            // A wish in a rejection of ours is not one of the upstream.
            _ => seen.outcome.retry_after().max(seen.hint),
        };
        let told = told.unwrap_or(Duration::ZERO);
        // With full jitter all of the backoff is chance.
        let delay = told + config.backoff().delay(seen.attempt - 1, draw);
        let again = table_allows(&config, &seen)
            && seen.attempt < config.attempts()
            && !no_copy
            && (free || told <= config.max_retry_after())
            && left.is_none_or(|left| delay < left)
            && (free || tokens > 0);
        prop_assert_eq!(decision == Decision::Wait(delay), again, "{:?}", decision);
        prop_assert!(again || matches!(decision, Decision::StopReason(_)));
        if let Decision::Wait(delay) = decision {
            prop_assert!(delay >= told, "earlier than told");
        }
        // Nothing is drawn or taken that is not used.
        prop_assert!(world.draws <= 1 && world.withdrawals <= 1);
        if world.withdrawals == 1 && tokens > 0 {
            prop_assert!(again, "a token was taken for no attempt");
        }
        prop_assert!(!(free && world.withdrawals > 0), "a rejection was charged");
    }

    #[test]
    fn a_request_that_must_not_be_sent_twice_is_only_sent_again_when_it_was_not_sent(
        config in configs(),
        seen in answers(),
    ) {
        let seen = Answered { replay: Replay::Never, ..seen };
        let mut world = Fixed { tokens: 1, ..Fixed::default() };
        if let Decision::Wait(_) = decide(&config, &seen, &mut world) {
            let not_sent = match seen.rejection {
                Some(rejection) => rejection.sent() == Sent::No,
                None => seen.outcome == Outcome::Failure(FailureKind::NotSent),
            };
            prop_assert!(not_sent, "{:?}", seen);
        }
    }
}

fn failed(attempt: u32) -> Answered {
    Answered {
        outcome: Outcome::Failure(FailureKind::Server),
        rejection: None,
        hint: None,
        replay: Replay::Safe,
        attempt,
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
        Decision::StopReason(end) => Some(end),
        Decision::Wait(_) => None,
    };
    let one = failed(1);
    let with = |outcome| Answered { outcome, ..one };
    assert_eq!(end(one, rich), None);
    assert_eq!(end(failed(3), rich), Some(StopReason::Attempts));
    assert_eq!(
        end(with(Outcome::Success), rich),
        Some(StopReason::Answered)
    );
    assert_eq!(
        end(with(Outcome::Ignored), rich),
        Some(StopReason::Answered)
    );
    let banned = with(Outcome::Banned { lasts: None });
    assert_eq!(end(banned, rich), Some(StopReason::Hopeless));
    let throttled = with(Outcome::Throttled {
        retry_after: None,
        scope: Scope::Account,
    });
    assert_eq!(end(throttled, rich), Some(StopReason::Hopeless));
    let unsafe_ = Answered {
        replay: Replay::Never,
        ..one
    };
    assert_eq!(end(unsafe_, rich), Some(StopReason::Unsafe));
    let no_copy = Fixed {
        no_copy: true,
        ..rich
    };
    assert_eq!(end(one, no_copy), Some(StopReason::NoCopy));
    let late = Answered {
        hint: Some(101 * MS),
        ..one
    };
    assert_eq!(end(late, rich), Some(StopReason::RetryAfter));
    let rejected = Answered {
        rejection: Some(Rejection::new(Reason::CircuitOpen, "below")),
        ..with(Outcome::Ignored)
    };
    assert_eq!(end(rejected, rich), Some(StopReason::Rejected));
    let hurried = Fixed {
        left: Some(Duration::ZERO),
        ..rich
    };
    assert_eq!(end(one, hurried), Some(StopReason::Deadline));
    assert_eq!(end(one, Fixed::default()), Some(StopReason::Budget));
}

/// An upstream that says "never" in a header must not be waited for, even by a client that
/// obeys hints of any length: the call would sleep for ever.
#[test]
fn never_is_no_wait_that_can_be_allowed() {
    let config = RetryConfig::builder().max_retry_after(Duration::MAX);
    let config = config.build().unwrap();
    let mut world = Fixed {
        tokens: 1,
        ..Fixed::default()
    };
    let never = Answered {
        hint: Some(Duration::MAX),
        ..failed(1)
    };
    let decision = decide(&config, &never, &mut world);
    assert_eq!(decision, Decision::StopReason(StopReason::RetryAfter));
    assert_eq!(world.withdrawals, 0);
    let weeks = Answered {
        hint: Some(u32::MAX * MS),
        ..never
    };
    assert!(matches!(
        decide(&config, &weeks, &mut world),
        Decision::Wait(_)
    ));
}

/// A body that says "slow down" and a header that says "in 30 seconds" are one answer; the
/// shorter of two waits would be an attempt that was forbidden.
#[test]
fn of_two_waits_in_one_answer_the_longer_holds() {
    let config = RetryConfig::default();
    let both = |verdict: u32, header: u32| {
        let mut world = Fixed {
            tokens: 1,
            ..Fixed::default()
        };
        let seen = Answered {
            outcome: Outcome::Throttled {
                retry_after: Some(verdict * MS),
                scope: Scope::Upstream,
            },
            hint: Some(header * MS),
            ..failed(1)
        };
        decide(&config, &seen, &mut world)
    };
    assert_eq!(both(1_000, 30_000), Decision::Wait(30_000 * MS));
    assert_eq!(both(30_000, 1_000), Decision::Wait(30_000 * MS));
}

#[test]
fn requests_are_copied_only_where_a_copy_can_be_of_use() {
    let two = RetryConfig::builder().attempts(2);
    let config = two.clone().build().unwrap();
    assert!(wants_copy(&config, Replay::Safe, 1));
    assert!(wants_copy(&config, Replay::Never, 1));
    assert!(!wants_copy(&config, Replay::Safe, 2), "the last attempt");
    let config = two.retry_if_not_sent(false).build().unwrap();
    assert!(wants_copy(&config, Replay::SafeWithKey, 1));
    assert!(!wants_copy(&config, Replay::Never, 1));
    let config = RetryConfig::builder().attempts(1).build().unwrap();
    assert!(!wants_copy(&config, Replay::Safe, 1));
}

/// The table of [`RetryDecision`], row by row.
#[test]
fn advice_narrows_always_and_widens_only_what_may_be_sent_twice() {
    let config = RetryConfig::builder().retry_throttled(false).build();
    let config = config.unwrap();
    let decided = |seen: Answered, advice| {
        let rich = Fixed {
            tokens: 1,
            ..Fixed::default()
        };
        decide(&config, &seen, &mut Advised(rich, advice))
    };
    let again = |seen, advice| matches!(decided(seen, advice), Decision::Wait(_));
    let end = |seen, advice| match decided(seen, advice) {
        Decision::StopReason(end) => Some(end),
        Decision::Wait(_) => None,
    };
    let after = RetryDecision::RetryAfter(3_000 * MS);
    let with = |outcome| Answered {
        outcome,
        ..failed(1)
    };
    assert!(again(failed(1), RetryDecision::Default) && again(failed(1), RetryDecision::Retry));
    assert_eq!(
        end(failed(1), RetryDecision::Stop),
        Some(StopReason::Advised)
    );
    let throttled = with(Outcome::Throttled {
        retry_after: None,
        scope: Scope::Upstream,
    });
    for seen in [with(Outcome::Success), with(Outcome::Ignored), throttled] {
        assert!(!again(seen, RetryDecision::Default) && !again(seen, RetryDecision::Stop));
        assert!(again(seen, RetryDecision::Retry));
        assert_eq!(decided(seen, after), Decision::Wait(3_000 * MS));
        // Nothing overrides that it must not be sent twice.
        let unsafe_ = Answered {
            replay: Replay::Never,
            ..seen
        };
        assert!(!again(unsafe_, RetryDecision::Retry) && !again(unsafe_, after));
    }
    assert_eq!(
        end(with(Outcome::Success), RetryDecision::Stop),
        Some(StopReason::Answered)
    );
    let rejected = |reason| Answered {
        rejection: Some(Rejection::new(reason, "below")),
        ..with(Outcome::Ignored)
    };
    for never in [
        with(Outcome::Banned { lasts: None }),
        with(Outcome::QuotaExhausted { renews_in: None }),
        rejected(Reason::BudgetExhausted),
        rejected(Reason::CircuitOpen),
        failed(3),
        Answered {
            replay: Replay::Never,
            ..with(Outcome::Unknown)
        },
    ] {
        assert!(!again(never, RetryDecision::Retry), "{never:?}");
    }
    // A wait of the adviser's is a lower bound, and as limited as the upstream's.
    assert_eq!(
        end(failed(1), RetryDecision::RetryAfter(Duration::MAX)),
        Some(StopReason::RetryAfter)
    );
    assert_eq!(
        end(failed(1), RetryDecision::RetryAfter(61_000 * MS)),
        Some(StopReason::RetryAfter)
    );
}

#[test]
fn a_place_in_the_sending_rate_is_waited_for_when_it_comes_in_time() {
    let config = RetryConfig::default();
    let decided = |place: u32, left: Option<u32>| {
        let mut world = Fixed {
            tokens: 1,
            place: place * MS,
            left: left.map(|left| left * MS),
            ..Fixed::default()
        };
        let decision = decide(&config, &failed(1), &mut world);
        (decision, world.withdrawals)
    };
    assert_eq!(decided(700, None), (Decision::Wait(700 * MS), 1));
    assert_eq!(decided(700, Some(701)), (Decision::Wait(700 * MS), 1));
    assert_eq!(
        decided(700, Some(700)),
        (Decision::StopReason(StopReason::Paced), 0)
    );
    assert_eq!(
        decided(60_001, None),
        (Decision::StopReason(StopReason::Paced), 0)
    );
}
