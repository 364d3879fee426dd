//! What an upstream says of its limits, read from headers and bodies.
//!
//! Providers tell in their answers how much of a limit is left and when it is whole again, each
//! in names and units of its own: seconds since 1970, milliseconds, seconds from now, `6m0s`,
//! RFC 3339. A client that listens is throttled less, also when it shares a limit with others that
//! it does not see. AI providers count tokens, whose number is only known when the answer is
//! there. This module reads all of that into the words that a rate limit understands,
//! [`QuotaSignal`](seawall_core::QuotaSignal); it changes nothing and knows no rate limit.
//!
//! | what is said | who reads it |
//! |---|---|
//! | limits, in headers | [`RateLimitHeaders`]; what could not be read is counted in [`unreadable_rate_limit`] |
//! | limits, throttles, bans, and used tokens | [`HttpFeedback`] |
//! | used tokens, in a body of JSON or an event stream | `usage_of`, `UsageReader`, `MeteredBody`, `InspectLayer::with_usage` (feature `usage`) |
//! | how many tokens a request is expected to use | [`TokenEstimate`], [`estimate_tokens`] |
//!
//! # Example
//!
//! ```
//! use std::io;
//! use std::time::Duration;
//! use http::Response;
//! use seawall_core::{ReadQuotaSignals, QuotaSignal, ServerLimit, Unit};
//! use seawall_http::quota::{HttpFeedback, RateLimitHeaders};
//!
//! let feedback = HttpFeedback::new(RateLimitHeaders::alpaca());
//! let answer = Response::builder()
//!     .header("date", "Tue, 21 Mar 2023 15:13:07 GMT")
//!     .header("x-ratelimit-limit", "200")
//!     .header("x-ratelimit-remaining", "195")
//!     .header("x-ratelimit-reset", "1679411617")
//!     .body(())
//!     .unwrap();
//!
//! let mut said = Vec::new();
//! feedback.feedback(Ok::<_, &io::Error>(&answer), &mut |what| said.push(what));
//! let limit = ServerLimit::new(Unit::Requests)
//!     .with_limit(200)
//!     .with_remaining(195)
//!     .with_resets_in(Duration::from_secs(30));
//! assert_eq!(said, [QuotaSignal::Limit(limit)]);
//! ```
//!
//! # How it works
//!
//! A point of time in a header is the server's. It is measured against the `Date` of the same
//! answer, so that only how long it is from now counts, and no clock has to be right. Nothing that
//! an upstream sends is believed beyond reason: see [`LONGEST_RESET`] and
//! [`unreadable_rate_limit`]. A limit whose headers are half garbage tells its other half.
//!
//! Kraken, OANDA, Polygon (Massive), Kite, Alpha Vantage, NewsAPI, Yahoo, the SEC and Interactive
//! Brokers tell nothing in headers; for them [`HttpFeedback`] with
//! [no headers](RateLimitHeaders::new) hears throttles and bans, those in bodies by
//! [`inspect`](crate::inspect).

//!
//! # Ordering
//!
//! A rate limit's feedback stands next to the client, outside of [`inspect`](crate::inspect) and
//! of whatever else writes into an answer's extensions, and inside of a retry, so that it hears
//! every attempt. Tokens of a streamed answer are known at its end: wrap its body in a
//! `MeteredBody` there, and settle the estimate by the handle of the rate limit.

mod feedback;
mod headers;
mod number;
mod providers;
mod reset;
mod structured;
mod tokens;
#[cfg(feature = "usage")]
mod usage;

#[cfg(test)]
mod tests;

pub use feedback::HttpFeedback;
pub use headers::{LimitHeaders, RateLimitHeaders};
pub use number::unreadable_rate_limit;
pub use reset::{LONGEST_RESET, ResetFormat};
pub use tokens::{TokenEstimate, Usage, estimate_tokens};
#[cfg(feature = "usage")]
pub use usage::{MeteredBody, UsageReader, usage_of};
