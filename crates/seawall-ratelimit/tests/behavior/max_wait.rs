//! Waits that end in time, whatever the others do; and what is kept meanwhile.

use super::*;

/// A head that is kept and polled no more calls nobody. Had those behind it no timer of their
/// own, they would have waited for it for ever, with a bucket full of tokens.
#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_max_wait_behind_a_head_that_is_not_polled() {
    let inner = Departures::new();
    let layer = layer(1, ms(500));
    let svc = layer.layer(inner.clone());
    let _granted = svc.clone().call(0).await;
    let mut kept = call(&mut svc.clone(), 1);
    assert!(kept.poll().is_pending());
    let mut behind = Vec::new();
    for request in [2, 3] {
        behind.push(tokio::spawn(svc.clone().call(request)));
        tokio::task::yield_now().await;
    }
    let behind = [
        behind.remove(0).await.unwrap(),
        behind.remove(0).await.unwrap(),
    ];
    assert_eq!(Instant::now() - inner.start, ms(500));
    // One token was there for the two of them, when their patience ended.
    let (taken, rejected) = match behind {
        [Ok(at), Err(error)] | [Err(error), Ok(at)] => (at, error),
        both => panic!("{both:?}"),
    };
    assert_eq!(taken, 500);
    let rejection = rejected.rejection().expect("a rejection of the limit");
    assert_eq!(rejection.reason(), Reason::RateLimited);
    // One who comes now, too; and the head still has its rank.
    assert_eq!(svc.clone().call(4).await, Ok(1_000));
    assert_eq!(layer.handle().queue_depth(), 1);
    advance(ms(100)).await;
    assert!(kept.poll().is_ready());
}

/// A rejected call goes away, and its instance may never call again. Had it kept what it reserved
/// below, an idle instance would have taken a place from all who share the inner limit.
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

/// A waiter that comes back from standing aside may find the tokens gone. Had it waited for new
/// ones with its service ready, nobody else could have used that meanwhile.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_back_in_line_keeps_no_reservation() {
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

/// Those who stand aside may be stuck for long, and nobody waits for them. Had they counted in
/// the forecast, calls would have been rejected whose tokens were there in time.
#[tokio::test(start_paused = true)]
async fn those_who_stand_aside_are_not_in_the_forecast() {
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
    // Back in line, they count again; leaving, they do not.
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
/// takes whole milliseconds. Without this in the forecast, calls waited in full and were rejected.
#[tokio::test(start_paused = true)]
async fn nobody_is_promised_a_turn_that_late_timers_take_away() {
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
        let answer = svc.clone().call(request);
        tasks.push(tokio::spawn(async move { (answer.await, Instant::now()) }));
    }
    let mut granted = 0;
    for task in tasks {
        let (answer, at) = task.await.unwrap();
        match answer {
            Ok(_) => granted += 1,
            Err(_) => assert_eq!(at, inner.start, "rejected at once or not at all"),
        }
    }
    // The first at once, and then one per 3 ms.
    assert_eq!(granted, 87);
    assert_eq!(inner.log().last(), Some(&(86, 258)));
}

/// A line may be full while there is a token, until its head departs. A rejection that names no
/// time at all would have sent the client straight back.
#[tokio::test(start_paused = true)]
async fn a_rejection_never_says_to_come_back_at_once() {
    let config = builder(5).max_wait(SECOND).max_waiting(1).build().unwrap();
    let (inner, mock) = mock();
    let layer = RateLimitLayer::new("desk", config);
    let mut svc = layer.layer(inner);
    for n in 0..5 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let mut waits = call(&mut svc, 5);
    assert!(waits.poll().is_pending());
    advance(ms(400)).await;
    assert_eq!(layer.handle().tokens(), 4.0);
    let full = rejection(call(&mut svc, 6).poll());
    assert_eq!(full.retry_after(), Some(ms(100)));
    // Nor does one of a call whose service was not ready to use its tokens.
    mock.set_pending();
    advance(ms(600)).await;
    let stuck = rejection(waits.poll());
    assert_eq!(stuck.retry_after(), Some(ms(100)));
}

/// Who leaves from farther back was not called for anything. Waking the head for it would be work
/// for nothing, once per waiter that gives up.
#[tokio::test(start_paused = true)]
async fn leaving_from_the_middle_of_the_line_wakes_nobody() {
    let (mut svc, handle, _mock) = subject(1, SECOND);
    let _granted = call(&mut svc, 0);
    let mut line: Vec<_> = (1..4).map(|n| call(&mut svc, n)).collect();
    assert!(line.iter_mut().all(|waiter| waiter.poll().is_pending()));
    line.remove(1);
    assert_eq!((line[0].wakes(), line[1].wakes()), (0, 0));
    line.remove(0);
    assert_eq!((line[0].wakes(), handle.queue_depth()), (1, 1));
}
