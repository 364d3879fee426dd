//! Custom rules, and what they see.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// A custom rule that opens a circuit.
///
/// While the circuit is closed, the rule is evaluated after each call that failed or was slow, and
/// while calls are in flight for longer than a slow one may take. That happens outside of every
/// lock, on the thread on which the call ended; a rule that panics opens nothing and disturbs
/// nothing else. A success never opens a circuit, so no rule is evaluated for it.
///
/// A rule should depend on its arguments alone: the same context and the same `now` give the same
/// result. It then needs no clock to be tested.
///
/// ```
/// use std::time::Duration;
/// use seawall_breaker::{BreakerConfig, Rule, RuleContext};
/// use tokio::time::Instant;
///
/// /// Opens early in the life of a circuit: one failure in its first ten seconds is enough.
/// #[derive(Debug)]
/// struct Cautious;
///
/// impl Rule for Cautious {
///     fn name(&self) -> &'static str {
///         "cautious"
///     }
///
///     fn trips(&self, context: &RuleContext, _now: Instant) -> bool {
///         context.failures_in_a_row > 0 && context.closed_for < Duration::from_secs(10)
///     }
/// }
///
/// let config = BreakerConfig::builder().rule(Cautious).build()?;
/// assert_eq!(config.rules().next().map(|rule| rule.name()), Some("cautious"));
/// # Ok::<(), seawall_breaker::InvalidConfig>(())
/// ```
pub trait Rule: fmt::Debug + Send + Sync {
    /// The label of this rule in causes, metrics and logs: a short word in `snake_case`.
    fn name(&self) -> &'static str;

    /// Whether the circuit opens now.
    fn trips(&self, context: &RuleContext, now: Instant) -> bool;
}

/// What a [`Rule`] sees of a circuit: a copy of one moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleContext {
    /// Why the rule is evaluated.
    pub trigger: RuleTrigger,
    /// How long the call took, if it was measured: with `slow_after` or a custom rule.
    pub took: Option<Duration>,
    /// Whether the call was slow.
    pub slow: bool,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// The window of `failure_rate`, if that rule is on.
    pub calls: Option<WindowStats>,
    /// The window of `slow_rate`, if that rule is on.
    pub slow_calls: Option<WindowStats>,
    /// The window of `failure_rate_over` and `slow_rate_over`, if one of them is on.
    pub time: Option<WindowStats>,
    /// Calls in flight for longer than `slow_after`; in none of the windows.
    pub overdue: u64,
    /// How long the circuit has been closed.
    pub closed_for: Duration,
}

/// Why a [`Rule`] is evaluated.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleTrigger {
    /// A call failed.
    Failure,
    /// A call did not fail, but was slow.
    Slow,
    /// Calls are overdue; none has ended.
    Overdue,
}

/// Calls in a window.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct WindowStats {
    /// Calls in the window.
    pub calls: u64,
    /// Those that failed; 0 in a window that counts slow calls only.
    pub failures: u64,
    /// Those that were slow; 0 in a window that counts failures only.
    pub slow: u64,
    /// From how many calls on the rules of this window are evaluated:
    /// [`min_calls`](crate::BreakerConfigBuilder::min_calls).
    pub min_calls: u32,
    /// Whether there are so many. If not, the rates say nothing yet, and no rule opens the circuit.
    pub minimum_reached: bool,
}

impl WindowStats {
    pub(crate) const fn of(calls: u64, failures: u64, slow: u64) -> Self {
        Self {
            calls,
            failures,
            slow,
            min_calls: 0,
            minimum_reached: true,
        }
    }

    /// The same calls under a rule with this minimum.
    pub(crate) const fn from(self, min_calls: u32) -> Self {
        Self {
            min_calls,
            minimum_reached: self.calls >= min_calls as u64,
            ..self
        }
    }

    /// The share of the calls that failed, from 0 to 1. `None` below the
    /// [minimum of calls](Self::min_calls): one failed call is not a rate of 100 %.
    pub fn failure_rate(&self) -> Option<f64> {
        self.share(self.failures)
    }

    /// The share of the calls that were slow, from 0 to 1. `None` below the
    /// [minimum of calls](Self::min_calls).
    pub fn slow_rate(&self) -> Option<f64> {
        self.share(self.slow)
    }

    fn share(&self, of: u64) -> Option<f64> {
        (self.minimum_reached && self.calls > 0).then(|| of as f64 / self.calls as f64)
    }
}

/// The custom rules of a configuration; equal when they are the very same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(pub(crate) Vec<Arc<dyn Rule>>);

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<dyn Rule>, &Arc<dyn Rule>)| Arc::ptr_eq(a, b);
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}
