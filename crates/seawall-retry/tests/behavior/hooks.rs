//! The predicate, the preparation, the annotation.

use super::*;

type Judged<'a> = CompletedAttempt<'a, u32, u32, Failed>;

#[tokio::test(start_paused = true)]
async fn a_predicate_narrows_by_result_metadata_and_attempt() {
    fn decide(attempt: Judged<'_>) -> RetryDecision {
        assert_eq!(attempt.meta.cost, 9);
        match (attempt.result, attempt.attempt) {
            (Err(failed), _) if *failed == UNKNOWN => RetryDecision::Stop,
            (Err(_), 2) => RetryDecision::Stop,
            _ => RetryDecision::Default,
        }
    }
    for (results, calls) in [(vec![UNKNOWN], 1), (vec![SERVER; 9], 2), (vec![SERVER], 2)] {
        let last = results.len().min(calls).checked_sub(1).unwrap();
        let expected = match results.get(calls - 1) {
            Some(_) => Err(results[last]),
            None => Ok(7),
        };
        let upstream = Upstream::new(results);
        let layer = layer(ladder(5), Replay::Safe)
            .describe(ConstMeta(RequestMeta::new(Replay::Safe).with_cost(9)))
            .retry_if(decide);
        let result = layer.layer(upstream.service()).oneshot(7).await;
        assert_eq!((result, upstream.calls()), (expected, calls));
        let stopped = u64::from(expected.is_err());
        assert_eq!(
            layer.handle().counts().give_ups.of(StopReason::Predicate),
            stopped
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_predicate_narrows_by_the_request() {
    let decide = |attempt: Judged<'_>| match *attempt.request {
        9 => RetryDecision::Stop,
        _ => RetryDecision::Default,
    };
    for (request, calls) in [(7, 2), (9, 1)] {
        let upstream = Upstream::new([SERVER]);
        let layer = layer(ladder(5), Replay::Safe).retry_if(decide);
        let result = layer.layer(upstream.service()).oneshot(request).await;
        assert_eq!((result.is_ok(), upstream.calls()), (calls == 2, calls));
    }
}

#[tokio::test(start_paused = true)]
async fn a_predicate_widens_to_successes_when_the_request_may_be_sent_twice() {
    fn until_three(attempt: Judged<'_>) -> RetryDecision {
        match attempt.result {
            Ok(_) if attempt.attempt < 3 => RetryDecision::Retry,
            _ => RetryDecision::Default,
        }
    }
    for (replay, calls) in [
        (Replay::Safe, 3),
        (Replay::SafeWithKey, 3),
        (Replay::Never, 1),
    ] {
        let upstream = Upstream::new([]);
        let budget = tokens(5);
        let layer = layer(ladder(5), replay)
            .budget(budget.clone())
            .retry_if(until_three);
        let result = layer.layer(upstream.service()).oneshot(7).await;
        assert_eq!((result, upstream.calls()), (Ok(7), calls), "{replay:?}");
        // Extra attempts are paid whatever they follow, and only the last success earns.
        let expected = if calls == 3 { 3.5 } else { 5.0 };
        assert_eq!(budget.balance(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_predicate_never_retries_a_request_that_may_have_been_executed() {
    let always = |_: Judged<'_>| RetryDecision::Retry;
    for failed in [SERVER, UNKNOWN, throttled(None), Failed::Hinted(SECOND)] {
        let upstream = Upstream::new([failed]);
        let layer = layer(ladder(5), Replay::Never).retry_if(always);
        let result = layer.layer(upstream.service()).oneshot(7).await;
        assert_eq!((result, upstream.calls()), (Err(failed), 1));
    }
    for rejected in [
        rejected(Reason::BudgetExhausted, Some(SECOND)),
        Failed::With(Outcome::Banned { lasts: None }),
        Failed::With(Outcome::QuotaExhausted { renews_in: None }),
    ] {
        let upstream = Upstream::new([rejected]);
        let layer = layer(ladder(5), Replay::Safe).retry_if(always);
        let result = layer.layer(upstream.service()).oneshot(7).await;
        assert_eq!((result, upstream.calls()), (Err(rejected), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_predicates_own_hint_is_a_lower_bound_like_the_upstreams() {
    let upstream = Upstream::new([SERVER, Failed::Hinted(9 * SECOND)]);
    let layer = layer(ladder(5), Replay::Safe)
        .retry_if(|_: Judged<'_>| RetryDecision::RetryAfter(4 * SECOND))
        .retry_if(|attempt: Judged<'_>| match attempt.result {
            Err(_) => RetryDecision::RetryAfter(4 * SECOND),
            Ok(_) => RetryDecision::Default,
        });
    let result = layer.layer(upstream.service()).oneshot(7).await;
    assert_eq!(result, Ok(7));
    assert_eq!(upstream.pauses(), [4 * SECOND, 9 * SECOND]);
}

/// A broker that checks nonces rejected every extra attempt, since it was an exact copy.
#[tokio::test(start_paused = true)]
async fn every_attempt_is_prepared_with_its_number_and_what_came_before() {
    let attempt = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (notes, arrivals) = (Arc::clone(&attempt), Arc::clone(&sent));
    let layer = RetryLayer::new("r", ladder(3)).describe(SAFE).prepare(
        move |request: &mut String, attempt: Attempt| {
            notes
                .lock()
                .unwrap()
                .push((attempt.number, attempt.previous));
            request.push_str(&format!(" try {}", attempt.number));
            Ok::<(), BoxError>(())
        },
    );
    let mut service = layer.layer(service_fn(move |request: String| {
        arrivals.lock().unwrap().push((request, Instant::now()));
        std::future::ready(Err::<(), BoxError>("down".into()))
    }));
    let start = Instant::now();
    let call = service.ready().await.unwrap().call("buy".to_owned());
    assert!(call.await.is_err());
    let failure = Some(Outcome::Failure(FailureKind::Other));
    assert_eq!(
        *attempt.lock().unwrap(),
        [(1, None), (2, failure), (3, failure)]
    );
    // Each from a fresh copy: nothing of the attempt before it is left.
    let expected = [("buy try 1", 0), ("buy try 2", 1), ("buy try 3", 3)];
    let sent = sent.lock().unwrap();
    for ((request, at), (text, seconds)) in sent.iter().zip(expected) {
        assert_eq!((request.as_str(), *at - start), (text, seconds * SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_preparation_ends_the_call_and_costs_nothing() {
    const NO_KEY: Failed = Failed::With(Outcome::Ignored);
    for bad in 1..=3 {
        let upstream = Upstream::new([SERVER; 9]);
        let budget = tokens(5);
        let layer = layer(ladder(5), Replay::Safe)
            .budget(budget.clone())
            .prepare(
                move |_: &mut u32, attempt: Attempt| match attempt.number == bad {
                    true => Err(NO_KEY),
                    false => Ok(()),
                },
            );
        let result = layer.layer(upstream.service()).oneshot(7).await;
        assert_eq!(result, Err(NO_KEY));
        assert_eq!(upstream.calls(), bad as usize - 1);
        // What was paid for the attempt that never was came back.
        let paid = f64::from(bad.saturating_sub(2));
        assert_eq!(budget.balance(), 5.0 - paid);
        assert_eq!(
            layer
                .handle()
                .counts()
                .give_ups
                .of(StopReason::PrepareFailed),
            1
        );
    }
}

/// "Not sent" of the preparation is true of its attempt and not of the call.
#[tokio::test(start_paused = true)]
async fn an_unprepared_attempt_does_not_deny_the_one_before_it() {
    let upstream = Upstream::new([UNKNOWN]);
    let layer =
        layer(ladder(5), Replay::SafeWithKey).prepare(
            |_: &mut u32, attempt: Attempt| match attempt.number {
                1 => Ok(()),
                _ => Err(NOT_SENT),
            },
        );
    let result = layer.layer(upstream.service()).oneshot(7).await;
    let rejection = *result.unwrap_err().rejection().unwrap();
    assert_eq!(
        (rejection.reason(), rejection.sent()),
        (Reason::OutcomeUnknown, Sent::Maybe)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_first_attempt_cannot_be_prepared_keeps_nothing_reserved() {
    let (inner, mock) = mock();
    mock.set_capacity(1);
    let fail = Arc::new(Mutex::new(true));
    let failing = Arc::clone(&fail);
    let layer = RetryLayer::new("r", ladder(3)).prepare(move |_: &mut u32, _: Attempt| {
        let fail = *failing.lock().unwrap();
        if fail {
            Err("no key".into())
        } else {
            Ok::<(), BoxError>(())
        }
    });
    let mut service = layer.layer(inner);
    let rejected = service.ready().await.unwrap().call(1).await;
    assert_eq!(rejected.unwrap_err().to_string(), "no key");
    assert_eq!((mock.calls(), mock.reserved()), (0, 0));
    *fail.lock().unwrap() = false;
    assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
    assert_eq!((mock.requests(), mock.reserved()), (vec![2], 0));
}

/// The caller could not see "down" apart from "down, and the client has stopped trying".
#[tokio::test(start_paused = true)]
async fn a_result_that_was_given_up_on_is_annotated_with_the_reason() {
    #[derive(Debug, PartialEq)]
    enum Fault {
        Down { ended: Option<Stopped> },
        Rejected(Rejection),
    }
    seawall_core::rejectable!(Fault::Rejected);
    let down = service_fn(|n: u32| {
        std::future::ready(if n == 0 {
            Ok(())
        } else {
            Err(Fault::Down { ended: None })
        })
    });
    let layer = RetryLayer::new("r", ladder(3))
        .describe(SAFE)
        .budget(tokens(3))
        .annotate_give_up(|result: &mut Result<(), Fault>, stopped: Stopped| {
            if let Err(Fault::Down { ended }) = result {
                assert!(ended.is_none(), "marked twice");
                *ended = Some(stopped);
            }
        });
    let mut service = layer.layer(down);
    let mut ended = async |n| match service.ready().await.unwrap().call(n).await {
        Ok(()) => None,
        Err(Fault::Down { ended }) => ended.map(|e| (e.reason, e.attempts)),
        Err(rejected) => panic!("{rejected:?}"),
    };
    assert_eq!(ended(1).await, Some((StopReason::AttemptsExhausted, 3)));
    assert_eq!(ended(0).await, None);
    assert_eq!(ended(1).await, Some((StopReason::BudgetExhausted, 2)));
    let start = Instant::now();
    assert_eq!(ended(1).await, Some((StopReason::BudgetExhausted, 1)));
    assert_eq!(Instant::now(), start, "at once");
    assert_eq!(layer.handle().counts().give_ups.budget_exhausted, 2);
}

#[tokio::test(start_paused = true)]
async fn classes_of_failure_have_their_own_prices() {
    let config = BudgetConfig::new(0.0, 0.0, 20).unwrap();
    let config = config.with_price(CostClass::Transient, 1.0).unwrap();
    let config = config.with_price(CostClass::Timeout, 4.0).unwrap();
    let config = config.with_price(CostClass::Throttled, 7.0).unwrap();
    for (failed, left) in [(SERVER, 19.0), (UNKNOWN, 16.0), (throttled(None), 13.0)] {
        let upstream = Upstream::new([failed]);
        let budget = Budget::new(config);
        let layer = layer(ladder(3), Replay::Safe).budget(budget.clone());
        let mut call = PolledFuture::new(layer.layer(upstream.service()).oneshot(7));
        assert!(call.poll().is_pending());
        assert_eq!(budget.balance(), left);
        // What is given back is what was taken.
        drop(call);
        assert_eq!(budget.balance(), 20.0);
    }
}

#[tokio::test(start_paused = true)]
async fn throttles_have_a_backoff_of_their_own() {
    let none = |b: Backoff| b.with_jitter(Jitter::None);
    let config = RetryConfig::builder()
        .attempts(9)
        .backoff(none(
            Backoff::exponential(SECOND / 10, 60 * SECOND).unwrap(),
        ))
        .throttled_backoff(none(Backoff::exponential(SECOND, 60 * SECOND).unwrap()))
        .retry_after_jitter(0.0)
        .build()
        .unwrap();
    let results = [
        SERVER,
        throttled(None),
        SERVER,
        throttled(Some(20 * SECOND)),
    ];
    let (result, upstream, _) = one_call(config, Replay::Safe, results).await;
    assert_eq!(result, Ok(7));
    // One count of attempts, two bases.
    let expected = [SECOND / 10, 2 * SECOND, 4 * SECOND / 10, 20 * SECOND];
    assert_eq!(upstream.pauses(), expected);
}

/// Ends before the attempts do.
#[tokio::test(start_paused = true)]
async fn a_custom_backoff_that_has_ended_ends_the_call() {
    let config = RetryConfig::builder()
        .attempts(9)
        .backoff(Backoff::custom(|| [SECOND, 5 * SECOND].into_iter()).with_jitter(Jitter::None))
        .build()
        .unwrap();
    let (result, upstream, handle) = one_call(config, Replay::Safe, [SERVER; 9]).await;
    assert_eq!(result, Err(SERVER));
    assert_eq!(upstream.pauses(), [SECOND, 5 * SECOND]);
    assert_eq!(handle.counts().give_ups.attempts_exhausted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_hook_leaks_nothing_and_leaves_the_next_call_untouched() {
    for at in ["decide", "prepare", "annotate"] {
        let (inner, mock) = mock();
        let trap = Arc::new(Mutex::new(at));
        let spring = |here: &'static str| {
            let trap = Arc::clone(&trap);
            move || {
                let set = *trap.lock().unwrap();
                assert!(set != here, "{here} panics");
            }
        };
        let (decide, prepare, annotate) = (spring("decide"), spring("prepare"), spring("annotate"));
        let budget = tokens(5);
        let config = RetryConfig::builder().backoff(Backoff::NONE).attempts(2);
        let layer = RetryLayer::new("r", config.build().unwrap())
            .describe(SAFE)
            .budget(budget.clone())
            .retry_if(move |_: CompletedAttempt<'_, u32, u32, BoxError>| {
                decide();
                RetryDecision::Default
            })
            .prepare(move |_: &mut u32, attempt: Attempt| {
                if attempt.number == 2 {
                    prepare();
                }
                Ok::<(), BoxError>(())
            })
            .annotate_give_up(move |_: &mut Result<u32, BoxError>, _: Stopped| annotate());
        let mut service = layer.layer(inner);
        mock.script([Err(MockError::Failed(1)), Err(MockError::Failed(2))]);
        let mut clone = service.clone();
        clone.ready().await.unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            PolledFuture::new(clone.call(1)).poll().is_ready()
        }));
        assert!(panicked.is_err(), "{at} was made to panic");
        drop(clone);
        *trap.lock().unwrap() = "";
        let held = (mock.reserved(), mock.in_flight(), mock.futures());
        assert_eq!(held, (0, 0, 0), "after a panic in {at}");
        let sent = if at == "annotate" { 4.0 } else { 5.0 };
        assert_eq!(budget.balance(), sent, "after a panic in {at}");
        mock.script([]);
        assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
    }
}

/// The iterator of a custom backoff is a hook like the others.
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_backoff_of_ones_own_leaks_nothing() {
    let (inner, mock) = mock();
    let backoff = Backoff::custom(|| std::iter::from_fn(|| panic!("no schedule")));
    let config = RetryConfig::builder().backoff(backoff).build().unwrap();
    let budget = tokens(5);
    let layer = RetryLayer::new("r", config)
        .describe(SAFE)
        .budget(budget.clone());
    let mut service = layer.layer(inner);
    mock.script([Err(MockError::Failed(1))]);
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(1));
    assert!(catch_unwind(AssertUnwindSafe(|| call.poll().is_ready())).is_err());
    drop(call);
    let held = (mock.reserved(), mock.in_flight(), mock.futures());
    assert_eq!((held, budget.balance()), ((0, 0, 0), 5.0));
    assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
}
