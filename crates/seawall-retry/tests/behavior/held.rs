//! Cancellation, and what is held.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_call_dropped_in_its_pause_gives_the_token_back() {
    let upstream = Upstream::new([SERVER; 9]);
    let budget = tokens(5);
    let layer = layer(ladder(3), Replay::Safe).budget(budget.clone());
    let mut service = layer.layer(upstream.service());
    // Before the first poll.
    drop(service.ready().await.unwrap().call(7));
    assert_eq!(budget.balance(), 5.0);
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    assert_eq!(budget.balance(), 4.0);
    drop(call);
    assert_eq!(budget.balance(), 5.0);
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_waits_for_readiness_gives_everything_back() {
    let (inner, mock) = mock();
    mock.script([Err(MockError::Failed(1))]);
    let budget = tokens(5);
    let config = RetryConfig::builder().backoff(Backoff::NONE).build();
    let layer = RetryLayer::new("r", config.unwrap()).describe(SAFE);
    let mut service = layer.budget(budget.clone()).layer(inner);
    let call = service.ready().await.unwrap().call(7);
    mock.set_pending();
    let mut call = PolledFuture::new(call);
    assert!(call.poll().is_pending());
    assert_eq!((budget.balance(), mock.waiting()), (4.0, 1));
    drop(call);
    assert_eq!((budget.balance(), mock.waiting()), (5.0, 0));
    // The service and its template.
    assert_eq!(
        (mock.instances(), mock.futures(), mock.reserved()),
        (2, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_waits_for_readiness_and_is_woken() {
    let (inner, mock) = mock();
    mock.script([Err(MockError::Failed(1))]);
    let config = RetryConfig::builder().backoff(Backoff::NONE).build();
    let layer = RetryLayer::new("r", config.unwrap()).describe(SAFE);
    let mut service = layer.layer(inner);
    let call = service.ready().await.unwrap().call(7);
    mock.set_pending();
    let mut call = PolledFuture::new(call);
    assert!(call.poll().is_pending());
    mock.set_ready();
    assert_eq!(call.wakes(), 1);
    assert!(matches!(call.poll(), Poll::Ready(Ok(7))));
    assert_eq!(mock.requests(), [7, 7]);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_later_attempts_readiness_is_the_result_and_costs_no_token() {
    let (inner, mock) = mock();
    mock.script([Err(MockError::Failed(1))]);
    let budget = tokens(5);
    let layer = RetryLayer::new("r", ladder(3)).describe(SAFE);
    let mut service = layer.budget(budget.clone()).layer(inner);
    let call = tokio::spawn(service.ready().await.unwrap().call(7));
    sleep(SECOND / 2).await;
    mock.set_failed();
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&MockError::NotReady));
    assert_eq!((mock.calls(), budget.balance()), (1, 5.0));
}

#[tokio::test(start_paused = true)]
async fn a_permit_below_is_free_during_the_pause() {
    let upstream = Upstream::new([SERVER]);
    let mut first = ServiceBuilder::new()
        .layer(layer(ladder(3), Replay::Safe))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(upstream.service());
    let mut second = first.clone();
    let waiting = tokio::spawn(first.ready().await.unwrap().call(1));
    tokio::task::yield_now().await;
    let start = Instant::now();
    assert_eq!(second.ready().await.unwrap().call(2).await, Ok(2));
    assert_eq!(Instant::now(), start, "nobody had to wait");
    assert_eq!(waiting.await.unwrap(), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_finished_call_holds_neither_copy_nor_service() {
    #[derive(Clone)]
    struct Request(#[allow(dead_code, reason = "only counted")] Arc<()>);
    let witness = Arc::new(());
    let kept = Arc::new(());
    let in_service = Arc::clone(&kept);
    let inner = service_fn(move |_: Request| {
        let _ = &in_service;
        std::future::ready(Ok::<(), Rejection>(()))
    });
    let layer = RetryLayer::new("r", ladder(3)).describe(SAFE);
    let mut service = layer.layer(inner);
    let mut call = Box::pin(
        service
            .ready()
            .await
            .unwrap()
            .call(Request(Arc::clone(&witness))),
    );
    assert_eq!(Arc::strong_count(&witness), 2, "the copy");
    assert_eq!(call.as_mut().await, Ok(()));
    assert_eq!(Arc::strong_count(&witness), 1);
    drop(service);
    assert_eq!(
        Arc::strong_count(&kept),
        1,
        "the finished call keeps no template"
    );
    drop(call);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after it had completed")]
async fn a_future_polled_after_it_has_completed_panics() {
    let layer = RetryLayer::new("r", RetryConfig::default());
    let mut service = layer.layer(Upstream::new([]).service());
    let mut call = Box::pin(service.ready().await.unwrap().call(7));
    let _ = call.as_mut().await;
    let _ = call.as_mut().await;
}

/// Dropped at any point, a call leaves no reservation, no attempt, no request and no payment.
#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_await_leaves_nothing_behind() {
    let witness = Arc::new(());
    for polls in 0..=6_u32 {
        let (inner, mock) = mock();
        let config = RetryConfig::builder()
            .attempts(3)
            .backoff(Backoff::constant(SECOND).unwrap())
            .attempt_timeout(3 * SECOND)
            .overall_timeout(60 * SECOND)
            .build()
            .unwrap();
        let budget = tokens(5);
        let held = Arc::clone(&witness);
        let layer = RetryLayer::new("r", config)
            .describe(SAFE)
            .budget(budget.clone())
            .adaptive_rate(AdaptiveRate::new())
            .copy(move |request: &u32| {
                let _ = &held;
                Some(*request)
            });
        let mut service = layer.layer(inner);
        mock.hold_responses();
        let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
        for poll in 0..polls {
            // Attempt, pause, readiness, attempt, pause, attempt.
            assert!(call.poll().is_pending(), "poll {poll}");
            match poll {
                0 => mock.respond(0, Err(MockError::Failed(1))),
                1 => mock.set_pending(),
                2 => mock.set_ready(),
                3 => mock.respond(1, Err(MockError::Failed(2))),
                _ => {}
            }
            sleep(SECOND).await;
        }
        let sent = mock.calls();
        drop(call);
        let left = (
            mock.in_flight(),
            mock.futures(),
            mock.reserved(),
            mock.waiting(),
        );
        assert_eq!(left, (0, 0, 0, 0), "after {polls} polls");
        // What is not in flight was given back: all but the attempts that were sent.
        let spent = f64::from(u32::try_from(sent).unwrap() - 1);
        assert_eq!(budget.balance(), 5.0 - spent, "after {polls} polls");
    }
    assert_eq!(Arc::strong_count(&witness), 1);
}
