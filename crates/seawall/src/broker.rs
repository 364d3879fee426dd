//! Clients of brokers: money moves, so nothing is sent twice.

use std::time::Duration;

use seawall_breaker::BreakerConfig;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::{Backoff, InstanceName, InvalidConfig};
use seawall_ratelimit::RateLimitConfig;
use seawall_retry::RetryConfig;

use crate::settings::{Settings, StackBuilder};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A stack for a broker's API: accounts, positions, orders.
///
/// Reads are tried again; a request that places or changes an order is sent once, unless it is
/// certain that it never left. Of hyper-util's client that is known: the connection could not be
/// made, or the request was never handed to one. Of a client that follows redirects, as `reqwest`
/// does unless told otherwise, it is never known, so turn them off (see
/// [`TransportError`](https://docs.rs/seawall-http/latest/seawall_http/trait.TransportError.html)).
/// Its rate is 80 % of Alpaca's 200 requests per minute
/// ([usage limit](https://alpaca.markets/support/usage-limit-api-calls)); set your broker's own
/// with [`StackBuilder::rate_limit`].
///
/// ```
/// # use tower::{ServiceBuilder, service_fn};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let http_client = service_fn(|_: http::Request<Body>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
/// # });
/// # use tower::ServiceExt;
/// let stack = seawall::broker("alpaca").build()?;
/// let client = ServiceBuilder::new().layer(stack).service(http_client);
/// let answer = client.oneshot(http::Request::get("/v2/positions").body(Body::default())?).await?;
/// # assert!(answer.status().is_success());
/// # Ok(()) }
/// ```
pub fn broker(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::new(name, settings())
}

fn settings() -> Result<Settings, InvalidConfig> {
    Ok(Settings {
        // Three attempts of ten seconds would be thirty: a caller has given up by then.
        deadline: 30 * SECOND,
        // Brokers recover in seconds; the base is the least of their recovery.
        retry: RetryConfig::builder()
            .attempts(3)
            .backoff(Backoff::exponential(SECOND, 30 * SECOND)?)
            .build()?,
        // Twice as many may wait as are under way; more would be stale when their turn comes.
        bulkhead: BulkheadConfig::builder()
            .max_concurrent(10)
            .max_waiting(20)
            .max_wait(10 * SECOND)
            .build()?,
        // 80 % of 200 per minute; a burst of at most a fifth of the limit keeps any minute under
        // it (160 + 10 < 200).
        rate_limit: RateLimitConfig::builder()
            .rate(160, MINUTE)
            .burst(10)
            .max_wait(10 * SECOND)
            .build()?,
        // Five failures in a row, or half of the last twenty and more.
        breaker: BreakerConfig::builder()
            .consecutive_failures(5)
            .failure_rate(0.5, 100)
            .min_calls(20)
            .open_for(MINUTE)
            .successes_to_close(2)
            .build()?,
        // A timeout below the server's own makes orders of unknown fate; ten seconds is what the
        // brokers' own SDKs take.
        attempt_timeout: 10 * SECOND,
    })
}

/// A stack for the orders alone, with patience for the matching engine.
///
/// An order is sent once unless it is certain that it never left, as by [`broker`]. A read that is
/// sent through this stack, the state of an order say, is tried up to three times.
///
/// Orders that queue go stale, so few may wait. Put it beside [`broker`] only where the broker
/// limits orders apart from other requests; where they share one limit, use one stack.
pub fn order_execution(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::new(name, order_settings())
}

fn order_settings() -> Result<Settings, InvalidConfig> {
    Ok(Settings {
        // One attempt and a short wait for a place.
        deadline: 40 * SECOND,
        // For reads, and for orders that certainly never left.
        retry: RetryConfig::builder()
            .attempts(3)
            .backoff(Backoff::exponential(SECOND / 2, 5 * SECOND)?)
            .build()?,
        // Half of the broker's places: reads must not wait behind orders.
        bulkhead: BulkheadConfig::builder()
            .max_concurrent(5)
            .max_waiting(10)
            .max_wait(5 * SECOND)
            .build()?,
        // As the broker's: orders count against the same limit at most brokers.
        rate_limit: RateLimitConfig::builder()
            .rate(160, MINUTE)
            .burst(10)
            .max_wait(5 * SECOND)
            .build()?,
        // Three in a row is enough to stop sending money into it.
        breaker: BreakerConfig::builder()
            .consecutive_failures(3)
            .open_for(2 * MINUTE)
            .successes_to_close(2)
            .build()?,
        // Longer than any server-side wait for a matching engine.
        attempt_timeout: 30 * SECOND,
    })
}
