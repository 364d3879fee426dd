//! How much an overloaded upstream receives, and how it recovers.

use super::*;

/// The result of a load.
struct Load {
    /// Requests per second that reached the upstream.
    reached: f64,
    /// Requests per second that it accepted.
    accepted: f64,
    /// When the first ten seconds began in which nothing was rejected here.
    admitted: Option<Duration>,
}

/// Sends `rate` requests per second for `lasts` to an upstream that accepts `capacity` per
/// second, and as many at once.
async fn load(service: &mut ScriptedThrottle, rate: u32, capacity: f64, lasts: Duration) -> Load {
    let gap = SECOND / rate;
    let (mut tokens, mut reached, mut accepted) = (0.0_f64, 0_u32, 0_u32);
    let (mut in_a_row, mut admitted) = (0, None);
    let calls = (lasts.as_secs_f64() * f64::from(rate)) as u32;
    for n in 0..calls {
        tokens = (tokens + capacity / f64::from(rate)).min(capacity);
        let accepts = tokens >= 1.0;
        let result = if accepts { Ok(()) } else { Err(BUSY) };
        if send(service, request(result, Priority::NORMAL)) {
            tokens -= f64::from(u8::from(accepts));
            accepted += u32::from(accepts);
            reached += 1;
            in_a_row += 1;
        } else {
            in_a_row = 0;
        }
        if in_a_row == 10 * rate && admitted.is_none() {
            admitted = Some(gap * (n + 1) - 10 * SECOND);
        }
        advance(gap).await;
    }
    let per_second = |n: u32| f64::from(n) / lasts.as_secs_f64();
    Load {
        reached: per_second(reached),
        accepted: per_second(accepted),
        admitted,
    }
}

#[tokio::test(start_paused = true)]
async fn an_overload_is_cut_down_to_the_multiple_of_the_capacity() {
    for multiplier in [1.1, 1.5, 2.0, 3.0] {
        let (mut service, ..) = scripted(builder().accept_multiplier(multiplier));
        load(&mut service, 100, 10.0, 2 * WINDOW).await;
        let load = load(&mut service, 100, 10.0, 2 * WINDOW).await;
        let times = load.reached / 10.0;
        assert!(
            (times / multiplier - 1.0).abs() < 0.1,
            "{multiplier}: {times}"
        );
        assert!(load.accepted > 9.5, "{multiplier}: {}", load.accepted);
    }
}

/// Calls that were rejected here count as requests until they are out of the window, and calls
/// that pass meanwhile have to make up for them.
#[tokio::test(start_paused = true)]
async fn every_call_passes_again_within_two_windows_after_the_overload() {
    let after = async |rate, before: f64, since: f64| {
        let (mut service, handle, _) = scripted(builder());
        load(&mut service, 100, before, 2 * WINDOW).await;
        assert!(handle.rejection_probability() > 0.7);
        let load = load(&mut service, rate, since, 3 * WINDOW).await;
        assert_eq!(handle.rejection_probability(), 0.0);
        load.admitted.expect("ten seconds without a rejection")
    };
    for (rate, before, since, windows) in [
        // The upstream has grown, the load has gone, nothing at all was accepted before.
        (100, 10.0, 200.0, 1.25),
        (5, 10.0, 10.0, 1.75),
        (100, 0.0, 200.0, 2.0),
    ] {
        let admitted = after(rate, before, since).await;
        let bound = WINDOW.mul_f64(windows);
        assert!(admitted < bound, "{before}/s, then {since}/s: {admitted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_idle_for_a_window_starts_again() {
    let (mut service, handle, _) = scripted(builder());
    send_many(&mut service, 1_000, Err(BUSY), Priority::NORMAL);
    advance(WINDOW - WINDOW / 16).await;
    assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 30);
    let rejected = handle.counts().rejected;
    // No call has evaluated the counters meanwhile: this one does.
    advance(WINDOW).await;
    assert_eq!(send_many(&mut service, 9, Err(BUSY), Priority::NORMAL), 9);
    assert_eq!(handle.counts().rejected, rejected);
}

#[tokio::test(start_paused = true)]
async fn late_results_count_from_the_moment_they_come() {
    let (inner, mock) = mock();
    let layer = layer_of(builder());
    let mut service = layer.layer(inner);
    mock.hold_responses();
    let mut open: Vec<_> = (0..20).map(|n| call(&mut service, n)).collect();
    advance(WINDOW).await;
    for (n, call) in open.iter_mut().enumerate() {
        mock.respond(n, Err(MockError::Failed(1)));
        assert!(call.poll().is_ready());
    }
    advance(WINDOW / 2).await;
    assert_eq!(layer.handle().snapshot().classes[2].requests, 20);
    advance(WINDOW / 2).await;
    assert_eq!(layer.handle().snapshot().classes[2].requests, 0);
}

/// Counted when they are made, as in the book, the calls in flight would count against an upstream
/// that had no time to respond: the eleventh call of a burst would be rejected.
#[tokio::test(start_paused = true)]
async fn a_burst_before_the_first_response_is_not_rejected() {
    let (inner, mock) = mock();
    let layer = layer_of(builder());
    let mut service = layer.layer(inner);
    mock.hold_responses();
    let mut open = Vec::new();
    for n in 0..1_000 {
        open.push(call(&mut service, n));
        advance(ms(1)).await;
    }
    assert!(open.iter_mut().all(|call| call.poll().is_pending()));
    mock.respond_to_all();
    assert!(
        open.iter_mut()
            .all(|call| matches!(call.poll(), Poll::Ready(Ok(_))))
    );
    let counts = layer.handle().counts();
    assert_eq!((counts.accepted, counts.rejected), (1_000, 0));
}
