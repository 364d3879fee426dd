//! The names of variables that the systems have which Seawall replaces.

use std::fmt;

use super::setting::Table;
use super::value::Raw;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Means {
    /// A setting of `[resilience]`.
    Setting(Table, &'static str, Form),
    /// A part that does not exist.
    Nothing(&'static str),
}

/// How the value of a variable is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// `true`, `1`, `yes`, `on`, and their opposites.
    Flag,
    /// A flag that sets a jitter.
    Jitter,
    Count,
    Number,
    /// A number of seconds, or a length of time.
    Seconds,
    /// A number per minute.
    PerMinute,
}

impl Form {
    pub(super) fn read(self, text: &str) -> Option<Raw> {
        let text = text.trim();
        match self {
            Self::Flag => flag(text).map(Raw::Switch),
            Self::Jitter => {
                let jitter = if flag(text)? { "full" } else { "none" };
                Some(Raw::Text(jitter.to_owned()))
            }
            Self::Count => match Raw::of_variable(text) {
                raw @ Raw::Whole(..) => Some(raw),
                _ => None,
            },
            Self::Number => match Raw::of_variable(text) {
                raw @ (Raw::Whole(..) | Raw::Number(..)) => Some(raw),
                _ => None,
            },
            Self::Seconds => match Raw::of_variable(text) {
                Raw::Whole(number, Some(_)) => Some(Raw::Text(format!("{number}s"))),
                Raw::Number(number, value) if value.is_finite() && value >= 0.0 => {
                    Some(Raw::Text(format!("{number}s")))
                }
                raw @ Raw::Text(_) => Some(raw),
                _ => None,
            },
            Self::PerMinute => match Raw::of_variable(text) {
                Raw::Whole(number, Some(_)) => Some(Raw::Text(format!("{number}/min"))),
                raw @ Raw::Text(_) => Some(raw),
                _ => None,
            },
        }
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// What is accepted, in words.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag | Self::Jitter => "true or false",
            Self::Count => "a whole number",
            Self::Number => "a number",
            Self::Seconds => "a number of seconds, or a length of time such as \"1m 30s\"",
            Self::PerMinute => "a number per minute, or a rate such as \"10/s\"",
        })
    }
}

use Form::{Count, Flag, Jitter, Number, PerMinute, Seconds};
use Means::{Nothing, Setting};
use Table::{Breaker, Bulkhead, Health, RateLimit, Retry, Service, Telemetry};

/// The table of the guide. Each name is also known with `RESILIENCE_` before it.
const NAMES: &[(&str, Means)] = &[
    ("CIRCUIT_BREAKER_ENABLED", Setting(Breaker, "enabled", Flag)),
    (
        "CIRCUIT_BREAKER_THRESHOLD",
        Setting(Breaker, "consecutive_failures", Count),
    ),
    (
        "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
        Setting(Breaker, "consecutive_failures", Count),
    ),
    (
        "CIRCUIT_BREAKER_RECOVERY_TIMEOUT",
        Setting(Breaker, "open_for", Seconds),
    ),
    (
        "CIRCUIT_BREAKER_SUCCESS_THRESHOLD",
        Setting(Breaker, "successes_to_close", Count),
    ),
    ("RETRY_ENABLED", Setting(Retry, "enabled", Flag)),
    ("RETRY_MAX_ATTEMPTS", Setting(Retry, "attempts", Count)),
    ("RETRY_INITIAL_DELAY", Setting(Retry, "first_wait", Seconds)),
    ("RETRY_MAX_DELAY", Setting(Retry, "longest_wait", Seconds)),
    ("RETRY_EXPONENTIAL_BASE", Setting(Retry, "factor", Number)),
    ("RETRY_JITTER", Setting(Retry, "jitter", Jitter)),
    ("RATE_LIMIT_ENABLED", Setting(RateLimit, "enabled", Flag)),
    (
        "RATE_LIMIT_PER_MINUTE",
        Setting(RateLimit, "rate", PerMinute),
    ),
    ("RATE_LIMIT_BURST", Setting(RateLimit, "burst", Count)),
    ("BULKHEAD_ENABLED", Setting(Bulkhead, "enabled", Flag)),
    (
        "BULKHEAD_MAX_CONCURRENT",
        Setting(Bulkhead, "max_concurrent", Count),
    ),
    (
        "BULKHEAD_MAX_WAITING",
        Setting(Bulkhead, "max_waiting", Count),
    ),
    (
        "BULKHEAD_ACQUIRE_TIMEOUT",
        Setting(Bulkhead, "max_wait", Seconds),
    ),
    ("TELEMETRY_ENABLED", Setting(Telemetry, "enabled", Flag)),
    ("OVERALL_TIMEOUT", Setting(Service, "deadline", Seconds)),
    (
        "ATTEMPT_TIMEOUT",
        Setting(Service, "attempt_timeout", Seconds),
    ),
    (
        "FAIL_SAFE_DEFAULTS",
        Setting(Service, "fail_safe_defaults", Flag),
    ),
    ("HEALTH_CHECK_ENABLED", Setting(Health, "enabled", Flag)),
    (
        "HEALTH_CHECK_INTERVAL",
        Setting(Health, "interval", Seconds),
    ),
    ("HEALTH_CHECK_TIMEOUT", Setting(Health, "timeout", Seconds)),
    (
        "HEALTH_SCORE_THRESHOLD",
        Setting(Health, "score_threshold", Number),
    ),
    ("DEGRADATION_ENABLED", Nothing("degradation")),
    ("GRACEFUL_DEGRADATION_ENABLED", Nothing("degradation")),
    (
        "AUTO_RECOVERY_ENABLED",
        Setting(Health, "auto_recovery", Flag),
    ),
];

const PREFIX: &str = "RESILIENCE_";

/// Names that would mean too much without the prefix.
const PREFIXED: [&str; 2] = ["OVERALL_TIMEOUT", "ATTEMPT_TIMEOUT"];

/// What a name in capitals stands for.
pub(super) fn find(name: &str) -> Option<Means> {
    let short = name.strip_prefix(PREFIX);
    if short.is_none() && PREFIXED.contains(&name) {
        return None;
    }
    let short = short.unwrap_or(name);
    let found = NAMES.iter().find(|(known, _)| *known == short);
    found.map(|(_, means)| *means)
}

/// Whether a name can only have been meant for this table.
pub(super) fn is_meant(name: &str) -> bool {
    name.starts_with(PREFIX) || name.starts_with("CIRCUIT_BREAKER_")
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}
