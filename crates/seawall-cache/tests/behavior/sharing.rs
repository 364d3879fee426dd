//! Callers of a cache share a call.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stampede_on_expiry_is_one_call() {
    let (cache, upstream, handle) = cache(one_second());
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(SECOND).await;
    upstream.hold();
    let callers: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(cache.clone().oneshot("SPY")))
        .collect();
    settle().await;
    assert_eq!(handle.snapshot().waiting, 999);
    upstream.answer(0, Ok(Degraded::fresh(7)));
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(Degraded::fresh(7)));
    }
    assert_eq!(upstream.calls(), 2);
    let calls = handle.counts().calls;
    assert_eq!((calls.miss, calls.joined), (2, 999));
    assert_eq!(
        (handle.snapshot().under_way, handle.snapshot().waiting),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn where_the_call_fails_every_waiter_gets_what_is_stale() {
    let (cache, upstream, handle) = cache(one_second().stale_on_failure(60 * SECOND));
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(SECOND).await;
    upstream.hold();
    let callers: Vec<_> = (0..100)
        .map(|_| tokio::spawn(cache.clone().oneshot("SPY")))
        .collect();
    settle().await;
    upstream.answer(0, rejected(Reason::CircuitOpen));
    for caller in callers {
        let price = caller.await.unwrap().unwrap();
        assert_eq!(price.degradation().map(|d| d.reason), Some("circuit_open"));
    }
    assert_eq!((upstream.calls(), handle.counts().calls.stale), (2, 100));
}

#[tokio::test(start_paused = true)]
async fn where_the_time_of_one_caller_is_over_the_next_one_makes_the_call() {
    for reason in [Reason::DeadlineExceeded, Reason::QueueTimeout] {
        let (cache, upstream, _) = cache(one_second().stale_on_failure(60 * SECOND));
        assert_eq!(price(&cache, "SPY").await, 1);
        advance(SECOND).await;
        upstream.hold();
        let callers = [(); 2].map(|()| tokio::spawn(cache.clone().oneshot("SPY")));
        settle().await;
        upstream.answer(0, rejected(reason));
        settle().await;
        assert_eq!(upstream.calls(), 3);
        upstream.answer(0, Ok(Degraded::fresh(7)));
        let [first, second] = callers;
        let first = first.await.unwrap().unwrap();
        assert_eq!(first.degradation().map(|d| d.reason), Some(reason.as_str()));
        assert_eq!(second.await.unwrap(), Ok(Degraded::fresh(7)));
    }
}

#[tokio::test(start_paused = true)]
async fn without_coalescing_every_caller_makes_its_call() {
    let (cache, upstream, _) = cache(one_second().coalesce(false));
    upstream.hold();
    let callers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(cache.clone().oneshot("SPY")))
        .collect();
    settle().await;
    assert_eq!(upstream.calls(), 3);
    for caller in callers {
        upstream.answer(0, Ok(Degraded::fresh(1)));
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_polls_any_more_is_taken_over() {
    let (cache, upstream, _) = cache(one_second().max_wait(SECOND));
    upstream.hold();
    let mut stuck = Box::pin(cache.clone().oneshot("SPY"));
    assert!(futures_poll(stuck.as_mut()).is_pending());
    let waiter = tokio::spawn(cache.clone().oneshot("SPY"));
    let other = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    advance(999 * MS).await;
    settle().await;
    assert_eq!(upstream.calls(), 1);
    advance(MS).await;
    settle().await;
    assert_eq!(upstream.calls(), 2, "one of the two");
    upstream.answer(1, Ok(Degraded::fresh(2)));
    assert_eq!(waiter.await.unwrap(), Ok(Degraded::fresh(2)));
    assert_eq!(other.await.unwrap(), Ok(Degraded::fresh(2)));
    drop(stuck);
    assert_eq!(price(&cache, "SPY").await, 2);
}

#[tokio::test(start_paused = true)]
async fn no_caller_waits_for_more_than_twice_the_longest_wait() {
    let cache = layer(one_second().max_wait(30 * SECOND));
    let cache = cache.layer(tower::service_fn(fails_after_ten_seconds));
    assert_eq!(convoy(cache).await, 70 * SECOND, "and a call of its own");
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_no_longer_where_others_lead_and_fail_again_and_again() {
    fn to_trade_on(symbol: &&'static str) -> bool {
        symbol.ends_with('!')
    }
    fn without_mark(symbol: &&'static str) -> Option<&'static str> {
        Some(symbol.trim_end_matches('!'))
    }
    let config = one_second().max_wait(15 * SECOND);
    let layer = layer(config.stale_on_failure(3_600 * SECOND));
    let layer = layer.fresh_only(to_trade_on as fn(&&'static str) -> bool);
    let upstream = Upstream::default();
    let cache = layer.key(without_mark as Key).layer(upstream.clone());
    assert_eq!(cache.clone().oneshot("SPY").await, Ok(Degraded::fresh(1)));
    advance(SECOND).await;
    upstream.hold();
    let lead = || tokio::spawn(cache.clone().oneshot("SPY"));
    let _first = lead();
    settle().await;
    let mut fresh = polled_once(cache.clone().oneshot("SPY!")).await;
    for _ in 0..2 {
        advance(10 * SECOND).await;
        upstream.answer(0, Err(Failed::Down));
        settle().await;
        // It leads before the one that waits is polled, which takes nothing stale.
        let _next = lead();
        settle().await;
        assert!(futures_poll(fresh.as_mut()).is_pending());
    }
    assert_eq!(upstream.calls(), 4);
    advance(10 * SECOND).await;
    assert!(futures_poll(fresh.as_mut()).is_pending());
    assert_eq!(upstream.calls(), 5, "its own");
}

/// A caller whose call is stuck, and one that has taken over.
async fn overtaken(cache: &MyCache, upstream: &Upstream) -> (Caller, Caller) {
    upstream.hold();
    let stuck = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    let later = tokio::spawn(cache.clone().oneshot("SPY"));
    settle().await;
    advance(SECOND).await;
    settle().await;
    assert_eq!(upstream.calls(), 3, "one before, the stuck one, and this");
    (stuck, later)
}

type Caller = tokio::task::JoinHandle<Reply>;

fn bounded() -> CacheConfigBuilder {
    let config = one_second().max_wait(SECOND);
    config.stale_on_failure(60 * SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_over_and_fails_gives_what_is_kept() {
    let (cache, upstream, handle) = cache(bounded());
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(2 * SECOND).await;
    let (stuck, later) = overtaken(&cache, &upstream).await;
    upstream.answer(1, Ok(Degraded::fresh(3)));
    assert_eq!(later.await.unwrap(), Ok(Degraded::fresh(3)));
    upstream.answer(0, Err(Failed::Down));
    let answer = stuck.await.unwrap().unwrap();
    assert_eq!(answer.degradation().map(|d| d.reason), Some("server"));
    assert_eq!((answer.into_value(), handle.counts().calls.stale), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_over_and_succeeds_is_kept_unless_it_is_older() {
    let (cache, upstream, handle) = cache(bounded());
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(2 * SECOND).await;
    let (stuck, later) = overtaken(&cache, &upstream).await;
    upstream.answer(1, Err(Failed::Down));
    assert_eq!(later.await.unwrap().map(Degraded::into_value), Ok(1));
    upstream.answer(0, Ok(Degraded::fresh(2)));
    assert_eq!(stuck.await.unwrap(), Ok(Degraded::fresh(2)));
    assert_eq!(price(&cache, "SPY").await, 2, "and no call");
    let stores = handle.counts().stores;
    assert_eq!((stores.stored, stores.invalidated), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_the_one_that_took_over_is_kept_also_where_it_comes_second() {
    let (cache, upstream, handle) = cache(bounded());
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(2 * SECOND).await;
    let (stuck, later) = overtaken(&cache, &upstream).await;
    upstream.answer(0, Ok(Degraded::fresh(2)));
    assert_eq!(stuck.await.unwrap(), Ok(Degraded::fresh(2)));
    upstream.answer(0, Ok(Degraded::fresh(3)));
    assert_eq!(later.await.unwrap(), Ok(Degraded::fresh(3)));
    assert_eq!(price(&cache, "SPY").await, 3);
    let stores = handle.counts().stores;
    assert_eq!((stores.stored, stores.invalidated), (3, 0));
}

fn futures_poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}
