//! What alerts are about.

use seawall_core::{InvalidConfig, Severity};
use serde::Serialize;

use crate::words::{count, percent, wait};

/// What an alert is about. The names are those of `docs/runbooks`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AlertKind {
    /// The share of all circuits that are open, where there are three or more.
    ManyBreakersOpen,
    /// The share of the calls of a service that fail.
    ManyFailures,
    /// The average time of the calls of a service, in seconds.
    SlowCalls,
    /// A circuit has opened.
    BreakerOpened,
    /// A circuit is not closed, for so many seconds.
    BreakerOpenLong,
    /// How often the circuit of a service opens.
    BreakerFlapping,
    /// The share of the calls of a service that a layer rejects.
    ManyRejections,
    /// The share of the calls of a service that are answered by something else than the upstream.
    DegradedAnswers,
    /// A health check is unhealthy, and not only since one that it depends on is.
    CheckFailing,
    /// The health score, from 0 to 100.
    LowScore,
    /// The share of the retry budget that is left; 0 for 10 s after a call was not tried again for want of it.
    RetryBudgetExhausted,
    /// The share of a quota that is used.
    QuotaNearlySpent,
    /// Calls that the upstream turned away as too many.
    ThrottledByUpstream,
    /// Orders whose outcome is not known.
    OrdersInDoubt,
    /// The kill switch is engaged, or trading is halted.
    KillSwitchOn,
}

/// What the figure of a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// From 0 to 1.
    Share,
    /// From 0 to 100.
    Score,
    Seconds,
    Count,
    /// It holds or not.
    Switch,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ManyBreakersOpen,
        Self::ManyFailures,
        Self::SlowCalls,
        Self::BreakerOpened,
        Self::BreakerOpenLong,
        Self::BreakerFlapping,
        Self::ManyRejections,
        Self::DegradedAnswers,
        Self::CheckFailing,
        Self::LowScore,
        Self::RetryBudgetExhausted,
        Self::QuotaNearlySpent,
        Self::ThrottledByUpstream,
        Self::OrdersInDoubt,
        Self::KillSwitchOn,
    ];

    /// The name: of the alert, and of its page in `docs/runbooks`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ManyBreakersOpen => "ManyBreakersOpen",
            Self::ManyFailures => "ManyFailures",
            Self::SlowCalls => "SlowCalls",
            Self::BreakerOpened => "BreakerOpened",
            Self::BreakerOpenLong => "BreakerOpenLong",
            Self::BreakerFlapping => "BreakerFlapping",
            Self::ManyRejections => "ManyRejections",
            Self::DegradedAnswers => "DegradedAnswers",
            Self::CheckFailing => "CheckFailing",
            Self::LowScore => "LowScore",
            Self::RetryBudgetExhausted => "RetryBudgetExhausted",
            Self::QuotaNearlySpent => "QuotaNearlySpent",
            Self::ThrottledByUpstream => "ThrottledByUpstream",
            Self::OrdersInDoubt => "OrdersInDoubt",
            Self::KillSwitchOn => "KillSwitchOn",
        }
    }

    /// The kind of that name.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `rule` and all names.
    pub fn by_name(name: &str) -> Result<Self, InvalidConfig> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            InvalidConfig::new("rule", name, format!("one of {}", names.join(", ")))
        })
    }

    pub(crate) const fn unit(self) -> Unit {
        match self {
            Self::ManyBreakersOpen
            | Self::ManyFailures
            | Self::ManyRejections
            | Self::DegradedAnswers
            | Self::RetryBudgetExhausted
            | Self::QuotaNearlySpent => Unit::Share,
            Self::SlowCalls | Self::BreakerOpenLong => Unit::Seconds,
            Self::LowScore => Unit::Score,
            Self::BreakerFlapping | Self::ThrottledByUpstream | Self::OrdersInDoubt => Unit::Count,
            Self::BreakerOpened | Self::CheckFailing | Self::KillSwitchOn => Unit::Switch,
        }
    }

    /// Whether it is raised below its threshold, and not above it.
    pub const fn is_below(self) -> bool {
        matches!(self, Self::LowScore | Self::RetryBudgetExhausted)
    }

    /// Whether it looks at the calls of a window.
    pub(crate) const fn has_window(self) -> bool {
        matches!(
            self,
            Self::ManyFailures
                | Self::SlowCalls
                | Self::ManyRejections
                | Self::DegradedAnswers
                | Self::ThrottledByUpstream
                | Self::BreakerFlapping
        )
    }

    /// Whether it needs a number of calls to judge by.
    pub(crate) const fn has_min_calls(self) -> bool {
        matches!(
            self,
            Self::ManyFailures | Self::SlowCalls | Self::ManyRejections | Self::DegradedAnswers
        )
    }

    /// Whether an event can change it, so that it is evaluated at once.
    pub(crate) const fn is_immediate(self) -> bool {
        matches!(
            self,
            Self::ManyBreakersOpen
                | Self::BreakerOpened
                | Self::BreakerOpenLong
                | Self::CheckFailing
                | Self::OrdersInDoubt
                | Self::KillSwitchOn
        )
    }

    pub(crate) const fn severity(self) -> Severity {
        match self {
            Self::ManyBreakersOpen
            | Self::BreakerOpenLong
            | Self::OrdersInDoubt
            | Self::KillSwitchOn => Severity::Critical,
            Self::QuotaNearlySpent => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// What is wrong, in words. `detail` is the check or the limit that it is about.
    pub(crate) fn words(self, service: Option<&str>, detail: &str, value: f64) -> String {
        let what = match self {
            Self::ManyBreakersOpen => format!("{} of all circuits are open", percent(value)),
            Self::ManyFailures => format!("{} of the calls fail", percent(value)),
            Self::SlowCalls => format!("a call takes {} on average", wait(value)),
            Self::BreakerOpened => "the circuit is open".to_owned(),
            Self::BreakerOpenLong => format!("the circuit is not closed for {}", wait(value)),
            Self::BreakerFlapping => format!("the circuit has opened {value:.0} times"),
            Self::ManyRejections => format!("{} of the calls are rejected", percent(value)),
            Self::DegradedAnswers => format!("{} of the answers are degraded", percent(value)),
            Self::CheckFailing => format!("the health check `{detail}` fails"),
            Self::LowScore => format!("the health score is {value:.0} of 100"),
            Self::RetryBudgetExhausted if value <= 0.0 => "the retry budget is used up".to_owned(),
            Self::RetryBudgetExhausted => {
                format!("{} of the retry budget is left", percent(value))
            }
            Self::QuotaNearlySpent => {
                format!("{} of the limit `{detail}` is used", percent(value))
            }
            Self::ThrottledByUpstream => {
                format!(
                    "the upstream has turned away {}",
                    count(value as u64, "call")
                )
            }
            Self::OrdersInDoubt => format!("{} in doubt", count(value as u64, "order")),
            Self::KillSwitchOn => "the kill switch is engaged, or trading is halted".to_owned(),
        };
        match service {
            Some(service) => format!("{service}: {what}"),
            None => what,
        }
    }
}
