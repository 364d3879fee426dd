//! How each real provider limits, and how it reports that.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::body::Reply;
use super::limits::{Exceeded, Limiter};
use super::meter::{Counting, Kind};
use super::settings::Limit;
use super::text;
use crate::incident::RetryAfterForm;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The real provider whose limits, headers, status codes and bodies are spoken.
///
/// | profile | limits when started | enforced as | a request over the limit gets |
/// |---|---|---|---|
/// | `Alpaca` | 200 requests/min | fixed window | 429, `X-Ratelimit-Reset` in epoch seconds (on every response), no `Retry-After` |
/// | `Polygon` | 5 requests/min (free plan) | any window | 429, no headers at all |
/// | `AlphaVantage` | 1 request/s and 25/day (free plan) | any window | **200** with `Information` in the body |
/// | `OpenAi` | 500 requests/min, 500,000 tokens/min (tier 1) | bucket | 429, `retry-after-ms`, `x-ratelimit-*` with Go durations |
/// | `Anthropic` | 1,000 requests/min, 2,000,000 input and 400,000 output tokens/min (Start) | bucket | 429, `retry-after`, `anthropic-ratelimit-*` with RFC 3339 times |
///
/// Sources: Alpaca's API reference and usage-limit page, Massive's (Polygon's) knowledge base,
/// Alpha Vantage's own throttle message, OpenAI's rate-limit guide and error codes, Anthropic's
/// rate-limit and error pages; read in 2026. Numbers change: set them with the builders' `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Alpaca's trading and market-data APIs.
    Alpaca,
    /// Polygon.io, since renamed Massive.
    Polygon,
    /// Alpha Vantage.
    AlphaVantage,
    /// OpenAI's chat completions.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

impl Profile {
    /// What is limited, and how; the numbers are the defaults.
    pub(crate) fn limits(self) -> Vec<(Kind, Limit, Counting)> {
        let known = Limit::known;
        match self {
            Self::Alpaca => vec![(Kind::Requests, known(200, MINUTE), Counting::Fixed)],
            Self::Polygon => vec![(Kind::Requests, known(5, MINUTE), Counting::Sliding)],
            Self::AlphaVantage => vec![
                (Kind::Requests, known(1, SECOND), Counting::Sliding),
                (Kind::Quota, known(25, DAY), Counting::Fixed),
            ],
            Self::OpenAi => vec![
                (Kind::Requests, known(500, MINUTE), Counting::Bucket),
                (Kind::Tokens, known(500_000, MINUTE), Counting::Bucket),
            ],
            Self::Anthropic => vec![
                (Kind::Requests, known(1_000, MINUTE), Counting::Bucket),
                (Kind::Input, known(2_000_000, MINUTE), Counting::Bucket),
                (Kind::Output, known(400_000, MINUTE), Counting::Bucket),
            ],
        }
    }

    pub(crate) fn counting(self) -> Counting {
        match self {
            Self::Alpaca => Counting::Fixed,
            Self::Polygon | Self::AlphaVantage => Counting::Sliding,
            Self::OpenAi | Self::Anthropic => Counting::Bucket,
        }
    }

    /// The headers that every response has.
    pub(crate) fn decorate(self, reply: &mut Reply, limiter: &mut Limiter, id: &str, now: Instant) {
        let wall = SystemTime::now();
        let mut put = |name, value: String| reply.headers.push((name, value));
        match self {
            Self::Polygon | Self::AlphaVantage => {}
            Self::Alpaca => {
                if let Some(meter) = limiter.meter(Kind::Requests) {
                    let reset = text::epoch_seconds(wall + meter.reset(now));
                    put("x-ratelimit-limit", meter.limit.count().to_string());
                    put("x-ratelimit-remaining", meter.remaining(now).to_string());
                    put("x-ratelimit-reset", reset.to_string());
                }
            }
            Self::OpenAi => {
                put("x-request-id", format!("req_{id}"));
                put("openai-processing-ms", "1".to_owned());
                for (kind, names) in [
                    (Kind::Requests, OPENAI_REQUESTS),
                    (Kind::Tokens, OPENAI_TOKENS),
                ] {
                    if let Some(meter) = limiter.meter(kind) {
                        put(names[0], meter.limit.count().to_string());
                        put(names[1], meter.remaining(now).to_string());
                        put(names[2], text::go_duration(meter.reset(now)));
                    }
                }
            }
            Self::Anthropic => {
                put("request-id", format!("req_{id}"));
                for (kind, names) in [
                    (Kind::Requests, ANTHROPIC_REQUESTS),
                    (Kind::Input, ANTHROPIC_INPUT),
                    (Kind::Output, ANTHROPIC_OUTPUT),
                ] {
                    if let Some(meter) = limiter.meter(kind) {
                        let remaining = meter.remaining(now);
                        let shown = if kind == Kind::Requests {
                            remaining
                        } else {
                            thousands(remaining)
                        };
                        put(names[0], meter.limit.count().to_string());
                        put(names[1], shown.to_string());
                        put(names[2], text::rfc3339(wall + meter.reset(now)));
                    }
                }
                // "tokens" is whichever of the token limits is closest to its end.
                let closest = [Kind::Input, Kind::Output]
                    .into_iter()
                    .filter_map(|kind| {
                        let meter = limiter.meter(kind)?;
                        Some((meter.remaining(now), meter.limit.count(), meter.reset(now)))
                    })
                    .min();
                if let Some((remaining, limit, reset)) = closest {
                    put("anthropic-ratelimit-tokens-limit", limit.to_string());
                    put(
                        "anthropic-ratelimit-tokens-remaining",
                        thousands(remaining).to_string(),
                    );
                    put(
                        "anthropic-ratelimit-tokens-reset",
                        text::rfc3339(wall + reset),
                    );
                }
            }
        }
    }

    /// The response to a request over a limit.
    pub(crate) fn exceeded(self, exceeded: Exceeded, id: &str) -> Reply {
        let Exceeded { kind, wait } = exceeded;
        match (self, kind) {
            (Self::AlphaVantage, Kind::Quota) => {
                Reply::json(200, &json!({ "Information": AV_DAY }))
            }
            (Self::OpenAi, Kind::Quota) => self.quota(id),
            (Self::OpenAi | Self::Anthropic, _) => {
                let reply = Reply::json(429, &self.throttle_body(kind, id))
                    .header("retry-after", text::whole_seconds(wait).to_string());
                match self {
                    Self::OpenAi => {
                        reply.header("retry-after-ms", text::whole_millis(wait).to_string())
                    }
                    _ => reply,
                }
            }
            (Self::AlphaVantage, _) => Reply::json(200, &self.throttle_body(kind, id)),
            _ => Reply::json(429, &self.throttle_body(kind, id)),
        }
    }

    /// A scripted 429, with the wait that the script wants.
    pub(crate) fn throttle(
        self,
        retry_after: Option<Duration>,
        form: RetryAfterForm,
        id: &str,
    ) -> Reply {
        let reply = Reply::json(429, &self.throttle_body(Kind::Requests, id));
        let reply = with_retry_after(reply, retry_after, form);
        match (self, retry_after, form) {
            (Self::OpenAi, Some(wait), RetryAfterForm::Seconds) => {
                reply.header("retry-after-ms", text::whole_millis(wait).to_string())
            }
            _ => reply,
        }
    }

    /// A scripted throttle that looks like success; for streams it is the caller's to wrap.
    pub(crate) fn hidden_throttle(self, id: &str) -> Value {
        self.throttle_body(Kind::Requests, id)
    }

    fn throttle_body(self, kind: Kind, id: &str) -> Value {
        match self {
            Self::Alpaca => json!({ "code": 42_910_000, "message": "too many requests" }),
            Self::Polygon => json!({
                "status": "ERROR",
                "request_id": id,
                "error": "You've exceeded the maximum requests per minute, please wait or upgrade \
                          your subscription to continue.",
            }),
            Self::AlphaVantage => json!({ "Information": AV_SECOND }),
            Self::OpenAi => {
                let what = if kind == Kind::Requests {
                    "requests"
                } else {
                    "tokens"
                };
                json!({ "error": {
                    "message": format!("Rate limit reached on {what} per min."),
                    "type": what,
                    "param": null,
                    "code": "rate_limit_exceeded",
                } })
            }
            Self::Anthropic => {
                let what = kind.name().replace('_', " ");
                let message =
                    format!("This request would exceed your rate limit of {what} per minute.");
                anthropic_error("rate_limit_error", &message, id)
            }
        }
    }

    /// The response that means "nothing left, and waiting does not help".
    pub(crate) fn quota(self, id: &str) -> Reply {
        match self {
            Self::Alpaca => Reply::json(
                403,
                &json!({ "code": 40_310_000, "message": "insufficient buying power" }),
            ),
            Self::Polygon => Reply::json(
                403,
                &json!({
                    "status": "NOT_AUTHORIZED",
                    "request_id": id,
                    "message": "You are not entitled to this data.",
                }),
            ),
            Self::AlphaVantage => Reply::json(200, &json!({ "Information": AV_DAY })),
            Self::OpenAi => Reply::json(
                429,
                &json!({ "error": {
                    "message": "You exceeded your current quota, please check your plan and \
                                billing details.",
                    "type": "insufficient_quota",
                    "param": null,
                    "code": "insufficient_quota",
                } }),
            ),
            Self::Anthropic => {
                let mut body =
                    anthropic_error("rate_limit_error", "You have reached your spend limit.", id);
                body["error"]["details"] = json!({ "error_code": "enforced_spend_limit_reached" });
                Reply::json(429, &body)
            }
        }
    }

    /// Any other error, in the provider's own envelope.
    pub(crate) fn error(self, status: u16, message: &str, id: &str) -> Reply {
        let body = match self {
            Self::Alpaca => {
                json!({ "code": u32::from(status) * 100_000 + 10_000, "message": message })
            }
            Self::Polygon => json!({ "status": "ERROR", "request_id": id, "error": message }),
            Self::AlphaVantage => json!({ "Error Message": message }),
            Self::OpenAi => {
                let (kind, code) = match status {
                    400 | 404 | 413 | 422 => ("invalid_request_error", None),
                    503 => ("service_unavailable_error", Some("server_is_overloaded")),
                    _ => ("server_error", None),
                };
                json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
            }
            Self::Anthropic => anthropic_error(anthropic_type(status), message, id),
        };
        Reply::json(status, &body)
    }

    /// The response to a caller that is banned.
    pub(crate) fn banned(self, status: u16, id: &str) -> Reply {
        self.error(
            status,
            "request rate threshold exceeded, access is blocked for a while",
            id,
        )
    }
}

pub(crate) fn with_retry_after(
    reply: Reply,
    retry_after: Option<Duration>,
    form: RetryAfterForm,
) -> Reply {
    let Some(wait) = retry_after else {
        return reply;
    };
    let value = match form {
        RetryAfterForm::Seconds => text::whole_seconds(wait).to_string(),
        // A date has no fractions: one second more, so that it is not before the wait has passed.
        RetryAfterForm::Date => httpdate::fmt_http_date(SystemTime::now() + wait + SECOND),
    };
    reply.header("retry-after", value)
}

/// Anthropic rounds what is left of the tokens to the nearest thousand.
fn thousands(tokens: u64) -> u64 {
    (tokens + 500) / 1_000 * 1_000
}

pub(crate) fn anthropic_error(kind: &str, message: &str, id: &str) -> Value {
    json!({
        "type": "error",
        "error": { "type": kind, "message": message },
        "request_id": format!("req_{id}"),
    })
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        400 | 422 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}

// Both of Alpha Vantage's messages name both limits; only the first is about a burst.
const AV_SECOND: &str = "Thank you for using Alpha Vantage! Please consider spreading out your \
    free API requests more sparingly (1 request per second). You may subscribe to any of the \
    premium plans at https://www.alphavantage.co/premium/ to lift the free key rate limit (25 \
    requests per day), raise the per-second burst limit, and instantly unlock all premium \
    endpoints";
const AV_DAY: &str = "Our standard API rate limit is 25 requests per day. Please subscribe to any \
    of the premium plans at https://www.alphavantage.co/premium/ to instantly remove all daily \
    rate limits.";

const OPENAI_REQUESTS: [&str; 3] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
];
const OPENAI_TOKENS: [&str; 3] = [
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];
const ANTHROPIC_REQUESTS: [&str; 3] = [
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
];
const ANTHROPIC_INPUT: [&str; 3] = [
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
];
const ANTHROPIC_OUTPUT: [&str; 3] = [
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
];
