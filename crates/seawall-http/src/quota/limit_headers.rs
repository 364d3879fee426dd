//! The headers of one limit.

use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderName};
use seawall_core::{InvalidConfig, ServerLimit, Unit};

use super::reading::Reading;
use super::reset::ResetFormat;
use crate::server_clock::{ServerClock, http_date};

/// The headers that report the state of one limit.
///
/// A header that is not named is not read.
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
/// let mut reported = Vec::new();
/// shop.read(&headers, |limit| reported.push(limit));
/// let expected = ServerLimit::new(Unit::Requests)
///     .with_window(Duration::from_secs(60))
///     .with_remaining(7)
///     .with_resets_in(Duration::from_millis(12_500));
/// assert_eq!(reported, [expected]);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct LimitHeaders {
    pub(super) unit: Unit,
    window: Option<Duration>,
    limit: Option<HeaderName>,
    used: Option<HeaderName>,
    remaining: Option<HeaderName>,
    reset: Option<(HeaderName, ResetFormat)>,
    /// The first name that is not one of a header.
    invalid: Option<InvalidConfig>,
}

impl LimitHeaders {
    /// A limit that counts `unit`, without headers yet.
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
        [limit, used, remaining, reset]: [Option<HeaderName>; 4],
        format: ResetFormat,
    ) -> Self {
        Self {
            limit,
            used,
            remaining,
            reset: reset.map(|name| (name, format)),
            ..Self::new(unit)
        }
    }

    /// The header with how much is granted per window.
    #[must_use]
    pub fn limit(mut self, name: &str) -> Self {
        self.limit = self.name("limit", name);
        self
    }

    /// The header with how much of it is used.
    #[must_use]
    pub fn used(mut self, name: &str) -> Self {
        self.used = self.name("used", name);
        self
    }

    /// The header with how much is left.
    #[must_use]
    pub fn remaining(mut self, name: &str) -> Self {
        self.remaining = self.name("remaining", name);
        self
    }

    /// The header with the time at which the limit resets, and how it is written.
    ///
    /// With [`ResetFormat::Auto`] a small number is in seconds, or in milliseconds where the name
    /// ends with `-ms`.
    #[must_use]
    pub fn reset(mut self, name: &str, format: ResetFormat) -> Self {
        self.reset = self.name("reset", name).map(|name| {
            let format = by_name(&name, format);
            (name, format)
        });
        self
    }

    /// The time over which the limit counts, where no header has it.
    ///
    /// A rate limit applies what is reported with a window to the limit of that same window, so
    /// name it only where there is one. Without it limits are distinguished by quota size and reset.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    fn name(&mut self, field: &'static str, name: &str) -> Option<HeaderName> {
        match header_name(field, name) {
            Ok(name) => Some(name),
            Err(invalid) => {
                self.invalid.get_or_insert(invalid);
                None
            }
        }
    }

    pub(super) fn check(mut self) -> Result<Self, InvalidConfig> {
        if let Some(invalid) = self.invalid.take() {
            return Err(invalid);
        }
        if self.window == Some(Duration::ZERO) {
            return Err(InvalidConfig::new("window", "0 s", "more than zero"));
        }
        if [&self.limit, &self.used, &self.remaining]
            .iter()
            .all(|name| name.is_none())
        {
            let accepted = "at least one of `limit`, `used` and `remaining`";
            return Err(InvalidConfig::new("headers", "none", accepted));
        }
        Ok(self)
    }

    pub(super) fn read(
        &self,
        reading: &Reading<'_>,
        clock: &mut ServerClock<fn() -> SystemTime>,
    ) -> Option<ServerLimit> {
        let number = |name: &Option<HeaderName>| reading.number(name.as_ref()?);
        let mut limit = ServerLimit::new(self.unit);
        limit.window = self.window;
        limit.limit = number(&self.limit);
        limit.used = number(&self.used);
        limit.remaining = number(&self.remaining);
        limit.resets_in = self.reset.as_ref().and_then(|(name, format)| {
            let text = reading.text(name)?;
            let date = || {
                let date = reading.text(&DATE)?;
                reading.counted(http_date(date))
            };
            reading.counted(format.read(text, |at| clock.distance(at, date)))
        });
        plausible(reading, limit)
    }
}

/// What `format` is under a header of that name.
fn by_name(name: &HeaderName, format: ResetFormat) -> ResetFormat {
    match format {
        ResetFormat::Auto if name.as_str().ends_with("-ms") => ResetFormat::AutoMillis,
        format => format,
    }
}

/// What was read, without what is impossible; `None` when nothing is left.
pub(super) fn plausible(reading: &Reading<'_>, mut limit: ServerLimit) -> Option<ServerLimit> {
    let too_much = |(left, quota): (u64, u64)| left > quota;
    if limit.remaining.zip(limit.limit).is_some_and(too_much) {
        reading.count_unreadable();
        limit.remaining = None;
    }
    let numbers = [limit.limit, limit.used, limit.remaining];
    (numbers.iter().any(Option::is_some) || limit.resets_in.is_some()).then_some(limit)
}

pub(super) fn header_name(field: &'static str, name: &str) -> Result<HeaderName, InvalidConfig> {
    HeaderName::from_bytes(name.as_bytes()).or(Err(InvalidConfig::new(
        field,
        format!("{name:?}"),
        "the name of an HTTP header",
    )))
}
