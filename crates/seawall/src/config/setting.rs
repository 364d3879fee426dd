//! What a setting is.

use super::numbers::Numbers;
use super::value::Accepts;

/// Where a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// Beside the tables of the layers.
    Service,
    Retry,
    Bulkhead,
    RateLimit,
    Breaker,
    BodyTimeout,
    Telemetry,
    /// Of layers that a program adds to a stack: in the table of a service alone.
    Cache,
    Coalesce,
    Fallback,
    /// What holds for the health of the program: in `[resilience]` alone.
    Health,
}

impl Table {
    /// The tables of layers, and that of health.
    pub(super) const LAYERS: [Self; 10] = [
        Self::Retry,
        Self::Bulkhead,
        Self::RateLimit,
        Self::Breaker,
        Self::BodyTimeout,
        Self::Telemetry,
        Self::Cache,
        Self::Coalesce,
        Self::Fallback,
        Self::Health,
    ];

    /// Its name in a file; that of a service has the service's.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Service => "",
            Self::Retry => "retry",
            Self::Bulkhead => "bulkhead",
            Self::RateLimit => "rate_limit",
            Self::Breaker => "breaker",
            Self::BodyTimeout => "body_timeout",
            Self::Telemetry => "telemetry",
            Self::Cache => "cache",
            Self::Coalesce => "coalesce",
            Self::Fallback => "fallback",
            Self::Health => "health",
        }
    }

    /// What its layer is for.
    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Service => "A service.",
            Self::Retry => "How often, how soon and after what a call is tried again.",
            Self::Bulkhead => "How many calls run at once, and how many wait.",
            Self::RateLimit => "How many calls leave per time, and how long they wait for that.",
            Self::Breaker => "When the circuit opens, and what closes it again.",
            Self::BodyTimeout => "How long the body of a response may take.",
            Self::Telemetry => "What is measured of calls and attempts.",
            Self::Cache => {
                "How long answers are kept, and how many; of a cache that the program adds."
            }
            Self::Coalesce => {
                "How callers of one key share a call; of a layer that the program adds."
            }
            Self::Fallback => "What the steps of a fallback may take that the program adds.",
            Self::Health => {
                "How the health of the program is checked, and what its score is made of."
            }
        }
    }

    /// Where its settings may stand.
    pub(super) const fn level(self) -> Level {
        match self {
            Self::Cache | Self::Coalesce | Self::Fallback => Level::Own,
            Self::Health => Level::Defaults,
            _ => Level::Both,
        }
    }

    /// The layer table of that name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::LAYERS.into_iter().find(|table| table.name() == name)
    }
}

/// In which tables a setting may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// In `[resilience]` and in that of a service.
    Both,
    /// In that of a service.
    Own,
    /// In `[resilience]`.
    Defaults,
}

impl Level {
    /// Where a setting must stand that cannot stand here.
    pub(super) const fn misplaced(self, in_defaults: bool) -> Option<&'static str> {
        match self {
            Self::Own if in_defaults => Some("in the table of a service"),
            Self::Defaults if !in_defaults => Some("in `[resilience]`"),
            _ => None,
        }
    }
}

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) table: Table,
    pub(super) key: &'static str,
    pub(super) accepts: Accepts,
    /// Whether `false` is accepted as well.
    pub(super) or_false: bool,
    pub(super) level: Level,
    pub(super) about: &'static str,
    /// The value in force; `None` for what is no setting of a layer.
    pub(super) show: Option<fn(&Numbers) -> String>,
    /// The settings that it follows where it is not set itself.
    pub(super) follows: &'static [&'static str],
}

impl Setting {
    /// Its key with its table's: `retry.attempts`.
    pub(super) fn path(&self) -> String {
        match self.table {
            Table::Service => self.key.to_owned(),
            table => format!("{}.{}", table.name(), self.key),
        }
    }

    /// What is accepted, in words.
    pub(super) fn accepted(&self) -> String {
        let or = if self.or_false { ", or false" } else { "" };
        format!("{}{or}", self.accepts)
    }
}
