//! What is retried, and when.

use super::*;

#[tokio::test(start_paused = true)]
async fn attempts_are_made_as_far_apart_as_the_backoff_says_until_one_succeeds() {
    let (result, upstream, handle) = one_call(ladder(5), Replay::Safe, [SERVER; 3]).await;
    assert_eq!(result, Ok(7));
    assert_eq!(upstream.pauses(), [SECOND, 2 * SECOND, 4 * SECOND]);
    assert_eq!(
        (handle.counts().attempts.total(), handle.counts().retries),
        (4, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_result_comes_back_when_all_attempts_have_failed() {
    let results = [SERVER, UNKNOWN, Failed::Hinted(SECOND), SERVER];
    let (result, upstream, handle) = one_call(ladder(3), Replay::Safe, results).await;
    assert_eq!(result, Err(Failed::Hinted(SECOND)));
    assert_eq!(upstream.calls(), 3);
    assert_eq!(handle.counts().give_ups.attempts_exhausted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_must_not_be_sent_twice_is_sent_once() {
    for failed in [SERVER, UNKNOWN, throttled(None), Failed::Hinted(SECOND)] {
        let (result, upstream, handle) = one_call(ladder(5), Replay::Never, [failed]).await;
        assert_eq!(result, Err(failed));
        assert_eq!(upstream.calls(), 1);
        assert_eq!(handle.counts().give_ups.not_replay_safe, 1);
    }
    // Nothing is known of an undescribed request, so nothing is risked.
    let upstream = Upstream::new([SERVER]);
    let layer = RetryLayer::new("r", ladder(5)).classify(ByError);
    let mut service = layer.layer(upstream.service());
    assert_eq!(service.ready().await.unwrap().call(7).await, Err(SERVER));
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_certainly_not_sent_is_retried_whatever_it_is() {
    for replay in [Replay::Never, Replay::Safe, Replay::SafeWithKey] {
        let (result, upstream, _) = one_call(ladder(3), replay, [NOT_SENT, NOT_SENT]).await;
        assert_eq!(result, Ok(7));
        assert_eq!(upstream.calls(), 3);
    }
    // Once it may have been sent, that was the end of it.
    let results = [NOT_SENT, UNKNOWN];
    let (result, upstream, _) = one_call(ladder(3), Replay::Never, results).await;
    assert_eq!((result, upstream.calls()), (Err(UNKNOWN), 2));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_timed_out_is_retried_only_when_that_is_safe() {
    let timeout = Rejection::new(Reason::AttemptTimeout, "below").with_sent(Sent::Maybe);
    let failed = Failed::Rejected(timeout);
    let (result, upstream, _) = one_call(ladder(3), Replay::SafeWithKey, [failed]).await;
    assert_eq!((result, upstream.calls()), (Ok(7), 2));
    let (result, upstream, _) = one_call(ladder(3), Replay::Never, [failed]).await;
    assert_eq!((result, upstream.calls()), (Err(failed), 1));
}

#[tokio::test(start_paused = true)]
async fn bans_quotas_and_ignored_results_end_the_call() {
    for outcome in [
        Outcome::Ignored,
        Outcome::Banned { lasts: None },
        Outcome::QuotaExhausted {
            renews_in: Some(SECOND),
        },
    ] {
        let failed = Failed::With(outcome);
        let (result, upstream, _) = one_call(ladder(3), Replay::Safe, [failed]).await;
        assert_eq!((result, upstream.calls()), (Err(failed), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_made_before_the_time_that_the_upstream_named() {
    let hints = [throttled(Some(5 * SECOND)), Failed::Hinted(7 * SECOND)];
    let (result, upstream, _) = one_call(ladder(3), Replay::Safe, hints).await;
    assert_eq!(result, Ok(7));
    assert_eq!(upstream.pauses(), [5 * SECOND, 7 * SECOND]);
    // A shorter hint than the backoff does not shorten it.
    let hints = [throttled(Some(SECOND / 2))];
    let (_, upstream, _) = one_call(ladder(3), Replay::Safe, hints).await;
    assert_eq!(upstream.pauses(), [SECOND]);
}

#[tokio::test(start_paused = true)]
async fn a_longer_retry_after_than_allowed_ends_the_call_at_once() {
    let start = Instant::now();
    for failed in [throttled(Some(61 * SECOND)), Failed::Hinted(Duration::MAX)] {
        let (result, upstream, _) = one_call(ladder(3), Replay::Safe, [failed]).await;
        assert_eq!((result, upstream.calls()), (Err(failed), 1));
    }
    assert_eq!(Instant::now(), start);
}

#[tokio::test(start_paused = true)]
async fn throttled_requests_can_be_left_alone() {
    let config = RetryConfig::builder().retry_throttled(false);
    let failed = throttled(None);
    let (result, upstream, _) = one_call(config.build().unwrap(), Replay::Safe, [failed]).await;
    assert_eq!((result, upstream.calls()), (Err(failed), 1));
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_begun_that_cannot_end_before_the_deadline() {
    let upstream = Upstream::new([SERVER; 9]);
    let deadline = Instant::now() + 3 * SECOND;
    let layer = layer(ladder(9), Replay::Safe).describe(ConstMeta(
        RequestMeta::new(Replay::Safe).with_deadline(deadline),
    ));
    let mut service = layer.layer(upstream.service());
    let start = Instant::now();
    // One second, then two would end exactly when the result is of no use any more.
    assert_eq!(service.ready().await.unwrap().call(7).await, Err(SERVER));
    assert_eq!(upstream.pauses(), [SECOND]);
    assert_eq!(Instant::now(), start + SECOND);
    // A deadline that has passed leaves one attempt.
    advance(10 * SECOND).await;
    assert_eq!(service.ready().await.unwrap().call(7).await, Err(SERVER));
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_attempt_means_one_attempt() {
    let (result, upstream, handle) = one_call(ladder(1), Replay::Safe, [SERVER]).await;
    assert_eq!((result, upstream.calls()), (Err(SERVER), 1));
    assert_eq!(
        (handle.counts().attempts.total(), handle.counts().retries),
        (1, 0)
    );
}

/// All calls that got the same time came back at one instant, and took the upstream down again.
#[tokio::test(start_paused = true)]
async fn calls_that_got_the_same_retry_after_come_back_apart_and_none_too_early() {
    let backoff = Backoff::exponential(SECOND, 60 * SECOND).unwrap();
    let config = RetryConfig::builder().backoff(backoff).build().unwrap();
    let upstream = Upstream::new([Failed::Hinted(5 * SECOND); 50]);
    let layer = layer(config, Replay::Safe).budget(tokens(50)).seed(1);
    let start = Instant::now();
    let calls: Vec<_> = (0..50)
        .map(|n| tokio::spawn(layer.layer(upstream.service()).oneshot(n)))
        .collect();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    let times = upstream.times.lock().unwrap();
    let later = times.iter().skip(50).map(|at| *at - start);
    let waits: std::collections::BTreeSet<_> = later.collect();
    assert!(waits.len() > 25, "{waits:?}");
    let slack = Duration::from_millis(1);
    assert!(
        waits
            .iter()
            .all(|w| (5 * SECOND..=6 * SECOND + slack).contains(w))
    );
}

/// With no pause and an inner service that fails at once the future was never `Pending`: three
/// million attempts in one poll, and the deadline above was not looked at.
#[tokio::test(start_paused = true)]
async fn attempts_without_a_pause_let_others_run_now_and_then() {
    let config = RetryConfig::builder()
        .attempts(u32::MAX)
        .backoff(Backoff::NONE)
        .build()
        .unwrap();
    let layer = RetryLayer::new("r", config).describe(SAFE).without_budget();
    let handle = layer.handle();
    let down = service_fn(|_: u32| std::future::ready(Err::<(), Rejection>(down())));
    fn down() -> Rejection {
        Rejection::new(Reason::AttemptTimeout, "below").with_sent(Sent::Maybe)
    }
    let mut call = PolledFuture::new(layer.layer(down).oneshot(7));
    for polls in 1..=3 {
        assert!(call.poll().is_pending());
        assert_eq!(handle.counts().attempts.total(), polls * 32);
        assert!(call.wakes() > 0, "the task goes on by itself");
    }
}
