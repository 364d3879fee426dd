//! The budget.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_empty_budget_returns_the_real_result_at_once() {
    // This fails when the budget is not used.
    let upstream = Upstream::new([SERVER; 99]);
    let budget = tokens(2);
    let layer = layer(ladder(9), Replay::Safe).budget(budget.clone());
    let events = Events::new(64);
    let mut received = events.subscribe();
    layer.handle().attach(&events);
    let mut service = layer.layer(upstream.service());
    assert_eq!(service.ready().await.unwrap().call(7).await, Err(SERVER));
    assert_eq!(upstream.pauses(), [SECOND, 2 * SECOND]);
    let start = Instant::now();
    assert_eq!(service.ready().await.unwrap().call(7).await, Err(SERVER));
    assert_eq!(Instant::now(), start);
    let handle = layer.handle();
    assert_eq!(
        (handle.counts().give_ups.budget_exhausted, budget.rejected()),
        (2, 2)
    );
    assert_eq!(handle.state(), "budget_exhausted");
    let mut kinds = Vec::new();
    while let Some(Received::Event(event)) = received.try_next() {
        kinds.push(event.kind);
    }
    let retry = |attempt, delay| EventKind::Retry { attempt, delay };
    let expected = [
        retry(2, SECOND),
        retry(3, 2 * SECOND),
        EventKind::BudgetExhausted,
        EventKind::BudgetExhausted,
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test(start_paused = true)]
async fn successes_pay_for_extra_attempts() {
    let upstream = Upstream::new([SERVER]);
    let budget = tokens(1);
    let layer = layer(ladder(3), Replay::Safe).budget(budget.clone());
    let mut service = layer.layer(upstream.service());
    assert_eq!(service.ready().await.unwrap().call(7).await, Ok(7));
    // One was spent, and the success that it bought earned one half.
    assert_eq!(budget.balance(), 0.5);
    assert_eq!(service.ready().await.unwrap().call(7).await, Ok(7));
    assert_eq!(budget.balance(), 1.0);
}

#[tokio::test(start_paused = true)]
async fn clones_services_and_layers_share_one_budget() {
    let upstream = Upstream::new([SERVER; 99]);
    let one = layer(ladder(2), Replay::Safe).budget(tokens(3));
    let two = one.clone();
    let mut services = vec![
        one.layer(upstream.service()),
        two.layer(upstream.service()),
        two.layer(upstream.service()),
    ];
    let clones: Vec<_> = services.clone();
    services.extend(clones);
    for service in &mut services {
        assert_eq!(service.ready().await.unwrap().call(7).await, Err(SERVER));
    }
    // Six calls, three extra attempts.
    assert_eq!(upstream.calls(), 9);
    let handle = two.handle();
    assert_eq!(
        (handle.counts().attempts.total(), handle.counts().retries),
        (9, 3)
    );
    assert_eq!(handle.counts().give_ups.budget_exhausted, 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_every_attempt_is_made() {
    let upstream = Upstream::new([SERVER; 300]);
    let layer = layer(ladder(3), Replay::Safe).without_budget();
    let mut service = layer.layer(upstream.service());
    for _ in 0..100 {
        assert_eq!(service.ready().await.unwrap().call(7).await, Err(SERVER));
    }
    assert_eq!(upstream.calls(), 300);
    assert!(layer.handle().budget().is_none());
    assert_eq!(layer.handle().state(), "ok");
}

#[test]
fn extra_attempts_of_many_threads_never_exceed_the_budget() {
    let upstream = Upstream::new(std::iter::repeat_n(SERVER, 10_000));
    let config = RetryConfig::builder().backoff(Backoff::NONE).attempts(3);
    let layer = layer(config.build().unwrap(), Replay::Safe).budget(tokens(37));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut service = layer.layer(upstream.service());
            scope.spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                for _ in 0..100 {
                    assert!(service.poll_ready(&mut cx).is_ready());
                    let mut call = std::pin::pin!(service.call(7));
                    assert!(call.as_mut().poll(&mut cx).is_ready());
                }
            });
        }
    });
    assert_eq!(upstream.calls(), 437);
    assert_eq!(layer.handle().counts().retries, 37);
    assert_eq!(layer.handle().counts().attempts.total(), 437);
}

/// While the circuit was open each failed call paid for a second attempt that the gate rejected:
/// the budget was empty when the upstream was back.
#[tokio::test(start_paused = true)]
async fn an_extra_attempt_that_is_rejected_unsent_costs_nothing() {
    let open = rejected(Reason::CircuitOpen, None);
    let upstream = Upstream::new([SERVER, open]);
    let budget = tokens(5);
    let layer = layer(ladder(3), Replay::Safe).budget(budget.clone());
    let result = layer.layer(upstream.service()).oneshot(7).await;
    assert!(result.is_err());
    assert_eq!((upstream.calls(), layer.handle().counts().retries), (2, 1));
    assert_eq!(budget.balance(), 5.0);
}

/// The token of a rejected attempt is taken along to the one that is sent, and not paid twice.
#[tokio::test(start_paused = true)]
async fn a_rejected_attempt_takes_its_token_along_to_the_next_one() {
    let config = RetryConfig::builder()
        .attempts(4)
        .backoff(Backoff::NONE)
        .retry_after_jitter(0.0)
        .max_rejection_wait(2 * SECOND);
    let soon = rejected(Reason::RateLimited, Some(SECOND));
    let upstream = Upstream::new([SERVER, soon, SERVER]);
    let budget = tokens(5);
    let layer = layer(config.build().unwrap(), Replay::Safe).budget(budget.clone());
    let result = layer.layer(upstream.service()).oneshot(7).await;
    assert_eq!((result, upstream.calls()), (Ok(7), 4));
    // Two attempts were extra load; the success earned one half.
    assert_eq!(budget.balance(), 3.5);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_given_back_in_a_pause_and_not_while_its_attempt_is_under_way() {
    let (inner, mock) = mock();
    let budget = tokens(5);
    let layer = RetryLayer::new("r", ladder(3))
        .describe(SAFE)
        .budget(budget.clone());
    let mut service = layer.layer(inner);
    mock.script([Err(MockError::Failed(1))]);
    let mut paused = PolledFuture::new(service.ready().await.unwrap().call(1));
    assert!(paused.poll().is_pending());
    assert_eq!(budget.balance(), 4.0);
    drop(paused);
    assert_eq!(budget.balance(), 5.0);
    mock.script([Err(MockError::Failed(1))]);
    let mut again = PolledFuture::new(service.ready().await.unwrap().call(1));
    assert!(again.poll().is_pending());
    mock.hold_responses();
    sleep(SECOND).await;
    assert!(again.poll().is_pending());
    assert_eq!(mock.in_flight(), 1);
    drop(again);
    assert_eq!(budget.balance(), 4.0, "that attempt was sent");
}

/// A payment that waits for an attempt is given back once, however often it was carried on.
#[tokio::test(start_paused = true)]
async fn a_carried_payment_is_given_back_once() {
    let config = RetryConfig::builder()
        .attempts(9)
        .backoff(Backoff::NONE)
        .retry_after_jitter(0.0)
        .max_rejection_wait(2 * SECOND);
    let soon = rejected(Reason::RateLimited, Some(SECOND));
    let upstream = Upstream::new([SERVER, SERVER, soon, soon, soon]);
    let budget = tokens(5);
    let layer = layer(config.build().unwrap(), Replay::Safe).budget(budget.clone());
    let mut call = PolledFuture::new(layer.layer(upstream.service()).oneshot(7));
    for rejections in 1..=3 {
        assert!(call.poll().is_pending());
        assert_eq!((upstream.calls(), budget.balance()), (2 + rejections, 3.0));
        sleep(SECOND).await;
    }
    drop(call);
    // The second attempt was sent, the third one never.
    assert_eq!((budget.balance(), budget.refunded()), (4.0, 1));
}

/// The retry quota of the AWS SDKs: a retry that succeeds gets its price back, a first attempt that
/// succeeds earns one.
#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeds_gets_its_price_back_from_a_budget_like_that_of_aws() {
    let quota = Budget::new(BudgetConfig::aws());
    let used = || 500.0 - quota.balance();
    let layer = layer(ladder(3), Replay::Safe).budget(quota.clone());
    let call = async |results: &[Failed]| {
        let upstream = Upstream::new(results.iter().copied());
        layer.layer(upstream.service()).oneshot(7).await
    };
    assert_eq!((call(&[SERVER]).await, used()), (Ok(7), 0.0));
    assert_eq!(quota.refunded(), 1);
    // Only the last retry of a call succeeded.
    assert_eq!(
        (call(&[SERVER, throttled(None)]).await, used()),
        (Ok(7), 14.0)
    );
    assert_eq!((call(&[SERVER; 3]).await, used()), (Err(SERVER), 42.0));
    // A first attempt earns its unit.
    assert_eq!((call(&[]).await, used()), (Ok(7), 41.0));
    // Without the setting a success is a success.
    let config = BudgetConfig::aws().with_refund_on_success(false).unwrap();
    let plain = Budget::new(config);
    let layer = layer.clone().budget(plain.clone());
    let upstream = Upstream::new([SERVER]);
    assert_eq!(layer.layer(upstream.service()).oneshot(7).await, Ok(7));
    assert_eq!(plain.balance(), 500.0 - 14.0 + 1.0);
}

/// gRFC A6: failures take a token, successes add a part of one, and retries are made while more
/// than half of the tokens are there.
#[tokio::test(start_paused = true)]
async fn a_token_throttle_stops_retries_of_an_upstream_that_fails() {
    let throttle = Budget::new(BudgetConfig::token_throttle(10, 0.5).unwrap());
    let layer = layer(ladder(3), Replay::Safe).budget(throttle.clone());
    let down = Upstream::new([SERVER; 100]);
    let call = || layer.layer(down.service()).oneshot(7);
    assert_eq!(call().await, Err(SERVER));
    assert_eq!((down.calls(), throttle.balance()), (3, 7.0));
    // The fifth failure leaves half of the tokens, which is not more than half.
    assert_eq!(call().await, Err(SERVER));
    assert_eq!((down.calls(), throttle.balance()), (5, 5.0));
    assert_eq!(layer.handle().snapshot().state.as_str(), "budget_exhausted");
    // Each further call is one attempt.
    for _ in 0..20 {
        assert_eq!(call().await, Err(SERVER));
    }
    assert_eq!((down.calls(), throttle.balance()), (25, 0.0));
    // Successes open it again.
    let well = Upstream::new([]);
    for _ in 0..11 {
        assert_eq!(layer.layer(well.service()).oneshot(7).await, Ok(7));
    }
    assert_eq!(throttle.balance(), 5.5);
    assert_eq!(call().await, Err(SERVER));
    assert_eq!(throttle.balance(), 4.5, "that failure closed it");
}

/// What the layers here reject is nothing that the upstream has done.
#[tokio::test(start_paused = true)]
async fn a_token_throttle_does_not_count_rejections() {
    let throttle = Budget::new(BudgetConfig::token_throttle(10, 0.5).unwrap());
    let layer = layer(ladder(3), Replay::Safe).budget(throttle.clone());
    for failed in [
        rejected(Reason::BulkheadFull, None),
        Failed::With(Outcome::Ignored),
    ] {
        let upstream = Upstream::new([failed]);
        assert_eq!(
            layer.layer(upstream.service()).oneshot(7).await,
            Err(failed)
        );
    }
    assert_eq!(throttle.balance(), 10.0);
}
