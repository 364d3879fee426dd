//! tower-resilience 0.13, without its telemetry.

use std::time::Duration;

use tower::ServiceBuilder;
use tower_layer::Layer;
use tower_resilience::bulkhead::BulkheadLayer;
use tower_resilience::chaos::ChaosLayer;
use tower_resilience::circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};
use tower_resilience::hedge::HedgeLayer;
use tower_resilience::ratelimiter::{RateLimiterLayer, WindowType};
use tower_resilience::retry::{RetryBudgetBuilder, RetryLayer};
use tower_resilience::timelimiter::TimeLimiterLayer;
use tower_service::Service;

use super::{HOUR, LONG, MANY, Subject};
use crate::leaf::{Late, Leaf, LeafError, at_once, call_once};

/// More calls per second than are made.
const PLENTY: usize = 1 << 40;
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn subjects() -> Vec<Subject> {
    let mut subjects = breakers();
    subjects.extend(limits());
    subjects.extend(others());
    subjects
}

fn breakers() -> Vec<Subject> {
    vec![
        Subject::service("tower-resilience/breaker/closed-count", || {
            CircuitBreakerLayer::standard()
                .build()
                .expect("the defaults are valid")
                .layer(Leaf)
        }),
        Subject::service_cloned("tower-resilience/breaker/closed-count-cloned", || {
            CircuitBreakerLayer::standard()
                .build()
                .expect("the defaults are valid")
                .layer(Leaf)
        }),
        // Keeps a record of every call in the window and reads them all at each call.
        Subject::service("tower-resilience/breaker/closed-time-1k", || {
            let mut service = CircuitBreakerLayer::standard()
                .sliding_window_type(SlidingWindowType::TimeBased)
                .sliding_window_duration(HOUR)
                .build()
                .expect("an hour is a valid window")
                .layer(Leaf);
            for i in 0..1_000 {
                call_once(&mut service, i).expect("the leaf responds");
            }
            service
        })
        .at_most(200),
        // When two threads meet at it, one sleeps on a timer that nothing drives here.
        Subject::service("tower-resilience/breaker/refused", || {
            let service = CircuitBreakerLayer::standard()
                .wait_duration_in_open(HOUR)
                .build()
                .expect("an hour is a valid wait")
                .layer(Leaf);
            at_once(service.force_open());
            service
        })
        .rejecting()
        .alone(),
    ]
}

fn limits() -> Vec<Subject> {
    vec![
        Subject::service("tower-resilience/ratelimit/granted", || {
            RateLimiterLayer::builder()
                .limit_for_period(PLENTY)
                .refresh_period(SECOND)
                .burst_size(PLENTY)
                .build()
                .expect("a token bucket")
                .layer(Leaf)
        }),
        Subject::service("tower-resilience/ratelimit/granted-fixed", || {
            RateLimiterLayer::builder()
                .limit_for_period(PLENTY)
                .refresh_period(SECOND)
                .window_type(WindowType::Fixed)
                .build()
                .expect("a fixed window")
                .layer(Leaf)
        }),
        Subject::service("tower-resilience/ratelimit/refused", || {
            let mut service = RateLimiterLayer::builder()
                .limit_for_period(1)
                .refresh_period(HOUR)
                .timeout_duration(Duration::ZERO)
                .build()
                .expect("one per hour")
                .layer(Leaf);
            call_once(&mut service, 0).expect("the only token of this hour");
            service
        })
        .rejecting(),
        Subject::service("tower-resilience/bulkhead/free", || {
            BulkheadLayer::builder()
                .max_concurrent_calls(MANY as usize)
                .build()
                .expect("a bulkhead")
                .layer(Leaf)
        }),
    ]
}

fn others() -> Vec<Subject> {
    vec![
        // It has no switch: off is a rate of zero.
        Subject::service("tower-resilience/chaos/off", || {
            ChaosLayer::builder().build().layer(Leaf)
        }),
        Subject::service("tower-resilience/timeout/ready", || {
            TimeLimiterLayer::builder()
                .timeout_duration(LONG)
                .build()
                .layer(Leaf)
        }),
        Subject::service("tower-resilience/timeout/pending", || {
            TimeLimiterLayer::builder()
                .timeout_duration(LONG)
                .build()
                .layer(Late)
        }),
        Subject::service("tower-resilience/retry/plain", || {
            RetryLayer::<u64, u64, LeafError>::builder()
                .max_attempts(3)
                .build()
                .layer(Leaf)
        }),
        Subject::service("tower-resilience/retry/budget", || {
            RetryLayer::<u64, u64, LeafError>::builder()
                .max_attempts(3)
                .budget(token_bucket())
                .build()
                .layer(Leaf)
        }),
        Subject::service("tower-resilience/hedge/not-fired", || {
            HedgeLayer::builder()
                .delay(Duration::from_millis(100))
                .max_hedged_attempts(2)
                .build()
                .layer(Leaf)
        }),
        Subject::service("tower-resilience/stack/five", || five(Leaf)),
    ]
}

/// As the five of tower and of Seawall, with a breaker in place of the load shed.
pub(super) fn five<S, Req>(
    inner: S,
) -> impl Service<Req, Response = S::Response, Future: Send> + Clone + Send + use<S, Req>
where
    S: Service<
            Req,
            Response: Send + Sync,
            Error: std::error::Error + Clone + Send + Sync,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
    Req: Clone + Send + Sync + 'static,
{
    ServiceBuilder::new()
        .layer(
            RetryLayer::builder()
                .max_attempts(3)
                .budget(token_bucket())
                .build(),
        )
        .layer(
            CircuitBreakerLayer::standard()
                .build()
                .expect("the defaults are valid"),
        )
        .layer(
            BulkheadLayer::builder()
                .max_concurrent_calls(MANY as usize)
                .build()
                .expect("a bulkhead"),
        )
        .layer(
            RateLimiterLayer::builder()
                .limit_for_period(PLENTY)
                .refresh_period(SECOND)
                .burst_size(PLENTY)
                .build()
                .expect("a token bucket"),
        )
        .layer(TimeLimiterLayer::builder().timeout_duration(LONG).build())
        .service(inner)
}

fn token_bucket() -> std::sync::Arc<dyn tower_resilience::retry::RetryBudget> {
    RetryBudgetBuilder::new()
        .token_bucket()
        .build()
        .expect("the defaults are valid")
}
