//! The decision against the table of the crate's documentation.

use super::*;
use proptest::prelude::*;
use seawall_core::Scope;

const MS: Duration = Duration::from_millis(1);

/// Effects with a record of what was used.
#[derive(Clone, Copy, Debug, Default)]
struct Fixed {
    draw: f64,
    left: Option<Duration>,
    tokens: u32,
    no_copy: bool,
    /// How many extra attempts there were.
    nth: u32,
    token_wait: Duration,
    draws: u32,
    withdrawals: u32,
}

impl Effects for Fixed {
    const HAS_PREDICATE: bool = false;
    fn has_copy(&mut self) -> bool {
        !self.no_copy
    }
    fn predicate(&mut self) -> RetryDecision {
        panic!("there is no predicate")
    }
    fn next_delay(&mut self, backoff: &Backoff, restart: bool) -> Option<BackoffDelay> {
        self.draws += 1;
        if restart {
            self.nth = 0;
        }
        let delay = backoff.delay(self.nth, self.draw);
        let chance = delay - backoff.delay(self.nth, 0.0);
        Some(BackoffDelay { delay, chance })
    }
    fn draw(&mut self) -> f64 {
        self.draw
    }
    fn time_left(&mut self) -> Option<Duration> {
        self.left
    }
    fn take_token(&mut self, longest: Duration) -> Option<Duration> {
        (self.token_wait <= longest).then_some(self.token_wait)
    }
    fn withdraw(&mut self) -> bool {
        self.withdrawals += 1;
        self.tokens > 0
    }
}

/// Effects with a predicate.
struct WithPredicate(Fixed, RetryDecision);

impl Effects for WithPredicate {
    const HAS_PREDICATE: bool = true;
    fn has_copy(&mut self) -> bool {
        self.0.has_copy()
    }
    fn predicate(&mut self) -> RetryDecision {
        self.1
    }
    fn next_delay(&mut self, backoff: &Backoff, restart: bool) -> Option<BackoffDelay> {
        self.0.next_delay(backoff, restart)
    }
    fn draw(&mut self) -> f64 {
        self.0.draw()
    }
    fn time_left(&mut self) -> Option<Duration> {
        self.0.time_left()
    }
    fn take_token(&mut self, longest: Duration) -> Option<Duration> {
        self.0.take_token(longest)
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
        proptest::sample::select(&["orders", "bulkhead", "unknown"][..]),
    )
        .prop_map(|(reason, wait, maybe, pattern)| {
            let sent = if maybe { Sent::Maybe } else { Sent::No };
            let rejection = Rejection::new(reason, "below").with_sent(sent);
            let rejection = rejection.with_pattern(pattern);
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
    fn attempts()(
        outcome in outcomes(),
        rejection in proptest::option::of(rejections()),
        hint in proptest::option::of((0_u64..5_000).prop_map(Duration::from_millis)),
        replay in replays(),
        attempt in 1_u32..6,
    ) -> Attempted {
        // As `judge` does: a rejection says for itself what it is.
        let outcome = rejection.map_or(outcome, |r: Rejection| r.outcome());
        Attempted { outcome, rejection, hint, replay, attempt, bypassed: false }
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

fn with_jitter(config: &RetryConfig, share: f64) -> RetryConfig {
    RetryConfig::builder()
        .attempts(config.attempts())
        .backoff(config.backoff().clone())
        .max_retry_after(config.max_retry_after())
        .max_rejection_wait(config.max_rejection_wait())
        .retry_throttled(config.retry_throttled())
        .retry_if_not_sent(config.retry_if_not_sent())
        .retry_after_jitter(share)
        .build()
        .unwrap()
}

/// The table of the crate's documentation, row by row.
fn table_allows(config: &RetryConfig, attempted: &Attempted) -> bool {
    let safe = attempted.replay != Replay::Never;
    let rejected_in_time = |r: Rejection| {
        let helps = match r.reason() {
            Reason::CircuitOpen
            | Reason::NotReady
            | Reason::RateLimited
            | Reason::BulkheadFull
            | Reason::QueueTimeout
            | Reason::Paused
            | Reason::NoRoute => true,
            Reason::DeadlineExceeded
            | Reason::BudgetExhausted
            | Reason::TooExpensive
            | Reason::ClientThrottled
            | Reason::Draining
            | Reason::QuotaExhausted
            | Reason::InvalidRequest
            | Reason::NotExecuted
            | Reason::TradingMode
            | Reason::Guarded => false,
            Reason::Panicked if r.sent() == Sent::No => false,
            // An order that may have been executed is not sent again by a retry around order safety.
            _ if r.pattern() == Some("orders") => {
                let in_doubt = r.sent() == Sent::Maybe || r.reason() == Reason::OutcomeUnknown;
                return safe && !in_doubt;
            }
            _ => return safe,
        };
        let wait = config.max_rejection_wait();
        let cannot_say = matches!(r.reason(), Reason::CircuitOpen | Reason::NotReady);
        helps
            && r.sent() == Sent::No
            && wait > Duration::ZERO
            && r.retry_after()
                .map_or(cannot_say, |requested| requested <= wait)
    };
    if let Some(rejection) = attempted.rejection {
        return rejected_in_time(rejection);
    }
    match attempted.outcome {
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
        jitter in proptest::sample::select(&[0.0, 0.1, 0.5, 1.0][..]),
        attempted in attempts(),
        draw in 0.0_f64..0.999,
        left in proptest::option::of((0_u64..4_000).prop_map(Duration::from_millis)),
        tokens in 0_u32..2,
        no_copy in any::<bool>(),
    ) {
        let config = with_jitter(&config, jitter);
        let nth = attempted.attempt - 1;
        let mut effects = Fixed { draw, left, tokens, no_copy, nth, ..Fixed::default() };
        let decision = decide(&config, &attempted, &mut effects);

        let free = attempted.rejection.is_some_and(|r| r.outcome() == Outcome::Ignored);
        let requested = match attempted.rejection {
            Some(rejection) if free => rejection.retry_after(),
            // A hint in a rejection of ours is not one of the upstream.
            _ => attempted.outcome.retry_after().max(attempted.hint),
        };
        let requested = requested.unwrap_or(Duration::ZERO);
        // With full jitter all of the backoff is chance.
        let delay = if requested.is_zero() {
            config.backoff().delay(nth, draw)
        } else {
            // A wait that was named: the backoff begins again, and the wider spread holds.
            let spread = scale(scale(requested, jitter), draw);
            let delay = requested + config.backoff().delay(0, draw).max(spread);
            match left {
                Some(left) if left <= delay && requested < left => {
                    requested + scale(left - requested, draw)
                }
                _ => delay,
            }
        };
        let retries = table_allows(&config, &attempted)
            && attempted.attempt < config.attempts()
            && !no_copy
            && (free || requested <= config.max_retry_after())
            && left.is_none_or(|left| delay < left)
            && (free || tokens > 0);
        prop_assert_eq!(decision == Decision::Retry(delay), retries, "{:?}", decision);
        prop_assert!(retries || matches!(decision, Decision::Stop(_)));
        if let Decision::Retry(delay) = decision {
            prop_assert!(delay >= requested, "earlier than requested");
        }
        // Nothing is drawn or taken that is not used.
        prop_assert!(effects.draws <= 1 && effects.withdrawals <= 1);
        if effects.withdrawals == 1 && tokens > 0 {
            prop_assert!(retries, "a token was taken for no attempt");
        }
        prop_assert!(!(free && effects.withdrawals > 0), "a rejection was charged");
    }

    #[test]
    fn a_request_that_must_not_be_sent_twice_is_only_retried_when_it_was_not_sent(
        config in configs(),
        attempted in attempts(),
    ) {
        let attempted = Attempted { replay: Replay::Never, ..attempted };
        let mut effects = Fixed { tokens: 1, ..Fixed::default() };
        if let Decision::Retry(_) = decide(&config, &attempted, &mut effects) {
            let not_sent = match attempted.rejection {
                Some(rejection) => rejection.sent() == Sent::No,
                None => attempted.outcome == Outcome::Failure(FailureKind::NotSent),
            };
            prop_assert!(not_sent, "{:?}", attempted);
        }
    }
}

fn failed(attempt: u32) -> Attempted {
    Attempted {
        outcome: Outcome::Failure(FailureKind::Server),
        rejection: None,
        hint: None,
        replay: Replay::Safe,
        attempt,
        bypassed: false,
    }
}

#[test]
fn every_stop_has_its_reason() {
    let config = RetryConfig::builder()
        .max_retry_after(100 * MS)
        .retry_throttled(false)
        .build()
        .unwrap();
    let rich = Fixed {
        tokens: 1,
        ..Fixed::default()
    };
    let reason = |attempted: Attempted, mut effects: Fixed| match decide(
        &config,
        &attempted,
        &mut effects,
    ) {
        Decision::Stop(reason) => Some(reason),
        Decision::Retry(_) => None,
    };
    let one = failed(1);
    let with = |outcome| Attempted { outcome, ..one };
    assert_eq!(reason(one, rich), None);
    assert_eq!(reason(failed(3), rich), Some(StopReason::AttemptsExhausted));
    assert_eq!(
        reason(with(Outcome::Success), rich),
        Some(StopReason::Completed)
    );
    assert_eq!(
        reason(with(Outcome::Ignored), rich),
        Some(StopReason::Completed)
    );
    let banned = with(Outcome::Banned { lasts: None });
    assert_eq!(reason(banned, rich), Some(StopReason::NotRetryable));
    let throttled = with(Outcome::Throttled {
        retry_after: None,
        scope: Scope::Account,
    });
    assert_eq!(reason(throttled, rich), Some(StopReason::NotRetryable));
    let unsafe_ = Attempted {
        replay: Replay::Never,
        ..one
    };
    assert_eq!(reason(unsafe_, rich), Some(StopReason::NotReplaySafe));
    let no_copy = Fixed {
        no_copy: true,
        ..rich
    };
    assert_eq!(reason(one, no_copy), Some(StopReason::NoCopy));
    let late = Attempted {
        hint: Some(101 * MS),
        ..one
    };
    assert_eq!(reason(late, rich), Some(StopReason::RetryAfter));
    let rejected = Attempted {
        rejection: Some(Rejection::new(Reason::CircuitOpen, "below")),
        ..with(Outcome::Ignored)
    };
    assert_eq!(reason(rejected, rich), Some(StopReason::Rejected));
    let hurried = Fixed {
        left: Some(Duration::ZERO),
        ..rich
    };
    assert_eq!(reason(one, hurried), Some(StopReason::Deadline));
    assert_eq!(
        reason(one, Fixed::default()),
        Some(StopReason::BudgetExhausted)
    );
}

/// An upstream that says "never" in a header must not be waited for, even by a client that
/// follows hints of any length: the call would sleep forever.
#[test]
fn never_is_no_wait_that_can_be_allowed() {
    let config = RetryConfig::builder().max_retry_after(Duration::MAX);
    let config = config.build().unwrap();
    let mut effects = Fixed {
        tokens: 1,
        ..Fixed::default()
    };
    let never = Attempted {
        hint: Some(Duration::MAX),
        ..failed(1)
    };
    let decision = decide(&config, &never, &mut effects);
    assert_eq!(decision, Decision::Stop(StopReason::RetryAfter));
    assert_eq!(effects.withdrawals, 0);
    let weeks = Attempted {
        hint: Some(u32::MAX * MS),
        ..never
    };
    assert!(matches!(
        decide(&config, &weeks, &mut effects),
        Decision::Retry(_)
    ));
}

/// A body that says "slow down" and a header that says "in 30 seconds" are one result; the
/// shorter of two waits would be an attempt that was forbidden.
#[test]
fn of_two_waits_in_one_response_the_longer_holds() {
    let config = RetryConfig::default();
    let both = |verdict: u32, header: u32| {
        let mut effects = Fixed {
            tokens: 1,
            ..Fixed::default()
        };
        let attempted = Attempted {
            outcome: Outcome::Throttled {
                retry_after: Some(verdict * MS),
                scope: Scope::Upstream,
            },
            hint: Some(header * MS),
            ..failed(1)
        };
        decide(&config, &attempted, &mut effects)
    };
    assert_eq!(both(1_000, 30_000), Decision::Retry(30_000 * MS));
    assert_eq!(both(30_000, 1_000), Decision::Retry(30_000 * MS));
}

#[test]
fn nothing_is_retried_or_taken_while_retries_are_switched_off() {
    let config = RetryConfig::default();
    let attempted = Attempted {
        bypassed: true,
        ..failed(1)
    };
    let rich = Fixed {
        tokens: 1,
        ..Fixed::default()
    };
    let mut effects = WithPredicate(rich, RetryDecision::Retry);
    let decision = decide(&config, &attempted, &mut effects);
    assert_eq!(decision, Decision::Stop(StopReason::Bypassed));
    assert_eq!((effects.0.draws, effects.0.withdrawals), (0, 0));
}

/// The table of [`RetryDecision`], row by row.
#[test]
fn a_predicate_narrows_always_and_widens_only_what_may_be_sent_twice() {
    let config = RetryConfig::builder().retry_throttled(false).build();
    let config = config.unwrap();
    let decided = |attempted: Attempted, wanted| {
        let rich = Fixed {
            tokens: 1,
            ..Fixed::default()
        };
        decide(&config, &attempted, &mut WithPredicate(rich, wanted))
    };
    let retries = |attempted, wanted| matches!(decided(attempted, wanted), Decision::Retry(_));
    let reason = |attempted, wanted| match decided(attempted, wanted) {
        Decision::Stop(reason) => Some(reason),
        Decision::Retry(_) => None,
    };
    let after = RetryDecision::RetryAfter(3_000 * MS);
    let with = |outcome| Attempted {
        outcome,
        ..failed(1)
    };
    assert!(retries(failed(1), RetryDecision::Default) && retries(failed(1), RetryDecision::Retry));
    assert_eq!(
        reason(failed(1), RetryDecision::Stop),
        Some(StopReason::Predicate)
    );
    let throttled = with(Outcome::Throttled {
        retry_after: None,
        scope: Scope::Upstream,
    });
    for attempted in [with(Outcome::Success), with(Outcome::Ignored), throttled] {
        assert!(
            !retries(attempted, RetryDecision::Default) && !retries(attempted, RetryDecision::Stop)
        );
        assert!(retries(attempted, RetryDecision::Retry));
        assert_eq!(decided(attempted, after), Decision::Retry(3_000 * MS));
        // Nothing overrides that it must not be sent twice.
        let unsafe_ = Attempted {
            replay: Replay::Never,
            ..attempted
        };
        assert!(!retries(unsafe_, RetryDecision::Retry) && !retries(unsafe_, after));
    }
    assert_eq!(
        reason(with(Outcome::Success), RetryDecision::Stop),
        Some(StopReason::Completed)
    );
    let rejected = |reason| Attempted {
        rejection: Some(Rejection::new(reason, "below")),
        ..with(Outcome::Ignored)
    };
    for never in [
        with(Outcome::Banned { lasts: None }),
        with(Outcome::QuotaExhausted { renews_in: None }),
        rejected(Reason::BudgetExhausted),
        rejected(Reason::CircuitOpen),
        failed(3),
        Attempted {
            replay: Replay::Never,
            ..with(Outcome::Unknown)
        },
    ] {
        assert!(!retries(never, RetryDecision::Retry), "{never:?}");
    }
    // A wait of the predicate's is a lower bound, and as limited as the upstream's.
    assert_eq!(
        reason(failed(1), RetryDecision::RetryAfter(Duration::MAX)),
        Some(StopReason::RetryAfter)
    );
    assert_eq!(
        reason(failed(1), RetryDecision::RetryAfter(61_000 * MS)),
        Some(StopReason::RetryAfter)
    );
}

#[test]
fn a_token_of_the_sending_rate_is_waited_for_when_it_comes_in_time() {
    let config = RetryConfig::default();
    let decided = |token_wait: u32, left: Option<u32>| {
        let mut effects = Fixed {
            tokens: 1,
            token_wait: token_wait * MS,
            left: left.map(|left| left * MS),
            ..Fixed::default()
        };
        let decision = decide(&config, &failed(1), &mut effects);
        (decision, effects.withdrawals)
    };
    assert_eq!(decided(700, None), (Decision::Retry(700 * MS), 1));
    assert_eq!(decided(700, Some(701)), (Decision::Retry(700 * MS), 1));
    assert_eq!(
        decided(700, Some(700)),
        (Decision::Stop(StopReason::AdaptiveRate), 0)
    );
    assert_eq!(
        decided(60_001, None),
        (Decision::Stop(StopReason::AdaptiveRate), 0)
    );
}
