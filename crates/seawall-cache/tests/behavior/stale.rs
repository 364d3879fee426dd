//! What is given where the upstream fails, or while a new answer is fetched.

use super::*;
use seawall_core::{Degradation, StoreResponse, StoreSink};

fn stale(reason: &'static str, value: u64, age: Duration) -> Reply {
    let mark = Degradation::new(reason, "prices").with_age(age);
    Ok(Degraded::marked(value, mark))
}

#[tokio::test(start_paused = true)]
async fn where_the_upstream_fails_what_is_stale_is_given_with_its_age() {
    let (cache, upstream, handle) = cache(one_second().stale_on_failure(60 * SECOND));
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(30 * SECOND).await;
    upstream.script([
        Err(Failed::Down),
        rejected(Reason::CircuitOpen),
        Ok(Degraded::fresh(900)),
        Err(Failed::BadRequest),
    ]);
    let ask = || cache.clone().oneshot("SPY");
    assert_eq!(ask().await, stale("server", 1, 30 * SECOND));
    assert_eq!(ask().await, stale("circuit_open", 1, 30 * SECOND));
    assert_eq!(ask().await, stale("throttled", 1, 30 * SECOND));
    assert_eq!(ask().await, Err(Failed::BadRequest), "its own mistake");
    assert_eq!(handle.counts().calls.stale, 3);

    // The bound is one of age.
    advance(30 * SECOND).await;
    upstream.script([Err(Failed::Down)]);
    assert_eq!(ask().await, Err(Failed::Down));
    assert_eq!(price(&cache, "SPY").await, 7);
}

#[tokio::test(start_paused = true)]
async fn without_an_age_bound_the_failure_is_given() {
    let (cache, upstream, _) = cache(one_second());
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(SECOND).await;
    upstream.script([Err(Failed::Down)]);
    assert_eq!(cache.oneshot("SPY").await, Err(Failed::Down));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_wants_fresh_answers_alone_gets_the_failure() {
    fn to_trade_on(symbol: &&'static str) -> bool {
        symbol.ends_with('!')
    }
    fn without_mark(symbol: &&'static str) -> Option<&'static str> {
        Some(symbol.trim_end_matches('!'))
    }
    let config = one_second()
        .stale_while_revalidate(SECOND)
        .stale_on_failure(60 * SECOND);
    let upstream = Upstream::default();
    let cache = layer(config)
        .fresh_only(to_trade_on as fn(&&'static str) -> bool)
        .key(without_mark as Key)
        .layer(upstream.clone());
    assert_eq!(cache.clone().oneshot("SPY!").await, Ok(Degraded::fresh(1)));
    assert_eq!(
        cache.clone().oneshot("SPY!").await,
        Ok(Degraded::fresh(1)),
        "it is fresh"
    );
    advance(3 * SECOND).await;
    upstream.script([Err(Failed::Down), Err(Failed::Down)]);
    assert_eq!(cache.clone().oneshot("SPY!").await, Err(Failed::Down));
    assert_eq!(
        cache.clone().oneshot("SPY").await,
        stale("server", 1, 3 * SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn a_degraded_answer_of_below_is_given_as_it_is() {
    let (cache, upstream, _) = cache(one_second().stale_on_failure(60 * SECOND));
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(SECOND).await;
    let backup = Degraded::marked(7, Degradation::new("overloaded", "backup"));
    upstream.script([Ok(backup)]);
    assert_eq!(cache.clone().oneshot("SPY").await, Ok(backup));
    assert_eq!(price(&cache, "SPY").await, 3, "and it is not kept");
}

#[tokio::test(start_paused = true)]
async fn one_caller_refreshes_and_all_others_get_what_is_stale() {
    for coalesce in [true, false] {
        let config = one_second()
            .coalesce(coalesce)
            .stale_while_revalidate(SECOND);
        one_caller_refreshes(config).await;
    }
}

async fn one_caller_refreshes(config: CacheConfigBuilder) {
    let (cache, upstream, handle) = cache(config);
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(1_500 * MS).await;
    upstream.hold();
    let first = tokio::spawn(cache.clone().oneshot("SPY"));
    tokio::task::yield_now().await;
    for _ in 0..5 {
        assert_eq!(
            cache.clone().oneshot("SPY").await,
            stale("stale", 1, 1_500 * MS)
        );
    }
    assert_eq!(upstream.calls(), 2);
    upstream.answer(0, Ok(Degraded::fresh(2)));
    assert_eq!(first.await.unwrap(), Ok(Degraded::fresh(2)));
    assert_eq!(price(&cache, "SPY").await, 2);
    assert_eq!(handle.counts().calls.refreshing, 5);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_gives_what_is_stale() {
    let config = one_second().stale_while_revalidate(SECOND);
    let (cache, upstream, _) = cache(config);
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(1_500 * MS).await;
    upstream.script([Err(Failed::Down)]);
    assert_eq!(
        cache.clone().oneshot("SPY").await,
        stale("server", 1, 1_500 * MS)
    );
    advance(500 * MS).await;
    upstream.script([Err(Failed::Down)]);
    assert_eq!(cache.oneshot("SPY").await, Err(Failed::Down));
}

#[tokio::test(start_paused = true)]
async fn refreshes_in_the_background_are_as_many_as_may_be() {
    let config = one_second().stale_while_revalidate(SECOND).max_refreshes(2);
    let layer = layer(config).refresh_in_background();
    let handle = layer.handle();
    let upstream = Upstream::default();
    let cache = layer.layer(upstream.clone());
    for symbol in ["A", "B", "C"] {
        cache.clone().oneshot(symbol).await.unwrap();
    }
    advance(1_500 * MS).await;
    upstream.hold();
    for _ in 0..3 {
        for (symbol, number) in [("A", 1), ("B", 2), ("C", 3)] {
            let price = cache.clone().oneshot(symbol).await;
            assert_eq!(price, stale("stale", number, 1_500 * MS));
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(upstream.calls(), 5, "two refreshes");
    let refreshes = handle.counts().refreshes;
    assert_eq!((refreshes.begun, refreshes.skipped), (2, 3));

    upstream.answer(0, Ok(Degraded::fresh(11)));
    upstream.answer(0, Err(Failed::Down));
    tokio::task::yield_now().await;
    let ask = |symbol| cache.clone().oneshot(symbol);
    assert_eq!(ask("A").await, Ok(Degraded::fresh(11)));
    assert_eq!(ask("B").await, stale("stale", 2, 1_500 * MS));
    tokio::task::yield_now().await;
    assert_eq!(upstream.calls(), 6, "the permits are back");
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_are_one_refresh_in_the_background() {
    let config = one_second().stale_while_revalidate(SECOND).max_refreshes(2);
    let layer = layer(config).refresh_in_background();
    let handle = layer.handle();
    let upstream = Upstream::default();
    let cache = layer.layer(upstream.clone());
    for symbol in ["A", "B"] {
        cache.clone().oneshot(symbol).await.unwrap();
    }
    advance(1_500 * MS).await;
    // No task runs before all have called.
    for _ in 0..3 {
        for (symbol, number) in [("A", 1), ("B", 2)] {
            let price = cache.clone().oneshot(symbol).await;
            assert_eq!(price, stale("stale", number, 1_500 * MS));
        }
    }
    settle().await;
    let refreshes = handle.counts().refreshes;
    assert_eq!((refreshes.begun, refreshes.skipped), (2, 0));
    assert_eq!(upstream.calls(), 4);
    let ask = |symbol| cache.clone().oneshot(symbol);
    assert_eq!(ask("A").await, Ok(Degraded::fresh(3)));
    assert_eq!(ask("B").await, Ok(Degraded::fresh(4)));
    assert_eq!(handle.counts().calls.joined, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_nobody_polls_any_more_is_taken_over() {
    let config = one_second().max_wait(SECOND);
    let (cache, upstream, _) = cache(config.stale_while_revalidate(60 * SECOND));
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(2 * SECOND).await;
    upstream.hold();
    let mut stuck = polled_once(cache.clone().oneshot("SPY")).await;
    let ask = || cache.clone().oneshot("SPY");
    assert_eq!(ask().await, stale("stale", 1, 2 * SECOND));
    advance(SECOND).await;
    assert_eq!(ask().await, stale("stale", 1, 3 * SECOND));
    advance(MS).await;
    let later = tokio::spawn(ask());
    settle().await;
    assert_eq!(upstream.calls(), 3);
    assert_eq!(ask().await, stale("stale", 1, 3 * SECOND + MS), "one does");
    upstream.answer(1, Ok(Degraded::fresh(3)));
    assert_eq!(later.await.unwrap(), Ok(Degraded::fresh(3)));
    assert_eq!(price(&cache, "SPY").await, 3);
    upstream.answer(0, Err(Failed::Down));
    assert_eq!(stuck.as_mut().await.map(Degraded::into_value), Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_polls_any_more_is_taken_over_by_a_refresh_in_the_background() {
    fn to_trade_on(symbol: &&'static str) -> bool {
        symbol.ends_with('!')
    }
    fn without_mark(symbol: &&'static str) -> Option<&'static str> {
        Some(symbol.trim_end_matches('!'))
    }
    let config = one_second().max_wait(SECOND);
    let layer = layer(config.stale_while_revalidate(60 * SECOND)).refresh_in_background();
    let layer = layer.fresh_only(to_trade_on as fn(&&'static str) -> bool);
    let upstream = Upstream::default();
    let cache = layer.key(without_mark as Key).layer(upstream.clone());
    let ask = || cache.clone().oneshot("SPY");
    assert_eq!(ask().await, Ok(Degraded::fresh(1)));
    advance(2 * SECOND).await;
    upstream.hold();
    let _stuck = polled_once(cache.clone().oneshot("SPY!")).await;
    assert_eq!(ask().await, stale("stale", 1, 2 * SECOND));
    advance(SECOND + MS).await;
    assert_eq!(ask().await, stale("stale", 1, 3 * SECOND + MS));
    settle().await;
    assert_eq!(upstream.calls(), 3);
    upstream.answer(1, Ok(Degraded::fresh(3)));
    settle().await;
    assert_eq!(ask().await, Ok(Degraded::fresh(3)));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_in_the_background_that_takes_too_long_is_given_up() {
    let config = one_second().max_wait(SECOND).max_refreshes(1);
    let layer = layer(config.stale_while_revalidate(60 * SECOND)).refresh_in_background();
    let (upstream, handle) = (Upstream::default(), layer.handle());
    let cache = layer.layer(upstream.clone());
    let ask = |symbol| cache.clone().oneshot(symbol);
    ask("A").await.unwrap();
    ask("B").await.unwrap();
    advance(2 * SECOND).await;
    upstream.hold();
    ask("A").await.unwrap();
    settle().await;
    assert_eq!(handle.snapshot().under_way, 1);
    advance(SECOND + MS).await;
    settle().await;
    assert_eq!(handle.snapshot().under_way, 0, "as if its caller were gone");
    ask("B").await.unwrap();
    let refreshes = handle.counts().refreshes;
    assert_eq!((refreshes.begun, refreshes.given_up), (2, 1));
}

/// Keeps a response at once, and comes never to an end of it.
#[derive(Clone, Copy)]
struct Endless;

impl StoreResponse<Price> for Endless {
    type Stored = Price;
    type Response = Price;
    type Draining = std::future::Pending<()>;

    fn store<K: StoreSink<Price>>(&self, price: Price, sink: K) -> Price {
        sink.put(price, 1);
        price
    }

    fn pass(&self, price: Price) -> Price {
        price
    }

    fn restore(&self, stored: &Price, _: Option<Duration>) -> Price {
        *stored
    }

    fn drain(&self, _: Price) -> Self::Draining {
        std::future::pending()
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_in_the_background_whose_body_does_not_end_is_given_up() {
    let config = one_second().max_wait(2 * SECOND).max_refreshes(1);
    let config = config.stale_while_revalidate(60 * SECOND);
    let layer = layer(config).refresh_in_background().store(Endless);
    let handle = layer.handle();
    let cache = layer.layer(Upstream::default());
    let ask = || cache.clone().oneshot("SPY");
    ask().await.unwrap();
    for (wait, begun) in [(1_000 * MS, 1), (1_500 * MS, 1), (600 * MS, 2)] {
        advance(wait).await;
        settle().await;
        ask().await.unwrap();
        settle().await;
        assert_eq!(handle.counts().refreshes.begun, begun, "{wait:?}");
    }
}
