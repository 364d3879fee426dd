//! Clients of AI APIs: slow by nature, streamed, billed by the token.

use seawall_core::{InstanceName, Jitter, Unit};

#[cfg(feature = "http")]
use super::BodyTimes;
use super::{BREAKER, Breaker, Bulkhead, MINUTE, Preset, RATE, RETRY, Rate, Retry};
use super::{millis, secs};
use crate::StackBuilder;

/// A stack for any AI API: completions and messages, streamed or not.
///
/// **Without [`describe`](crate::HttpStack::describe)`(`[`inference_routes`](crate::inference_routes)`()?)`
/// no completion is retried**, not even after a 429 with `Retry-After`.
///
/// `name` is a label: what rejections, events and metrics call this stack. It selects nothing: the
/// stacks of known providers, with their limits, headers and errors, are in the
/// [catalogue](crate::catalog).
///
/// A permit stays taken until a streamed response has ended, and a stream that breaks is a failure.
/// Deadline and attempt timeout end with the head of the response. What bounds the stream are the
/// [body timeouts](StackBuilder::body_timeout): ten minutes to the first byte, as the SDKs of OpenAI
/// and Anthropic wait, and two minutes between its pieces. A stream that stalls then ends with an
/// error, and its permit is free.
///
/// Only reads are tried again unless the routes say otherwise: a second completion changes
/// nothing but is billed, so whether it is worth it is yours to decide
/// ([`inference_routes`](crate::inference_routes)). Its rate is 80 % of 500 requests and of
/// 500,000 tokens per minute, unofficial figures for OpenAI's first paid tier. Providers may
/// enforce them per second, so the burst is small. Tokens are counted of requests that carry an
/// estimate, a [`TokenEstimate`](seawall_http::quota::TokenEstimate) in their extensions, which is
/// corrected by what the response has used (`HttpStack::count_tokens`, with the feature `usage`).
///
/// ```
/// # use tower::{ServiceBuilder, service_fn};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let http_client = service_fn(|_: http::Request<Body>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
/// # });
/// # use tower::ServiceExt;
/// use std::time::Duration;
/// use seawall::http_client::body_timeout::BodyTimeoutConfig;
///
/// let streams = BodyTimeoutConfig::builder()
///     .idle(Duration::from_secs(30))
///     .total(Duration::from_secs(600))
///     .build()?;
/// let stack = seawall::ai_api("my-model").body_timeout(streams).build()?;
/// let client = ServiceBuilder::new().layer(stack).service(http_client);
/// let response = client.oneshot(http::Request::post("/v1/chat/completions").body(Body::default())?).await?;
/// # assert!(response.status().is_success());
/// # Ok(()) }
/// ```
pub fn ai_api(name: impl Into<InstanceName>) -> StackBuilder {
    StackBuilder::of(name, &AI_API)
}

pub(super) const AI_API: Preset = Preset {
    // One slow response and one more attempt.
    deadline: secs(240),
    // The providers' own SDKs: half a second, doubled, at most eight.
    retry: Retry {
        backoff: (millis(500), secs(8)),
        jitter: Jitter::Equal,
        // Longer hints are worth an error that names the time, not a wait.
        max_retry_after: secs(120),
        ..RETRY
    },
    // Responses take long, so many are in flight at once.
    bulkhead: Bulkhead {
        max_concurrent: 64,
        max_waiting: 100,
        max_wait: MINUTE,
    },
    // 80 % of 500 per minute; 500 per minute may be enforced as 8.3 per second.
    rate_limit: Rate {
        rate: (400, MINUTE),
        burst: 2,
        quotas: &[(400_000, MINUTE, Unit::Tokens)],
        ..RATE
    },
    // Overloads come in minutes, and single responses fail often.
    breaker: Breaker {
        consecutive_failures: Some(10),
        failure_rate: Some((0.5, 100, 20)),
        open_for: secs(30),
        probes: 2,
        ..BREAKER
    },
    // A long response is no failure: the time to its head, two minutes.
    attempt_timeout: secs(120),
    #[cfg(feature = "http")]
    bodies: BodyTimes {
        // The timeout of the SDKs of OpenAI and Anthropic.
        first_byte: Some(secs(600)),
        idle: secs(120),
    },
};

/// The routes of OpenAI and Anthropic with their inference calls marked as safe to send twice:
/// a second call changes no state, but is billed again.
///
/// # Errors
///
/// None: the patterns are valid.
#[cfg(feature = "http")]
pub fn inference_routes() -> Result<seawall_http::Routes, seawall_core::InvalidConfig> {
    use http::Method;
    use seawall_core::RequestMeta;

    let again = RequestMeta::idempotent();
    seawall_http::Routes::reads_only()
        .route(Method::POST, "/v1/chat/completions", again)?
        .route(Method::POST, "/v1/responses", again)?
        .route(Method::POST, "/v1/embeddings", again)?
        .route(Method::POST, "/v1/messages", again)
}
