//! The numbers of the book.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_layer_gives_the_numbers_of_the_book() {
    for (requests, accepts, accept_multiplier, expected) in [
        (100, 100, 2.0, 0.0),
        (100, 40, 2.0, 20.0 / 101.0),
        (1_000, 0, 2.0, 1_000.0 / 1_001.0),
        (100, 60, 1.1, 34.0 / 101.0),
    ] {
        // Rejects none until all are there.
        let (mut service, handle, inner) = scripted(
            builder()
                .accept_multiplier(accept_multiplier)
                .min_requests(requests)
                .max_rejection(1.0),
        );
        send_many(&mut service, accepts, Ok(()), Priority::NORMAL);
        let rest = requests - accepts;
        send_many(&mut service, rest, Err(BUSY), Priority::NORMAL);
        assert_eq!(inner.requests(), requests);
        let p = handle.rejection_probability();
        assert!((p - expected).abs() < 1e-9, "{p} is not {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_rejected_here_is_a_request() {
    let (mut service, handle, inner) = scripted(builder());
    send_many(&mut service, 200, Err(BUSY), Priority::NORMAL);
    let counts = handle.counts();
    assert!(counts.rejected > 100, "{counts:?}");
    assert_eq!(counts.not_accepted, u64::from(inner.requests()));
    let normal = handle.snapshot().classes[2];
    assert_eq!((normal.requests, normal.accepts), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_rejected_below_min_requests() {
    let (mut service, handle, inner) = scripted(builder().min_requests(50));
    assert_eq!(send_many(&mut service, 49, Err(BUSY), Priority::NORMAL), 49);
    assert_eq!(handle.rejection_probability(), 0.0);
    send(&mut service, request(Err(BUSY), Priority::NORMAL));
    assert_eq!(handle.rejection_probability(), 0.9);
    assert!(send_many(&mut service, 100, Err(BUSY), Priority::NORMAL) < 50);
    assert!(inner.requests() < 100);
}

#[tokio::test(start_paused = true)]
async fn max_rejection_is_kept() {
    let (mut service, handle, inner) = scripted(builder().max_rejection(0.5));
    send_many(&mut service, 10_000, Err(BUSY), Priority::NORMAL);
    assert_eq!(handle.rejection_probability(), 0.5);
    assert!(
        (4_800..5_200).contains(&inner.requests()),
        "{}",
        inner.requests()
    );
    let (mut least, handle, _) = scripted(builder().max_rejection(0.0001));
    send_many(&mut least, 200_000, Err(BUSY), Priority::NORMAL);
    let rejected = handle.counts().rejected;
    assert!((1..60).contains(&rejected), "{rejected}");
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_upstream_count_only_if_configured() {
    let failed = Err(Outcome::Failure(FailureKind::Server));
    let (mut service, handle, _) = scripted(builder());
    assert_eq!(send_many(&mut service, 100, failed, Priority::NORMAL), 100);
    assert_eq!(handle.counts().accepted, 100);
    let (mut service, handle, _) = scripted(builder().count_failures(true));
    assert!(send_many(&mut service, 100, failed, Priority::NORMAL) < 50);
    assert_eq!(handle.counts().accepted, 0);
    handle.configure(builder().build().unwrap()).unwrap();
    handle.reset();
    send_many(&mut service, 10, failed, Priority::NORMAL);
    assert_eq!(handle.counts().accepted, 10);
}

#[tokio::test(start_paused = true)]
async fn an_error_without_a_classifier_is_not_accepted() {
    let (inner, mock) = mock();
    let layer = layer_of(builder());
    let mut service = layer.layer(inner);
    fail_calls(&mut service, &mock, 100).await;
    assert_eq!(layer.handle().rejection_probability(), 0.9);
    assert!(mock.calls() < 60, "{}", mock.calls());
}
