//! Readers of the headers that report the state of limits.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Response;
use http::header::{AGE, HeaderMap, HeaderValue};
use seawall_core::{InvalidConfig, QuotaSignal, ReadQuotaSignals, ServerLimit, Unit};

use super::limit_headers::{LimitHeaders, header_name};
use super::reading::Reading;
use super::reset::LONGEST_RESET;
use super::structured;
use crate::server_clock::ServerClock;

/// Reads the state of an upstream's limits from the headers of its responses.
///
/// There are constructors for the common conventions; [`and`](Self::and) adds any other headers, and
/// the catalogue of the crate `seawall` has those of known providers. Windows are reported where the
/// headers name them, as those of the IETF's draft and of
/// [`and_used_per_window`](Self::and_used_per_window) do. It is a [`ReadQuotaSignals`] by itself;
/// [`HttpFeedback`](super::HttpFeedback) also reads throttles, bans and token usage, and counts
/// what could not be read.
///
/// * A point of time is measured against the response's own `Date`, so that a server's clock may
///   be hours off; against the local clock when there is none, or one that is more than a day off
///   while the local clock makes sense of the reset.
/// * A reset is read in the format that is named for it, or with
///   [`ResetFormat::Auto`](super::ResetFormat::Auto) in every form that can be distinguished.
/// * A response out of a cache, with an `Age` above zero, describes an earlier time and is not
///   read.
/// * What cannot be read, or is impossible, is left out; the rest of the limit is reported.
///
/// Clones share the list of headers; reading allocates nothing.
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderMap, HeaderValue};
/// use seawall_core::{ServerLimit, Unit};
/// use seawall_http::quota::{LimitHeaders, RateLimitHeaders, ResetFormat};
///
/// let limit = |unit, of: &str| {
///     LimitHeaders::new(unit)
///         .limit(&format!("x-ratelimit-limit-{of}"))
///         .remaining(&format!("x-ratelimit-remaining-{of}"))
///         .reset(&format!("x-ratelimit-reset-{of}"), ResetFormat::GoDuration)
/// };
/// let model = RateLimitHeaders::new()
///     .and(limit(Unit::Requests, "requests"))?
///     .and(limit(Unit::Tokens, "tokens"))?;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-remaining-tokens", HeaderValue::from_static("149984"));
/// headers.insert("x-ratelimit-reset-tokens", HeaderValue::from_static("6m0s"));
/// let mut reported = Vec::new();
/// model.read(&headers, |limit| reported.push(limit));
/// let expected = ServerLimit::new(Unit::Tokens)
///     .with_remaining(149_984)
///     .with_resets_in(Duration::from_secs(360));
/// assert_eq!(reported, [expected]);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitHeaders {
    sources: Arc<Vec<Source>>,
    clock: fn() -> SystemTime,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    /// One limit, in headers of fixed names.
    Limit(Box<LimitHeaders>),
    /// How much is used per window, which the name of the header ends with.
    Used { prefix: Box<str>, unit: Unit },
    /// `RateLimit` and `RateLimit-Policy`.
    Structured,
}

impl RateLimitHeaders {
    /// Reads nothing yet.
    pub fn new() -> Self {
        Self {
            sources: Arc::default(),
            clock: SystemTime::now,
        }
    }

    /// Reads another limit.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a name is not that of a header, when no header has an amount, or
    /// when the window is zero.
    pub fn and(self, limit: LimitHeaders) -> Result<Self, InvalidConfig> {
        Ok(self.with(Source::Limit(Box::new(limit.check()?))))
    }

    /// Reads how much is used from headers that name their window: `prefix`, then a number and
    /// `s`, `m`, `h` or `d`, as in `X-MBX-USED-WEIGHT-1M`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when no header's name begins with `prefix`.
    pub fn and_used_per_window(self, prefix: &str, unit: Unit) -> Result<Self, InvalidConfig> {
        let name = header_name("prefix", prefix)?;
        let prefix = name.as_str().into();
        Ok(self.with(Source::Used { prefix, unit }))
    }

    /// Reports `to` in place of `from`: for a limit that is kept in another unit than its upstream
    /// reports, such as requests that are counted by their cost.
    #[must_use]
    pub fn convert_unit(mut self, from: Unit, to: Unit) -> Self {
        for source in Arc::make_mut(&mut self.sources) {
            let unit = match source {
                Source::Limit(limit) => &mut limit.unit,
                Source::Used { unit, .. } => unit,
                Source::Structured => continue,
            };
            if *unit == from {
                *unit = to;
            }
        }
        self
    }

    /// Reads the time from `now` for responses without a `Date`. The default is the system's.
    #[must_use]
    pub const fn with_clock(mut self, now: fn() -> SystemTime) -> Self {
        self.clock = now;
        self
    }

    /// Whether no header is read.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many sources of limits there are.
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    pub(super) fn with(mut self, source: Source) -> Self {
        Arc::make_mut(&mut self.sources).push(source);
        self
    }

    /// How long a throttle with these headers asks to wait: until the limit resets that it is most
    /// likely about.
    ///
    /// Those are the limits of which nothing is left, or that do not report what is left; of several
    /// the one that resets last. When something is left of all of them, it is too little for this
    /// request: then it is the limit with the smallest share left.
    pub(crate) fn throttle_wait(&self, headers: &HeaderMap) -> Option<Duration> {
        self.throttle_wait_by(self.clock, headers)
    }

    /// The same by another clock.
    pub(crate) fn throttle_wait_by(
        &self,
        local: fn() -> SystemTime,
        headers: &HeaderMap,
    ) -> Option<Duration> {
        let mut tightest = Tightest::default();
        self.read_by(local, headers, |limit| tightest.add(&limit));
        tightest.resets_in()
    }

    /// Calls `report` with every limit in `headers`, and returns how many fields could not be
    /// read: a value that is no number, is too large or negative, more left than there is, a reset
    /// that is further off than [`LONGEST_RESET`], the same header twice with different values.
    pub fn read(&self, headers: &HeaderMap, report: impl FnMut(ServerLimit)) -> u32 {
        self.read_by(self.clock, headers, report)
    }

    fn read_by(
        &self,
        local: fn() -> SystemTime,
        headers: &HeaderMap,
        mut report: impl FnMut(ServerLimit),
    ) -> u32 {
        if self.is_empty() || is_cached(headers) {
            return 0;
        }
        let reading = Reading::new(headers);
        let mut clock = ServerClock::new(local);
        for source in self.sources.iter() {
            match source {
                Source::Limit(limit) => {
                    if let Some(limit) = limit.read(&reading, &mut clock) {
                        report(limit);
                    }
                }
                Source::Used { prefix, unit } => {
                    used_per_window(&reading, prefix, *unit, &mut report);
                }
                Source::Structured => structured::read(&reading, &mut report),
            }
        }
        reading.unreadable()
    }
}

impl Default for RateLimitHeaders {
    fn default() -> Self {
        Self::new()
    }
}

impl<B, E> ReadQuotaSignals<Response<B>, E> for RateLimitHeaders {
    fn read_signals(&self, result: Result<&Response<B>, &E>, report: &mut dyn FnMut(QuotaSignal)) {
        if let Ok(response) = result {
            self.read(response.headers(), |limit| {
                report(QuotaSignal::Limit(limit));
            });
        }
    }
}

/// Of the limits of a throttle, the one that it is most likely about.
#[derive(Debug, Default)]
pub(super) struct Tightest {
    /// How much is left of how much, and when it resets.
    found: Option<(u64, u64, Duration)>,
}

impl Tightest {
    pub(super) fn add(&mut self, limit: &ServerLimit) {
        let Some(resets_in) = limit.resets_in else {
            return;
        };
        // Where the total is not reported, it may be used up as well as not: it is taken for large.
        let left = limit.remaining.unwrap_or(0);
        let of = limit.limit.unwrap_or(u64::MAX).max(1);
        let tighter = match self.found {
            None => true,
            Some((other, other_of, other_resets)) => {
                let share = u128::from(left) * u128::from(other_of);
                let other_share = u128::from(other) * u128::from(of);
                share < other_share || (share == other_share && resets_in > other_resets)
            }
        };
        if tighter {
            self.found = Some((left, of, resets_in));
        }
    }

    pub(super) fn resets_in(&self) -> Option<Duration> {
        self.found.map(|(.., resets_in)| resets_in)
    }
}

/// Whether the response comes out of a cache (RFC 9111, section 5.1).
fn is_cached(headers: &HeaderMap) -> bool {
    let age = headers.get(AGE).map(HeaderValue::as_bytes);
    age.is_some_and(|age| age.iter().any(|b| matches!(b, b'1'..=b'9')))
}

fn used_per_window(
    reading: &Reading<'_>,
    prefix: &str,
    unit: Unit,
    report: &mut impl FnMut(ServerLimit),
) {
    for name in reading.headers.keys() {
        let Some(window) = name.as_str().strip_prefix(prefix) else {
            continue;
        };
        let window = reading.counted(window_of(window));
        if let Some((window, used)) = window.zip(reading.number(name)) {
            report(ServerLimit::new(unit).with_window(window).with_used(used));
        }
    }
}

/// `1m`, `10s`.
fn window_of(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let plain = number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = plain.then(|| number.parse().ok()).flatten()?;
    let window = Duration::from_secs(number.checked_mul(seconds)?);
    (window > Duration::ZERO && window <= LONGEST_RESET).then_some(window)
}
