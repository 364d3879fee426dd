//! When an alert is raised, and when it is over.

use std::time::Duration;

use seawall_core::{InvalidConfig, Severity, Span};

use crate::alert_kind::{AlertKind, Unit};

/// When an alert is raised, and when it is over.
///
/// It is raised when its figure is above the threshold (below it, for [`LowScore`](AlertKind::LowScore) and
/// [`RetryBudgetExhausted`](AlertKind::RetryBudgetExhausted)) for as long as [`lasts`](Self::lasts), and over when
/// the figure has come back to [`resolve_at`](Self::resolve_at) and stays there for
/// [`resolve_after`](Self::resolve_after). Between the two it stays what it is.
///
/// | kind | raised | over at | lasts | over after | severity | looks at |
/// |---|---|---|---|---|---|---|
/// | `ManyBreakersOpen` | > 30 % | 20 % | 0 s | 30 s | critical | all circuits, at least 3 |
/// | `ManyFailures` | > 10 % | 5 % | 10 s | 30 s | warning | 60 s, 20 calls |
/// | `SlowCalls` | > 5 s | 4 s | 10 s | 30 s | warning | 60 s, 20 calls |
/// | `BreakerOpened` | it opens | it is closed | 0 s | 30 s | warning | |
/// | `BreakerOpenLong` | > 60 s | it is closed | 0 s | 0 s | critical | |
/// | `BreakerFlapping` | > 4 openings | 1 | 0 s | 0 s | warning | 15 min |
/// | `ManyRejections` | > 10 % | 5 % | 10 s | 30 s | warning | 60 s, 20 calls |
/// | `DegradedAnswers` | > 10 % | 5 % | 10 s | 30 s | warning | 60 s, 20 calls |
/// | `CheckFailing` | it is unhealthy | it is not | 0 s | 0 s | warning | |
/// | `LowScore` | < 80 | 85 | 10 s | 30 s | warning | |
/// | `RetryBudgetExhausted` | < 5 % left, or it could not pay | 20 % | 30 s | 30 s | warning | 10 s |
/// | `QuotaNearlySpent` | > 90 % used | 80 % | 10 s | 10 s | info | limits of a minute or longer |
/// | `ThrottledByUpstream` | > 0 calls | 0 | 0 s | 0 s | warning | 60 s |
/// | `OrdersInDoubt` | > 0 orders | 0 | 10 s | 0 s | critical | |
/// | `KillSwitchOn` | it is engaged | it is not | 0 s | 0 s | critical | |
///
/// ```
/// use std::time::Duration;
/// use seawall_monitor::{AlertKind, AlertRule};
///
/// let rule = AlertRule::builder(AlertKind::ManyFailures)
///     .threshold(0.25)
///     .resolve_at(0.1)
///     .lasts(Duration::from_secs(30))
///     .build()?;
/// assert_eq!(rule.min_calls(), 20);
/// let rejected = AlertRule::builder(AlertKind::ManyFailures).threshold(25.0).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`threshold` is 25, accepted is a share from 0 to 1");
/// # Ok::<(), seawall_monitor::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlertRule {
    kind: AlertKind,
    threshold: f64,
    resolve_at: f64,
    lasts: Duration,
    resolve_after: Duration,
    window: Duration,
    min_calls: u32,
    severity: Severity,
    enabled: bool,
}

impl AlertRule {
    /// The rule as it is by default.
    pub const fn of(kind: AlertKind) -> Self {
        let (threshold, resolve_at, lasts, resolve_after) = match kind {
            AlertKind::ManyBreakersOpen => (0.3, 0.2, 0, 30),
            AlertKind::ManyFailures | AlertKind::ManyRejections | AlertKind::DegradedAnswers => {
                (0.1, 0.05, 10, 30)
            }
            AlertKind::SlowCalls => (5.0, 4.0, 10, 30),
            AlertKind::BreakerOpened => (0.0, 0.0, 0, 30),
            AlertKind::CheckFailing | AlertKind::KillSwitchOn | AlertKind::ThrottledByUpstream => {
                (0.0, 0.0, 0, 0)
            }
            AlertKind::BreakerOpenLong => (60.0, 0.0, 0, 0),
            AlertKind::BreakerFlapping => (4.0, 1.0, 0, 0),
            AlertKind::LowScore => (80.0, 85.0, 10, 30),
            AlertKind::RetryBudgetExhausted => (0.05, 0.2, 30, 30),
            AlertKind::QuotaNearlySpent => (0.9, 0.8, 10, 10),
            AlertKind::OrdersInDoubt => (0.0, 0.0, 10, 0),
        };
        let window = match kind {
            AlertKind::BreakerFlapping => 900,
            _ => 60,
        };
        Self {
            kind,
            threshold,
            resolve_at,
            lasts: Duration::from_secs(lasts),
            resolve_after: Duration::from_secs(resolve_after),
            window: Duration::from_secs(window),
            min_calls: 20,
            severity: kind.severity(),
            enabled: true,
        }
    }

    /// The rule as it is by default, to be changed.
    pub const fn builder(kind: AlertKind) -> AlertRuleBuilder {
        AlertRuleBuilder {
            rule: Self::of(kind),
            resolve_at: None,
            window: None,
            min_calls: None,
        }
    }

    seawall_core::getters! {
        /// What it is about.
        pub const fn kind -> AlertKind;

        /// Beyond which figure it is raised.
        pub const fn threshold -> f64;

        /// From which figure on it is over.
        pub const fn resolve_at -> f64;

        /// For how long the figure must be beyond the threshold.
        pub const fn lasts -> Duration;

        /// For how long the figure must be back until it is over.
        pub const fn resolve_after -> Duration;

        /// How far back it looks, where it looks at calls.
        pub const fn window -> Duration;

        /// The fewest calls to judge by, where it judges by a share or an average of them.
        pub const fn min_calls -> u32;

        /// How urgent it is.
        pub const fn severity -> Severity;

        /// Whether it is evaluated.
        pub const fn enabled -> bool;
    }

    /// Whether a figure raises it.
    pub(crate) fn is_beyond(&self, value: f64) -> bool {
        if self.kind.is_below() {
            value < self.threshold
        } else {
            value > self.threshold
        }
    }

    /// Whether it is over with a figure.
    pub(crate) fn is_back(&self, value: f64) -> bool {
        if self.kind.is_below() {
            value >= self.resolve_at
        } else {
            value <= self.resolve_at
        }
    }
}

/// Builds an [`AlertRule`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct AlertRuleBuilder {
    rule: AlertRule,
    resolve_at: Option<f64>,
    window: Option<Duration>,
    min_calls: Option<u32>,
}

impl AlertRuleBuilder {
    seawall_core::setters! { self.rule:
        /// Sets beyond which figure it is raised: a share from 0 to 1, a score from 0 to 100, seconds or
        /// a count. What holds or not has none.
        pub const fn threshold(f64);

        /// Sets for how long the figure must be beyond the threshold, at most a day.
        pub const fn lasts(Duration);

        /// Sets for how long the figure must be back until it is over, at most a day.
        pub const fn resolve_after(Duration);

        /// Sets how urgent it is.
        pub const fn severity(Severity);

        /// Sets whether it is evaluated.
        pub const fn enabled(bool);
    }

    seawall_core::setters! { self:
        /// Sets from which figure on it is over, on the good side of the threshold. Unless set, it is that of
        /// the default where that is on the good side, and the threshold otherwise.
        pub const fn resolve_at(Some(f64));

        /// Sets how far back it looks, where it looks at calls: from 1 s to 120 s, and of `BreakerFlapping`
        /// to an hour.
        pub const fn window(Some(Duration));

        /// Sets the fewest calls to judge by, where it judges by a share or an average of them; at least 1.
        pub const fn min_calls(Some(u32));
    }

    /// The rule, if it makes sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a figure is none of its unit, when it would be over before it is raised, when a
    /// time is out of bounds, or when a setting has no effect on this kind.
    pub fn build(self) -> Result<AlertRule, InvalidConfig> {
        let mut rule = self.rule;
        let kind = rule.kind;
        if kind.unit() == Unit::Switch {
            if rule.threshold != 0.0 {
                return Err(no_effect("threshold", rule.threshold));
            }
            if let Some(resolve_at) = self.resolve_at {
                return Err(no_effect("resolve_at", resolve_at));
            }
        }
        check_unit("threshold", kind.unit(), rule.threshold)?;
        let good = |value: f64| {
            if kind.is_below() {
                value >= rule.threshold
            } else {
                value <= rule.threshold
            }
        };
        match self.resolve_at {
            Some(value) => {
                check_unit("resolve_at", kind.unit(), value)?;
                if !good(value) {
                    let side = if kind.is_below() { "above" } else { "below" };
                    let accepted = format!("the threshold, {}, or {side} it", rule.threshold);
                    return Err(InvalidConfig::new("resolve_at", value, accepted));
                }
                rule.resolve_at = value;
            }
            None if !good(rule.resolve_at) => rule.resolve_at = rule.threshold,
            None => {}
        }
        let day = Duration::from_secs(24 * 3600);
        for (field, time) in [("lasts", rule.lasts), ("resolve_after", rule.resolve_after)] {
            if time > day {
                return Err(InvalidConfig::new(field, Span(time), "at most a day"));
            }
        }
        if let Some(window) = self.window {
            if !kind.has_window() {
                return Err(no_effect("window", Span(window)));
            }
            let longest = Duration::from_secs(match kind {
                AlertKind::BreakerFlapping => 3_600,
                _ => 120,
            });
            if !(Duration::from_secs(1)..=longest).contains(&window) {
                let accepted = format!("from 1s to {}", Span(longest));
                return Err(InvalidConfig::new("window", Span(window), accepted));
            }
            rule.window = window;
        }
        if let Some(min_calls) = self.min_calls {
            if !kind.has_min_calls() {
                return Err(no_effect("min_calls", min_calls));
            }
            if min_calls == 0 {
                return Err(InvalidConfig::new("min_calls", 0, "at least 1"));
            }
            rule.min_calls = min_calls;
        }
        Ok(rule)
    }
}

fn no_effect(field: &'static str, value: impl std::fmt::Display) -> InvalidConfig {
    InvalidConfig::new(field, value, "nothing: it has no effect on this rule")
}

fn check_unit(field: &'static str, unit: Unit, value: f64) -> Result<(), InvalidConfig> {
    let (most, accepted) = match unit {
        Unit::Share => (1.0, "a share from 0 to 1"),
        Unit::Score => (100.0, "a score from 0 to 100"),
        Unit::Seconds => (86_400.0, "seconds from 0 to 86400"),
        Unit::Count | Unit::Switch => (1e9, "a count from 0 to 1e9"),
    };
    if (0.0..=most).contains(&value) {
        Ok(())
    } else {
        Err(InvalidConfig::new(field, value, accepted))
    }
}

/// All rules, and where their pages are.
///
/// ```
/// use seawall_monitor::{AlertKind, AlertRule, AlertRules};
///
/// let quiet = AlertRule::builder(AlertKind::QuotaNearlySpent).enabled(false).build()?;
/// let rules = AlertRules::default().with(quiet).runbooks("https://wiki.example/runbooks/");
/// assert!(!rules.rule(AlertKind::QuotaNearlySpent).enabled());
/// # Ok::<(), seawall_monitor::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRules {
    rules: Vec<AlertRule>,
    runbooks: String,
}

impl AlertRules {
    /// Replaces the rule of that kind.
    #[must_use]
    pub fn with(mut self, rule: AlertRule) -> Self {
        if let Some(known) = self.rules.iter_mut().find(|known| known.kind == rule.kind) {
            *known = rule;
        }
        self
    }

    /// Sets where the pages of alerts are: what comes before `NAME.md`. `docs/runbooks/` unless set.
    #[must_use]
    pub fn runbooks(mut self, prefix: impl Into<String>) -> Self {
        self.runbooks = prefix.into();
        self
    }

    /// The rule of that kind.
    pub fn rule(&self, kind: AlertKind) -> AlertRule {
        let found = self.rules.iter().find(|rule| rule.kind == kind);
        found.copied().unwrap_or(AlertRule::of(kind))
    }

    /// Every rule.
    pub fn iter(&self) -> impl Iterator<Item = &AlertRule> {
        self.rules.iter()
    }

    /// Where the page of a kind is.
    pub fn runbook(&self, kind: AlertKind) -> String {
        format!("{}{}.md", self.runbooks, kind.as_str())
    }
}

impl Default for AlertRules {
    /// Every rule as it is by default.
    fn default() -> Self {
        Self {
            rules: AlertKind::ALL.map(AlertRule::of).to_vec(),
            runbooks: "docs/runbooks/".to_owned(),
        }
    }
}
