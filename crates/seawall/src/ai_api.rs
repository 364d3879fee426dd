//! Clients of AI APIs: slow by nature, streamed, billed by the token.

use std::time::Duration;

use seawall_breaker::BreakerConfig;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::{Backoff, InstanceName, InvalidConfig, Jitter, Unit};
use seawall_ratelimit::{Limit, RateLimitConfig};
use seawall_retry::RetryConfig;

use crate::settings::{Settings, StackBuilder};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A stack for an AI API: completions and messages, streamed or whole.
///
/// A place stays taken until a streamed answer has ended, and a stream that breaks is a failure.
/// Deadline and attempt timeout end with the head of the answer; what bounds the stream are
/// [`body_timeouts`](crate::HttpStack::body_timeouts): a stream that stalls then ends with an
/// error, and its place is free.
///
/// Only reads are tried again unless the routes say otherwise: a second completion changes
/// nothing but is billed, so whether it is worth it is yours to say
/// ([`inference_routes`]). Its rate is 80 % of 500 requests per minute, an unofficial figure for
/// OpenAI's first paid tier; the providers enforce it per second, so the burst is small.
///
/// Tokens are limited, too, to 80 % of 500,000 per minute, the unofficial figure of the same tier:
/// those of requests that carry an estimate of theirs, a
/// [`TokenEstimate`](seawall_http::TokenEstimate) in their extensions, which is corrected by what
/// the answer says it has used (`HttpStack::count_tokens`, with the feature `usage`). And the
/// headers of every answer correct the limits downwards: whatever the tier, no more is sent than
/// OpenAI says is left.
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
/// use seawall::http::{BodyTimeoutConfig, BodyTimeoutLayer};
///
/// let streams = BodyTimeoutConfig::builder()
///     .idle(Duration::from_secs(30))
///     .total(Duration::from_secs(600))
///     .build()?;
/// let stack = seawall::ai_api("openai")
///     .build()?
///     .inspect(seawall::http::inspect::openai)
///     .body_timeouts(BodyTimeoutLayer::new("openai", streams));
/// let client = ServiceBuilder::new().layer(stack).service(http_client);
/// let answer = client.oneshot(http::Request::post("/v1/chat/completions").body(Body::default())?).await?;
/// # assert!(answer.status().is_success());
/// # Ok(()) }
/// ```
pub fn ai_api(name: impl Into<InstanceName>) -> StackBuilder {
    let openai = StackBuilder::new(name, settings());
    #[cfg(feature = "http")]
    let openai = openai.headers(seawall_http::RateLimitHeaders::openai());
    openai
}

fn settings() -> Result<Settings, InvalidConfig> {
    Ok(Settings {
        // One slow answer and one more attempt.
        deadline: 4 * MINUTE,
        // The providers' own SDKs: half a second, doubled, at most eight.
        retry: RetryConfig::builder()
            .attempts(3)
            .backoff(Backoff::exponential(SECOND / 2, 8 * SECOND)?.with_jitter(Jitter::Equal))
            // Longer hints are worth an error that says so, not a wait.
            .max_retry_after(2 * MINUTE)
            .build()?,
        // Answers take long, so many are under way at once.
        bulkhead: BulkheadConfig::builder()
            .max_concurrent(64)
            .max_waiting(100)
            .max_wait(MINUTE)
            .build()?,
        // 80 % of 500 per minute; 500 per minute may be enforced as 8.3 per second.
        rate_limit: RateLimitConfig::builder()
            .rate(400, MINUTE)
            .burst(2)
            .limit(Limit::strict(400_000, MINUTE).with_unit(Unit::Tokens))
            .max_wait(30 * SECOND)
            .build()?,
        // Overloads come in minutes, and single answers fail often.
        breaker: BreakerConfig::builder()
            .consecutive_failures(10)
            .failure_rate(0.5, 100)
            .min_calls(20)
            .open_for(30 * SECOND)
            .probes(2)
            .build()?,
        // A long answer is no failure: the time to its head, two minutes.
        attempt_timeout: 2 * MINUTE,
    })
}

/// Anthropic, tier Start: 80 % of 1,000 requests, 2,000,000 input tokens and 400,000 output tokens
/// per minute ([rate limits](https://platform.claude.com/docs/en/api/rate-limits)), and what its
/// headers say is left. Tokens are those that requests carry an estimate of, as for [`ai_api`].
pub fn anthropic(name: impl Into<InstanceName>) -> StackBuilder {
    let settings = settings().and_then(|s| {
        Ok(Settings {
            rate_limit: RateLimitConfig::builder()
                .rate(800, MINUTE)
                .burst(3)
                .limit(Limit::strict(1_600_000, MINUTE).with_unit(Unit::InputTokens))
                .limit(Limit::strict(320_000, MINUTE).with_unit(Unit::OutputTokens))
                .max_wait(30 * SECOND)
                .build()?,
            ..s
        })
    });
    let anthropic = StackBuilder::new(name, settings);
    #[cfg(feature = "http")]
    let anthropic = anthropic.headers(seawall_http::RateLimitHeaders::anthropic());
    anthropic
}

/// The routes of OpenAI and Anthropic with their inference calls marked as safe to send twice:
/// a second call changes no state, but is billed again.
///
/// # Errors
///
/// None: the patterns are valid.
#[cfg(feature = "http")]
pub fn inference_routes() -> Result<seawall_http::Routes, InvalidConfig> {
    use http::Method;
    use seawall_core::{Replay, RequestMeta};

    let again = RequestMeta::new(Replay::Safe);
    seawall_http::Routes::reads_only()
        .route(Method::POST, "/v1/chat/completions", again)?
        .route(Method::POST, "/v1/responses", again)?
        .route(Method::POST, "/v1/embeddings", again)?
        .route(Method::POST, "/v1/messages", again)
}
