//! Time limits of attempts and calls.

use super::*;

fn limited(attempt: Option<Duration>, overall: Option<Duration>) -> RetryConfig {
    let backoff = Backoff::constant(SECOND).unwrap();
    let mut config = RetryConfig::builder().attempts(5).backoff(backoff);
    if let Some(limit) = attempt {
        config = config.attempt_timeout(limit);
    }
    if let Some(limit) = overall {
        config = config.overall_timeout(limit);
    }
    config.build().unwrap()
}

/// Takes so long for each attempt, then succeeds; the last for all further ones.
fn slow<const N: usize>(
    seconds: [u32; N],
) -> (
    impl Service<u32, Response = u32, Error = Failed, Future: Send> + Clone,
    Arc<AtomicUsize>,
) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = service_fn(move |n: u32| {
        let nth = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            sleep(seconds[nth.min(N - 1)] * SECOND).await;
            Ok(n)
        }
    });
    (service, calls)
}

fn rejection_of(result: Result<u32, Failed>) -> (Reason, Sent) {
    let error = result.expect_err("a rejection");
    let rejection = error.rejection().expect("a rejection of a layer");
    assert_eq!(rejection.name().as_str(), "r");
    (rejection.reason(), rejection.sent())
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_dropped_and_retried_when_that_is_safe() {
    for (replay, calls) in [(Replay::Safe, 3), (Replay::Never, 1)] {
        let (inner, count) = slow([9, 9, 1]);
        let layer = layer(limited(Some(2 * SECOND), None), replay);
        let start = Instant::now();
        let result = layer.layer(inner).oneshot(7).await;
        assert_eq!(count.load(Ordering::Relaxed), calls);
        if calls == 3 {
            assert_eq!(result, Ok(7));
            assert_eq!((Instant::now() - start), (2 + 1 + 2 + 1 + 1) * SECOND);
        } else {
            assert_eq!(rejection_of(result), (Reason::AttemptTimeout, Sent::Maybe));
            assert_eq!((Instant::now() - start), 2 * SECOND);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_overall_timeout_ends_an_attempt_that_is_under_way() {
    let (inner, count) = slow([9]);
    let layer = layer(limited(None, Some(3 * SECOND)), Replay::Safe);
    let start = Instant::now();
    let result = layer.layer(inner).oneshot(7).await;
    assert_eq!(
        rejection_of(result),
        (Reason::DeadlineExceeded, Sent::Maybe)
    );
    assert_eq!(
        ((Instant::now() - start), count.load(Ordering::Relaxed)),
        (3 * SECOND, 1)
    );
    assert_eq!(layer.handle().counts().give_ups.of(StopReason::Deadline), 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_limits_the_earlier_holds_in_every_attempt() {
    let (inner, count) = slow([9]);
    let config = limited(Some(2 * SECOND), Some(4 * SECOND));
    let start = Instant::now();
    let result = layer(config, Replay::Safe).layer(inner).oneshot(7).await;
    // Two seconds, a pause, and one second that is left.
    let text = format!("{:?}", result.as_ref().unwrap_err());
    assert!(text.contains("Attempts(2)"), "{text}");
    assert_eq!(
        rejection_of(result),
        (Reason::DeadlineExceeded, Sent::Maybe)
    );
    assert_eq!(
        ((Instant::now() - start), count.load(Ordering::Relaxed)),
        (4 * SECOND, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_begun_that_the_overall_timeout_would_end() {
    let upstream = Upstream::new([SERVER; 9]);
    let layer = layer(limited(None, Some(3 * SECOND)), Replay::Safe);
    let start = Instant::now();
    let result = layer.layer(upstream.service()).oneshot(7).await;
    assert_eq!(result, Err(SERVER), "the real error");
    assert_eq!(upstream.pauses(), [SECOND, SECOND]);
    assert_eq!((Instant::now() - start), 2 * SECOND, "and early");
}

#[tokio::test(start_paused = true)]
async fn the_requests_own_deadline_holds_where_it_is_earlier() {
    let meta =
        |at: Duration| ConstMeta(RequestMeta::new(Replay::Safe).with_deadline(Instant::now() + at));
    for (own, overall, ends) in [
        (2, Some(5 * SECOND), Some(2)),
        (9, Some(5 * SECOND), Some(5)),
        (2, Some(Duration::MAX), Some(2)),
        // Without the setting it ends waits only: a deadline layer above does the rest.
        (2, None, None),
    ] {
        let (inner, _) = slow([30]);
        let layer = layer(limited(None, overall), Replay::Safe).describe(meta(own * SECOND));
        let start = Instant::now();
        let result = layer.layer(inner).oneshot(7).await;
        match ends {
            Some(seconds) => {
                assert_eq!(
                    rejection_of(result),
                    (Reason::DeadlineExceeded, Sent::Maybe)
                );
                assert_eq!((Instant::now() - start), seconds * SECOND);
            }
            None => assert_eq!((result, (Instant::now() - start)), (Ok(7), 30 * SECOND)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_in_the_last_moment_counts() {
    let (inner, _) = slow([2]);
    let layer = layer(limited(Some(2 * SECOND), None), Replay::Safe);
    assert_eq!(layer.layer(inner).oneshot(7).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn the_time_limits_start_with_the_first_poll() {
    let (inner, _) = slow([2]);
    let layer = layer(limited(Some(3 * SECOND), Some(3 * SECOND)), Replay::Safe);
    let mut service = layer.layer(inner);
    let call = service.ready().await.unwrap().call(7);
    advance(10 * SECOND).await;
    assert_eq!(call.await, Ok(7));
}

#[test]
fn a_result_that_is_there_at_once_needs_no_timer_no_runtime_and_no_allocation() {
    let upstream = service_fn(|n: u32| std::future::ready(Ok::<_, Rejection>(n)));
    let mut service = RetryLayer::new("r", limited(Some(SECOND), Some(SECOND)))
        .describe(SAFE)
        .layer(upstream);
    let mut once = || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut future = std::pin::pin!(service.call(7));
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Ok(7)));
    };
    once();
    assert_eq!(seawall_testkit::alloc::count(&mut once).allocations, 0);
}

#[test]
fn impossible_limits_are_rejected_by_name() {
    let field = |config: seawall_retry::RetryConfigBuilder| {
        config
            .build()
            .map_err(|e| e.field().to_owned())
            .unwrap_err()
    };
    let config = RetryConfig::builder;
    assert_eq!(
        field(config().attempt_timeout(Duration::ZERO)),
        "attempt_timeout"
    );
    assert_eq!(
        field(config().overall_timeout(Duration::ZERO)),
        "overall_timeout"
    );
    let swapped = config().attempt_timeout(2 * SECOND).overall_timeout(SECOND);
    assert_eq!(field(swapped), "attempt_timeout");
    let longest = config().overall_timeout(Duration::MAX).build().unwrap();
    assert_eq!(longest.overall_timeout(), Some(Duration::MAX));
}

/// A task that was not polled for a while sent its extra attempt although nobody wanted the
/// result any more.
#[tokio::test(start_paused = true)]
async fn no_extra_attempt_is_made_when_the_deadline_has_passed_meanwhile() {
    let soon = rejected(Reason::CircuitOpen, Some(SECOND));
    for (first, expected) in [
        (SERVER, Err(SERVER)),
        (NOT_SENT, Err(NOT_SENT)),
        (soon, Ok((Reason::DeadlineExceeded, Sent::No))),
    ] {
        let upstream = Upstream::new([first]);
        let budget = tokens(3);
        let deadline = Instant::now() + 3 * SECOND;
        let config = RetryConfig::builder().max_rejection_wait(2 * SECOND);
        let backoff = Backoff::constant(SECOND).unwrap();
        let layer = layer(config.backoff(backoff).build().unwrap(), Replay::Safe)
            .describe(ConstMeta(
                RequestMeta::new(Replay::Safe).with_deadline(deadline),
            ))
            .budget(budget.clone());
        let mut call = PolledFuture::new(layer.layer(upstream.service()).oneshot(7));
        assert!(call.poll().is_pending());
        advance(3 * SECOND).await;
        let Poll::Ready(result) = call.poll() else {
            panic!("the pause is over");
        };
        // The upstream's last result, if there is one.
        match expected {
            Ok(rejection) => assert_eq!(rejection_of(result), rejection),
            failed @ Err(_) => assert_eq!(result, failed.map(|_| 0)),
        }
        assert_eq!((upstream.calls(), budget.balance()), (1, 3.0));
        assert_eq!(layer.handle().counts().give_ups.of(StopReason::Deadline), 1);
    }
}

/// The same where the service of the next attempt was ready only then.
#[tokio::test(start_paused = true)]
async fn no_extra_attempt_is_made_by_a_service_that_is_ready_too_late() {
    let (inner, mock) = mock();
    mock.script([Err(MockError::Failed(1))]);
    let config = RetryConfig::builder().backoff(Backoff::NONE).build();
    let deadline = Instant::now() + SECOND;
    let layer = RetryLayer::new("r", config.unwrap()).describe(ConstMeta(
        RequestMeta::new(Replay::Safe).with_deadline(deadline),
    ));
    let mut service = layer.layer(inner);
    let call = service.ready().await.unwrap().call(7);
    mock.set_pending();
    let mut call = PolledFuture::new(call);
    assert!(call.poll().is_pending());
    advance(2 * SECOND).await;
    mock.set_ready();
    let Poll::Ready(result) = call.poll() else {
        panic!("too late");
    };
    assert!(
        result.unwrap_err().is::<MockError>(),
        "the last real result"
    );
    assert_eq!(layer.handle().counts().give_ups.of(StopReason::Deadline), 1);
    assert_eq!((mock.requests(), mock.reserved()), (vec![7], 0));
}

/// A first attempt that waited for its token of the sending rate is no different.
#[tokio::test(start_paused = true)]
async fn no_first_attempt_is_made_when_its_rate_token_came_too_late() {
    let rate = AdaptiveRate::new();
    rate.on_response(true, rate.now());
    let upstream = Upstream::new([]);
    let layer = layer(limited(None, Some(5 * SECOND)), Replay::Never).adaptive_rate(rate);
    let mut call = PolledFuture::new(layer.layer(upstream.service()).oneshot(7));
    assert!(call.poll().is_pending(), "two seconds at 0.5 per second");
    advance(6 * SECOND).await;
    let Poll::Ready(result) = call.poll() else {
        panic!("the wait is over");
    };
    assert_eq!(rejection_of(result), (Reason::DeadlineExceeded, Sent::No));
    assert_eq!(upstream.calls(), 0);
}

/// Timers fire on whole milliseconds: a wait that ended half a millisecond before the deadline
/// ended half a millisecond after it.
#[tokio::test(start_paused = true)]
async fn no_wait_is_begun_that_a_coarse_timer_would_end_after_the_deadline() {
    let micros = Duration::from_micros;
    for left in [600, 900, 1_000] {
        let backoff = Backoff::constant(SECOND + micros(500)).unwrap();
        let config = RetryConfig::builder().backoff(backoff).build().unwrap();
        let upstream = Upstream::new([SERVER; 9]);
        let start = Instant::now();
        let deadline = start + SECOND + micros(left);
        let layer = layer(config, Replay::Safe).describe(ConstMeta(
            RequestMeta::new(Replay::Safe).with_deadline(deadline),
        ));
        let result = layer.layer(upstream.service()).oneshot(7).await;
        assert_eq!(result, Err(SERVER), "the real error, {left}");
        assert_eq!((upstream.calls(), Instant::now()), (1, start), "at once");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_timed_out_is_never_retried_whatever_a_predicate_wants() {
    let (inner, count) = slow([9, 1]);
    let config = limited(Some(2 * SECOND), None);
    let layer = layer(config, Replay::Never)
        .retry_if(|_: CompletedAttempt<'_, u32, u32, Failed>| RetryDecision::Retry);
    let result = layer.layer(inner).oneshot(7).await;
    assert_eq!(rejection_of(result), (Reason::AttemptTimeout, Sent::Maybe));
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert_eq!(layer.handle().counts().give_ups.not_replay_safe, 1);
}

/// An attempt that was given up may be executed all the same, and the attempt after it was not sent:
/// the call says so.
#[tokio::test(start_paused = true)]
async fn a_call_whose_timed_out_attempt_is_followed_by_an_unsent_one_is_maybe_sent() {
    let calls = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |n: u32| {
        let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                sleep(9 * SECOND).await;
                return Ok(n);
            }
            Err(NOT_SENT)
        }
    });
    let layer = layer(limited(Some(2 * SECOND), None), Replay::SafeWithKey).budget(tokens(1));
    let result = layer.layer(service).oneshot(7).await;
    assert_eq!(rejection_of(result), (Reason::OutcomeUnknown, Sent::Maybe));
}

/// A rejection names its figure: the limit of the attempt.
#[tokio::test(start_paused = true)]
async fn a_timeout_says_how_long_the_attempt_could_take() {
    let config = RetryConfig::builder()
        .attempts(1)
        .attempt_timeout(2 * SECOND);
    let layer = layer(config.build().unwrap(), Replay::Safe);
    let (service, _) = slow([5]);
    let error = layer.layer(service).oneshot(7).await.unwrap_err();
    assert_eq!(
        error.rejection().unwrap().to_string(),
        "retry `r`: the attempt timed out (after 2 s); the request may have been sent"
    );
}

#[test]
fn settings_write_durations_alike() {
    let config = RetryConfig::builder()
        .max_retry_after(Duration::MAX)
        .overall_timeout(Duration::MAX);
    let layer = RetryLayer::new("r", config.build().unwrap());
    let settings = layer.handle().settings();
    for (field, value) in [
        ("max_retry_after", "forever"),
        ("overall_timeout", "forever"),
        ("attempt_timeout", "none"),
        ("max_rejection_wait", "0s"),
        ("retry_after_jitter", "0.1"),
    ] {
        assert!(
            settings.contains(&(field, value.to_owned())),
            "{settings:?}"
        );
    }
}
