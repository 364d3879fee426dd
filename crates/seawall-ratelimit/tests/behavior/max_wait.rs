//! Waits end in time, whatever other waiters do, and hold nothing meanwhile.

use super::*;

/// The instance of a rejected call may never call again. If it kept what it reserved below, an idle
/// instance would hold a permit of all that share the inner limit.
#[tokio::test(start_paused = true)]
async fn a_rejected_call_keeps_no_reservation() {
    let by_number = |n: &u32| RequestMeta::new(Replay::Safe).with_cost(*n);
    let (inner, mock) = mock();
    mock.set_capacity(1);
    let layer = layer(1, Duration::ZERO).describe(by_number);
    let mut svc = layer.layer(inner);
    assert!(call(&mut svc, 1).poll().is_ready());
    for (cost, reason) in [(1, Reason::RateLimited), (2, Reason::TooExpensive)] {
        let rejected = rejection(call(&mut svc, cost).poll());
        assert_eq!((rejected.reason(), mock.reserved()), (reason, 0));
    }
    assert_eq!(mock.violations(), [""; 0]);
}

/// A skipped waiter that comes back may find the tokens gone. If it waited for new ones with its
/// service ready, no other could use that meanwhile.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_queued_again_keeps_no_reservation() {
    let layer = layer(1, SECOND);
    let ((a, dead), (b, _live)) = (mock(), mock());
    let mut living = layer.layer(b);
    let _granted = call(&mut living, 0);
    let mut stuck = call(&mut layer.layer(a), 1);
    assert!(stuck.poll().is_pending());
    dead.set_pending();
    advance(ms(100)).await;
    assert!(stuck.poll().is_pending());
    assert!(call(&mut living, 2).poll().is_ready());
    dead.set_ready();
    dead.set_capacity(1);
    assert!(stuck.poll().is_pending());
    assert_eq!((dead.reserved(), dead.calls()), (0, 0));
    advance(ms(100)).await;
    assert!(matches!(stuck.poll(), Poll::Ready(Ok(1))));
    assert_eq!(dead.violations(), [""; 0]);
}

/// Skipped waiters may be stuck for long, and no other waits for them. If they counted in the
/// forecast, calls would be rejected whose tokens are there in time.
#[tokio::test(start_paused = true)]
async fn skipped_waiters_are_not_in_the_forecast() {
    let layer = layer(1, ms(400));
    let ((a, dead), (b, live)) = (mock(), mock());
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    let _granted = call(&mut living, 0);
    let mut stuck: Vec<_> = (1..5).map(|n| call(&mut dying, n)).collect();
    assert!(stuck.iter_mut().all(|waiter| waiter.poll().is_pending()));
    dead.set_pending();
    advance(ms(100)).await;
    assert!(stuck.iter_mut().all(|waiter| waiter.poll().is_pending()));
    assert!(call(&mut living, 5).poll().is_ready());
    let mut waits = call(&mut living, 6);
    assert!(waits.poll().is_pending());
    // Queued again, they count again; after leaving, they do not.
    dead.set_ready();
    assert!(stuck.iter_mut().all(|waiter| waiter.poll().is_pending()));
    let rejected = rejection(call(&mut living, 7).poll());
    assert_eq!(rejected.retry_after(), Some(ms(600)));
    drop(stuck);
    let mut last = call(&mut living, 8);
    assert!(last.poll().is_pending());
    advance(ms(100)).await;
    assert!(waits.poll().is_ready());
    assert_eq!(live.requests(), [0, 5, 6]);
}

/// With a burst of one, the token that comes while a timer is late is lost, so that each departure
/// takes full milliseconds. Without this in the forecast, calls would wait in full and be rejected.
#[tokio::test(start_paused = true)]
async fn the_forecast_includes_tokens_lost_to_late_timers() {
    let inner = Departures::new();
    let config = RateLimitConfig::builder()
        .rate(400, SECOND)
        .burst(1)
        .max_wait(ms(260))
        .build()
        .unwrap();
    let layer = RateLimitLayer::new("desk", config);
    let svc = layer.layer(inner.clone());
    let mut tasks = Vec::new();
    for request in 0..100 {
        let future = svc.clone().call(request);
        tasks.push(tokio::spawn(async move { (future.await, Instant::now()) }));
    }
    let mut granted = 0;
    for task in tasks {
        let (result, at) = task.await.unwrap();
        match result {
            Ok(_) => granted += 1,
            Err(_) => assert_eq!(at, inner.start, "rejected at once or not at all"),
        }
    }
    // The first at once, and then one per 3 ms.
    assert_eq!(granted, 87);
    assert_eq!(inner.log().last(), Some(&(86, 258)));
}

/// A waiter may be rejected while there is a token, since its service was not ready to use it. A
/// rejection with a time of zero would send the client straight back.
#[tokio::test(start_paused = true)]
async fn a_rejection_never_has_a_retry_after_of_zero() {
    let config = builder(5).max_wait(SECOND).max_waiting(1).build().unwrap();
    let (inner, mock) = mock();
    let layer = RateLimitLayer::new("desk", config);
    let mut svc = layer.layer(inner);
    for n in 0..5 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let mut waits = call(&mut svc, 5);
    assert!(waits.poll().is_pending());
    mock.set_pending();
    advance(SECOND).await;
    assert_eq!(layer.handle().tokens(), 5.0);
    let stuck = rejection(waits.poll());
    assert_eq!(stuck.retry_after(), Some(ms(1)));
}

/// A waiter that leaves from the middle makes no other the first. Waking one for it would be wasted
/// work, once per waiter that gives up.
#[tokio::test(start_paused = true)]
async fn leaving_from_the_middle_of_the_queue_wakes_no_waiter() {
    let (mut svc, handle, _mock) = subject(1, SECOND);
    let _granted = call(&mut svc, 0);
    let mut queue: Vec<_> = (1..4).map(|n| call(&mut svc, n)).collect();
    assert!(queue.iter_mut().all(|waiter| waiter.poll().is_pending()));
    queue.remove(1);
    assert_eq!((queue[0].wakes(), queue[1].wakes()), (0, 0));
    queue.remove(0);
    assert_eq!((queue[0].wakes(), handle.queue_depth()), (1, 1));
}
