//! The headers that many upstreams share, by their form.

use std::sync::LazyLock;

use http::header::HeaderName;
use seawall_core::Unit;

use super::headers::{RateLimitHeaders, Source};
use super::limit_headers::LimitHeaders;
use super::reset::ResetFormat;

/// What is counted, the names of the headers with a word in place of `*`, and the words of limit, used,
/// remaining and reset. An empty word is no header.
type Form = (Unit, &'static str, [&'static str; 4]);

/// The words of most upstreams.
const WORDS: [&str; 4] = ["limit", "", "remaining", "reset"];
const WITH_USED: [&str; 4] = ["limit", "used", "remaining", "reset"];

const X_RATELIMIT: Form = (Unit::Requests, "x-ratelimit-*", WITH_USED);
/// Version 06 of the IETF's draft.
const RATELIMIT: Form = (Unit::Requests, "ratelimit-*", WORDS);

/// What else is in use.
const OTHERS: [Form; 9] = [
    (
        Unit::Requests,
        "x-ratelimit-*",
        ["allowed", "used", "available", "expiry"],
    ),
    (Unit::Requests, "x-ratelimit-*-requests", WORDS),
    (Unit::Tokens, "x-ratelimit-*-tokens", WORDS),
    (Unit::Tokens, "x-ratelimit-*-project-tokens", WORDS),
    (Unit::Requests, "anthropic-ratelimit-requests-*", WORDS),
    (Unit::Tokens, "anthropic-ratelimit-tokens-*", WORDS),
    (
        Unit::InputTokens,
        "anthropic-ratelimit-input-tokens-*",
        WORDS,
    ),
    (
        Unit::OutputTokens,
        "anthropic-ratelimit-output-tokens-*",
        WORDS,
    ),
    (Unit::Requests, "cb-ratelimit-*", WORDS),
];

fn source((unit, pattern, words): Form, format: ResetFormat) -> Source {
    let name = |word: &str| {
        let name = HeaderName::try_from(pattern.replace('*', word)).ok()?;
        (!word.is_empty()).then_some(name)
    };
    let limit = LimitHeaders::named(unit, words.map(name), format);
    Source::Limit(Box::new(limit))
}

impl RateLimitHeaders {
    /// The common `x-ratelimit-limit`, `-used`, `-remaining` and `-reset`, of requests. How the
    /// reset is written differs from one upstream to the next: see its documentation, or take
    /// [`ResetFormat::Auto`].
    pub fn x_ratelimit(reset: ResetFormat) -> Self {
        Self::new().with(source(X_RATELIMIT, reset))
    }

    /// The fields `RateLimit` and `RateLimit-Policy` of the IETF's draft from version 08 on, and
    /// those of version 06: `RateLimit-Limit`, `-Remaining`, and `-Reset` in seconds from now.
    ///
    /// ```text
    /// RateLimit-Policy: "burst";q=100;w=60,"daily";q=1000;w=86400
    /// RateLimit: "burst";r=50;t=30
    /// ```
    ///
    /// Quotas of requests and of `content-bytes` (as [`Unit::Other`]) are reported, those of
    /// concurrent requests are not. Up to sixteen policies are read.
    ///
    /// Source: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>.
    pub fn ietf() -> Self {
        Self::new()
            .with(source(RATELIMIT, ResetFormat::Auto))
            .with(Source::Structured)
    }
}

/// All of them, for a reader that does not know who responds.
pub(crate) static COMMON: LazyLock<RateLimitHeaders> = LazyLock::new(|| {
    let forms = [X_RATELIMIT, RATELIMIT].into_iter().chain(OTHERS);
    forms
        .map(|form| source(form, ResetFormat::Auto))
        .chain([Source::Structured])
        .fold(RateLimitHeaders::new(), RateLimitHeaders::with)
});
