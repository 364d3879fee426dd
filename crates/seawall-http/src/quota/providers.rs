//! Readers for providers whose headers are known, and for the common conventions.

use http::header::HeaderName;
use seawall_core::Unit;

use super::headers::{RateLimitHeaders, Source};
use super::limit_headers::LimitHeaders;
use super::reset::ResetFormat;

/// The names of limit, used, remaining and reset; an empty name is none.
fn limit(
    unit: Unit,
    [limit, used, remaining, reset]: [&'static str; 4],
    format: ResetFormat,
) -> LimitHeaders {
    let name = |name: &'static str| (!name.is_empty()).then(|| HeaderName::from_static(name));
    LimitHeaders::named(
        unit,
        [name(limit), name(used), name(remaining)],
        name(reset).map(|reset| (reset, format)),
    )
}

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
        Self::of([x_ratelimit(ResetFormat::EpochSeconds)])
    }

    /// OpenAI: `x-ratelimit-{limit,remaining,reset}-requests`, `-tokens`, and `-project-tokens`
    /// where a project has a limit of its own; resets in Go's notation (`6m0s`).
    ///
    /// It is not documented whether the headers are of the limit per minute or of that per day.
    ///
    /// Source: <https://developers.openai.com/api/docs/guides/rate-limits>.
    pub fn openai() -> Self {
        let names = [
            (
                Unit::Requests,
                [
                    "x-ratelimit-limit-requests",
                    "",
                    "x-ratelimit-remaining-requests",
                    "x-ratelimit-reset-requests",
                ],
            ),
            (
                Unit::Tokens,
                [
                    "x-ratelimit-limit-tokens",
                    "",
                    "x-ratelimit-remaining-tokens",
                    "x-ratelimit-reset-tokens",
                ],
            ),
            (
                Unit::Tokens,
                [
                    "x-ratelimit-limit-project-tokens",
                    "",
                    "x-ratelimit-remaining-project-tokens",
                    "x-ratelimit-reset-project-tokens",
                ],
            ),
        ];
        Self::of(names.map(|(unit, names)| limit(unit, names, ResetFormat::GoDuration)))
    }

    /// Anthropic: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-`
    /// `{limit,remaining,reset}`, per minute; resets by RFC 3339. The tokens without a direction
    /// are those of the most restrictive limit in effect; what is left is rounded to thousands.
    ///
    /// Source: <https://platform.claude.com/docs/en/api/rate-limits>.
    pub fn anthropic() -> Self {
        let names = [
            (
                Unit::Requests,
                [
                    "anthropic-ratelimit-requests-limit",
                    "",
                    "anthropic-ratelimit-requests-remaining",
                    "anthropic-ratelimit-requests-reset",
                ],
            ),
            (
                Unit::Tokens,
                [
                    "anthropic-ratelimit-tokens-limit",
                    "",
                    "anthropic-ratelimit-tokens-remaining",
                    "anthropic-ratelimit-tokens-reset",
                ],
            ),
            (
                Unit::InputTokens,
                [
                    "anthropic-ratelimit-input-tokens-limit",
                    "",
                    "anthropic-ratelimit-input-tokens-remaining",
                    "anthropic-ratelimit-input-tokens-reset",
                ],
            ),
            (
                Unit::OutputTokens,
                [
                    "anthropic-ratelimit-output-tokens-limit",
                    "",
                    "anthropic-ratelimit-output-tokens-remaining",
                    "anthropic-ratelimit-output-tokens-reset",
                ],
            ),
        ];
        Self::of(names.map(|(unit, names)| limit(unit, names, ResetFormat::Rfc3339)))
    }

    /// Reddit: `x-ratelimit-used`, `-remaining` (with a fraction), and `-reset` in seconds from
    /// now; requests per ten minutes. Missing on responses out of a cache and on errors.
    ///
    /// Source: the Reddit Data API Wiki at <https://support.reddithelp.com>, and prawcore's
    /// `rate_limit.py`.
    pub fn reddit() -> Self {
        let names = [
            "",
            "x-ratelimit-used",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ];
        Self::of([limit(Unit::Requests, names, ResetFormat::SecondsLeft)])
    }

    /// Tradier: `X-Ratelimit-Allowed`, `-Used`, `-Available`, and `-Expiry` in milliseconds since
    /// 1970, or seconds as one sample has it; requests per minute.
    ///
    /// Source: <https://documentation.tradier.com/brokerage-api/overview/rate-limiting>.
    pub fn tradier() -> Self {
        let names = [
            "x-ratelimit-allowed",
            "x-ratelimit-used",
            "x-ratelimit-available",
            "x-ratelimit-expiry",
        ];
        Self::of([limit(Unit::Requests, names, ResetFormat::EpochAuto)])
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
        let names = [
            "cb-ratelimit-limit",
            "",
            "cb-ratelimit-remaining",
            "cb-ratelimit-reset",
        ];
        Self::of([
            x_ratelimit(ResetFormat::Auto),
            limit(Unit::Requests, names, ResetFormat::Auto),
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
        let names = [
            "ratelimit-limit",
            "",
            "ratelimit-remaining",
            "ratelimit-reset",
        ];
        Self::of([limit(Unit::Requests, names, ResetFormat::SecondsLeft)]).with(Source::Structured)
    }
}

fn x_ratelimit(format: ResetFormat) -> LimitHeaders {
    let names = [
        "x-ratelimit-limit",
        "x-ratelimit-used",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    limit(Unit::Requests, names, format)
}
