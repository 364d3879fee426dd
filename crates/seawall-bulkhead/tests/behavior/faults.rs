//! Panics, failures, and what a completion does with the permit.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_its_readiness_ends_the_wait_with_its_error() {
    let (mut svc, handle, mock) = subject(1, 2);
    let running = call(&mut svc, 0);
    let mut fails = call(&mut svc, 1);
    let mut next = call(&mut svc, 2);
    assert!(fails.poll().is_pending() && next.poll().is_pending());
    mock.set_failed();
    drop(running);
    let Poll::Ready(Err(error)) = fails.poll() else {
        panic!("it waits on")
    };
    assert!(error.rejection().is_none());
    assert_eq!(next.wakes(), 1);
    mock.set_ready();
    assert!(next.poll().is_pending());
    assert_eq!(mock.requests(), [0, 2]);
    assert_eq!(handle.counts().failure, 1);
}

/// Three callers with one long-lived instance each, over a limit of three that reserves in
/// `poll_ready`. Each polled its instance ready for a call that then had to wait; had the
/// instances kept these reservations, the waiters would have waited for them forever.
#[tokio::test(start_paused = true)]
async fn idle_instances_keep_no_reservation_from_waiters() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = layer(1, 8);
    let first = layer.layer(ConcurrencyLimit::new(inner, 3));
    let mut instances = [first.clone(), first.clone(), first];
    let mut calls: Vec<_> = (0..3)
        .map(|n| {
            let mut probe = call(&mut instances[n], n as u32);
            assert!(probe.poll().is_pending());
            probe
        })
        .collect();
    let mut again = call(&mut instances[0], 3);
    assert!(again.poll().is_pending());
    for (n, call) in calls.iter_mut().enumerate() {
        assert!(call.poll().is_pending());
        mock.respond(n, Ok(()));
        assert!(call.poll().is_ready());
    }
    assert!(again.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_releases_the_permit() {
    for stage in [Stage::Call, Stage::Poll] {
        let (mut svc, handle, mock) = subject(1, 1);
        mock.respond_immediately();
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| call(&mut svc, 0).poll()));
        assert!(panicked.is_err(), "{stage:?}");
        assert_eq!(handle.in_flight(), 0, "{stage:?}");
        assert!(call(&mut svc, 1).poll().is_ready());
    }
    for stage in [Stage::PollReady, Stage::Call] {
        let (mut svc, handle, mock) = subject(1, 2);
        let running = call(&mut svc, 0);
        let mut waiter = call(&mut svc, 1);
        let mut next = call(&mut svc, 2);
        assert!(waiter.poll().is_pending() && next.poll().is_pending());
        drop(running);
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| waiter.poll()));
        assert!(panicked.is_err(), "{stage:?}");
        drop(waiter);
        assert!(next.poll().is_pending());
        assert_eq!(mock.requests().last(), Some(&2), "{stage:?}");
        drop(next);
        assert_eq!(
            (handle.in_flight(), handle.queue_depth()),
            (0, 0),
            "{stage:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_completion_and_listener_release_the_permit() {
    #[derive(Clone)]
    struct Bad;
    impl TrackCompletion<Permit, u32> for Bad {
        type Response = u32;
        fn track_completion(&self, _: Permit, _: Outcome, _: u32) -> u32 {
            panic!("hold")
        }
    }
    let (inner, _mock) = mock();
    let layer = layer(1, 0).track_completion(Bad);
    let mut svc = layer.layer(inner);
    let mut response = call(&mut svc, 0);
    assert!(catch_unwind(AssertUnwindSafe(|| response.poll())).is_err());
    assert_eq!(layer.handle().in_flight(), 0);

    let (mut svc, handle, _mock) = subject(1, 0);
    let events = Events::new(4);
    handle.attach(&events);
    let _listener = events.listen(|_| panic!("listener"));
    let _running = call(&mut svc, 0);
    assert_eq!(
        rejection(call(&mut svc, 1).poll()).reason(),
        Reason::BulkheadFull
    );
    assert_eq!(events.listener_panics(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_completion_keeps_the_permit_until_it_is_complete() {
    #[derive(Clone)]
    struct InTheResponse;
    impl TrackCompletion<Permit, u32> for InTheResponse {
        type Response = (u32, Permit);
        fn track_completion(
            &self,
            permit: Permit,
            outcome: Outcome,
            response: u32,
        ) -> (u32, Permit) {
            assert_eq!(outcome, Outcome::Success);
            (response, permit)
        }
    }
    let (inner, mock) = mock();
    let layer = layer(1, 1).track_completion(InTheResponse);
    let handle = layer.handle();
    let mut svc = layer.layer(inner);
    let Poll::Ready(Ok((7, permit))) = call(&mut svc, 7).poll() else {
        panic!("no response")
    };
    assert_eq!(handle.in_flight(), 1);
    let mut waiter = call(&mut svc, 8);
    assert!(waiter.poll().is_pending());
    permit.complete(Outcome::Failure(seawall_core::FailureKind::Body));
    assert_eq!(waiter.wakes(), 1);
    let Poll::Ready(Ok((8, permit))) = waiter.poll() else {
        panic!("no response")
    };
    drop(permit);
    let counts = handle.counts();
    assert_eq!(
        (counts.success, counts.failure, counts.abandoned),
        (0, 1, 1)
    );

    // An error has no body: its permit is released when it is returned.
    mock.script([Err(MockError::Failed(1))]);
    let mut fails = call(&mut svc, 9);
    assert!(matches!(fails.poll(), Poll::Ready(Err(_))));
    assert_eq!(handle.in_flight(), 0);
    assert_eq!(handle.counts().failure, 2);
}

#[tokio::test(start_paused = true)]
async fn rejections_of_layers_below_are_no_failures() {
    let rejecting = tower::service_fn(|_: u32| {
        ready(Err::<u32, Error<()>>(
            Rejection::new(Reason::CircuitOpen, "below").into(),
        ))
    });
    let layer = layer(1, 0);
    let mut svc = layer.layer(rejecting);
    assert!(call(&mut svc, 0).poll().is_ready());
    let counts = layer.handle().counts();
    assert_eq!((counts.ignored, counts.failure), (1, 0));
}
