//! Rejections of layers below.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_local_rejection_ends_the_call() {
    for reason in Reason::ALL {
        let failed = rejected(reason, Some(Duration::ZERO));
        let (answer, upstream, handle) = one_call(ladder(3), Replay::Never, [failed]).await;
        assert_eq!((answer, upstream.calls()), (Err(failed), 1));
        assert_eq!(handle.counts().retries, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_waited_for_where_that_is_allowed_and_costs_no_budget() {
    let config = || {
        let builder = RetryConfig::builder().max_rejection_wait(2 * SECOND);
        builder.backoff(Backoff::NONE).build().unwrap()
    };
    let soon = rejected(Reason::RateLimited, Some(2 * SECOND));
    let (answer, upstream, handle) = one_call(config(), Replay::Never, [soon]).await;
    assert_eq!(answer, Ok(7));
    assert_eq!(upstream.pauses(), [2 * SECOND]);
    let budget = handle.budget().unwrap();
    assert_eq!(budget.balance(), f64::from(budget.config().capacity()));
    for never in [
        rejected(Reason::RateLimited, Some(3 * SECOND)),
        rejected(Reason::BulkheadFull, None),
        rejected(Reason::BudgetExhausted, Some(SECOND)),
        rejected(Reason::DeadlineExceeded, Some(SECOND)),
        rejected(Reason::TooExpensive, Some(SECOND)),
    ] {
        let (answer, upstream, _) = one_call(config(), Replay::Safe, [never]).await;
        assert_eq!((answer, upstream.calls()), (Err(never), 1));
    }
}

/// A half-open circuit cannot say when a place for a probe is free: calls ended on it just when
/// the upstream was coming back.
#[tokio::test(start_paused = true)]
async fn a_circuit_that_cannot_say_when_is_asked_again_after_the_backoff() {
    let config = |wait| {
        let builder = RetryConfig::builder().max_rejection_wait(wait);
        let backoff = Backoff::constant(SECOND).unwrap();
        builder.backoff(backoff).build().unwrap()
    };
    for reason in [Reason::CircuitOpen, Reason::NotReady] {
        let unsaid = rejected(reason, None);
        let (answer, upstream, _) = one_call(config(SECOND), Replay::Never, [unsaid]).await;
        assert_eq!((answer, upstream.pauses()), (Ok(7), vec![SECOND]));
        let (answer, _, _) = one_call(config(Duration::ZERO), Replay::Never, [unsaid]).await;
        assert_eq!(
            answer,
            Err(unsaid),
            "unless rejections are not waited for at all"
        );
    }
}
