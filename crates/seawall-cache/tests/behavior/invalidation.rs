//! What is invalid is not given, also where its call was under way.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_key_is_invalidated_and_no_other() {
    let (cache, _, handle) = cache(one_second().stale_on_failure(60 * SECOND));
    assert_eq!(price(&cache, "SPY").await, 1);
    assert_eq!(price(&cache, "QQQ").await, 2);
    handle.invalidate(&"SPY");
    assert_eq!(price(&cache, "SPY").await, 3);
    assert_eq!(price(&cache, "QQQ").await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_invalid_is_not_given_where_the_upstream_fails() {
    let (cache, upstream, handle) = cache(one_second().stale_on_failure(60 * SECOND));
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(SECOND).await;
    upstream.hold();
    let asked = tokio::spawn(cache.clone().oneshot("SPY"));
    tokio::task::yield_now().await;
    handle.invalidate(&"SPY");
    upstream.answer(0, Err(Failed::Down));
    assert_eq!(asked.await.unwrap(), Err(Failed::Down));
}

#[tokio::test(start_paused = true)]
async fn a_prefix_is_invalidated_and_nothing_else() {
    let (cache, _, handle) = cache(one_second());
    for symbol in ["AAPL/1", "AAPL/2", "SPY/1"] {
        price(&cache, symbol).await;
    }
    handle.invalidate_prefix("AAPL/");
    assert_eq!(handle.snapshot().entries, 1);
    assert_eq!(price(&cache, "SPY/1").await, 3);
    assert_eq!(price(&cache, "AAPL/1").await, 4);
    handle.clear();
    assert_eq!(handle.snapshot().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_call_was_under_way_when_it_was_invalidated_is_not_kept() {
    for by_prefix in [false, true] {
        let (cache, upstream, handle) = cache(one_second());
        upstream.hold();
        let early = tokio::spawn(cache.clone().oneshot("SPY"));
        let waiter = tokio::spawn(cache.clone().oneshot("SPY"));
        tokio::task::yield_now().await;
        match by_prefix {
            true => handle.invalidate_prefix("S"),
            false => handle.invalidate(&"SPY"),
        }
        // It comes later, so it does not share the call.
        let late = tokio::spawn(cache.clone().oneshot("SPY"));
        tokio::task::yield_now().await;
        assert_eq!(upstream.calls(), 2);
        upstream.answer(0, Ok(Degraded::fresh(1)));
        assert_eq!(early.await.unwrap(), Ok(Degraded::fresh(1)));
        upstream.answer(0, Ok(Degraded::fresh(2)));
        assert_eq!(late.await.unwrap(), Ok(Degraded::fresh(2)));
        assert_eq!(
            waiter.await.unwrap(),
            Ok(Degraded::fresh(2)),
            "it was handed on"
        );
        assert_eq!(price(&cache, "SPY").await, 2);
        assert_eq!(handle.counts().stores.invalidated, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_begins_with_its_first_poll() {
    for by_prefix in [false, true] {
        let (cache, upstream, handle) = cache(one_second());
        let early = cache.clone().call("SPY");
        match by_prefix {
            true => handle.invalidate_prefix("S"),
            false => handle.invalidate(&"SPY"),
        }
        upstream.hold();
        let late = tokio::spawn(cache.clone().oneshot("SPY"));
        settle().await;
        let early = tokio::spawn(early);
        settle().await;
        assert_eq!(upstream.calls(), 1, "they share it");
        upstream.answer(0, Ok(Degraded::fresh(1)));
        assert_eq!(late.await.unwrap(), Ok(Degraded::fresh(1)));
        assert_eq!(early.await.unwrap(), Ok(Degraded::fresh(1)));

        // Also where it leads.
        let early = cache.clone().call("QQQ");
        handle.clear();
        let early = tokio::spawn(early);
        settle().await;
        upstream.answer(0, Ok(Degraded::fresh(2)));
        assert_eq!(early.await.unwrap(), Ok(Degraded::fresh(2)));
        assert_eq!(price(&cache, "QQQ").await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_call_of_a_waiter_begins_when_it_makes_it() {
    let (cache, upstream, handle) = cache(one_second());
    upstream.hold();
    let gone = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    let waiter = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    handle.invalidate(&"SPY");
    gone.abort();
    settle().await;
    assert_eq!(upstream.calls(), 2);
    upstream.answer(1, Ok(Degraded::fresh(2)));
    assert_eq!(waiter.await.unwrap(), Ok(Degraded::fresh(2)));
    assert_eq!(price(&cache, "SPY").await, 2);
}
