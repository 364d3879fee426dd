//! Which provider and route an incident affects, and when.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::error::IncidentError;
use super::fault::{Fault, LONGEST, OutageMode};
use super::format;

/// One of the three simulated providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProviderKind {
    /// Takes orders: `broker`.
    Broker,
    /// Sells quotes and bars: `market_data`.
    MarketData,
    /// Completes prompts: `ai_api`.
    AiApi,
}

impl ProviderKind {
    /// All of them, in the order of the reports.
    pub const ALL: [Self; 3] = [Self::Broker, Self::MarketData, Self::AiApi];

    /// The name in incident files, e.g. `market_data`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::MarketData => "market_data",
            Self::AiApi => "ai_api",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a request asks for, whatever the provider's own path for it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub enum Route {
    /// Places an order: `orders.create`.
    #[serde(rename = "orders.create")]
    OrdersCreate,
    /// Looks orders up: `orders.query`.
    #[serde(rename = "orders.query")]
    OrdersQuery,
    /// Cancels an order: `orders.cancel`.
    #[serde(rename = "orders.cancel")]
    OrdersCancel,
    /// Lists what the account holds: `positions`.
    #[serde(rename = "positions")]
    Positions,
    /// Reads a price: `quotes`.
    #[serde(rename = "quotes")]
    Quotes,
    /// Reads a series of prices: `bars`.
    #[serde(rename = "bars")]
    Bars,
    /// Completes a prompt: `completions`.
    #[serde(rename = "completions")]
    Completions,
    /// Anything the provider does not know, which gets its 404: `other`.
    #[serde(rename = "other")]
    Other,
}

impl Route {
    /// All of them, in the order of the reports.
    pub const ALL: [Self; 8] = [
        Self::OrdersCreate,
        Self::OrdersQuery,
        Self::OrdersCancel,
        Self::Positions,
        Self::Quotes,
        Self::Bars,
        Self::Completions,
        Self::Other,
    ];

    /// The name in incident files, e.g. `orders.create`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OrdersCreate => "orders.create",
            Self::OrdersQuery => "orders.query",
            Self::OrdersCancel => "orders.cancel",
            Self::Positions => "positions",
            Self::Quotes => "quotes",
            Self::Bars => "bars",
            Self::Completions => "completions",
            Self::Other => "other",
        }
    }

    /// The provider that serves this route; `None` for [`Route::Other`], which all have.
    #[must_use]
    pub fn provider(self) -> Option<ProviderKind> {
        match self {
            Self::OrdersCreate | Self::OrdersQuery | Self::OrdersCancel | Self::Positions => {
                Some(ProviderKind::Broker)
            }
            Self::Quotes | Self::Bars => Some(ProviderKind::MarketData),
            Self::Completions => Some(ProviderKind::AiApi),
            Self::Other => None,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A point or a length of time: fixed, or a share of the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Span {
    Time(Duration),
    /// 0 to 1.
    Fraction(f64),
}

impl Span {
    pub(crate) fn resolve(self, length: Duration) -> Duration {
        match self {
            Self::Time(time) => time,
            Self::Fraction(share) => length.mul_f64(share.clamp(0.0, 1.0)),
        }
    }
}

/// Where an incident ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    At(Span),
    After(Span),
}

/// One entry of an incident file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) provider: Option<ProviderKind>,
    pub(crate) route: Option<Route>,
    pub(crate) from: Span,
    pub(crate) end: End,
    pub(crate) probability: f64,
    pub(crate) fault: Fault,
    /// The length of a ban, which may be a share of the run.
    pub(crate) lasts: Option<Span>,
}

/// One fault on the timeline of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Incident {
    /// The affected provider; `None`: all of them.
    pub provider: Option<ProviderKind>,
    /// The affected requests; `None`: all.
    pub route: Option<Route>,
    /// The beginning, counted from the start of the run.
    pub from: Duration,
    /// The end, counted from the start of the run; the incident is over at this instant.
    pub to: Duration,
    /// The share of requests that are affected, 0 to 1.
    pub probability: f64,
    /// What happens to them.
    pub fault: Fault,
}

impl Incident {
    /// Whether this incident is going on for a provider at an offset from the start.
    #[must_use]
    pub fn is_active(&self, provider: ProviderKind, at: Duration) -> bool {
        self.provider.is_none_or(|hit| hit == provider) && (self.from..self.to).contains(&at)
    }
}

/// A script of faults over a run, the same for every run with the same seed.
///
/// Read it from a file with [`Incidents::from_file`], give it to the builders in
/// [`provider`](crate::provider). The [module](super) documents the format.
///
/// ```
/// use std::time::Duration;
/// use seawall_sim::incident::{Incidents, ProviderKind};
///
/// let script = Incidents::from_toml(
///     r#"
///     [[incident]]
///     provider = "broker"
///     from = "25%"
///     for = "50%"
///     fault = "outage"
///     "#,
/// )?
/// .scaled(Duration::from_secs(8));
///
/// assert!(!script.is_outage(ProviderKind::Broker, Duration::from_secs(1)));
/// assert!(script.is_outage(ProviderKind::Broker, Duration::from_secs(2)));
/// assert!(!script.is_outage(ProviderKind::AiApi, Duration::from_secs(2)));
/// # Ok::<(), seawall_sim::incident::IncidentError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Incidents {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) entries: Vec<Entry>,
}

/// What a percentage refers to by default.
pub(crate) const DEFAULT_LENGTH: Duration = Duration::from_secs(12);

impl Default for Incidents {
    fn default() -> Self {
        Self::none()
    }
}

impl Incidents {
    /// A run in which nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self {
            seed: 0,
            length: DEFAULT_LENGTH,
            entries: Vec::new(),
        }
    }

    /// Reads a script from the text of an incident file.
    ///
    /// # Errors
    ///
    /// The text is not TOML, a key is not known, is missing or has an impossible value. The error
    /// is one line with the line, the value and what is accepted.
    pub fn from_toml(text: &str) -> Result<Self, IncidentError> {
        format::parse(text, None)
    }

    /// Reads a script from an incident file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its text is not valid, as for [`from_toml`](Self::from_toml).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, IncidentError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => format::parse(&text, Some(&name)),
            Err(error) => Err(IncidentError::unreadable(name, &error)),
        }
    }

    /// The script in [`DEFAULT_SCENARIO`](super::DEFAULT_SCENARIO).
    #[must_use]
    pub fn default_scenario() -> Self {
        // A test parses the constant, so the fallback is never taken.
        Self::from_toml(super::DEFAULT_SCENARIO).unwrap_or_default()
    }

    /// The same script with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same script for a run of another length: every percentage now refers to `length`, of
    /// which no more than 24 hours count.
    #[must_use]
    pub fn scaled(mut self, length: Duration) -> Self {
        self.length = length.min(LONGEST);
        self
    }

    /// The seed of every random draw.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The length of the run that percentages refer to.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Whether nothing is scripted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The incidents in the order of the file, percentages resolved.
    pub fn iter(&self) -> impl Iterator<Item = Incident> + '_ {
        self.entries.iter().map(|entry| {
            let from = entry.from.resolve(self.length);
            let to = match entry.end {
                End::At(at) => at.resolve(self.length),
                End::After(after) => from.saturating_add(after.resolve(self.length)),
            };
            let fault = match entry.fault {
                Fault::Ban { status, .. } => Fault::Ban {
                    status,
                    lasts: entry.lasts.map(|lasts| lasts.resolve(self.length)),
                },
                other => other,
            };
            Incident {
                provider: entry.provider,
                route: entry.route,
                from,
                to,
                probability: entry.probability,
                fault,
            }
        })
    }

    /// Whether a provider is down at an offset from the start: an [`Fault::Outage`], or
    /// [`Fault::Refuse`].
    #[must_use]
    pub fn is_outage(&self, provider: ProviderKind, at: Duration) -> bool {
        self.iter()
            .any(|incident| is_outage(&incident, provider, at))
    }
}

pub(crate) fn is_outage(incident: &Incident, provider: ProviderKind, at: Duration) -> bool {
    incident.is_active(provider, at)
        && matches!(
            incident.fault,
            Fault::Refuse
                | Fault::Outage(OutageMode::Refuse | OutageMode::Reset | OutageMode::Unavailable)
        )
}
