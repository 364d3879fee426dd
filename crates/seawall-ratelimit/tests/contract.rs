//! The checks of every layer, for limits that reject and for limits that let calls wait.

use std::time::Duration;

use seawall_core::{Policy, QuotaSignal, ReadQuotaSignals};
use seawall_ratelimit::{
    Feedback, KeyedRateLimit, KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, RateLimit,
    RateLimitConfig, RateLimitLayer,
};
use seawall_testkit::contract::{Mock, hold_call};
use tower_layer::Layer;

/// Grants `burst` at once and one more per ten minutes, so that the checks see no refill by chance.
fn layer(burst: u32, max_wait: Duration) -> RateLimitLayer {
    let config = RateLimitConfig::builder()
        .rate(1, Duration::from_secs(600))
        .burst(burst)
        .max_wait(max_wait)
        .build()
        .expect("valid settings");
    RateLimitLayer::new("subject", config)
}

/// Has tokens for every check.
fn granting(inner: Mock) -> RateLimit<Mock> {
    layer(1_000, Duration::ZERO).layer(inner)
}

/// Every call after the first one waits for a millisecond.
fn waiting(inner: Mock) -> RateLimit<Mock> {
    let config = RateLimitConfig::builder()
        .rate(1_000, Duration::from_secs(1))
        .burst(1)
        .max_wait(Duration::from_secs(30))
        .build()
        .expect("valid settings");
    RateLimitLayer::new("subject", config).layer(inner)
}

/// Two strict limits, which the lock decides on.
fn strict(inner: Mock) -> RateLimit<Mock> {
    let config = RateLimitConfig::builder()
        .limit(Limit::strict(1_000, Duration::from_secs(600)))
        .limit(Limit::strict(5_000, Duration::from_secs(86_400)))
        .build()
        .expect("valid settings");
    RateLimitLayer::new("subject", config).layer(inner)
}

fn per_key(burst: u32, max_wait: Duration) -> KeyedRateLimitLayer {
    let config = RateLimitConfig::builder()
        .rate(1_000, Duration::from_secs(1))
        .burst(burst)
        .max_wait(max_wait)
        .build()
        .expect("valid settings");
    let config = KeyedRateLimitConfig::new(config).expect("no file");
    KeyedRateLimitLayer::new("subject", config)
}

fn keyed(inner: Mock) -> KeyedRateLimit<Mock> {
    per_key(1_000, Duration::ZERO).layer(inner)
}

/// Every call after the first one waits for a millisecond.
fn keyed_waiting(inner: Mock) -> KeyedRateLimit<Mock> {
    per_key(1, Duration::from_secs(30)).layer(inner)
}

/// Below a limit, as it is meant to be.
fn fed_back(inner: Mock) -> Feedback<Mock, Policy, NoSignals> {
    layer(1_000, Duration::ZERO)
        .feedback(NoSignals)
        .layer(inner)
}

/// Reads no signals.
#[derive(Clone)]
struct NoSignals;

impl<Res, Err> ReadQuotaSignals<Res, Err> for NoSignals {
    fn read_signals(&self, _: Result<&Res, &Err>, _: &mut dyn FnMut(QuotaSignal)) {}
}

fn rejecting(inner: Mock) -> RateLimit<Mock> {
    layer(1, Duration::ZERO).layer(inner)
}

fn two_rejecting(a: Mock, b: Mock) -> (RateLimit<Mock>, RateLimit<Mock>) {
    let layer = layer(1, Duration::ZERO);
    (layer.layer(a), layer.clone().layer(b))
}

mod grants {
    seawall_testkit::contract_tests! { super::granting => all }
}

mod waits {
    seawall_testkit::contract_tests! { super::waiting => all }
}

mod strict_ {
    seawall_testkit::contract_tests! { super::strict => all }
}

mod keyed_ {
    seawall_testkit::contract_tests! { super::keyed => all }
}

mod keyed_waiting_ {
    seawall_testkit::contract_tests! { super::keyed_waiting => all }
}

mod fed_back_ {
    seawall_testkit::contract_tests! { super::fed_back => all }
}

seawall_testkit::contract_tests! { rejecting, hold_call => rejects_in_call, clones_share_state }
seawall_testkit::contract_tests! { two_rejecting, hold_call => services_of_one_layer_share_state }
