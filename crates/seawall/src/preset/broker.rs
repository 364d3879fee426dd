//! Clients of brokers: money moves, so nothing is sent twice.

use seawall_core::InstanceName;

#[cfg(feature = "http")]
use super::BodyTimes;
use super::{BREAKER, Breaker, Bulkhead, MINUTE, Preset, RATE, RETRY, Rate, Retry, millis, secs};
use crate::StackBuilder;

/// A stack for the API of any broker: accounts, positions, orders.
///
/// `name` is a label: what rejections, events and metrics call this stack. It selects nothing. The
/// stacks of known providers, with their limits, headers and errors, are in the
/// [catalogue](crate::catalog).
///
/// Reads are tried again; a request that creates or changes an order is sent once, unless it is
/// certain that it was never sent. Of hyper-util's client that is known: the connection could not be
/// made, the request was never handed to one, or an HTTP/2 server has refused or disowned its stream.
/// Of a client that follows redirects, as `reqwest` does unless it is configured otherwise, it is never
/// known, so turn them off (see
/// [`TransportError`](https://docs.rs/seawall-http/latest/seawall_http/trait.TransportError.html)).
///
/// Its rate is 160 requests per minute: set your broker's own with
/// [`StackBuilder::rate_limit`].
///
/// ```
/// # use tower::{ServiceBuilder, service_fn};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let http_client = service_fn(|_: http::Request<Body>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
/// # });
/// # use tower::ServiceExt;
/// let stack = seawall::broker("my-broker").build()?;
/// let client = ServiceBuilder::new().layer(stack).service(http_client);
/// let response = client.oneshot(http::Request::get("/v2/positions").body(Body::default())?).await?;
/// # assert!(response.status().is_success());
/// # Ok(()) }
/// ```
pub fn broker(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &BROKER)
}

/// A stack for the orders alone, that waits longer for the matching engine.
///
/// An order is sent once unless it is certain that it was never sent, as by [`broker`]. A read that
/// is sent through this stack, the state of an order for example, is tried up to three times.
///
/// Orders that queue go stale, so few may wait. Put it beside [`broker`] only where the broker
/// limits orders apart from other requests; where they share one limit, use one stack. `name` is a
/// label.
pub fn order_execution(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &ORDER_EXECUTION)
}

const BROKER: Preset = Preset {
    // Three attempts of ten seconds would be thirty: a caller has given up by then.
    deadline: secs(30),
    // Brokers recover in seconds; the base is the least of their recovery.
    retry: RETRY,
    // Twice as many may wait as are in flight; more would be stale when their turn comes.
    bulkhead: Bulkhead {
        max_concurrent: 10,
        max_waiting: 20,
        max_wait: secs(10),
    },
    // 80 % of 200 per minute; a burst of at most a fifth of the limit keeps any minute under it
    // (160 + 10 < 200).
    rate_limit: Rate {
        rate: (160, MINUTE),
        burst: 10,
        max_wait: secs(10),
        ..RATE
    },
    // Five failures in a row, or half of the last twenty and more.
    breaker: Breaker {
        consecutive_failures: Some(5),
        failure_rate: Some((0.5, 100, 20)),
        successes_to_close: 2,
        ..BREAKER
    },
    // A timeout below the server's own makes orders of unknown fate; ten seconds is what the
    // brokers' own SDKs take.
    attempt_timeout: secs(10),
    #[cfg(feature = "http")]
    bodies: BodyTimes::COMMON,
};

#[cfg_attr(
    not(feature = "http"),
    allow(clippy::needless_update, reason = "with HTTP there are bodies, too")
)]
const ORDER_EXECUTION: Preset = Preset {
    // One attempt and a short wait for a permit.
    deadline: secs(40),
    // For reads, and for orders that were certainly never sent.
    retry: Retry {
        backoff: (millis(500), secs(5)),
        ..RETRY
    },
    // Half of the broker's permits: reads must not wait behind orders.
    bulkhead: Bulkhead {
        max_concurrent: 5,
        max_waiting: 10,
        max_wait: secs(5),
    },
    // As the broker's: orders count against the same limit at most brokers.
    rate_limit: Rate {
        max_wait: secs(5),
        ..BROKER.rate_limit
    },
    // Three in a row is enough to stop sending money into it.
    breaker: Breaker {
        consecutive_failures: Some(3),
        open_for: secs(120),
        successes_to_close: 2,
        ..BREAKER
    },
    // Longer than any server-side wait for a matching engine.
    attempt_timeout: secs(30),
    ..BROKER
};
