//! Which result is the result of the call.

use super::*;

const IGNORED: Failed = Failed::With(Outcome::Ignored);

async fn race(script: &[(Duration, Result<u32, Failed>)]) -> (Result<u32, Failed>, u128, [u64; 5]) {
    let upstream = Upstream::new(script);
    let layer = layer(after_100_ms(1));
    let (result, ms) = call(&mut layer.layer(upstream.clone())).await;
    assert_eq!(upstream.open(), 0, "an attempt outlives the call");
    (result, ms, extra_counts(&layer.handle()))
}

/// Resilience4j and failsafe-go take the first result or error, whichever it is.
#[tokio::test(start_paused = true)]
async fn a_fast_failure_never_wins_over_a_slow_success() {
    for bad in [
        SERVER,
        NOT_SENT,
        Failed::With(Outcome::Unknown),
        Failed::With(Outcome::Banned { lasts: None }),
        Failed::With(Outcome::QuotaExhausted { renews_in: None }),
        rejected(Reason::AttemptTimeout, Sent::Maybe),
    ] {
        let (result, ms, extra_counts) = race(&[(SECOND, Ok(1)), (10 * MS, Err(bad))]).await;
        assert_eq!(result, Ok(1), "{bad:?}");
        assert_about(ms, 1_000);
        assert_eq!(extra_counts, [0, 0, 1, 0, 0], "{bad:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_first_attempt_waits_for_the_attempt_that_is_under_way() {
    let (result, ms, extra_counts) = race(&[(150 * MS, Err(SERVER)), (300 * MS, Ok(2))]).await;
    assert_eq!(result, Ok(2));
    assert_about(ms, 400);
    assert_eq!(extra_counts, [1, 0, 0, 0, 0]);
}

/// Whether, and when, a failed call is retried is decided by a retry, which knows of backoff
/// and hints.
#[tokio::test(start_paused = true)]
async fn a_failure_before_the_delay_is_the_result_at_once() {
    let (result, ms, extra_counts) = race(&[(50 * MS, Err(SERVER)), (10 * MS, Ok(2))]).await;
    assert_eq!(result, Err(SERVER));
    assert_about(ms, 50);
    assert_eq!(extra_counts, [0; 5]);
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_first_attempts_error_is_the_result() {
    // The extra attempt ends first, and last.
    for (first, extra) in [(500, 10), (150, 900)] {
        let (result, ms, extra_counts) = race(&[
            (first * MS, Err(Failed::Numbered(1))),
            (extra * MS, Err(Failed::Numbered(2))),
        ])
        .await;
        assert_eq!(result, Err(Failed::Numbered(1)));
        assert_about(ms, u128::from(first.max(100 + extra)));
        assert_eq!(extra_counts, [0, 0, 1, 0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ignored_result_is_a_good_one() {
    // A bad request is as bad on the second try.
    let (result, ms, extra_counts) = race(&[(SECOND, Ok(1)), (10 * MS, Err(IGNORED))]).await;
    assert_eq!(result, Err(IGNORED));
    assert_about(ms, 110);
    assert_eq!(extra_counts, [1, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_local_rejection_of_an_extra_attempt_is_never_the_result_and_costs_no_token() {
    for reason in [
        Reason::RateLimited,
        Reason::CircuitOpen,
        Reason::BulkheadFull,
        Reason::InvalidRequest,
        Reason::NotExecuted,
        Reason::TradingMode,
        Reason::Guarded,
    ] {
        let bad = rejected(reason, Sent::No);
        let upstream = Upstream::new([(SECOND, Ok(1)), (Duration::ZERO, Err(bad))]);
        let budget = tokens(5);
        let layer = layer(after_100_ms(4)).budget(budget.clone());
        let (result, ms) = call(&mut layer.layer(upstream.clone())).await;
        assert_eq!(result, Ok(1));
        assert_about(ms, 1_000);
        assert_eq!((upstream.calls(), budget.balance()), (2, 5.0));
        assert_eq!(extra_counts(&layer.handle()), [0, 0, 0, 1, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_bad_result_no_further_attempt_is_begun() {
    // Of an extra attempt.
    let upstream = Upstream::new([(SECOND, Ok(1)), (10 * MS, Err(SERVER))]);
    let service = layer(after_100_ms(4));
    assert_eq!(call(&mut service.layer(upstream.clone())).await.0, Ok(1));
    assert_eq!(upstream.calls(), 2);
    // Of the first, while an extra attempt is under way.
    let upstream = Upstream::new([(150 * MS, Err(SERVER)), (SECOND, Ok(2))]);
    assert_eq!(call(&mut service.layer(upstream.clone())).await.0, Ok(2));
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_results_at_one_moment_the_first_attempts_is_taken() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = HedgeLayer::new("h", after_100_ms(1)).describe(SAFE);
    let handle = layer.handle();
    let mut service = layer.layer(inner);
    let mut call = PolledFuture::new(service.ready().await.unwrap().call(7));
    assert!(call.poll().is_pending());
    advance(101 * MS).await;
    assert!(call.poll().is_pending());
    assert_eq!(mock.calls(), 2);
    mock.respond_to_all();
    assert!(matches!(call.poll(), Poll::Ready(Ok(7))));
    assert_eq!(
        (handle.counts().extra.won, handle.counts().extra.lost),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_good_result_of_several_extra_attempts_wins() {
    let upstream = Upstream::new([(SECOND, Ok(1)), (500 * MS, Ok(2)), (50 * MS, Ok(3))]);
    let layer = layer(after_100_ms(3));
    let (result, ms) = call(&mut layer.layer(upstream.clone())).await;
    assert_eq!(result, Ok(3));
    assert_about(ms, 250);
    assert_eq!((upstream.calls(), upstream.open()), (3, 0));
    assert_eq!(extra_counts(&layer.handle()), [1, 1, 0, 0, 0]);
}

/// The first attempt stood in a queue below and was rejected there, while the second was sent.
#[tokio::test(start_paused = true)]
async fn a_not_sent_result_is_corrected_when_an_extra_attempt_may_have_been_sent() {
    let queued = rejected(Reason::QueueTimeout, Sent::No);
    let timeout = rejected(Reason::AttemptTimeout, Sent::Maybe);
    let (result, ..) = race(&[(500 * MS, Err(queued)), (10 * MS, Err(timeout))]).await;
    assert_eq!(result, Err(rejected(Reason::QueueTimeout, Sent::Maybe)));
    // The upstream's result is that of the call.
    let (result, ..) = race(&[(500 * MS, Err(queued)), (10 * MS, Err(SERVER))]).await;
    assert_eq!(result, Err(SERVER));
    // Neither was sent.
    let (result, ..) = race(&[(500 * MS, Err(queued)), (10 * MS, Err(queued))]).await;
    assert_eq!(result, Err(queued));
    let (result, ..) = race(&[(500 * MS, Err(queued)), (10 * MS, Err(NOT_SENT))]).await;
    assert_eq!(result, Err(queued));
    // The client's own error is wrong of the call, also where it may be sent any number of times.
    let script = [(500 * MS, Err(NOT_SENT)), (10 * MS, Err(SERVER))];
    let unknown = Rejection::new(Reason::OutcomeUnknown, "hedge").with_sent(Sent::Maybe);
    let attempts = seawall_core::Figure::Attempts(2);
    let unknown = unknown.with_pattern("hedge").with_figure(attempts);
    for replay in [Replay::Safe, Replay::SafeWithKey] {
        let layer = layer(after_100_ms(1)).describe(ConstMeta(RequestMeta::new(replay)));
        let (result, _) = call(&mut layer.layer(Upstream::new(script))).await;
        assert_eq!(result, Err(Failed::Rejected(unknown)));
        assert_eq!(layer.handle().counts().calls.unknown, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_an_extra_attempts_readiness_is_not_the_result() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let budget = tokens(5);
    let layer = HedgeLayer::new("h", after_100_ms(4)).describe(SAFE);
    let layer = layer.budget(budget.clone());
    let mut service = layer.layer(inner);
    let call = tokio::spawn(service.ready().await.unwrap().call(7));
    sleep(50 * MS).await;
    mock.set_failed();
    sleep(500 * MS).await;
    assert_eq!(
        (mock.calls(), layer.handle().counts().extra.not_sent),
        (1, 1)
    );
    mock.respond(0, Ok(()));
    assert_eq!(call.await.unwrap().unwrap(), 7);
    assert_eq!(budget.balance(), 5.0);
}
