//! Refusals of layers below.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_local_refusal_ends_the_call() {
    for reason in Reason::ALL {
        let failed = refused(reason, Some(Duration::ZERO));
        let (answer, upstream, handle) = one_call(ladder(3), Replay::Never, [failed]).await;
        assert_eq!((answer, upstream.calls()), (Err(failed), 1));
        assert_eq!(handle.retries(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_waited_for_where_that_is_allowed_and_costs_no_budget() {
    let config = || {
        let builder = RetryConfig::builder().refusal_wait(2 * SECOND);
        builder.backoff(Backoff::NONE).build().unwrap()
    };
    let soon = refused(Reason::RateLimited, Some(2 * SECOND));
    let (answer, upstream, handle) = one_call(config(), Replay::Never, [soon]).await;
    assert_eq!(answer, Ok(7));
    assert_eq!(upstream.pauses(), [2 * SECOND]);
    let budget = handle.budget().unwrap();
    assert_eq!(budget.balance(), f64::from(budget.config().capacity()));
    for never in [
        refused(Reason::RateLimited, Some(3 * SECOND)),
        refused(Reason::CircuitOpen, None),
        refused(Reason::BudgetExhausted, Some(SECOND)),
        refused(Reason::DeadlineExceeded, Some(SECOND)),
        refused(Reason::TooExpensive, Some(SECOND)),
    ] {
        let (answer, upstream, _) = one_call(config(), Replay::Safe, [never]).await;
        assert_eq!((answer, upstream.calls()), (Err(never), 1));
    }
}
