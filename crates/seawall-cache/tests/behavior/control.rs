//! Commands, settings, and what a registry sees.

use super::*;
use seawall_core::{Command, InstanceHandle, Registry};

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_bypassed_neither_gives_nor_keeps() {
    let (cache, _, handle) = cache(one_second());
    assert_eq!(price(&cache, "SPY").await, 1);
    handle.control(Command::Bypass).unwrap();
    assert_eq!(handle.state(), "bypassed");
    assert_eq!(price(&cache, "SPY").await, 2);
    handle.resume();
    assert_eq!(price(&cache, "SPY").await, 1);
    handle.bypass();
    handle.reset();
    assert_eq!(price(&cache, "SPY").await, 3, "a reset forgets");
    assert!(handle.control(Command::Block).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_call_was_under_way_when_the_cache_was_bypassed_is_not_kept() {
    let (cache, upstream, handle) = cache(one_second());
    upstream.hold();
    let callers = [(); 2].map(|()| tokio::spawn(cache.clone().oneshot("SPY")));
    settle().await;
    handle.bypass();
    upstream.answer(0, Ok(Degraded::fresh(1)));
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(Degraded::fresh(1)));
    }
    assert_eq!((upstream.calls(), handle.snapshot().entries), (1, 0));
    let stores = handle.counts().stores;
    assert_eq!((stores.stored, stores.not_allowed), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_the_cache_is_used() {
    let (cache, _, handle) = cache(one_second());
    assert_eq!(price(&cache, "SPY").await, 1);
    handle
        .configure(CacheConfig::new(10 * SECOND).unwrap())
        .unwrap();
    assert_eq!(price(&cache, "QQQ").await, 2);
    advance(5 * SECOND).await;
    assert_eq!(price(&cache, "SPY").await, 3, "as it was when it was kept");
    assert_eq!(price(&cache, "QQQ").await, 2);
    assert_eq!(handle.config().ttl(), 10 * SECOND);
}

/// A cache whose answers weigh 10 times their price, its upstream and its handle.
macro_rules! heavy {
    ($config:expr) => {{
        let layer =
            layer($config).store(StoreClone::new().weigh(|price: &Price| *price.value() * 10));
        let handle = layer.handle();
        let upstream = Upstream::default();
        (layer.layer(upstream.clone()), upstream, handle)
    }};
}

#[tokio::test(start_paused = true)]
async fn a_bound_of_weight_that_is_set_later_holds_for_what_was_kept_before() {
    let (cache, upstream, handle) = heavy!(one_second());
    let symbols: Vec<&'static str> = (0..100).map(|n| &*format!("S{n}").leak()).collect();
    for symbol in &symbols {
        cache.clone().oneshot(symbol).await.unwrap();
    }
    assert_eq!(
        (handle.snapshot().entries, handle.snapshot().weight),
        (100, 100)
    );
    let bounded = one_second().max_weight(8_000).build().unwrap();
    handle.configure(bounded).unwrap();
    let snapshot = handle.snapshot();
    // What is not kept any more is not kept again.
    upstream.script([Err(Failed::Down); 100]);
    let mut kept = Vec::new();
    for symbol in &symbols {
        kept.extend(cache.clone().oneshot(symbol).await.ok());
    }
    let weight: u64 = kept.iter().map(|price| price.value() * 10).sum();
    assert_eq!((snapshot.weight, snapshot.entries), (weight, kept.len()));
    assert!(weight <= 8_000 && kept.len() > 1, "{weight}: {kept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bound_that_counts_less_for_each_drops_nothing() {
    // Each counts for its share of a thousand.
    let shares = || one_second().max_entries(10).max_weight(10_000);
    let (cache, _, handle) = heavy!(shares());
    for symbol in ["A", "B"] {
        cache.clone().oneshot(symbol).await.unwrap();
    }
    assert_eq!(handle.snapshot().weight, 2_000);
    for (config, weight) in [
        (shares().max_entries(1_000), 30),
        (one_second().max_entries(100), 2),
        (shares(), 2_000),
    ] {
        handle.configure(config.build().unwrap()).unwrap();
        let snapshot = handle.snapshot();
        assert_eq!((snapshot.entries, snapshot.weight), (2, weight));
    }
}

/// Runs a call to its end.
fn now<T>(call: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(call)
}

#[test]
fn what_all_weigh_is_right_whatever_changed_meanwhile() {
    let (cache, upstream, handle) = heavy!(CacheConfig::builder(3_600 * SECOND));
    let symbols: Vec<&'static str> = (0..40).map(|n| &*format!("S{n}").leak()).collect();
    let bound = || CacheConfig::builder(3_600 * SECOND).max_entries(10_000);
    let by_weight = bound().max_weight(10_000_000);
    let bounds = [
        bound(),
        by_weight.clone(),
        bound().max_weight(1_000_000).max_entries(20),
    ];
    std::thread::scope(|scope| {
        let caller = || {
            for call in 0..2_000 {
                let symbol = symbols[call % symbols.len()];
                now(cache.clone().oneshot(symbol)).unwrap();
                match call % 7 {
                    0 => handle.invalidate_where(|one| one.ends_with('7')),
                    1 => handle.invalidate(&symbol),
                    _ => {}
                }
            }
        };
        let callers = [scope.spawn(caller), scope.spawn(caller)];
        while callers.iter().any(|caller| !caller.is_finished()) {
            for bound in &bounds {
                handle.configure(bound.clone().build().unwrap()).unwrap();
            }
        }
    });
    handle.configure(by_weight.build().unwrap()).unwrap();
    // What is not kept any more is not kept again.
    upstream.script([Err(Failed::Down); 40]);
    let mut kept = Vec::new();
    for symbol in &symbols {
        kept.extend(now(cache.clone().oneshot(symbol)).ok());
    }
    // At least its share of 1,000 each.
    let weight: u64 = kept
        .iter()
        .map(|price| (price.value() * 10).max(1_000))
        .sum();
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.entries, snapshot.weight), (kept.len(), weight));
    handle.clear();
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.entries, snapshot.weight), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_what_is_kept() {
    let layer = layer(one_second());
    let (one, other) = (
        layer.layer(Upstream::default()),
        layer.clone().layer(Upstream::default()),
    );
    assert_eq!(price(&one, "SPY").await, 1);
    assert_eq!(price(&other, "SPY").await, 1);
    assert_eq!(layer.handle().counts().calls.hit, 1);
}

#[test]
fn a_registry_has_its_figures_and_settings() {
    let layer = layer(one_second().stale_on_failure(60 * SECOND));
    let registry = Registry::new("broker");
    registry.register(layer.handle()).unwrap();
    let snapshot = &registry.snapshot()[0];
    assert_eq!((snapshot.pattern, snapshot.state), ("cache", "ok"));
    let names: Vec<_> = snapshot
        .samples
        .iter()
        .map(|sample| sample.metric)
        .collect();
    assert!(names.contains(&"seawall_cache_entries"), "{names:?}");
    assert!(
        snapshot
            .settings
            .contains(&("stale_on_failure", "60s".to_owned()))
    );
    for sample in &snapshot.samples {
        assert!(
            seawall_core::metric(sample.metric).is_some(),
            "{}",
            sample.metric
        );
    }
}
