//! So many requests of one token, and of one address without: a dashboard makes a few, and who guesses tokens
//! makes no more.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Identity;
use axum::extract::{ConnectInfo, Request};
use seawall_core::{ErrorIsFailure, InvalidConfig, PartitionKey, Policy, RequestMeta};
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, RateLimitConfig};

/// Requests a second of one address, unless it is set.
pub(crate) const PER_SECOND: u32 = 20;
/// Requests at once, in seconds' worth.
const BURST: u32 = 5;

/// Limits the requests of each address.
pub(crate) type RateLimit =
    KeyedRateLimitLayer<Policy<ErrorIsFailure, fn(&Request) -> RequestMeta>>;

pub(crate) fn rate_limit(per_second: u32) -> Result<RateLimit, InvalidConfig> {
    let rate = RateLimitConfig::builder().rate(per_second, Duration::from_secs(1));
    let config = KeyedRateLimitConfig::new(rate.burst(per_second.saturating_mul(BURST)))?;
    let layer = KeyedRateLimitLayer::new("admin", config);
    Ok(layer.describe(by_caller as fn(&Request) -> RequestMeta))
}

fn by_caller(request: &Request) -> RequestMeta {
    let identity = request.extensions().get::<Identity>();
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| *address);
    RequestMeta::default().with_key(key_of(identity, address))
}

/// Who somebody is: by their token, else by their address.
pub(crate) fn key_of(identity: Option<&Identity>, address: Option<SocketAddr>) -> PartitionKey {
    if let Some(identity) = identity {
        return PartitionKey::of(&("token", &*identity.who));
    }
    let key = address.map(|address| match address.ip().to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        // The first half is one customer's.
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    });
    PartitionKey::of(&key)
}
