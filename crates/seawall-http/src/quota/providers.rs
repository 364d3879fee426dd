//! Readers for providers whose headers are known, and for the common conventions.

use std::sync::LazyLock;

use http::header::HeaderName;
use seawall_core::Unit;

use super::headers::{RateLimitHeaders, Source};
use super::limit_headers::LimitHeaders;
use super::reset::ResetFormat;

/// A limit in headers whose names are `pattern` with a word in place of `*`: the words of limit,
/// used, remaining and reset. An empty word is no header.
///
/// A reset is read in any form that can be distinguished.
fn limit(unit: Unit, pattern: &str, words: [&str; 4]) -> LimitHeaders {
    limit_in(unit, pattern, words, ResetFormat::Auto)
}

fn limit_in(unit: Unit, pattern: &str, words: [&str; 4], format: ResetFormat) -> LimitHeaders {
    let name = |word: &str| {
        let name = HeaderName::try_from(pattern.replace('*', word)).ok()?;
        (!word.is_empty()).then_some(name)
    };
    let [limit, used, remaining, reset] = words.map(name);
    LimitHeaders::named(
        unit,
        [limit, used, remaining],
        reset.map(|reset| (reset, format)),
    )
}

/// The words of most upstreams.
const WORDS: [&str; 4] = ["limit", "", "remaining", "reset"];

impl RateLimitHeaders {
    fn of(limits: impl IntoIterator<Item = LimitHeaders>) -> Self {
        let limits = limits
            .into_iter()
            .map(|limit| Source::Limit(Box::new(limit)));
        limits.fold(Self::new(), Self::with)
    }

    /// Alpaca: `X-Ratelimit-Limit`, `-Remaining`, and `-Reset` in seconds since 1970; requests
    /// per minute. On every response.
    ///
    /// Source: <https://docs.alpaca.markets/docs/about-broker-api>, samples by its staff at
    /// <https://forum.alpaca.markets/t/12029>.
    pub fn alpaca() -> Self {
        Self::minutely()
    }

    /// Finnhub: as [Alpaca](Self::alpaca). The limit of 30 calls per second
    /// beside it is in no header.
    ///
    /// Source: <https://finnhub.io/docs/api/rate-limit> for the limits; the headers are not
    /// documented but observed.
    pub fn finnhub() -> Self {
        Self::minutely()
    }

    fn minutely() -> Self {
        Self::of([x_ratelimit(ResetFormat::Auto)])
    }

    /// OpenAI: `x-ratelimit-{limit,remaining,reset}-requests`, `-tokens`, and `-project-tokens`
    /// where a project has a limit of its own; resets in Go's notation (`6m0s`).
    ///
    /// It is not documented whether the headers are of the limit per minute or of that per day.
    ///
    /// Source: <https://developers.openai.com/api/docs/guides/rate-limits>.
    pub fn openai() -> Self {
        let limits = [
            (Unit::Requests, "x-ratelimit-*-requests"),
            (Unit::Tokens, "x-ratelimit-*-tokens"),
            (Unit::Tokens, "x-ratelimit-*-project-tokens"),
        ];
        Self::of(limits.map(|(unit, names)| limit(unit, names, WORDS)))
    }

    /// Anthropic: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-`
    /// `{limit,remaining,reset}`, per minute; resets by RFC 3339. The tokens without a direction
    /// are those of the most restrictive limit in effect; what is left is rounded to thousands.
    ///
    /// Source: <https://platform.claude.com/docs/en/api/rate-limits>.
    pub fn anthropic() -> Self {
        let limits = [
            (Unit::Requests, "anthropic-ratelimit-requests-*"),
            (Unit::Tokens, "anthropic-ratelimit-tokens-*"),
            (Unit::InputTokens, "anthropic-ratelimit-input-tokens-*"),
            (Unit::OutputTokens, "anthropic-ratelimit-output-tokens-*"),
        ];
        Self::of(limits.map(|(unit, names)| limit(unit, names, WORDS)))
    }

    /// Reddit: `x-ratelimit-used`, `-remaining` (with a fraction), and `-reset` in seconds from
    /// now; requests per ten minutes. Missing on responses out of a cache and on errors.
    ///
    /// Source: the Reddit Data API Wiki at <https://support.reddithelp.com>, and prawcore's
    /// `rate_limit.py`.
    pub fn reddit() -> Self {
        let words = ["", "used", "remaining", "reset"];
        Self::of([limit(Unit::Requests, X_RATELIMIT, words)])
    }

    /// Tradier: `X-Ratelimit-Allowed`, `-Used`, `-Available`, and `-Expiry` in milliseconds since
    /// 1970, or seconds as one sample has it; requests per minute.
    ///
    /// Source: <https://documentation.tradier.com/brokerage-api/overview/rate-limiting>.
    pub fn tradier() -> Self {
        let words = ["allowed", "used", "available", "expiry"];
        Self::of([limit(Unit::Requests, X_RATELIMIT, words)])
    }

    /// Binance: `X-MBX-USED-WEIGHT-1M` and the like as [`Unit::Cost`], and
    /// `X-MBX-ORDER-COUNT-10S` and the like as `Unit::Other("orders")`. The windows are in the
    /// names; the limits themselves are not sent.
    ///
    /// Source: "LIMITS" in
    /// <https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md>.
    pub fn binance() -> Self {
        let used = |prefix: &str, unit| Source::Used {
            prefix: prefix.into(),
            unit,
        };
        Self::new()
            .with(used("x-mbx-used-weight-", Unit::Cost))
            .with(used("x-mbx-order-count-", Unit::Other("orders")))
    }

    /// Coinbase: `x-ratelimit-limit`, `-remaining` and `-reset`, or the same after
    /// `cb-ratelimit`, of requests. It is not documented in what unit the reset is, nor that the
    /// headers come at all.
    ///
    /// Source: the names are those of `constants.py` in
    /// <https://github.com/coinbase/coinbase-advanced-py>.
    pub fn coinbase() -> Self {
        Self::of([
            x_ratelimit(ResetFormat::Auto),
            limit(Unit::Requests, "cb-ratelimit-*", WORDS),
        ])
    }

    /// The common `x-ratelimit-limit`, `-used`, `-remaining` and `-reset`, of requests. How the
    /// reset is written differs from one upstream to the next: see its documentation, or take
    /// [`ResetFormat::Auto`].
    pub fn x_ratelimit(reset: ResetFormat) -> Self {
        Self::of([x_ratelimit(reset)])
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
        let older = limit(Unit::Requests, "ratelimit-*", WORDS);
        Self::of([older]).with(Source::Structured)
    }
}

/// The headers of every provider above, for a reader that does not know which one responds.
pub(crate) static COMMON: LazyLock<RateLimitHeaders> = LazyLock::new(|| {
    let every = [
        RateLimitHeaders::x_ratelimit(ResetFormat::Auto),
        RateLimitHeaders::openai(),
        RateLimitHeaders::anthropic(),
        RateLimitHeaders::tradier(),
        RateLimitHeaders::ietf(),
        RateLimitHeaders::of([limit(Unit::Requests, "cb-ratelimit-*", WORDS)]),
    ];
    every
        .iter()
        .fold(RateLimitHeaders::new(), RateLimitHeaders::with_all)
});

const X_RATELIMIT: &str = "x-ratelimit-*";

fn x_ratelimit(format: ResetFormat) -> LimitHeaders {
    let words = ["limit", "used", "remaining", "reset"];
    limit_in(Unit::Requests, X_RATELIMIT, words, format)
}
