//! Services that are stuck, fail or panic.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_service_is_not_ready_is_skipped_and_keeps_its_rank() {
    let layer = layer(1, 10 * SECOND);
    let ((a, dead), (b, live)) = (mock(), mock());
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    let _granted = call(&mut living, 0);
    let mut stuck = call(&mut dying, 1);
    let mut next = call(&mut living, 2);
    let mut last = call(&mut living, 3);
    assert!(stuck.poll().is_pending() && next.poll().is_pending() && last.poll().is_pending());
    dead.set_pending();
    advance(ms(100)).await;
    assert!(stuck.poll().is_pending());
    // The next one goes, the last one sets its timer.
    assert_eq!((next.wakes(), last.wakes()), (1, 1));
    assert!(next.poll().is_ready());
    assert_eq!(last.wakes(), 1);
    assert!(last.poll().is_pending());
    // It took no token while it was stuck; its rank is before the last one.
    dead.set_ready();
    assert!(stuck.poll().is_pending());
    advance(ms(100)).await;
    assert!(last.poll().is_pending());
    assert!(stuck.poll().is_ready());
    advance(ms(100)).await;
    assert!(last.poll().is_ready());
    assert_eq!((dead.requests(), live.requests()), (vec![1], vec![0, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn a_skipped_waiter_that_comes_back_does_not_overtake_higher_ranks() {
    let layer = layer(1, 10 * SECOND);
    let ((a, one), (b, two), (c, live)) = (mock(), mock(), mock());
    let mut living = layer.layer(c);
    let _granted = call(&mut living, 0);
    let mut first = call(&mut layer.layer(a), 1);
    let mut second = call(&mut layer.layer(b), 2);
    assert!(first.poll().is_pending() && second.poll().is_pending());
    one.set_pending();
    two.set_pending();
    advance(ms(100)).await;
    assert!(first.poll().is_pending() && second.poll().is_pending());
    // The queue is empty while both are stuck: a new call need not wait.
    assert!(matches!(call(&mut living, 3).poll(), Poll::Ready(Ok(3))));
    assert_eq!(layer.handle().counts().waited, 2);
    one.set_ready();
    assert!(first.poll().is_pending());
    advance(ms(100)).await;
    two.set_ready();
    assert!(second.poll().is_pending());
    assert_eq!(two.calls(), 0);
    assert!(first.poll().is_ready());
    advance(ms(100)).await;
    assert!(second.poll().is_ready());
    assert_eq!((one.requests(), live.requests()), (vec![1], vec![0, 3]));
}

#[tokio::test(start_paused = true)]
async fn when_the_service_recovers_stuck_waiters_depart_at_the_rate() {
    let inner = Departures::new();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let layer = layer(1, 60 * SECOND);
    let limit = ConcurrencyLimit::with_semaphore(inner.clone(), Arc::clone(&gate));
    let mut svc = layer.layer(limit);
    gate.add_permits(1);
    // The first one goes; the service is stuck from then on for a second.
    std::future::poll_fn(|cx| svc.poll_ready(cx)).await.unwrap();
    let held = svc.call(0);
    let mut tasks = Vec::new();
    for request in 1..5 {
        tasks.push(tokio::spawn(svc.clone().call(request)));
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(inner.log(), [(0, 0)]);
    drop(held);
    gate.add_permits(10);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        inner.log(),
        [(0, 0), (1, 1_000), (2, 1_100), (3, 1_200), (4, 1_300)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_waiter_is_rejected_after_max_wait_and_the_next_one_departs() {
    let layer = layer(1, SECOND);
    let ((a, dead), (b, live)) = (mock(), mock());
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    let _granted = call(&mut living, 0);
    let mut stuck = call(&mut dying, 1);
    assert!(stuck.poll().is_pending());
    dead.set_pending();
    advance(ms(100)).await;
    assert!(stuck.poll().is_pending());
    advance(ms(899)).await;
    let wakes = stuck.wakes();
    assert!(stuck.poll().is_pending());
    advance(ms(1)).await;
    // Its service has not woken it: its own timer has.
    assert_eq!(stuck.wakes(), wakes + 1);
    let rejected = rejection(stuck.poll());
    assert_eq!(rejected.reason(), Reason::RateLimited);
    assert_eq!(layer.handle().queue_depth(), 0);
    assert!(call(&mut living, 2).poll().is_ready());
    assert_eq!((dead.calls(), live.requests()), (0, vec![0, 2]));
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_its_readiness_ends_the_wait_with_its_error() {
    let (mut svc, handle, mock) = subject(1, SECOND);
    let _granted = call(&mut svc, 0);
    let mut fails = call(&mut svc, 1);
    let mut next = call(&mut svc, 2);
    assert!(fails.poll().is_pending() && next.poll().is_pending());
    mock.set_failed();
    advance(ms(100)).await;
    let Poll::Ready(Err(error)) = fails.poll() else {
        panic!("it waits on")
    };
    assert!(error.rejection().is_none());
    mock.set_ready();
    assert!(next.poll().is_ready());
    assert_eq!(handle.counts().inner_failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_leaves_the_next_call_working() {
    for stage in [Stage::Call, Stage::Poll] {
        let (mut svc, _handle, mock) = subject(2, Duration::ZERO);
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| call(&mut svc, 0).poll()));
        assert!(panicked.is_err(), "{stage:?}");
        assert!(matches!(call(&mut svc, 1).poll(), Poll::Ready(Ok(1))));
    }
    for stage in [Stage::PollReady, Stage::Call] {
        let (mut svc, handle, mock) = subject(1, SECOND);
        let _granted = call(&mut svc, 0);
        let mut waiter = call(&mut svc, 1);
        let mut next = call(&mut svc, 2);
        assert!(waiter.poll().is_pending() && next.poll().is_pending());
        mock.panic_at(stage);
        advance(ms(100)).await;
        let panicked = catch_unwind(AssertUnwindSafe(|| waiter.poll()));
        assert!(panicked.is_err(), "{stage:?}");
        drop(waiter);
        assert_eq!(handle.queue_depth(), 1, "{stage:?}");
        advance(ms(100)).await;
        assert!(next.poll().is_ready(), "{stage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_describer_or_listener_takes_nothing() {
    let (inner, _mock) = mock();
    let layer = layer(1, Duration::ZERO);
    let bad = |n: &u32| match n {
        13 => panic!("describer"),
        _ => RequestMeta::default(),
    };
    let mut svc = layer.clone().describe(bad).layer(inner);
    assert!(catch_unwind(AssertUnwindSafe(|| call(&mut svc, 13))).is_err());
    assert_eq!(layer.handle().tokens(), 1.0);
    assert!(call(&mut svc, 1).poll().is_ready());

    let events = Events::new(4);
    layer.handle().attach(&events);
    let _listener = events.listen(|_| panic!("listener"));
    assert_eq!(
        rejection(call(&mut svc, 2).poll()).reason(),
        Reason::RateLimited
    );
    assert_eq!(events.listener_panics(), 1);
}

/// Two callers with one long-lived instance each, over a limit of two that reserves in
/// `poll_ready`: if the instances kept what they had reserved for calls that then waited, the waiters
/// would wait for them.
#[tokio::test(start_paused = true)]
async fn idle_instances_keep_no_reservation_from_waiters() {
    let inner = Departures::new();
    let layer = layer(1, 10 * SECOND);
    let first = layer.layer(ConcurrencyLimit::new(inner.clone(), 2));
    let mut instances = [first.clone(), first];
    let mut waiting = Vec::new();
    for request in 0..4 {
        let svc = &mut instances[request % 2];
        std::future::poll_fn(|cx| svc.poll_ready(cx)).await.unwrap();
        waiting.push(tokio::spawn(svc.call(request as u32)));
        tokio::task::yield_now().await;
    }
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert_eq!(inner.log(), [(0, 0), (1, 100), (2, 200), (3, 300)]);
}
