//! How calls end, and what they count as.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dropped_call_counts_for_nothing() {
    let (inner, mock) = mock();
    let layer = layer_of(builder());
    let handle = layer.handle();
    let mut service = layer.layer(inner);
    mock.hold_responses();
    for n in 0..100 {
        let mut polled = call(&mut service, n);
        assert!(polled.poll().is_pending());
        drop(polled);
        drop(call(&mut service, n));
    }
    let counts = handle.counts();
    assert_eq!((counts.abandoned, counts.rejected), (200, 0));
    assert_eq!(handle.snapshot().classes[2].requests, 0);
    assert_eq!((mock.in_flight(), mock.futures()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_a_layer_below_counts_for_nothing() {
    let (mut service, handle, _) = scripted(builder());
    let rejected = |reason| Request {
        result: Err(Rejection::new(reason, "below").into()),
        priority: Priority::NORMAL,
    };
    for _ in 0..100 {
        assert!(send(&mut service, rejected(Reason::RateLimited)));
    }
    assert_eq!(handle.counts().rejected_below, 100);
    assert_eq!(handle.snapshot().classes[2].requests, 0);
    // An attempt that timed out may not have been accepted.
    for _ in 0..100 {
        send(&mut service, rejected(Reason::AttemptTimeout));
    }
    assert_eq!(handle.counts().rejected_below, 100);
    assert_eq!(handle.rejection_probability(), 0.9);
}

#[tokio::test(start_paused = true)]
async fn a_result_counts_once_though_its_future_is_kept() {
    let (inner, mock) = mock();
    let layer = layer_of(builder());
    let mut completed = call(&mut layer.layer(inner), 1);
    assert!(completed.poll().is_ready());
    assert_eq!(mock.futures(), 0);
    drop(completed);
    let counts = layer.handle().counts();
    assert_eq!((counts.accepted, counts.abandoned), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_inner_service_or_the_classifier_is_an_abandoned_call() {
    let (inner, mock) = mock();
    let layer = layer_of(builder());
    let handle = layer.handle();
    let panics = |_: Result<&u32, &BoxError>| -> Outcome { panic!("classifier") };
    let mut judged = layer.clone().classify(panics).layer(inner.clone());
    let mut service = layer.layer(inner);
    let caught = |run: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(run)).is_err();
    mock.panic_at(Stage::Call);
    assert!(caught(&mut || drop(call(&mut service, 1))));
    mock.panic_at(Stage::Poll);
    assert!(caught(&mut || drop(call(&mut service, 2).poll())));
    assert!(caught(&mut || drop(call(&mut judged, 3).poll())));
    assert_eq!(handle.counts().abandoned, 3);
    assert_eq!(handle.snapshot().classes[2].requests, 0);
    assert!(matches!(call(&mut service, 4).poll(), Poll::Ready(Ok(4))));
    assert_eq!(handle.counts().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_listener_changes_nothing() {
    let (mut service, handle, _) = scripted(builder());
    let registry = Registry::new("svc");
    registry.register(handle.clone()).unwrap();
    let _listening = registry.events().listen(|_| panic!("listener"));
    send_many(&mut service, 100, Err(BUSY), Priority::NORMAL);
    let counts = handle.counts();
    assert_eq!(counts.rejected + counts.not_accepted, 100);
    assert_eq!(registry.events().listener_panics(), counts.rejected);
}

#[test]
fn threads_lose_no_call() {
    let (service, handle, inner) = scripted(builder().window(SECOND * 3_600));
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let mut service = service.clone();
            scope.spawn(move || {
                for n in 0..5_000 {
                    let result = if (n + thread) % 4 == 0 {
                        Ok(())
                    } else {
                        Err(BUSY)
                    };
                    send(&mut service, request(result, Priority::NORMAL));
                }
            });
        }
    });
    let counts = handle.counts();
    assert_eq!(
        counts.accepted + counts.not_accepted + counts.rejected,
        20_000
    );
    assert_eq!(
        counts.accepted + counts.not_accepted,
        u64::from(inner.requests())
    );
    assert!(counts.rejected > 0);
    let normal = handle.snapshot().classes[2];
    assert_eq!((normal.requests, normal.accepts), (20_000, counts.accepted));
}
