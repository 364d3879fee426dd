//! What extra attempts are paid from.

use super::*;

#[tokio::test(start_paused = true)]
async fn without_a_token_the_first_attempt_is_waited_for() {
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let budget = tokens(1);
    assert!(budget.withdraw());
    let layer = layer(after_100_ms(4)).budget(budget);
    let events = Events::default();
    layer.handle().attach(&events);
    let mut received = events.subscribe();
    let (result, ms) = call(&mut layer.layer(upstream.clone())).await;
    assert_eq!(result, Ok(1));
    assert_about(ms, 1_000);
    assert_eq!(upstream.calls(), 1);
    let handle = layer.handle();
    assert_eq!(
        (
            handle.counts().extra.begun,
            handle.counts().skipped.budget_exhausted
        ),
        (0, 1)
    );
    assert_eq!(handle.state(), "budget_exhausted");
    let Some(Received::Event(event)) = received.try_next() else {
        panic!("nothing emitted");
    };
    assert_eq!(event.kind, EventKind::BudgetExhausted);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_sent_costs_one_token() {
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let budget = tokens(9);
    let layer = layer(after_100_ms(3)).budget(budget.clone());
    assert_eq!(call(&mut layer.layer(upstream.clone())).await.0, Ok(1));
    assert_eq!((upstream.calls(), budget.balance()), (4, 6.0));
}

#[tokio::test(start_paused = true)]
async fn one_success_is_one_deposit_and_a_failure_is_none() {
    let half = || Budget::new(BudgetConfig::new(0.5, 0.0, 10).unwrap());
    let empty = |budget: &Budget| while budget.withdraw() {};
    for (result, deposit) in [(Ok(1), 0.5), (Err(SERVER), 0.0)] {
        let upstream = Upstream::new([(Duration::ZERO, result)]);
        let budget = half();
        empty(&budget);
        let filling = layer(after_100_ms(1)).budget(budget.clone());
        assert_eq!(call(&mut filling.layer(upstream.clone())).await.0, result);
        assert_eq!(budget.balance(), deposit);
        // One that a retry fills is left alone.
        let budget = half();
        empty(&budget);
        let sharing = layer(after_100_ms(1)).shared_budget(budget.clone());
        assert_eq!(call(&mut sharing.layer(upstream)).await.0, result);
        assert_eq!(budget.balance(), 0.0);
    }
    // Won by an extra attempt: one token less, one deposit.
    let upstream = Upstream::new([(SECOND, Ok(1)), (MS, Ok(2))]);
    let budget = half();
    let layer = layer(after_100_ms(1)).budget(budget.clone());
    assert_eq!(call(&mut layer.layer(upstream)).await.0, Ok(2));
    assert_eq!(budget.balance(), 9.5);
}

/// The failure that a hedge without a budget makes worse: everything is slow, so everything is
/// sent twice.
#[tokio::test(start_paused = true)]
async fn when_everything_is_slow_the_budget_bounds_what_is_sent() {
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let budget = Budget::new(BudgetConfig::new(0.1, 0.5, 10).unwrap());
    let layer = layer(after_100_ms(4)).budget(budget);
    let mut service = layer.layer(upstream.clone());
    for _ in 0..200 {
        assert_eq!(call(&mut service).await.0, Ok(1));
    }
    // Ten saved up, one per ten successes, one per two seconds.
    let fired = layer.handle().counts().extra.begun;
    assert!(fired <= 10 + 20 + 100 + 1, "{fired}");
    assert!(fired >= 10 + 20 + 100 - 2, "{fired}");
    assert_eq!(upstream.calls() as u64, 200 + fired);
}

#[tokio::test(start_paused = true)]
async fn unpaid_attempts_are_made_without_a_budget() {
    let upstream = Upstream::new([(SECOND, Ok(1))]);
    let layer = layer(after_100_ms(4)).without_budget();
    let mut service = layer.layer(upstream.clone());
    for _ in 0..20 {
        assert_eq!(call(&mut service).await.0, Ok(1));
    }
    assert_eq!(upstream.calls(), 100);
    assert!(layer.handle().budget().is_none());
}
