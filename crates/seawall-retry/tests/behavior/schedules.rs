//! What holds for every schedule of results.

use super::*;
use proptest::prelude::*;

fn results() -> impl Strategy<Value = Failed> {
    let ms = |ms: u64| Duration::from_millis(ms);
    prop_oneof![
        Just(SERVER),
        Just(UNKNOWN),
        Just(NOT_SENT),
        (0_u64..90_000).prop_map(move |n| throttled(Some(ms(n)))),
        (0_u64..90_000).prop_map(move |n| Failed::Hinted(ms(n))),
        Just(rejected(Reason::CircuitOpen, Some(SECOND))),
    ]
}

fn hint(failed: Failed) -> Duration {
    match failed {
        Failed::With(outcome) => outcome.retry_after().unwrap_or_default(),
        Failed::Hinted(wait) => wait,
        Failed::Rejected(rejection) => rejection.retry_after().unwrap_or_default(),
    }
}

fn backoffs() -> impl Strategy<Value = Backoff> {
    let cap = 8 * SECOND;
    const JITTERS: [Jitter; 4] = [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ];
    (0..5_usize, proptest::sample::select(&JITTERS[..])).prop_map(move |(kind, jitter)| {
        let backoff = match kind {
            0 => Backoff::NONE,
            1 => Backoff::constant(SECOND).unwrap(),
            2 => Backoff::linear(SECOND / 3, cap).unwrap(),
            3 => Backoff::fibonacci(SECOND / 7, cap).unwrap(),
            _ => Backoff::exponential(SECOND / 9, cap).unwrap(),
        };
        backoff.with_jitter(jitter)
    })
}

/// Up to 200 s; most do not fall on the whole milliseconds of timers.
fn limits() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1_u64..200).prop_map(Duration::from_secs),
        (1_u64..200_000_000_000).prop_map(Duration::from_nanos),
    ]
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test)
}

proptest! {
    #[test]
    fn no_attempt_is_made_before_its_hint_and_no_wait_passes_the_deadline(
        schedule in proptest::collection::vec(results(), 1..8),
        backoff in backoffs(),
        slow in backoffs(),
        own in proptest::option::of(limits()),
        overall in proptest::option::of(limits()),
        seed in any::<u64>(),
    ) {
        paused(async {
            let mut config = RetryConfig::builder()
                .attempts(9)
                .backoff(backoff)
                .throttled_backoff(slow)
                .max_rejection_wait(2 * SECOND);
            if let Some(limit) = overall {
                config = config.overall_timeout(limit);
            }
            let start = Instant::now();
            let mut meta = RequestMeta::new(Replay::Safe);
            if let Some(own) = own {
                meta = meta.with_deadline(start + own);
            }
            let upstream = Upstream::new(schedule.iter().copied());
            let layer = layer(config.build().unwrap(), Replay::Safe)
                .describe(ConstMeta(meta))
                .without_budget()
                .seed(seed);
            let result = layer.layer(upstream.service()).oneshot(7).await;
            let took = Instant::now() - start;
            for (pause, failed) in upstream.pauses().into_iter().zip(&schedule) {
                prop_assert!(pause >= hint(*failed), "{pause:?} after {failed:?}");
            }
            if let Some(limit) = own.into_iter().chain(overall).min() {
                prop_assert!(took <= limit, "{took:?} of {limit:?}");
            }
            // Nothing is waited for after the last attempt, and its result is the caller's.
            let calls = upstream.calls();
            prop_assert_eq!(*upstream.times.lock().unwrap().last().unwrap(), start + took);
            match schedule.get(..calls) {
                Some(made) => prop_assert_eq!(result.unwrap_err().outcome(), expected(made)),
                None => prop_assert_eq!(result, Ok(7)),
            }
            Ok(())
        })?;
    }

    #[test]
    fn extra_attempts_never_exceed_what_the_budget_allows(
        schedule in proptest::collection::vec(any::<bool>(), 1..200),
        tenths in 0_u32..=10,
        floor in 0_u32..3,
        capacity in 1_u32..20,
        windowed in any::<bool>(),
    ) {
        paused(async {
            let (ratio, floor) = (f64::from(tenths) / 10.0, f64::from(floor));
            let config = match windowed {
                false => BudgetConfig::new(ratio, floor, capacity),
                true => BudgetConfig::windowed(ratio, floor, 10 * SECOND),
            };
            let upstream = Upstream::new([]);
            *upstream.results.lock().unwrap() = schedule
                .iter()
                .map(|ok| if *ok { Ok(1) } else { Err(SERVER) })
                .collect();
            let layer = layer(ladder(4), Replay::Safe).budget(Budget::new(config.unwrap()));
            let mut service = layer.layer(upstream.service());
            let start = Instant::now();
            let mut calls = 0_u32;
            while !upstream.results.lock().unwrap().is_empty() {
                let _ = service.ready().await.unwrap().call(7).await;
                calls += 1;
                let burst = if windowed { floor * 10.0 } else { f64::from(capacity) };
                let seconds = (Instant::now() - start).as_secs_f64();
                let most = ratio * f64::from(calls) + floor * seconds + burst + 1e-6;
                let retries = layer.handle().counts().retries as f64;
                prop_assert!(retries <= most, "{retries} of {most} after {calls} calls");
                prop_assert_eq!(upstream.calls() as f64, f64::from(calls) + retries);
            }
            Ok(())
        })?;
    }
}

/// What the caller gets after these attempts: the last result, unless it says that nothing was
/// sent. Then it is the upstream's last result, or that the outcome is unknown.
fn expected(made: &[Failed]) -> Outcome {
    let (last, before) = made.split_last().unwrap();
    let is_rejected = |failed: &Failed| matches!(failed, Failed::Rejected(_));
    let sent = |failed: &&Failed| !is_rejected(failed) && **failed != NOT_SENT;
    let was_sent = before.iter().rfind(sent);
    match (was_sent, is_rejected(last)) {
        (Some(answer), true) => answer.outcome(),
        (Some(_), false) if *last == NOT_SENT => Outcome::Unknown,
        (None, true) if before.contains(&NOT_SENT) => NOT_SENT.outcome(),
        _ => last.outcome(),
    }
}

impl Failed {
    fn outcome(self) -> Outcome {
        match self {
            Self::With(outcome) => outcome,
            Self::Hinted(_) => Outcome::Failure(FailureKind::Overloaded),
            Self::Rejected(rejection) => rejection.outcome(),
        }
    }
}
