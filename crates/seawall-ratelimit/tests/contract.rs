//! The laws of a Tower layer, for a limit that rejects and for one that lets calls wait.

use std::time::Duration;

use seawall_core::{QuotaSignal, ReadQuotaSignals};
use seawall_ratelimit::{
    Feedback, KeyedRateLimit, KeyedRateLimitLayer, Limit, RateLimit, RateLimitConfig,
    RateLimitLayer,
};
use seawall_testkit::contract::{Mock, MockHandle, assert_check, checks, occupy};
use tower_layer::Layer;

/// Grants `burst` at once and one more per ten minutes, so that the laws see no refill by chance.
fn layer(burst: u32, max_wait: Duration) -> RateLimitLayer {
    let config = RateLimitConfig::builder()
        .rate(1, Duration::from_secs(600))
        .burst(burst)
        .max_wait(max_wait)
        .build()
        .expect("valid settings");
    RateLimitLayer::new("subject", config)
}

/// Has tokens for whatever a law asks.
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
    KeyedRateLimitLayer::new("subject", config).expect("no file")
}

fn keyed(inner: Mock) -> KeyedRateLimit<Mock> {
    per_key(1_000, Duration::ZERO).layer(inner)
}

/// Every call after the first one waits for a millisecond.
fn keyed_waiting(inner: Mock) -> KeyedRateLimit<Mock> {
    per_key(1, Duration::from_secs(30)).layer(inner)
}

/// Below a limit, as it is meant to be.
fn fed_back(inner: Mock) -> Feedback<Mock, Silent> {
    layer(1_000, Duration::ZERO).feedback(Silent).layer(inner)
}

/// Reads nothing from any answer.
#[derive(Clone)]
struct Silent;

impl<Res, Err> ReadQuotaSignals<Res, Err> for Silent {
    fn feedback(&self, _: Result<&Res, &Err>, _: &mut dyn FnMut(QuotaSignal)) {}
}

fn rejecting(inner: Mock) -> RateLimit<Mock> {
    layer(1, Duration::ZERO).layer(inner)
}

fn two_rejecting(a: Mock, b: Mock) -> (RateLimit<Mock>, RateLimit<Mock>) {
    let layer = layer(1, Duration::ZERO);
    (layer.layer(a), layer.clone().layer(b))
}

mod grants {
    use super::*;

    seawall_testkit::contract_tests! { granting =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic }
}

mod waits {
    use super::*;

    seawall_testkit::contract_tests! { waiting =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic }
}

mod strict_ {
    use super::*;

    seawall_testkit::contract_tests! { strict =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic }
}

mod keyed_ {
    use super::*;

    seawall_testkit::contract_tests! { keyed =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic }
}

mod keyed_waiting_ {
    use super::*;

    seawall_testkit::contract_tests! { keyed_waiting =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic }
}

mod fed_back_ {
    use super::*;

    seawall_testkit::contract_tests! { fed_back =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    clone_resets_readiness, asks_again_before_claiming_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, idle_ready_clone_blocks_nobody,
    passes_errors_through, survives_a_panic }
}

#[tokio::test(start_paused = true)]
async fn rejections_are_errors_of_call() {
    let saturate = async |s: &mut _, m: &MockHandle| occupy(s, m).await;
    assert_check(checks::rejects_in_call(rejecting, saturate).await);
}

#[tokio::test(start_paused = true)]
async fn two_layers_share_one_bucket() {
    let saturate = async |s: &mut _, m: &MockHandle| occupy(s, m).await;
    assert_check(checks::two_services_of_one_layer_share(two_rejecting, saturate).await);
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_bucket() {
    let saturate = async |s: &mut _, m: &MockHandle| occupy(s, m).await;
    assert_check(checks::clones_share(rejecting, saturate).await);
}
