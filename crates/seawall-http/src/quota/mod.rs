//! What an upstream reports about its limits, read from headers and bodies.
//!
//! Providers send with their responses how much of a limit is left and when it resets, each in
//! names and units of its own: seconds since 1970, milliseconds, seconds from now, `6m0s`,
//! RFC 3339. A client that reads them is throttled less, also when it shares a limit with clients
//! that it does not see. AI providers count tokens, whose number is only known with the response.
//! This module turns all of that into [`QuotaSignal`](seawall_core::QuotaSignal)s, which a rate
//! limit applies; it changes nothing and knows no rate limit.
//!
//! | what is reported | what reads it |
//! |---|---|
//! | limits, in headers | [`RateLimitHeaders`] |
//! | limits, throttles, bans, and used tokens | [`HttpFeedback`], which counts what it could not read ([`HttpFeedbackHandle`]) |
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
//! use seawall_http::quota::{HttpFeedback, RateLimitHeaders, ResetFormat};
//!
//! let headers = RateLimitHeaders::x_ratelimit(ResetFormat::EpochSeconds);
//! let feedback = HttpFeedback::new("my-broker", headers);
//! let response = Response::builder()
//!     .header("date", "Tue, 21 Mar 2023 15:13:07 GMT")
//!     .header("x-ratelimit-limit", "200")
//!     .header("x-ratelimit-remaining", "195")
//!     .header("x-ratelimit-reset", "1679411617")
//!     .body(())
//!     .unwrap();
//!
//! let mut signals = Vec::new();
//! feedback.read_signals(Ok::<_, &io::Error>(&response), &mut |signal| signals.push(signal));
//! let limit = ServerLimit::new(Unit::Requests)
//!     .with_limit(200)
//!     .with_remaining(195)
//!     .with_resets_in(Duration::from_secs(30));
//! assert_eq!(signals, [QuotaSignal::Limit(limit)]);
//! ```
//!
//! # How it works
//!
//! A point of time in a header is the server's. It is measured against the `Date` of the same
//! response, so that only the time from now matters and no clock has to be right. Values beyond
//! reason are ignored: see [`LONGEST_RESET`] and [`RateLimitHeaders::read`]. Waits and usage beyond
//! reason are bounded, counted and emitted as an event: see
//! [`HttpClassifier`](crate::HttpClassifier) and [`LARGEST_USAGE`]. When half of a
//! limit's headers are unreadable, the other half is reported.
//!
//! Headers of other names are described by [`LimitHeaders`]; the catalogue of the crate `seawall` has
//! those of known providers. Many send none: for them [`HttpFeedback`] with
//! [no headers](RateLimitHeaders::new) reads throttles and bans, those in bodies by
//! [`inspect`](crate::inspect).
//!
//! # Ordering
//!
//! A rate limit's feedback layer goes next to the client, outside of [`inspect`](crate::inspect)
//! and of any other layer that writes into a response's extensions, and inside of a retry, so that
//! it sees every attempt. Tokens of a streamed response are known at its end: wrap its body in a
//! `MeteredBody`, and correct the estimate by the [`LateUsage`](seawall_core::LateUsage) that is in
//! the extensions of its response.

mod common;
mod feedback;
mod handle;
mod headers;
mod limit_headers;
mod reading;
mod reset;
mod state;
mod structured;
mod tokens;
#[cfg(feature = "usage")]
mod usage;

#[cfg(test)]
mod tests;

pub(crate) use common::COMMON;
pub use feedback::HttpFeedback;
pub use handle::{HttpFeedbackHandle, HttpFeedbackSnapshot};
pub use headers::RateLimitHeaders;
pub use limit_headers::LimitHeaders;
pub(crate) use reset::Reset;
pub use reset::{LONGEST_RESET, ResetFormat};
pub use state::HttpFeedbackCounts;
pub use tokens::{LARGEST_USAGE, ReportedUsage, TokenEstimate, Usage, UsageBound, estimate_tokens};
#[cfg(feature = "usage")]
pub use usage::{MeteredBody, UsageReader, usage_of};
