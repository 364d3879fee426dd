//! Retry, bulkhead, the timeout of bodies and telemetry, with what is set.

use std::time::Duration;

use seawall_bulkhead::{BulkheadConfig, BulkheadConfigBuilder};
use seawall_core::{Backoff, InvalidConfig, Jitter, Span};
use seawall_http::body_timeout::{BodyTimeoutConfig, BodyTimeoutConfigBuilder};
use seawall_retry::{RetryConfig, RetryConfigBuilder};
use seawall_telemetry::{TelemetryConfig, TelemetryConfigBuilder};

use super::set::{Set, set_each};

pub(super) fn retry(base: &RetryConfig, set: &Set<'_>) -> Result<RetryConfig, InvalidConfig> {
    let mut config = RetryConfigBuilder::from(base.clone());
    set_each!(config, set:
        count attempts,
        time overall_timeout,
        time max_retry_after,
        number retry_after_jitter,
        time max_rejection_wait,
        switch retry_throttled,
        switch retry_if_not_sent,
    );
    let waits = ["backoff", "factor", "jitter", "first_wait", "longest_wait"];
    if set.has_any(&waits) {
        config = config.backoff(backoff(
            base.backoff(),
            set,
            ["first_wait", "longest_wait"],
        )?);
    }
    let throttled = ["throttled_first_wait", "throttled_longest_wait"];
    if set.has_any(&throttled) {
        config = config.throttled_backoff(backoff(base.throttled_backoff(), set, throttled)?);
    }
    config.build()
}

/// A backoff with what is set of it; its first and its longest wait have these keys.
fn backoff(
    base: &Backoff,
    set: &Set<'_>,
    [first, longest]: [&'static str; 2],
) -> Result<Backoff, InvalidConfig> {
    let strategy = set.word("backoff").unwrap_or(base.strategy());
    let mut from = set.time(first).unwrap_or(base.base());
    if from.is_zero() && !set.has(first) {
        // The base has no waits: a second, as the default of a retry.
        from = Duration::from_secs(1);
    }
    let cap = match set.time(longest) {
        Some(cap) => cap,
        None if base.cap().is_zero() => from,
        None => base.cap(),
    };
    let made = match strategy {
        "none" => without(
            set,
            strategy,
            &[first, longest, "factor", "jitter"],
            Backoff::NONE,
        ),
        "constant" => Backoff::constant(from)
            .and_then(|made| without(set, strategy, &[longest, "factor"], made)),
        "linear" => Backoff::linear(from, cap),
        "fibonacci" => Backoff::fibonacci(from, cap),
        "decorrelated" => Backoff::decorrelated(from, cap)
            .and_then(|made| without(set, strategy, &["jitter"], made)),
        _ => Backoff::exponential(from, cap),
    };
    let mut made = made.map_err(|error| {
        let key = match error.field() {
            "base" => first,
            "cap" => longest,
            _ => return error,
        };
        error.in_field(key)
    })?;
    let jitter = match set.word("jitter") {
        Some("none") => Some(Jitter::None),
        Some("equal") => Some(Jitter::Equal),
        Some(_) => Some(Jitter::Full),
        None => Some(base.jitter()).filter(|jitter| *jitter != Jitter::Decorrelated),
    };
    if let Some(jitter) = jitter.filter(|_| !matches!(strategy, "none" | "decorrelated")) {
        made = made.with_jitter(jitter);
    }
    let own = base.factor().filter(|_| made.factor().is_some());
    match set.number("factor").or(own) {
        Some(factor) => made.with_factor(factor),
        None => Ok(made),
    }
}

/// That backoff, if none of these is set: it has none of them.
fn without(
    set: &Set<'_>,
    strategy: &str,
    keys: &[&'static str],
    made: Backoff,
) -> Result<Backoff, InvalidConfig> {
    let Some(key) = keys.iter().find(|key| set.has(key)) else {
        return Ok(made);
    };
    let value = match (set.time(key), set.number(key), set.word(key)) {
        (Some(time), ..) => Span(time).to_string(),
        (_, Some(number), _) => number.to_string(),
        (_, _, word) => word.unwrap_or_default().to_owned(),
    };
    let accepted = format!("nothing where `backoff` is {strategy}: it has no such setting");
    Err(InvalidConfig::new(*key, value, accepted))
}

pub(super) fn bulkhead(
    base: BulkheadConfig,
    set: &Set<'_>,
) -> Result<BulkheadConfig, InvalidConfig> {
    let mut config = BulkheadConfigBuilder::from(base);
    set_each!(config, set:
        count max_concurrent,
        count max_waiting,
        time max_wait,
        time priority_aging,
        count lifo_threshold,
        switch reject_doomed,
        switch shadow,
    );
    config.build()
}

pub(super) fn body_timeout(
    base: BodyTimeoutConfig,
    set: &Set<'_>,
) -> Result<BodyTimeoutConfig, InvalidConfig> {
    let mut config = BodyTimeoutConfigBuilder::from(base);
    set_each!(config, set: time first_byte, time idle, time total, switch within_deadline);
    if set.is_off("idle") {
        config = config.without_idle();
    }
    config.build()
}

pub(super) fn telemetry(
    base: TelemetryConfig,
    set: &Set<'_>,
) -> Result<TelemetryConfig, InvalidConfig> {
    let mut config = TelemetryConfigBuilder::from(base);
    set_each!(config, set: switch enabled, time slow_after, count overhead_every, switch spans);
    config.build()
}
