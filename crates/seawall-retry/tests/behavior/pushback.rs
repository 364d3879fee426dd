//! Waits that the upstream or a layer below has named.

use super::*;

/// gRFC A6: after a server's pushback the backoff starts again at its beginning. It grew on across
/// it, so that the attempt after a pushback waited as if the upstream had failed all the time.
#[tokio::test(start_paused = true)]
async fn the_backoff_begins_again_after_a_wait_that_the_upstream_named() {
    let results = [
        SERVER,
        SERVER,
        throttled(Some(30 * SECOND)),
        SERVER,
        SERVER,
        Failed::Hinted(20 * SECOND),
        SERVER,
    ];
    let (result, upstream, _) = one_call(ladder(8), Replay::Safe, results).await;
    assert_eq!(result, Ok(7));
    let seconds = [1, 2, 30, 1, 2, 20, 1].map(|n| n * SECOND);
    assert_eq!(upstream.pauses(), seconds);
}

/// A wait of zero names nothing: an upstream that always sends it would be asked at full speed.
#[tokio::test(start_paused = true)]
async fn a_wait_of_zero_does_not_begin_the_backoff_again() {
    let results = [SERVER, throttled(Some(Duration::ZERO)), SERVER];
    let (_, upstream, _) = one_call(ladder(4), Replay::Safe, results).await;
    assert_eq!(upstream.pauses(), [1, 2, 4].map(|n| n * SECOND));
}

/// The waits of a schedule of one's own are what they are, and where it ends the attempts end.
#[tokio::test(start_paused = true)]
async fn a_schedule_of_ones_own_goes_on_across_a_pushback() {
    let schedule = Backoff::custom(|| [1, 5, 30].map(Duration::from_secs));
    let config = RetryConfig::builder().attempts(9).backoff(schedule);
    let config = config.retry_after_jitter(0.0).build().unwrap();
    let results = [SERVER, throttled(Some(20 * SECOND)), SERVER, SERVER, SERVER];
    let (result, upstream, _) = one_call(config, Replay::Safe, results).await;
    assert_eq!((result, upstream.calls()), (Err(SERVER), 4));
    assert_eq!(upstream.pauses(), [1, 20, 30].map(|n| n * SECOND));
}

/// When the attempts after a wait are made: so many calls at once, the wait in milliseconds.
async fn departures(calls: usize, wait: Duration, config: RetryConfig, hint: Failed) -> Vec<u128> {
    let upstream = Upstream::new(std::iter::repeat_n(hint, calls));
    let layer = layer(config, Replay::Safe).without_budget().seed(7);
    let start = Instant::now();
    let calls = (0..calls).map(|_| tokio::spawn(layer.layer(upstream.service()).oneshot(7)));
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), Ok(7));
    }
    let times = upstream.times.lock().unwrap();
    let extra = times.iter().filter(|at| **at >= start + wait);
    extra.map(|at| (*at - start - wait).as_millis()).collect()
}

/// Of twenty that had heard of one pause, nine left within 5 ms of its end, and all of them where
/// the backoff leaves nothing to chance.
#[tokio::test(start_paused = true)]
async fn attempts_after_a_pause_are_spread_over_a_share_of_it() {
    let paused = rejected(Reason::Paused, Some(2 * SECOND));
    for hint in [
        throttled(Some(2 * SECOND)),
        Failed::Hinted(2 * SECOND),
        paused,
    ] {
        let config = RetryConfig::builder()
            .backoff(Backoff::NONE)
            .max_rejection_wait(5 * SECOND);
        let config = config.build().unwrap();
        assert_eq!(config.retry_after_jitter(), 0.1);
        let late = departures(20, 2 * SECOND, config, hint).await;
        assert_eq!(late.len(), 20);
        // A tenth of 2 s, and the tick of the timer.
        assert!(late.iter().all(|ms| *ms <= 201), "{late:?}");
        for from in 0..40 {
            let window = from * 5..from * 5 + 5;
            let together = late.iter().filter(|ms| window.contains(*ms)).count();
            assert!(together <= 4, "{together} of 20 within 5 ms: {late:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_share_is_a_setting_and_zero_is_none() {
    let hint = Failed::Hinted(2 * SECOND);
    let config = |share| {
        let builder = RetryConfig::builder().backoff(Backoff::NONE);
        builder.retry_after_jitter(share).build().unwrap()
    };
    let none = departures(20, 2 * SECOND, config(0.0), hint).await;
    assert_eq!(none, [0; 20]);
    let wide = departures(20, 2 * SECOND, config(1.0), hint).await;
    assert!(wide.iter().max() > Some(&1_000), "{wide:?}");
    for bad in [-0.1, 1.1, f64::NAN] {
        let rejected = RetryConfig::builder().retry_after_jitter(bad).build();
        assert_eq!(rejected.unwrap_err().field(), "retry_after_jitter");
    }
}

/// What chance adds is no reason to give a call up that can be made in time.
#[tokio::test(start_paused = true)]
async fn the_spread_stays_within_the_deadline() {
    let config = RetryConfig::builder()
        .backoff(Backoff::NONE)
        .retry_after_jitter(1.0)
        .overall_timeout(2 * SECOND + SECOND / 20);
    let hint = Failed::Hinted(2 * SECOND);
    let late = departures(20, 2 * SECOND, config.build().unwrap(), hint).await;
    assert_eq!(late.len(), 20, "none was given up");
    assert!(late.iter().all(|ms| *ms <= 50), "{late:?}");
}
