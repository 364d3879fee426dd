//! What is kept, for how long, and what a hit needs.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_until_its_ttl_ends() {
    let (cache, upstream, handle) = cache(one_second());
    assert_eq!(price(&cache, "SPY").await, 1);
    advance(999 * MS).await;
    assert_eq!(price(&cache, "SPY").await, 1);
    assert_eq!(price(&cache, "QQQ").await, 2, "another key");
    advance(MS).await;
    assert_eq!(price(&cache, "SPY").await, 3);
    assert_eq!(upstream.calls(), 3);
    let counts = handle.counts();
    assert_eq!((counts.calls.hit, counts.calls.miss), (1, 3));
    assert_eq!(counts.stores.stored, 3);
    assert_eq!(handle.snapshot().entries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_hit_needs_no_readiness_of_the_inner_service() {
    let (mut cache, upstream, _) = cache(one_second());
    assert_eq!(price(&cache, "SPY").await, 1);
    let before = upstream.ready_polls();
    assert_eq!(
        cache.ready().await.unwrap().call("SPY").await,
        Ok(Degraded::fresh(1))
    );
    assert_eq!(upstream.ready_polls(), before);
    // A call that is never polled is none.
    drop(cache.call("QQQ"));
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_good_answers_are_kept() {
    let (cache, upstream, handle) = cache(one_second());
    let mark = seawall_core::Degradation::new("overloaded", "backup");
    upstream.script([
        Err(Failed::Down),
        Err(Failed::BadRequest),
        Ok(Degraded::fresh(900)),
        Ok(Degraded::fresh(800)),
        Ok(Degraded::marked(7, mark)),
        rejected(Reason::RateLimited),
    ]);
    for _ in 0..6 {
        let _ = cache.clone().oneshot("SPY").await;
    }
    assert_eq!(handle.snapshot().entries, 0);
    assert_eq!(handle.counts().stores.stored, 0);
    assert_eq!(price(&cache, "SPY").await, 7);
    assert_eq!(price(&cache, "SPY").await, 7);
    assert_eq!(upstream.calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_of_the_upstream_is_kept_for_a_time_of_its_own() {
    let (cache, upstream, _) = cache(one_second().negative_ttl(100 * MS));
    upstream.script([Ok(Degraded::fresh(800)), Ok(Degraded::fresh(801))]);
    assert_eq!(price(&cache, "NONE").await, 800);
    advance(99 * MS).await;
    assert_eq!(price(&cache, "NONE").await, 800);
    advance(MS).await;
    assert_eq!(price(&cache, "NONE").await, 801);
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_key_and_what_must_not_be_sent_twice_is_not_cached() {
    let (cache, upstream, handle) = cache(one_second());
    assert_eq!(price(&cache, "order 1").await, 1);
    assert_eq!(price(&cache, "order 1").await, 2);
    assert_eq!(handle.counts().calls.passed, 2);

    let once = layer(one_second()).describe(ConstMeta(RequestMeta::non_idempotent()));
    let handle = once.handle();
    let once = once.layer(upstream.clone());
    assert_eq!(once.clone().oneshot("SPY").await, Ok(Degraded::fresh(3)));
    assert_eq!(once.oneshot("SPY").await, Ok(Degraded::fresh(4)));
    assert_eq!(
        (handle.counts().calls.passed, handle.snapshot().entries),
        (2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_describer_nothing_is_cached_and_that_is_noted() {
    let layer = CacheLayer::new("prices", one_second().build().unwrap()).key(key as Key);
    let handle = layer.handle();
    let cache = layer.layer(Upstream::default());
    for number in 1..=2 {
        assert_eq!(
            cache.clone().oneshot("SPY").await,
            Ok(Degraded::fresh(number))
        );
    }
    assert_eq!(handle.counts().calls.not_described, 2);
    use seawall_core::{InstanceHandle, Misconfiguration};
    assert_eq!(handle.misconfigured(), [Misconfiguration::Undescribed]);
}

#[tokio::test(start_paused = true)]
async fn a_cache_has_no_more_than_its_most_entries_and_weight() {
    let (cache, _, handle) = cache(one_second().max_entries(10));
    let symbols: Vec<&'static str> = (0..100).map(|n| &*format!("S{n}").leak()).collect();
    for symbol in &symbols {
        price(&cache, symbol).await;
    }
    let entries = handle.snapshot().entries;
    assert!((1..=10).contains(&entries), "{entries}");

    let config = one_second().max_weight(400).build().unwrap();
    let heavy = CacheLayer::new("prices", config)
        .assume_idempotent()
        .key(key as Key)
        .store(StoreClone::new().weigh(|price: &Price| *price.value() * 10));
    let handle = heavy.handle();
    let heavy = heavy.layer(Upstream::default());
    for symbol in &symbols[..12] {
        heavy.clone().oneshot(symbol).await.unwrap();
    }
    let (snapshot, counts) = (handle.snapshot(), handle.counts());
    assert!(snapshot.weight <= 400, "{snapshot:?}");
    assert_eq!(counts.stores.too_heavy, 3, "100, 110 and 120");
    assert_eq!(counts.stores.stored, 9);
}

#[tokio::test]
async fn it_works_in_real_time() {
    let (cache, upstream, _) = cache(CacheConfig::builder(20 * MS));
    assert_eq!(price(&cache, "SPY").await, 1);
    tokio::time::sleep(25 * MS).await;
    assert_eq!(price(&cache, "SPY").await, 2);
    assert_eq!(upstream.calls(), 2);
}
