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
    if let Some(identity) = request.extensions().get::<Identity>() {
        return RequestMeta::default().with_key(PartitionKey::of(&("token", &*identity.who)));
    }
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let key = address.map(|ConnectInfo(address)| match address.ip().to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        // The first half is one customer's.
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    });
    RequestMeta::default().with_key(PartitionKey::of(&key))
}
