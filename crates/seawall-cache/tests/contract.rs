//! The layers keep Tower's contract.

use std::time::Duration;

use seawall_cache::{
    Cache, CacheConfig, CacheLayer, Coalesce, CoalesceConfig, CoalesceLayer, InvalidConfig,
};
use seawall_core::{ConstMeta, ErrorIsFailure, Policy};
use seawall_testkit::contract::{BoxError, Mock};
use tower::Layer as _;

type Key = fn(&u32) -> Option<u32>;
type Hooks = seawall_cache::Hooks<Key>;
type Idempotent = Policy<ErrorIsFailure, ConstMeta>;

fn by_number(request: &u32) -> Option<u32> {
    Some(*request)
}

fn none(_: &u32) -> Option<u32> {
    None
}

fn config() -> Result<CacheConfig, InvalidConfig> {
    // What is kept is stale at the next reading of the clock, so that every request is a call.
    CacheConfig::new(Duration::from_nanos(1))
}

/// Undescribed requests are not cached.
fn subject(inner: Mock) -> Cache<Mock, Policy, u32, u32, Hooks> {
    let config = config().expect("a valid one");
    CacheLayer::new("contract", config)
        .key(by_number as Key)
        .layer(inner)
}

seawall_testkit::contract_tests! { subject => all }

mod a_cache_that_keeps {
    use super::*;

    fn subject(inner: Mock) -> Cache<Mock, Idempotent, u32, u32, Hooks> {
        let config = config().expect("a valid one");
        let layer = CacheLayer::new("contract", config).assume_idempotent();
        layer.key(by_number as Key).layer(inner)
    }

    seawall_testkit::contract_tests! { subject => all }
}

mod a_cache_that_passes {
    use super::*;

    fn subject(inner: Mock) -> Cache<Mock, Idempotent, u32, u32, Hooks> {
        let config = config().expect("a valid one");
        let layer = CacheLayer::new("contract", config).assume_idempotent();
        layer.key(none as Key).layer(inner)
    }

    seawall_testkit::contract_tests! { subject => all }
}

mod coalescing {
    use super::*;

    fn subject(inner: Mock) -> Coalesce<Mock, Idempotent, u32, u32, BoxError, Hooks> {
        let layer = CoalesceLayer::new("contract", CoalesceConfig::default());
        layer.assume_idempotent().key(by_number as Key).layer(inner)
    }

    seawall_testkit::contract_tests! { subject => all }
}
