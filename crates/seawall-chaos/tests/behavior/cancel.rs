//! What calls that are dropped leave behind.

use super::*;
use seawall_chaos::FaultSet;

/// Every fault that these hooks make, so that a call passes through all of its stages.
fn all() -> FaultSet {
    FaultSet::new([
        Fault::duplicated_request(),
        constant(50 * MS),
        constant(50 * MS),
        Fault::hang(),
    ])
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_await_holds_nothing() {
    for polls in 0..8 {
        let (mut service, mock, handle) = subject();
        mock.hold_responses();
        let _on = handle.start(all()).unwrap();
        service.ready().await.unwrap();
        let mut future = Box::pin(service.call(3));
        for step in 0..polls {
            assert!(poll_once(&mut future).is_pending(), "it hangs at its end");
            match step {
                0 => mock.respond(0, Ok(())),
                1 => mock.respond(1, Ok(())),
                _ => tokio::time::advance(60 * MS).await,
            }
        }
        drop(future);
        assert_eq!(
            (mock.in_flight(), mock.futures(), mock.reserved()),
            (0, 0, 0),
            "{polls}"
        );
        assert_eq!(
            mock.instances(),
            1,
            "the second copy's service is gone, too"
        );
        let counts = handle.counts();
        assert_eq!(
            counts.injected() + counts.without_effect,
            4,
            "each is counted once"
        );
        assert!(mock.violations().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_counts_as_without_effect() {
    for fault in [
        Fault::hang(),
        Fault::refused_connection(),
        Fault::lost_response(),
    ] {
        let (mut service, mock, handle) = subject();
        let _on = handle.start(fault).unwrap();
        service.ready().await.unwrap();
        drop(service.call(3));
        let counts = handle.counts();
        assert_eq!((counts.injected(), counts.without_effect), (0, 1));
        assert_eq!((mock.in_flight(), mock.reserved()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_polled_no_more_keeps_no_other_from_anything() {
    let (mut service, mock, handle) = subject();
    let injection = handle.start(Fault::hang()).unwrap();
    service.ready().await.unwrap();
    let mut future = Box::pin(service.call(3));
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(mock.in_flight(), 0, "the upstream is done with it");
    injection.stop();
    assert_eq!(call(&mut service).await.0.unwrap(), 3);
    drop(service);
    drop(handle);
    assert_eq!(future.await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_response_is_dropped_before_the_caller_sees_the_error() {
    let held = Arc::new(());
    let response = Arc::clone(&held);
    let layer = reads();
    let _on = layer.handle().start(Fault::lost_response()).unwrap();
    let service = layer.layer(service_fn(move |_: u32| {
        let response = Arc::clone(&response);
        async move { Ok::<_, BoxError>(response) }
    }));
    let mut future = Box::pin(service.oneshot(1));
    assert!(matches!(poll_once(&mut future), Poll::Ready(Err(_))));
    drop(future);
    assert_eq!(Arc::strong_count(&held), 1);
}
