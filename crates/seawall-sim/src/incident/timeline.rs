//! Which provider and route an incident affects, and when.

use std::time::Duration;

use super::fault::{Fault, LONGEST, OutageMode};
use super::route::{ProviderKind, Route};

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
