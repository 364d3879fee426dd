//! A request to an application.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

use crate::incident::Route;

/// A request as the applications see it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) route: Route,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) body: &'a [u8],
    pub(crate) id: &'a str,
    pub(crate) moment: Moment,
    /// When the order of the request ends to be valid, if that is set.
    pub(crate) validity: Validity,
}

/// When a request arrived, and when it is carried out, on the incident clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment {
    pub(crate) arrived: Duration,
    pub(crate) at: Duration,
}

/// Until when an order may be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Always,
    /// Since 1970.
    Until(Duration),
    /// The header is no whole number.
    Unreadable,
}

const VALID_UNTIL: &str = "x-valid-until";

impl Validity {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(VALID_UNTIL) else {
            return Self::Always;
        };
        let micros = value.to_str().ok().and_then(|text| text.parse().ok());
        micros.map_or(Self::Unreadable, |micros| {
            Self::Until(Duration::from_micros(micros))
        })
    }

    /// Whether it is over now.
    pub(crate) fn is_over(self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        matches!(self, Self::Until(until) if now.unwrap_or_default() > until)
    }
}
