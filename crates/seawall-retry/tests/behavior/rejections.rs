//! Rejections of layers below.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_local_rejection_ends_the_call() {
    for reason in Reason::ALL {
        let failed = rejected(reason, Some(Duration::ZERO));
        let (result, upstream, handle) = one_call(ladder(3), Replay::Never, [failed]).await;
        assert_eq!((result, upstream.calls()), (Err(failed), 1));
        assert_eq!(handle.counts().retries, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_waited_for_where_that_is_allowed_and_costs_no_budget() {
    let config = || {
        let builder = RetryConfig::builder().max_rejection_wait(2 * SECOND);
        let builder = builder.backoff(Backoff::NONE).retry_after_jitter(0.0);
        builder.build().unwrap()
    };
    for reason in [Reason::RateLimited, Reason::Paused, Reason::NoRoute] {
        let soon = rejected(reason, Some(2 * SECOND));
        let (result, upstream, handle) = one_call(config(), Replay::Never, [soon]).await;
        assert_eq!(result, Ok(7));
        assert_eq!(upstream.pauses(), [2 * SECOND]);
        let budget = handle.budget().unwrap();
        assert_eq!(budget.balance(), f64::from(budget.config().capacity()));
    }
    for never in [
        rejected(Reason::RateLimited, Some(3 * SECOND)),
        rejected(Reason::Paused, Some(3 * SECOND)),
        rejected(Reason::Paused, None),
        rejected(Reason::BulkheadFull, None),
        rejected(Reason::BudgetExhausted, Some(SECOND)),
        rejected(Reason::DeadlineExceeded, Some(SECOND)),
        rejected(Reason::TooExpensive, Some(SECOND)),
    ] {
        let (result, upstream, _) = one_call(config(), Replay::Safe, [never]).await;
        assert_eq!((result, upstream.calls()), (Err(never), 1));
    }
}

/// Whatever the request says of itself: an order is settled in the journal, and not by a second copy.
#[tokio::test(start_paused = true)]
async fn an_order_in_doubt_is_not_sent_again() {
    for (pattern, calls) in [("orders", 1), ("retry", 2)] {
        let unknown = Rejection::new(Reason::OutcomeUnknown, "below")
            .with_pattern(pattern)
            .with_sent(Sent::Maybe);
        let failed = Failed::Rejected(unknown);
        let (result, upstream, _) = one_call(ladder(3), Replay::SafeWithKey, [failed]).await;
        assert_eq!(upstream.calls(), calls, "{pattern}");
        assert_eq!(result, if calls == 1 { Err(failed) } else { Ok(7) });
    }
}

/// A half-open circuit cannot say when it will admit a probe: calls ended on it just when
/// the upstream was coming back.
#[tokio::test(start_paused = true)]
async fn a_circuit_that_gives_no_time_is_tried_again_after_the_backoff() {
    let config = |wait| {
        let builder = RetryConfig::builder().max_rejection_wait(wait);
        let backoff = Backoff::constant(SECOND).unwrap();
        builder.backoff(backoff).build().unwrap()
    };
    for reason in [Reason::CircuitOpen, Reason::NotReady] {
        let unsaid = rejected(reason, None);
        let (result, upstream, _) = one_call(config(SECOND), Replay::Never, [unsaid]).await;
        assert_eq!((result, upstream.pauses()), (Ok(7), vec![SECOND]));
        let (result, _, _) = one_call(config(Duration::ZERO), Replay::Never, [unsaid]).await;
        assert_eq!(
            result,
            Err(unsaid),
            "unless rejections are not waited for at all"
        );
    }
}
