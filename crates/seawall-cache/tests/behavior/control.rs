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
