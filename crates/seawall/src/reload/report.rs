//! What is counted and logged of a configuration.

use std::fmt;

use seawall_core::InstanceName;
use seawall_core::counters::Counter;

use super::outcome::ReloadError;
use crate::config::Mistake;
#[cfg(feature = "tracing")]
use crate::mistake::write_all;

pub(super) const PATTERN: &str = "config";

/// How often it was reported what came of reading it again.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) applied: Counter,
    pub(super) recovered: Counter,
    pub(super) rejected: Counter,
}

impl Counters {
    pub(super) fn reloaded(&self, recovered: bool) {
        let counter = if recovered {
            &self.recovered
        } else {
            &self.applied
        };
        counter.add();
    }
}

#[cfg(feature = "tracing")]
pub(super) fn log_reloaded(name: InstanceName, generation: u64, recovered: bool) {
    let name = name.as_str();
    tracing::info!(
        target: "seawall", pattern = PATTERN, name, generation, recovered, "configuration reloaded"
    );
}

#[cfg(feature = "tracing")]
pub(super) fn log_fallen_back(name: InstanceName, mistakes: &[Mistake]) {
    if !mistakes.is_empty() {
        let (name, mistakes) = (name.as_str(), AllMistakes(mistakes));
        tracing::warn!(
            target: "seawall", pattern = PATTERN, name, %mistakes,
            "configuration with mistakes: services have the safe numbers of their kind or provider"
        );
    }
}

#[cfg(feature = "tracing")]
pub(super) fn log_not_reached(name: InstanceName, settings: &[Mistake]) {
    if !settings.is_empty() {
        let (name, settings) = (name.as_str(), AllMistakes(settings));
        tracing::warn!(
            target: "seawall", pattern = PATTERN, name, %settings,
            "configuration reloaded, and not for layers that options of a stack have replaced"
        );
    }
}

#[cfg(feature = "tracing")]
struct AllMistakes<'a>(&'a [Mistake]);

#[cfg(feature = "tracing")]
impl fmt::Display for AllMistakes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_all(f, self.0)
    }
}

#[cfg(feature = "tracing")]
pub(super) fn log_rejected(name: InstanceName, error: &ReloadError) {
    let (name, reason) = (name.as_str(), error.reason());
    tracing::warn!(
        target: "seawall", pattern = PATTERN, name, reason, %error,
        "configuration not reloaded: the last good one stays in force"
    );
}

#[cfg(feature = "tracing")]
pub(super) fn log_unwatched(name: InstanceName, error: &dyn fmt::Display) {
    let name = name.as_str();
    tracing::warn!(
        target: "seawall", pattern = PATTERN, name, %error,
        "a folder of the configuration cannot be watched: it is looked at now and then"
    );
}

#[cfg(not(feature = "tracing"))]
pub(super) const fn log_reloaded(_: InstanceName, _: u64, _: bool) {}

#[cfg(not(feature = "tracing"))]
pub(super) const fn log_fallen_back(_: InstanceName, _: &[Mistake]) {}

#[cfg(not(feature = "tracing"))]
pub(super) const fn log_not_reached(_: InstanceName, _: &[Mistake]) {}

#[cfg(not(feature = "tracing"))]
pub(super) const fn log_rejected(_: InstanceName, _: &ReloadError) {}

#[cfg(not(feature = "tracing"))]
pub(super) fn log_unwatched(_: InstanceName, _: &dyn fmt::Display) {}
