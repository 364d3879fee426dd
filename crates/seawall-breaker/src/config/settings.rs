//! The settings as the registry shows them.

use std::fmt::Debug;

use super::breaker_config::BreakerConfig;
use super::values::RateRule;
use crate::rule::Rule;

pub(crate) fn settings(config: &BreakerConfig) -> Vec<(&'static str, String)> {
    let mut settings = Vec::with_capacity(28);
    let mut add = |name, value: Option<String>| settings.extend(value.map(|v| (name, v)));
    fn rate<Over: Debug>(rule: Option<RateRule<Over>>) -> Option<String> {
        rule.map(|r| format!("{} of {:?}, from {} calls", r.share, r.over, r.min_calls))
    }
    fn shown<T: Debug>(value: T) -> Option<String> {
        Some(format!("{value:?}"))
    }
    add(
        "consecutive_failures",
        config.consecutive_failures.and_then(shown),
    );
    add("failure_rate", rate(config.failure_rate));
    add("failure_rate_over", rate(config.rare().failure_rate_over));
    add("slow_after", config.slow_after.and_then(shown));
    add("slow_rate", rate(config.rare().slow_rate));
    add("slow_rate_over", rate(config.rare().slow_rate_over));
    add("max_age", config.max_age.and_then(shown));
    let names: Vec<_> = config.rules().map(Rule::name).collect();
    add("rules", (!names.is_empty()).then(|| names.join(", ")));
    add("open_on_ban", config.open_on_ban.and_then(shown));
    let throttle = config
        .rare()
        .throttle
        .and_then(|throttle| shown(throttle.max));
    add("open_on_throttle", throttle);
    add("max_retry_after", config.max_retry_after.and_then(shown));
    add("open_for", shown(config.open_for));
    let growth = config.rare().open_growth;
    add(
        "open_growth",
        growth.map(|(factor, cap)| format!("{factor}, up to {cap:?}")),
    );
    add("open_jitter", Some(config.open_jitter.to_string()));
    add("probes", Some(config.probes.to_string()));
    add("close_policy", shown(config.close_policy));
    add("probe_timeout", shown(config.probe_timeout));
    add("ramp", config.rare().ramp.and_then(shown));
    add("half_open_policy", shown(config.half_open_policy));
    add("abandoned_policy", shown(config.abandoned_policy));
    add("panic_policy", shown(config.panic_policy));
    add("shadow", Some(config.shadow.to_string()));
    settings
}
