//! What is set, put over the numbers of the base.

use seawall_core::{InvalidConfig, Ratio};
use seawall_http::HttpClassifier;
use seawall_timeout::{AttemptTimeoutConfig, DeadlineConfig};

use super::numbers::Numbers;
use super::set::Set;
use super::setting::Table;
use super::{breaker, layers, limits};

/// Puts what is set in one table over `numbers`.
pub(super) fn apply(numbers: &mut Numbers, set: &Set<'_>) -> Result<(), InvalidConfig> {
    let off = &mut numbers.off;
    let is_off = match set.table {
        Table::Service => return service(numbers, set),
        Table::Cache | Table::Coalesce | Table::Fallback => {
            return numbers.answers.apply(set);
        }
        // Of the program, not of a service.
        Table::Health => return Ok(()),
        Table::Retry => &mut off.retry,
        Table::Bulkhead => &mut off.bulkhead,
        Table::RateLimit => &mut off.rate_limit,
        Table::Breaker => &mut off.breaker,
        Table::BodyTimeout => &mut off.body_timeout,
        // It is off by its own settings: there is nothing that it could let pass.
        Table::Telemetry => {
            let telemetry = &mut numbers.settings.telemetry;
            *telemetry = layers::telemetry(*telemetry, set)?;
            return Ok(());
        }
    };
    if let Some(on) = set.switch("enabled") {
        *is_off = !on;
    }
    let settings = &mut numbers.settings;
    match set.table {
        Table::Service
        | Table::Telemetry
        | Table::Cache
        | Table::Coalesce
        | Table::Fallback
        | Table::Health => {}
        Table::Retry => settings.retry = layers::retry(&settings.retry, set)?,
        Table::Bulkhead => settings.bulkhead = layers::bulkhead(settings.bulkhead, set)?,
        Table::RateLimit => {
            let share = numbers.utilization;
            settings.rate_limit = limits::rate_limit(&settings.rate_limit, set, share)?;
            if set.has_any(&["rate", "limit"]) {
                numbers.limit = set.rate("limit");
            }
        }
        Table::Breaker => settings.breaker = breaker::breaker(&settings.breaker, set)?,
        Table::BodyTimeout => {
            settings.body_timeout = layers::body_timeout(settings.body_timeout, set)?;
        }
    }
    Ok(())
}

fn service(numbers: &mut Numbers, set: &Set<'_>) -> Result<(), InvalidConfig> {
    if let Some(share) = set.number("utilization") {
        numbers.utilization = Ratio::new(share).map_err(|e| e.in_field("utilization"))?;
    }
    if let Some(longest) = set.time("longest_wait") {
        // What it does not accept is known now; it raises the settings of layers when all are set.
        HttpClassifier::new().with_longest_wait(longest)?;
        numbers.longest_wait = Some(longest);
    }
    if let Some(timeout) = set.time("deadline") {
        let config = DeadlineConfig::new(timeout).map_err(|e| e.in_field("deadline"))?;
        numbers.settings.deadline = config;
    }
    if let Some(timeout) = set.time("attempt_timeout") {
        let config = AttemptTimeoutConfig::fixed(timeout);
        numbers.settings.attempt_timeout = config.map_err(|e| e.in_field("attempt_timeout"))?;
    }
    if set.has("deadline") {
        numbers.off.deadline = set.is_off("deadline");
    }
    if set.has("attempt_timeout") {
        numbers.off.attempt_timeout = set.is_off("attempt_timeout");
    }
    Ok(())
}
