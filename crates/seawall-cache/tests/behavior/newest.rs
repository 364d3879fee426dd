//! What is kept is never replaced by something older.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_of_an_earlier_call_does_not_replace_a_later_one() {
    let (cache, upstream, handle) = cache(one_second().coalesce(false));
    upstream.hold();
    let first = tokio::spawn(cache.clone().oneshot("SPY"));
    tokio::task::yield_now().await;
    advance(MS).await;
    let second = tokio::spawn(cache.clone().oneshot("SPY"));
    tokio::task::yield_now().await;
    upstream.answer(1, Ok(Degraded::fresh(2)));
    assert_eq!(second.await.unwrap(), Ok(Degraded::fresh(2)));
    upstream.answer(0, Ok(Degraded::fresh(1)));
    assert_eq!(first.await.unwrap(), Ok(Degraded::fresh(1)));
    assert_eq!(price(&cache, "SPY").await, 2);
    assert_eq!(handle.counts().stores.older, 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_data_decides_where_it_has_one() {
    let config = one_second().coalesce(false).stale_on_failure(60 * SECOND);
    let storer = StoreClone::new().timestamp(|price: &Price| Some(*price.value()));
    let layer = layer(config).store(storer);
    let handle = layer.handle();
    let upstream = Upstream::default();
    let cache = layer.layer(upstream.clone());
    upstream.hold();
    let first = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    advance(MS).await;
    let later = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    upstream.answer(0, Ok(Degraded::fresh(50)));
    assert_eq!(first.await.unwrap(), Ok(Degraded::fresh(50)));
    // Of a replica that lags behind.
    upstream.answer(0, Ok(Degraded::fresh(40)));
    assert_eq!(later.await.unwrap(), Ok(Degraded::fresh(40)));
    assert_eq!(handle.counts().stores.older, 1);
    let kept = cache.clone().oneshot("SPY").await;
    assert_eq!(kept, Ok(Degraded::fresh(50)));
}

#[tokio::test(start_paused = true)]
async fn a_time_that_is_far_too_late_stands_until_the_next_answer() {
    let config = one_second().stale_on_failure(60 * SECOND);
    let storer = StoreClone::new().timestamp(|price: &Price| Some(*price.value()));
    let layer = layer(config).store(storer);
    let handle = layer.handle();
    let upstream = Upstream::default();
    let cache = layer.layer(upstream.clone());
    upstream.script([
        Ok(Degraded::fresh(700)),
        Ok(Degraded::fresh(5)),
        Ok(Degraded::fresh(5)),
        Ok(Degraded::fresh(6)),
        Err(Failed::Down),
    ]);
    let ask = async || cache.clone().oneshot("SPY").await.map(Degraded::into_value);
    for value in [700, 5, 5, 6] {
        assert_eq!(ask().await, Ok(value));
        assert_eq!(ask().await, Ok(value), "it is kept");
        advance(SECOND).await;
    }
    assert_eq!(ask().await, Ok(6), "the upstream fails");
    assert_eq!(handle.counts().stores.older, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_is_not_replaced_by_the_answer_to_an_earlier_call() {
    let (cache, upstream, handle) =
        cache(one_second().coalesce(false).stale_on_failure(60 * SECOND));
    upstream.hold();
    let first = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    advance(MS).await;
    let later = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    upstream.answer(1, Ok(Degraded::fresh(2)));
    assert_eq!(later.await.unwrap(), Ok(Degraded::fresh(2)));
    advance(2 * SECOND).await;
    upstream.answer(0, Ok(Degraded::fresh(1)));
    assert_eq!(first.await.unwrap(), Ok(Degraded::fresh(1)));
    assert_eq!(handle.counts().stores.older, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_as_late_as_its_first_poll() {
    let (cache, _, handle) = cache(one_second().coalesce(false));
    let first = cache.clone().call("SPY");
    advance(MS).await;
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(MS).await;
    assert_eq!(first.await, Ok(Degraded::fresh(2)));
    assert_eq!(price(&cache, "SPY").await, 2);
    assert_eq!(handle.counts().stores.older, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_over_is_earlier_than_the_one_that_did() {
    let (cache, upstream, handle) = cache(one_second().max_wait(SECOND));
    upstream.hold();
    let stuck = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    let later = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    advance(SECOND).await;
    settle().await;
    upstream.answer(1, Ok(Degraded::fresh(2)));
    assert_eq!(later.await.unwrap(), Ok(Degraded::fresh(2)));
    upstream.answer(0, Ok(Degraded::fresh(1)));
    assert_eq!(stuck.await.unwrap(), Ok(Degraded::fresh(1)));
    assert_eq!(price(&cache, "SPY").await, 2);
    assert_eq!(handle.counts().stores.older, 1);
}
