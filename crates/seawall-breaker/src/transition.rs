//! Transitions of a circuit, with the figures that decided.

use std::fmt;
use std::time::Duration;

use seawall_core::{CircuitCause, Clock};
use tokio::time::Instant;

use crate::state_word::CircuitState;

/// What was counted, among how many, and what the limit was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Figures {
    /// Calls that failed or were slow, or probes that failed or succeeded.
    pub of: u64,
    /// The calls that they were counted among.
    pub among: u64,
    /// The limit: a share from 0 to 1, or a count where calls in a row or probes are counted.
    pub limit: f64,
}

impl Figures {
    pub(crate) const NONE: Self = Self {
        of: 0,
        among: 0,
        limit: 0.0,
    };

    /// The share in percent, rounded down.
    pub(crate) fn percent(self) -> u8 {
        let share = self.of.saturating_mul(100).checked_div(self.among);
        u8::try_from(share.unwrap_or(0).min(100)).unwrap_or(100)
    }
}

/// Writes a cause with its exact figures.
fn write_cause(f: &mut fmt::Formatter<'_>, cause: CircuitCause, figures: Figures) -> fmt::Result {
    let Figures { of, among, limit } = figures;
    let percent = limit * 100.0;
    match cause {
        CircuitCause::ConsecutiveFailures(_) => {
            write!(f, "{of} calls in a row failed, limit {limit}")
        }
        CircuitCause::FailureRate { .. } => write!(
            f,
            "failure rate, {of} of {among} calls failed, limit {percent}%"
        ),
        CircuitCause::FailureRateOverTime { .. } => write!(
            f,
            "failure rate over time, {of} of {among} calls failed, limit {percent}%"
        ),
        CircuitCause::SlowRate { .. } => write!(
            f,
            "slow rate, {of} of {among} calls were slow, limit {percent}%"
        ),
        CircuitCause::SlowRateOverTime { .. } => write!(
            f,
            "slow rate over time, {of} of {among} calls were slow, limit {percent}%"
        ),
        CircuitCause::ProbeFailed if among > 0 => write!(f, "{of} of {among} probes failed"),
        CircuitCause::ProbesSucceeded => {
            write!(f, "{of} of {among} probes succeeded, needed {limit}")
        }
        cause => write!(f, "{cause}"),
    }
}

/// One transition, in the clock's nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) from: CircuitState,
    pub(crate) to: CircuitState,
    pub(crate) cause: CircuitCause,
    pub(crate) figures: Figures,
    pub(crate) at: u64,
    /// When an open circuit probes; `u64::MAX` for never, or where nothing is open.
    pub(crate) until: u64,
    /// Whether that is later than the settings say, since a failure asked for it.
    pub(crate) by_retry_after: bool,
}

impl Change {
    /// How long the circuit is to stay open, if it opened with an end.
    fn open_for(&self) -> Option<Duration> {
        let ends = self.to.is_rejecting() && self.until != u64::MAX;
        ends.then(|| Duration::from_nanos(self.until.saturating_sub(self.at)))
    }
}

impl Change {
    /// The change as the handle shows it.
    pub(crate) fn to_transition(self, clock: &Clock) -> Transition {
        Transition {
            from: self.from,
            to: self.to,
            cause: self.cause,
            figures: self.figures,
            at: clock.instant(self.at),
            open_for: self.open_for(),
            by_retry_after: self.by_retry_after,
        }
    }
}

/// The cause and the figures, as the log shows them.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cause(f, self.cause, self.figures)?;
        write_retry_after(f, self.by_retry_after, self.open_for())
    }
}

/// Writes that the open time is one that the upstream asked for, if it is.
fn write_retry_after(
    f: &mut fmt::Formatter<'_>,
    by_retry_after: bool,
    open_for: Option<Duration>,
) -> fmt::Result {
    match open_for {
        Some(time) if by_retry_after => write!(f, "; open for {time:?} by Retry-After"),
        _ => Ok(()),
    }
}

/// One transition of a circuit.
///
/// Its text has the cause with the figures that decided: `closed -> open: failure rate, 12 of 20
/// calls failed, limit 50%`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Transition {
    /// The state before.
    pub from: CircuitState,
    /// The state since.
    pub to: CircuitState,
    /// Why.
    pub cause: CircuitCause,
    /// The figures that decided.
    pub figures: Figures,
    /// When, on tokio's clock. Serialized as `seconds_ago`.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "seconds_ago", serialize_with = "seconds_ago")
    )]
    pub at: Instant,
    /// How long the circuit was to stay open, if it opened with an end. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub open_for: Option<Duration>,
    /// Whether that is longer than the settings say, since a failure asked for it by a `Retry-After`.
    pub by_retry_after: bool,
}

#[cfg(feature = "serde")]
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn seconds_ago<S: serde::Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    let ago = Instant::now().saturating_duration_since(*at);
    serializer.serialize_f64(ago.as_secs_f64())
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: ", self.from.as_str(), self.to.as_str())?;
        write_cause(f, self.cause, self.figures)?;
        write_retry_after(f, self.by_retry_after, self.open_for)
    }
}

/// Why a circuit is in its state, and until when.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explanation {
    /// The state.
    pub state: CircuitState,
    /// What brought the circuit into it, if it ever changed.
    pub cause: Option<CircuitCause>,
    /// The figures that decided.
    pub figures: Figures,
    /// How long it will reject at least, if that is known.
    pub wait: Option<Duration>,
    /// The share of the calls that pass, from 0 to 1, while the circuit ramps up.
    pub ramp: Option<f64>,
    /// Whether the circuit rejects for longer than the settings say, since a failure asked for it by a
    /// `Retry-After`.
    pub by_retry_after: bool,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.as_str())?;
        if let Some(cause) = self.cause {
            f.write_str(": ")?;
            write_cause(f, cause, self.figures)?;
        }
        if let Some(share) = self.ramp {
            write!(f, "; {}% of the calls pass", share * 100.0)?;
        }
        match self.wait {
            Some(wait) if self.by_retry_after => {
                write!(f, "; for another {wait:?} by Retry-After")
            }
            Some(wait) => write!(f, "; for another {wait:?}"),
            None => Ok(()),
        }
    }
}

/// How often each transition happened: few pairs of states ever do.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransitionCounts(Vec<(CircuitState, CircuitState, u64)>);

impl TransitionCounts {
    pub(crate) fn add(&mut self, from: CircuitState, to: CircuitState, count: u64) {
        let known = self.0.iter_mut().find(|(f, t, _)| (*f, *t) == (from, to));
        match known {
            Some((_, _, total)) => *total = total.saturating_add(count),
            None => self.0.push((from, to, count)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (from, to, count) in &other.0 {
            self.add(*from, *to, *count);
        }
    }

    /// Every pair that the rules may make, so that its counter exists from the start, and the
    /// others that happened.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (CircuitState, CircuitState, u64)> {
        let mut all = Self(Vec::with_capacity(4 + self.0.len()));
        for (from, to) in [
            (CircuitState::Closed, CircuitState::Open),
            (CircuitState::Open, CircuitState::HalfOpen),
            (CircuitState::HalfOpen, CircuitState::Open),
            (CircuitState::HalfOpen, CircuitState::Closed),
        ] {
            all.add(from, to, 0);
        }
        all.merge(self);
        all.0.into_iter()
    }

    /// Bytes on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.0.capacity() * size_of::<(CircuitState, CircuitState, u64)>()
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_transition_has_its_cause_and_figures_in_its_text() {
        let change = Change {
            from: CircuitState::Closed,
            to: CircuitState::Open,
            cause: CircuitCause::FailureRate { percent: 60 },
            figures: Figures {
                of: 12,
                among: 20,
                limit: 0.5,
            },
            at: 5,
            until: 1_000_000_005,
            by_retry_after: false,
        };
        let transition = change.to_transition(&Clock::start());
        assert_eq!(
            transition.to_string(),
            "closed -> open: failure rate, 12 of 20 calls failed, limit 50%"
        );
        assert_eq!(transition.open_for, Some(Duration::from_secs(1)));
        let endless = Change {
            until: u64::MAX,
            ..change
        };
        assert_eq!(endless.to_transition(&Clock::start()).open_for, None);
    }

    #[test]
    fn an_explanation_has_the_cause_and_the_end() {
        let explanation = Explanation {
            state: CircuitState::Open,
            cause: Some(CircuitCause::ConsecutiveFailures(5)),
            figures: Figures {
                of: 5,
                among: 5,
                limit: 5.0,
            },
            wait: Some(Duration::from_secs(3)),
            ramp: None,
            by_retry_after: false,
        };
        assert_eq!(
            explanation.to_string(),
            "open: 5 calls in a row failed, limit 5; for another 3s"
        );
    }

    #[test]
    fn shares_are_percents_whatever_the_figures() {
        let share = |of, among| {
            Figures {
                of,
                among,
                limit: 0.0,
            }
            .percent()
        };
        assert_eq!(share(0, 0), 0);
        assert_eq!(share(2, 3), 66);
        assert_eq!(share(u64::MAX, 1), 100);
        assert_eq!(share(5, 0), 0);
    }
}
