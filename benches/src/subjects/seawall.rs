//! Ours, each over a lifted leaf, as a user would stack it.

use std::time::Duration;

use seawall_breaker::{BreakerConfig, BreakerLayer, State};
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{Always, Lift, Meta, Replay};
use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
use seawall_retry::{RetryConfig, RetryLayer};
use seawall_timeout::AttemptTimeoutLayer;
use tower_layer::Layer;
use tower_service::Service;

use super::{HOUR, LONG, MANY, Subject};
use crate::leaf::{FAIL, Late, Leaf, Stuck, call_once};

const LEAF: Lift<Leaf> = Lift::new(Leaf);
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn subjects() -> Vec<Subject> {
    let mut subjects = breakers();
    subjects.extend(limits());
    subjects.extend(others());
    subjects
}

fn breakers() -> Vec<Subject> {
    vec![
        Subject::service("seawall/breaker/closed-count", || breaker().layer(LEAF)),
        Subject::service_cloned("seawall/breaker/closed-count-cloned", || {
            breaker().layer(LEAF)
        }),
        Subject::service("seawall/breaker/refused", || open_breaker().layer(LEAF)).refusing(),
        Subject::service("seawall/gate/closed", || breaker().gate().layer(LEAF)),
        Subject::service("seawall/gate/refused", || open_breaker().gate().layer(LEAF)).refusing(),
    ]
}

fn limits() -> Vec<Subject> {
    vec![
        Subject::service("seawall/ratelimit/granted", || rate_limit().layer(LEAF)),
        Subject::service("seawall/ratelimit/refused", || {
            let mut service = RateLimitLayer::new("bench", rate(1, HOUR, 1)).layer(LEAF);
            call_once(&mut service, 0).expect("the only token of this hour");
            service
        })
        .refusing(),
        Subject::service("seawall/bulkhead/free", || bulkhead(MANY).layer(LEAF)),
        Subject::service("seawall/bulkhead/full", || {
            let mut service = bulkhead(1).layer(Lift::new(Stuck));
            // The only place is taken for as long as the program runs.
            Box::leak(Box::new(service.call(0)));
            service
        })
        .refusing(),
    ]
}

fn others() -> Vec<Subject> {
    vec![
        Subject::service("seawall/timeout/ready", || timeout().layer(LEAF)),
        Subject::service("seawall/timeout/pending", || {
            timeout().layer(Lift::new(Late))
        }),
        Subject::service("seawall/retry/plain", || {
            retry().without_budget().layer(LEAF)
        }),
        Subject::service("seawall/retry/budget", || retry().layer(LEAF)),
        Subject::service("seawall/lift/ready", || LEAF),
        Subject::service("seawall/stack/five", five),
        Subject::service_cloned("seawall/stack/five-cloned", five),
        Subject::service("seawall/stack/six", || {
            let breaker = breaker();
            let inner = breaker.layer(timeout().layer(LEAF));
            let inner = bulkhead(MANY).layer(rate_limit().layer(inner));
            retry().layer(breaker.gate().layer(inner))
        }),
    ]
}

fn five() -> impl Service<u64, Future: Send> + Clone + Send {
    let inner = rate_limit().layer(timeout().layer(LEAF));
    retry().layer(breaker().layer(bulkhead(MANY).layer(inner)))
}

pub(super) fn breaker() -> BreakerLayer {
    let config = BreakerConfig::builder()
        .failure_rate(0.5, 100)
        .min_calls(100)
        .open_for(HOUR)
        .build()
        .expect("a valid breaker");
    BreakerLayer::new("bench", config)
}

/// Opened by failures, as in life: it knows when it will let a probe pass.
pub(super) fn open_breaker() -> BreakerLayer {
    let breaker = breaker();
    let mut service = breaker.layer(LEAF);
    while breaker.handle().state() != State::Open {
        call_once(&mut service, FAIL).expect_err("the leaf fails");
    }
    breaker
}

fn rate_limit() -> RateLimitLayer {
    RateLimitLayer::new("bench", rate(1_000_000_000, SECOND, 1_000_000_000))
}

fn rate(rate: u32, per: Duration, burst: u32) -> RateLimitConfig {
    RateLimitConfig::builder()
        .rate(rate, per)
        .burst(burst)
        .build()
        .expect("a valid rate")
}

fn bulkhead(places: u32) -> BulkheadLayer {
    let config = BulkheadConfig::builder()
        .max_concurrent(places)
        .build()
        .expect("a valid bulkhead");
    BulkheadLayer::new("bench", config)
}

fn timeout() -> AttemptTimeoutLayer {
    AttemptTimeoutLayer::new("bench", LONG).expect("a valid timeout")
}

fn retry() -> RetryLayer<seawall_core::ErrorIsFailure, Always> {
    RetryLayer::new("bench", RetryConfig::default()).describe(Always(Meta::new(Replay::Safe)))
}
