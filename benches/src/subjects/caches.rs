//! Answers that are kept and calls that are shared: ours, the bare stores, and tower-resilience's.

use std::hint::black_box;
use std::sync::Arc;

use seawall_cache::{CacheConfig, CacheLayer, CoalesceConfig, CoalesceLayer};
use seawall_core::WrapError;
use tower_layer::Layer;
use tower_resilience::cache::CacheLayer as PeerCacheLayer;
use tower_resilience::coalesce::CoalesceLayer as PeerCoalesceLayer;

use super::{HOUR, Subject};
use crate::leaf::{Leaf, call_once};

const LEAF: WrapError<Leaf> = WrapError::new(Leaf);
/// How many entries there may be.
const ENTRIES: usize = 10_000;

/// Every call of a row has the same key, whatever its number.
fn one_key(_: &u64) -> Option<u64> {
    Some(7)
}

fn no_key(_: &u64) -> Option<u64> {
    None
}

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        Subject::function("quick-cache/cache/get", || {
            let store = Arc::new(quick_cache::sync::Cache::new(ENTRIES));
            store.insert(7_u64, Arc::new(1_u64));
            move |_| store.get(black_box(&7)).is_some()
        }),
        Subject::function("moka/cache/get", || {
            let store = moka::sync::Cache::builder()
                .max_capacity(ENTRIES as u64)
                .time_to_live(HOUR)
                .build();
            store.insert(7_u64, Arc::new(1_u64));
            move |_| store.get(black_box(&7)).is_some()
        }),
        Subject::service("seawall/cache/hit", || {
            let config = CacheConfig::new(HOUR).expect("an hour is a valid lifetime");
            let layer = CacheLayer::new("bench", config).assume_idempotent();
            let mut service = layer.key(one_key).layer(LEAF);
            call_once(&mut service, 0).expect("the leaf answers");
            service
        }),
        Subject::service("seawall/cache/passed", || {
            let config = CacheConfig::new(HOUR).expect("an hour is a valid lifetime");
            let layer = CacheLayer::new("bench", config).assume_idempotent();
            layer.key(no_key).layer(LEAF)
        }),
        Subject::service("tower-resilience/cache/hit", || {
            let layer = PeerCacheLayer::builder()
                .max_size(ENTRIES)
                .ttl(HOUR)
                .key_extractor(|_: &u64| 7_u64)
                .build()
                .expect("a cache");
            let mut service = layer.layer(Leaf);
            assert!(call_once(&mut service, 0).is_ok(), "the leaf answers");
            service
        }),
        Subject::service("seawall/coalesce/idle", || {
            let layer = CoalesceLayer::new("bench", CoalesceConfig::default());
            layer.assume_idempotent().key(one_key).layer(LEAF)
        }),
        Subject::service("tower-resilience/coalesce/idle", || {
            PeerCoalesceLayer::new(|_: &u64| 7_u64).layer(Leaf)
        }),
    ]
}
