//! Readers of the headers that tell the state of limits.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Response;
use http::header::{AGE, DATE, HeaderMap, HeaderName, HeaderValue};
use seawall_core::{InvalidConfig, QuotaSignal, ReadQuotaSignals, ServerLimit, Unit};

use super::number::{counted, number, text, unreadable};
use super::reset::{LONGEST_RESET, ResetFormat, http_date, since_epoch};
use super::structured;

/// The headers that tell the state of one limit.
///
/// What is not named is not read.
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderMap, HeaderValue};
/// use seawall_core::{ServerLimit, Unit};
/// use seawall_http::quota::{LimitHeaders, RateLimitHeaders, ResetFormat};
///
/// let shop = RateLimitHeaders::new().and(
///     LimitHeaders::new(Unit::Requests)
///         .limit("x-quota")
///         .remaining("x-quota-left")
///         .reset("x-quota-renews", ResetFormat::SecondsLeft)
///         .window(Duration::from_secs(60)),
/// )?;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-quota-left", HeaderValue::from_static("7"));
/// headers.insert("x-quota-renews", HeaderValue::from_static("12.5"));
/// let mut said = Vec::new();
/// shop.read(&headers, |limit| said.push(limit));
/// let expected = ServerLimit::new(Unit::Requests)
///     .with_window(Duration::from_secs(60))
///     .with_remaining(7)
///     .with_resets_in(Duration::from_millis(12_500));
/// assert_eq!(said, [expected]);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct LimitHeaders {
    unit: Unit,
    window: Option<Duration>,
    limit: Option<HeaderName>,
    used: Option<HeaderName>,
    remaining: Option<HeaderName>,
    reset: Option<(HeaderName, ResetFormat)>,
    invalid: Option<InvalidConfig>,
}

impl LimitHeaders {
    /// A limit that counts `unit`, told by no header yet.
    pub const fn new(unit: Unit) -> Self {
        Self {
            unit,
            window: None,
            limit: None,
            used: None,
            remaining: None,
            reset: None,
            invalid: None,
        }
    }

    pub(super) fn named(
        unit: Unit,
        [limit, used, remaining]: [Option<HeaderName>; 3],
        reset: Option<(HeaderName, ResetFormat)>,
    ) -> Self {
        Self {
            limit,
            used,
            remaining,
            reset,
            ..Self::new(unit)
        }
    }

    /// The header that tells how much is granted per window.
    #[must_use]
    pub fn limit(mut self, name: &str) -> Self {
        self.limit = self.name("limit", name);
        self
    }

    /// The header that tells how much of it is used.
    #[must_use]
    pub fn used(mut self, name: &str) -> Self {
        self.used = self.name("used", name);
        self
    }

    /// The header that tells how much is left.
    #[must_use]
    pub fn remaining(mut self, name: &str) -> Self {
        self.remaining = self.name("remaining", name);
        self
    }

    /// The header that tells when the limit is whole again, and how it is written.
    #[must_use]
    pub fn reset(mut self, name: &str, format: ResetFormat) -> Self {
        self.reset = self.name("reset", name).map(|name| (name, format));
        self
    }

    /// The time over which the limit counts, which no header tells.
    ///
    /// Rate limits hear what is said of a window as being of the limit with that very window, so
    /// name it only where there is one; without it they tell limits apart by height and reset.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    fn name(&mut self, field: &'static str, name: &str) -> Option<HeaderName> {
        let parsed = header_name(field, name);
        match parsed {
            Ok(name) => Some(name),
            Err(invalid) => {
                self.invalid.get_or_insert(invalid);
                None
            }
        }
    }

    fn check(mut self) -> Result<Self, InvalidConfig> {
        if let Some(invalid) = self.invalid.take() {
            return Err(invalid);
        }
        if self.window == Some(Duration::ZERO) {
            return Err(InvalidConfig::new("window", "0 s", "more than zero"));
        }
        let says_something = [&self.limit, &self.used, &self.remaining]
            .iter()
            .any(|name| name.is_some());
        if says_something {
            Ok(self)
        } else {
            let accepted = "at least one of `limit`, `used` and `remaining`";
            Err(InvalidConfig::new("headers", "none", accepted))
        }
    }

    fn read(&self, headers: &HeaderMap, clock: &mut ServerClock<'_>) -> Option<ServerLimit> {
        let number = |name: &Option<HeaderName>| number(headers, name.as_ref()?);
        let mut said = ServerLimit::new(self.unit);
        said.window = self.window;
        said.limit = number(&self.limit);
        said.used = number(&self.used);
        said.remaining = number(&self.remaining);
        said.resets_in = self.reset.as_ref().and_then(|(name, format)| {
            let text = text(headers, name)?;
            counted(format.read(text, || clock.now()))
        });
        sensible(said)
    }
}

/// What was read, without what cannot be; `None` when nothing is left.
pub(super) fn sensible(mut said: ServerLimit) -> Option<ServerLimit> {
    if said
        .remaining
        .zip(said.limit)
        .is_some_and(|(left, limit)| left > limit)
    {
        unreadable();
        said.remaining = None;
    }
    let numbers = [said.limit, said.used, said.remaining];
    (numbers.iter().any(Option::is_some) || said.resets_in.is_some()).then_some(said)
}

fn header_name(field: &'static str, name: &str) -> Result<HeaderName, InvalidConfig> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Ok(name),
        Err(_) => Err(InvalidConfig::new(
            field,
            format!("{name:?}"),
            "the name of an HTTP header",
        )),
    }
}

/// Reads from the headers of answers the state of an upstream's limits.
///
/// There is a constructor for each provider whose headers are known, and for the common
/// conventions; [`and`](Self::and) adds what is not among them. Windows are told where the headers
/// name them, as those of Binance and of the IETF's draft do. It is a
/// [`ReadQuotaSignals`] by itself; [`HttpFeedback`](super::HttpFeedback) hears throttles, bans and token
/// usage, too.
///
/// * A point of time is measured against the answer's own `Date`, so that a server's clock may be
///   hours off; against the local calendar when there is none.
/// * An answer out of a cache, with an `Age` above zero, tells of another time and is not read.
/// * What cannot be read, or cannot be, is left out and counted in
///   [`unreadable_rate_limit`](super::unreadable_rate_limit); the rest of the limit is told.
///
/// Clones share the list of headers; reading allocates nothing.
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderMap, HeaderValue};
/// use seawall_core::{ServerLimit, Unit};
/// use seawall_http::quota::RateLimitHeaders;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-remaining-tokens", HeaderValue::from_static("149984"));
/// headers.insert("x-ratelimit-reset-tokens", HeaderValue::from_static("6m0s"));
/// let mut said = Vec::new();
/// RateLimitHeaders::openai().read(&headers, |limit| said.push(limit));
/// let expected = ServerLimit::new(Unit::Tokens)
///     .with_remaining(149_984)
///     .with_resets_in(Duration::from_secs(360));
/// assert_eq!(said, [expected]);
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitHeaders {
    sources: Arc<Vec<Source>>,
    calendar: fn() -> SystemTime,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    /// One limit, told by headers of fixed names.
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
            calendar: SystemTime::now,
        }
    }

    /// Reads another limit.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a name is not that of a header, when no header tells an amount, or
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

    /// Says `unit` where it has said `before`: for a limit that is kept in another unit than its
    /// upstream tells, as requests that are counted by their cost.
    #[must_use]
    pub fn counting(mut self, before: Unit, unit: Unit) -> Self {
        for source in Arc::make_mut(&mut self.sources) {
            let told = match source {
                Source::Limit(limit) => &mut limit.unit,
                Source::Used { unit, .. } => unit,
                Source::Structured => continue,
            };
            if *told == before {
                *told = unit;
            }
        }
        self
    }

    /// Reads the calendar from `now` for answers without a `Date`. The default is the system's.
    #[must_use]
    pub const fn with_clock(mut self, now: fn() -> SystemTime) -> Self {
        self.calendar = now;
        self
    }

    pub(super) fn with(mut self, source: Source) -> Self {
        Arc::make_mut(&mut self.sources).push(source);
        self
    }

    /// Tells `say` every limit that `headers` speak of.
    pub fn read(&self, headers: &HeaderMap, mut say: impl FnMut(ServerLimit)) {
        if is_stale(headers) {
            return;
        }
        let mut clock = ServerClock {
            headers,
            calendar: self.calendar,
            now: None,
        };
        for source in self.sources.iter() {
            match source {
                Source::Limit(limit) => {
                    if let Some(limit) = limit.read(headers, &mut clock) {
                        say(limit);
                    }
                }
                Source::Used { prefix, unit } => used_per_window(headers, prefix, *unit, &mut say),
                Source::Structured => structured::read(headers, &mut say),
            }
        }
    }
}

impl Default for RateLimitHeaders {
    fn default() -> Self {
        Self::new()
    }
}

impl<B, E> ReadQuotaSignals<Response<B>, E> for RateLimitHeaders {
    fn feedback(&self, answer: Result<&Response<B>, &E>, say: &mut dyn FnMut(QuotaSignal)) {
        if let Ok(response) = answer {
            self.read(response.headers(), |limit| say(QuotaSignal::Limit(limit)));
        }
    }
}

/// Whether the answer comes out of a cache (RFC 9111, section 5.1).
fn is_stale(headers: &HeaderMap) -> bool {
    let age = headers.get(AGE).map(HeaderValue::as_bytes);
    age.is_some_and(|age| age.iter().any(|b| matches!(b, b'1'..=b'9')))
}

fn used_per_window(
    headers: &HeaderMap,
    prefix: &str,
    unit: Unit,
    say: &mut impl FnMut(ServerLimit),
) {
    for name in headers.keys() {
        let Some(window) = name.as_str().strip_prefix(prefix) else {
            continue;
        };
        let window = counted(window_of(window));
        if let Some((window, used)) = window.zip(number(headers, name)) {
            say(ServerLimit::new(unit).with_window(window).with_used(used));
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

/// What time it is at the upstream; looked up once per answer, and only when it is asked for.
struct ServerClock<'a> {
    headers: &'a HeaderMap,
    calendar: fn() -> SystemTime,
    now: Option<Duration>,
}

impl ServerClock<'_> {
    fn now(&mut self) -> Duration {
        *self.now.get_or_insert_with(|| {
            let date = text(self.headers, &DATE).and_then(|date| counted(http_date(date)));
            date.unwrap_or_else(|| since_epoch((self.calendar)()))
        })
    }
}
