//! The breaker, with what is set.

use std::time::Duration;

use seawall_breaker::{
    AbandonedPolicy, BreakerConfig, BreakerConfigBuilder, HalfOpenPolicy, PanicPolicy,
};
use seawall_core::{InvalidConfig, Scope, Span};

use super::set::{Set, set_each};

pub(super) fn breaker(base: &BreakerConfig, set: &Set<'_>) -> Result<BreakerConfig, InvalidConfig> {
    let mut config = BreakerConfigBuilder::from(base.clone());
    if set.has_any(&RULES) {
        config = rules(config.without_rules(), base, set)?;
    }
    set_each!(config, set:
        time open_for,
        number open_jitter,
        time open_decay,
        count probes,
        count successes_to_close,
        time probe_timeout,
        time max_age,
        time open_on_ban,
        time max_retry_after,
        switch shadow,
    );
    if set.is_off("max_age") {
        config = config.without_max_age();
    }
    if set.is_off("open_on_ban") {
        config = config.ban_as_failure();
    }
    if set.is_off("max_retry_after") {
        config = config.without_retry_after();
    }
    if let Some(longest) = set.time("open_on_throttle") {
        let scopes = [Scope::Upstream, Scope::Endpoint, Scope::Account];
        config = config.open_on_throttle(scopes, longest);
    }
    let built = pairs(policies(config, set), base, set)?.build();
    built.map_err(|error| match error.field() {
        // A rate is one over a window, which is a setting of its own here.
        "failure_rate" | "slow_rate" if error.accepted().contains("number of calls") => {
            error.in_field("calls")
        }
        "failure_rate_over" | "slow_rate_over" if error.accepted().starts_with("a time") => {
            error.in_field("period")
        }
        "rules" => InvalidConfig::new(
            "rules",
            "empty",
            "at least one of `consecutive_failures`, `failure_rate`, `slow_rate`, `open_on_ban` \
             and `open_on_throttle`",
        ),
        _ => error,
    })
}

fn policies(mut config: BreakerConfigBuilder, set: &Set<'_>) -> BreakerConfigBuilder {
    if let Some(max_wait) = set.time("probe_wait") {
        config = config.half_open_policy(HalfOpenPolicy::Wait { max_wait });
    } else if set.is_off("probe_wait") {
        config = config.half_open_policy(HalfOpenPolicy::Reject);
    }
    if let Some(age) = set.time("abandoned_after") {
        config = config.abandoned_policy(AbandonedPolicy::FailureAfter(age));
    } else if set.is_off("abandoned_after") {
        config = config.abandoned_policy(AbandonedPolicy::Ignored);
    }
    match set.word("panics") {
        Some("abandoned") => config.panic_policy(PanicPolicy::Abandoned),
        Some(_) => config.panic_policy(PanicPolicy::Failure),
        None => config,
    }
}

/// The settings that come by two.
fn pairs(
    mut config: BreakerConfigBuilder,
    base: &BreakerConfig,
    set: &Set<'_>,
) -> Result<BreakerConfigBuilder, InvalidConfig> {
    let growth = pair(
        ("open_factor", set.number("open_factor")),
        ("longest_open", set.time("longest_open")),
        base.open_growth(),
    )?;
    if let Some((factor, cap)) = growth {
        config = config.open_growth(factor, cap);
    }
    let close = pair(
        ("close_rate", set.number("close_rate")),
        ("close_calls", set.count("close_calls")),
        None,
    )?;
    if let Some((share, calls)) = close {
        config = config.close_rate(share, calls);
    }
    let ramp = pair(
        ("ramp_steps", set.count("ramp_steps")),
        ("ramp_step", set.time("ramp_step")),
        base.ramp().map(|ramp| (ramp.steps, ramp.step)),
    )?;
    Ok(match ramp {
        Some((steps, step)) => config.ramp(steps, step),
        None => config,
    })
}

/// Two settings of which none is without the other; nothing where none is set.
fn pair<A, B>(
    (first, a): (&'static str, Option<A>),
    (second, b): (&'static str, Option<B>),
    base: Option<(A, B)>,
) -> Result<Option<(A, B)>, InvalidConfig> {
    match (a, b, base) {
        (None, None, _) => Ok(None),
        (Some(a), Some(b), _) => Ok(Some((a, b))),
        (Some(a), None, Some((_, b))) | (None, Some(b), Some((a, _))) => Ok(Some((a, b))),
        (Some(_), None, None) => Err(lonely(first, second)),
        (None, Some(_), None) => Err(lonely(second, first)),
    }
}

fn lonely(key: &'static str, needs: &'static str) -> InvalidConfig {
    let value = format!("set without `{needs}`");
    InvalidConfig::new(
        key,
        value,
        format!("a setting only together with `{needs}`"),
    )
}

/// The settings of the rules to open by.
const RULES: [&str; 7] = [
    "consecutive_failures",
    "failure_rate",
    "calls",
    "period",
    "min_calls",
    "slow_after",
    "slow_rate",
];

/// What rates are computed over.
#[derive(Clone, Copy)]
enum Window {
    Calls(u32),
    Period(Duration),
}

/// The rules of the base with what is set, on a builder without rules.
fn rules(
    mut config: BreakerConfigBuilder,
    base: &BreakerConfig,
    set: &Set<'_>,
) -> Result<BreakerConfigBuilder, InvalidConfig> {
    let kept = |key| !set.is_off(key);
    let in_a_row = set
        .count("consecutive_failures")
        .or(base.consecutive_failures());
    if let Some(failures) = in_a_row.filter(|_| kept("consecutive_failures")) {
        config = config.consecutive_failures(failures);
    }
    let failures = base.failure_rate().map(|rule| (rule.share, rule.min_calls));
    let over_time = base.failure_rate_over();
    let failures = failures.or(over_time.map(|rule| (rule.share, rule.min_calls)));
    let slow = base.slow_rate().map(|rule| (rule.share, rule.min_calls));
    let over_time = base.slow_rate_over();
    let slow = slow.or(over_time.map(|rule| (rule.share, rule.min_calls)));
    let share = |key: &'static str, of_base: Option<(f64, u32)>| {
        let own = set.number(key);
        own.or(of_base.map(|(share, _)| share))
            .filter(|_| kept(key))
    };
    let failure_share = share("failure_rate", failures);
    let slow_share = share("slow_rate", slow);
    let Some(window) = window(base, set)? else {
        return match (failure_share, slow_share) {
            (Some(_), _) => Err(lonely("failure_rate", "calls")),
            (_, Some(_)) => Err(lonely("slow_rate", "calls")),
            (None, None) => Ok(timing(least(config, set, None), base, set, false)),
        };
    };
    if failure_share.is_none() && slow_share.is_none() && set.has_any(&["calls", "period"]) {
        let key = if set.has("calls") { "calls" } else { "period" };
        return Err(lonely(key, "failure_rate"));
    }
    config = match (failure_share, window) {
        (Some(share), Window::Calls(calls)) => config.failure_rate(share, calls),
        (Some(share), Window::Period(period)) => config.failure_rate_over(share, period),
        (None, _) => config,
    };
    config = match (slow_share, window) {
        (Some(share), Window::Calls(calls)) => config.slow_rate(share, calls),
        (Some(share), Window::Period(period)) => config.slow_rate_over(share, period),
        (None, _) => config,
    };
    let has_rates = failure_share.is_some() || slow_share.is_some();
    let own = failures
        .or(slow)
        .filter(|_| has_rates && !set.has_any(&["calls", "period"]));
    config = least(config, set, own.map(|(_, least)| least));
    Ok(timing(config, base, set, slow_share.is_some()))
}

/// From how many calls on a rate is computed, where it is set or the base says so.
fn least(config: BreakerConfigBuilder, set: &Set<'_>, own: Option<u32>) -> BreakerConfigBuilder {
    match set.count("min_calls").or(own) {
        Some(calls) => config.min_calls(calls),
        None => config,
    }
}

/// From when on calls are slow, where it matters or is set.
fn timing(
    config: BreakerConfigBuilder,
    base: &BreakerConfig,
    set: &Set<'_>,
    matters: bool,
) -> BreakerConfigBuilder {
    let own = base.slow_after().filter(|_| matters);
    match set.time("slow_after").or(own) {
        Some(time) => config.slow_after(time),
        None => config,
    }
}

fn window(base: &BreakerConfig, set: &Set<'_>) -> Result<Option<Window>, InvalidConfig> {
    let of_calls = base.failure_rate().or(base.slow_rate());
    let over_time = base.failure_rate_over().or(base.slow_rate_over());
    Ok(match (set.count("calls"), set.time("period")) {
        (Some(_), Some(period)) => {
            let accepted = "either `calls` or `period`";
            return Err(InvalidConfig::new("period", Span(period), accepted));
        }
        (Some(calls), None) => Some(Window::Calls(calls)),
        (None, Some(period)) => Some(Window::Period(period)),
        (None, None) => match (of_calls, over_time) {
            (Some(rule), _) => Some(Window::Calls(rule.over)),
            (None, Some(rule)) => Some(Window::Period(rule.over)),
            (None, None) => None,
        },
    })
}
