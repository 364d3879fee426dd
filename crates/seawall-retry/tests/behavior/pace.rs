//! The adaptive sending rate.

use super::*;

/// A rate that was throttled at ten requests per second: about 7 per second, an empty bucket.
async fn throttled_rate() -> AdaptiveRate {
    let rate = AdaptiveRate::new();
    let upstream = Upstream::new([]);
    let config = RetryConfig::builder().attempts(1).build().unwrap();
    let layer = layer(config, Replay::Safe).adaptive_rate(rate.clone());
    let mut service = layer.layer(upstream.service());
    let start = Instant::now();
    for _ in 0..100 {
        service.ready().await.unwrap().call(1).await.unwrap();
        advance(SECOND / 10).await;
    }
    assert_eq!(
        (Instant::now() - start),
        10 * SECOND,
        "nothing waits before a throttle"
    );
    assert!(!rate.is_enabled());
    upstream.results.lock().unwrap().push(Err(throttled(None)));
    assert!(service.ready().await.unwrap().call(1).await.is_err());
    assert!(rate.is_enabled());
    rate
}

#[tokio::test(start_paused = true)]
async fn after_a_throttle_first_attempts_are_spaced_by_the_rate() {
    let rate = throttled_rate().await;
    let upstream = Upstream::new([]);
    let layer = layer(ladder(3), Replay::Never).adaptive_rate(rate.clone());
    let start = Instant::now();
    let calls: Vec<_> = (0..5)
        .map(|n| tokio::spawn(layer.layer(upstream.service()).oneshot(n)))
        .collect();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert!(
        (Instant::now() - start) > SECOND / 2,
        "{:?}",
        (Instant::now() - start)
    );
    let times = upstream.times.lock().unwrap();
    assert_eq!(times.len(), 5);
    assert!(times.iter().all(|at| *at - start >= SECOND / 10));
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] > SECOND / 20));
}

#[tokio::test(start_paused = true)]
async fn a_rate_token_that_comes_too_late_is_rejected_unsent_with_the_time_to_come_back() {
    let rate = throttled_rate().await;
    let (inner, mock) = mock();
    let soon = Instant::now() + Duration::from_millis(20);
    let meta = RequestMeta::new(Replay::Never).with_deadline(soon);
    let layer = RetryLayer::new("r", ladder(3))
        .describe(ConstMeta(meta))
        .adaptive_rate(rate);
    let start = Instant::now();
    let mut service = layer.layer(inner);
    let error = service.ready().await.unwrap().call(7).await.unwrap_err();
    let rejection = *error.rejection().unwrap();
    assert_eq!(
        (rejection.reason(), rejection.sent()),
        (Reason::RateLimited, Sent::No)
    );
    assert!(rejection.retry_after().unwrap() > SECOND / 20);
    assert_eq!((Instant::now(), mock.calls()), (start, 0));
    assert_eq!(mock.reserved(), 0);
    assert_eq!(
        layer
            .handle()
            .counts()
            .give_ups
            .of(StopReason::AdaptiveRate),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_waits_for_its_rate_token_gives_it_back() {
    let rate = throttled_rate().await;
    let upstream = Upstream::new([]);
    let layer = layer(ladder(3), Replay::Safe).adaptive_rate(rate.clone());
    let mut service = layer.layer(upstream.service());
    let longest = u64::MAX;
    let next = rate.acquire(0, longest).unwrap();
    rate.release();
    // Never polled, and dropped in the wait.
    drop(service.ready().await.unwrap().call(1));
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(2));
    assert!(call.poll().is_pending());
    drop(call);
    let again = rate.acquire(0, longest).unwrap();
    assert!(again.abs_diff(next) <= 2, "{again}, {next}");
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_rate_token_keeps_nothing_from_itself_or_others() {
    let rate = throttled_rate().await;
    let (inner, mock) = mock();
    mock.set_capacity(1);
    let layer = RetryLayer::new("r", ladder(3)).adaptive_rate(rate);
    let mut service = layer.layer(inner);
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(1));
    assert!(call.poll().is_pending());
    assert_eq!((mock.reserved(), mock.calls()), (0, 0));
    sleep(SECOND).await;
    // The instance that was polled ready is still there.
    assert!(matches!(call.poll(), Poll::Ready(Ok(1))));
    assert_eq!(mock.reserved(), 0);
    assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
}

/// Rejected by a layer below, an attempt was not sent: its token serves the next one.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_rejected_unsent_leaves_its_rate_token_to_others() {
    let rate = throttled_rate().await;
    let before = rate.acquire(0, u64::MAX).unwrap();
    rate.release();
    let upstream = Upstream::new([rejected(Reason::CircuitOpen, None)]);
    let layer = layer(ladder(3), Replay::Safe).adaptive_rate(rate.clone());
    assert!(layer.layer(upstream.service()).oneshot(7).await.is_err());
    let after = rate.acquire(0, u64::MAX).unwrap();
    assert!(after.abs_diff(before) <= 2, "{after}, {before}");
}

#[tokio::test(start_paused = true)]
async fn extra_attempts_wait_for_their_rate_token_too() {
    let rate = throttled_rate().await;
    let upstream = Upstream::new([SERVER; 2]);
    let config = RetryConfig::builder()
        .backoff(Backoff::NONE)
        .build()
        .unwrap();
    let layer = layer(config, Replay::Safe).adaptive_rate(rate);
    assert_eq!(layer.layer(upstream.service()).oneshot(7).await, Ok(7));
    assert!(upstream.pauses().iter().all(|p| *p > SECOND / 20));
    let samples = Mutex::new(Vec::new());
    layer
        .handle()
        .samples(&mut seawall_core::Samples::new(&mut |s| {
            samples.lock().unwrap().push(s.metric.to_owned());
        }));
    let rate = "seawall_retry_sending_rate_per_second";
    assert!(samples.lock().unwrap().iter().any(|metric| metric == rate));
}

/// A signature that cannot be made sends nothing, so its token serves the next call. It was
/// lost: with a key that is away for a minute, the rate starved the calls that had one.
#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_cannot_be_prepared_leaves_its_rate_token_to_others() {
    let rate = throttled_rate().await;
    advance(10 * SECOND).await;
    let free = || {
        let taken = (0..99).take_while(|_| rate.acquire(rate.now(), 0).is_ok());
        let taken = taken.count();
        (0..taken).for_each(|_| rate.release());
        taken
    };
    let before = free();
    assert!(before > 2, "{before}");
    let layer = layer(ladder(3), Replay::Safe)
        .adaptive_rate(rate.clone())
        .prepare(|_: &mut u32, _: Attempt| Err(Failed::With(Outcome::Ignored)));
    let upstream = Upstream::new([]);
    for _ in 0..before {
        assert!(layer.layer(upstream.service()).oneshot(7).await.is_err());
    }
    assert_eq!((free(), upstream.calls()), (before, 0));
}

/// What left before the first throttle has taken no token; rejected below after it, it gave one
/// back all the same, and the rate was exceeded by all that were under way.
#[tokio::test(start_paused = true)]
async fn what_took_no_rate_token_gives_none_back() {
    let rate = AdaptiveRate::new();
    let slow = service_fn(|_: u32| async {
        sleep(SECOND).await;
        Err(rejected(Reason::CircuitOpen, None))
    });
    let layer = layer(ladder(1), Replay::Safe).adaptive_rate(rate.clone());
    let mut calls: Vec<_> = (0..8)
        .map(|n| PolledFuture::new(layer.layer(slow).oneshot(n)))
        .collect();
    for call in &mut calls {
        assert!(call.poll().is_pending());
    }
    for n in 1..=10 {
        rate.on_response(n == 10, rate.now());
        advance(SECOND / 10).await;
    }
    assert!(rate.is_enabled());
    let before = rate.acquire(rate.now(), u64::MAX).unwrap();
    rate.release();
    for mut call in calls {
        assert!(call.poll().is_ready());
    }
    let after = rate.acquire(rate.now(), u64::MAX).unwrap();
    assert!(after.abs_diff(before) <= 2, "{after}, {before}");
}

/// Whichever callers wait and go away, no more are sent than the rate earns.
#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_in_their_wait_do_not_speed_the_others_up() {
    let rate = throttled_rate().await;
    let allowed = rate.rate();
    let upstream = Upstream::new([]);
    let config = RetryConfig::builder().attempts(1).build().unwrap();
    let layer = layer(config, Replay::Safe).adaptive_rate(rate.clone());
    let start = Instant::now();
    let mut calls: Vec<_> = (0..40)
        .map(|n| {
            Some(PolledFuture::new(
                layer.layer(upstream.service()).oneshot(n),
            ))
        })
        .collect();
    for step in 0..40_u32 {
        for (n, slot) in calls.iter_mut().enumerate() {
            if let Some(call) = slot
                && (n as u32 % 4 == step % 4 && n as u32 > step || call.poll().is_ready())
            {
                *slot = None;
            }
        }
        advance(SECOND / 10).await;
        let seconds = (Instant::now() - start).as_secs_f64();
        let most = 1.0 + allowed.max(rate.rate()) * (seconds + 1.0);
        assert!(
            (upstream.calls() as f64) <= most,
            "{} in {seconds} s",
            upstream.calls()
        );
    }
    assert!(upstream.calls() > 0);
}
