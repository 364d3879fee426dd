//! Clients of market-data vendors: reads only, strict limits, responses that go stale.

use seawall_core::InstanceName;

#[cfg(feature = "http")]
use super::BodyTimes;
use super::{BREAKER, Breaker, Bulkhead, MINUTE, Preset, RATE, RETRY, Rate, Retry, millis, secs};
use crate::StackBuilder;

/// A stack for any market-data vendor: quotes, bars, snapshots.
///
/// `name` is a label: what rejections, events and metrics call this stack. It selects nothing: the
/// stacks of known vendors, with their limits, headers and errors, are in the
/// [catalogue](crate::catalog).
///
/// It is made for reads, which are tried again up to four times: GET, HEAD, OPTIONS, TRACE. Any other
/// method, such as POST, PUT and DELETE, is sent once, unless [routes](crate::HttpStack::describe) say
/// that it may be sent again. A response that takes longer than five seconds is of no use. Its rate is 80 requests per minute; set your vendor's own with
/// [`StackBuilder::rate_limit`]. For a vendor that hides throttles in a 200, add
/// [`HttpStack::inspect`](crate::HttpStack::inspect).
///
/// ```
/// # use tower::{ServiceBuilder, service_fn};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let http_client = service_fn(|_: http::Request<Body>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
/// # });
/// # use tower::ServiceExt;
/// let stack = seawall::market_data("my-vendor").build()?;
/// let client = ServiceBuilder::new().layer(stack).service(http_client);
/// let response = client.oneshot(http::Request::get("/v2/last/nbbo/SPY").body(Body::default())?).await?;
/// # assert!(response.status().is_success());
/// # Ok(()) }
/// ```
pub fn market_data(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &MARKET_DATA)
}

const MARKET_DATA: Preset = Preset {
    // Older quotes are worse than none.
    deadline: secs(15),
    // Reads cost little and short outages are frequent.
    retry: Retry {
        attempts: 5,
        backoff: (millis(500), secs(10)),
        ..RETRY
    },
    // Many symbols are asked for at once.
    bulkhead: Bulkhead {
        max_concurrent: 20,
        max_waiting: 50,
        max_wait: secs(5),
    },
    // 80 % of 100 per minute; 80 + 10 in any minute stay below it.
    rate_limit: Rate {
        rate: (80, MINUTE),
        burst: 10,
        max_wait: secs(5),
        ..RATE
    },
    // Other sources exist: leave early, come back soon. With fewer failures than a call makes
    // attempts, its own would open the circuit, and its last attempts never be made.
    breaker: Breaker {
        consecutive_failures: Some(5),
        failure_rate: Some((0.5, 100, 20)),
        open_for: secs(30),
        ..BREAKER
    },
    // A vendor that needs longer for a quote is down.
    attempt_timeout: secs(5),
    #[cfg(feature = "http")]
    bodies: BodyTimes {
        // The read timeout of Massive's and Finnhub's own SDKs.
        idle: secs(10),
        ..BodyTimes::COMMON
    },
};
