//! What holds for the health of the program: checks, score, recovery.

use seawall_core::InvalidConfig;
use seawall_health::{CheckConfig, Part, ScoreConfig};

use crate::mistake::Mistake;

use super::scope::{Entries, Scope};
use super::set::Set;
use super::setting::Table;

/// What `[resilience.health]` says: how the checks of the program run, and what its score is made of.
///
/// ```
/// use std::time::Duration;
/// use seawall::config::Config;
///
/// let text = "[resilience.health]\ninterval = \"10s\"\nscore_threshold = 90\nauto_recovery = false\n";
/// let config = Config::loader().text("seawall.toml", text).load()?;
/// let health = config.health();
/// assert_eq!(health.check().interval(), Duration::from_secs(10));
/// assert_eq!(health.score().threshold(), 90.0);
/// assert!(health.is_enabled() && !health.auto_recovery());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthSettings {
    enabled: bool,
    auto_recovery: bool,
    check: CheckConfig,
    score: ScoreConfig,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            auto_recovery: true,
            check: CheckConfig::default(),
            score: ScoreConfig::default(),
        }
    }
}

impl HealthSettings {
    /// Whether checks are to be run.
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether recoveries are to be carried out.
    pub const fn auto_recovery(&self) -> bool {
        self.auto_recovery
    }

    /// The settings of a check.
    pub const fn check(&self) -> CheckConfig {
        self.check
    }

    /// The settings of the score.
    pub const fn score(&self) -> ScoreConfig {
        self.score
    }
}

/// What is set, and what of it is wrong: that is left out.
pub(super) fn resolve(defaults: &Scope, mistakes: &mut Vec<Mistake>) -> HealthSettings {
    let mut entries = Entries::clone(&defaults.entries);
    entries.retain(|(table, _), _| *table == Table::Health);
    loop {
        let values = entries.iter().map(|(id, entry)| (*id, &entry.value));
        let values = values.collect();
        let set = Set {
            table: Table::Health,
            values: &values,
        };
        let error = match settings(&set) {
            Ok(settings) => return settings,
            Err(error) => error,
        };
        // Weights that are 0 together are left out together.
        let is_meant = |key: &str| match error.field() {
            "weights" => WEIGHTS.iter().any(|(_, weight)| *weight == key),
            field => field == key,
        };
        let mut meant: Vec<_> = entries.keys().copied().collect();
        meant.retain(|(_, key)| is_meant(key));
        let removed = meant.into_iter().map(|id| (id.1, entries.remove(&id)));
        let Some((key, Some(entry))) = removed.last() else {
            // An error about what is not set there: nothing of it can be kept.
            return HealthSettings::default();
        };
        mistakes.push(Mistake {
            place: entry.place,
            key: format!("{}.{key}", Table::Health.name()),
            problem: format!("is {}, accepted is {}", error.value(), error.accepted()),
        });
    }
}

fn settings(set: &Set<'_>) -> Result<HealthSettings, InvalidConfig> {
    Ok(HealthSettings {
        enabled: set.switch("enabled").unwrap_or(true),
        auto_recovery: set.switch("auto_recovery").unwrap_or(true),
        check: check(set)?,
        score: score(set)?,
    })
}

fn check(set: &Set<'_>) -> Result<CheckConfig, InvalidConfig> {
    let mut builder = CheckConfig::builder();
    if let Some(interval) = set.time("interval") {
        builder = builder.interval(interval);
    }
    if let Some(jitter) = set.number("jitter") {
        builder = builder.jitter(jitter);
    }
    if let Some(timeout) = set.time("timeout") {
        builder = builder.timeout(timeout);
    }
    if let Some(slow_after) = set.time("slow_after") {
        builder = builder.slow_after(slow_after);
    }
    if let Some(failures) = set.count("failures_to_unhealthy") {
        builder = builder.failures_to_unhealthy(failures);
    }
    if let Some(successes) = set.count("successes_to_recover") {
        builder = builder.successes_to_recover(successes);
    }
    if let Some(rate) = set.number("max_error_rate") {
        builder = builder.max_error_rate(rate);
    }
    builder.build()
}

/// The weights by their settings.
const WEIGHTS: [(Part, &str); 4] = [
    (Part::Resilience, "resilience_weight"),
    (Part::System, "system_weight"),
    (Part::Services, "services_weight"),
    (Part::Trading, "trading_weight"),
];

fn score(set: &Set<'_>) -> Result<ScoreConfig, InvalidConfig> {
    let mut builder = ScoreConfig::builder();
    if let Some(threshold) = set.number("score_threshold") {
        builder = builder.threshold(threshold);
    }
    for (part, key) in WEIGHTS {
        if let Some(weight) = set.number(key) {
            builder = builder.weight(part, weight);
        }
    }
    builder.build().map_err(|error| {
        let weight = WEIGHTS
            .iter()
            .find(|(part, _)| error.field().strip_prefix("weights.") == Some(part.as_str()));
        match (error.field(), weight) {
            ("threshold", _) => error.in_field("score_threshold"),
            (_, Some((_, key))) => error.in_field(*key),
            _ => error,
        }
    })
}
