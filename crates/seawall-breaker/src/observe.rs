//! Counters and settings as the registry shows them.

use std::fmt::Debug;

use seawall_core::Samples;

use crate::config::{BreakerConfig, RateRule};
use crate::counts::{CircuitSnapshot, Counts};
use crate::rule::{Rule, WindowStats};
use crate::word::State;

pub(crate) fn samples(
    seen: &CircuitSnapshot,
    transitions: &[(State, State, u64)],
    sink: &mut Samples<'_>,
) {
    let counts = &seen.counts;
    let gauges = [
        ("seawall_breaker_state", f64::from(seen.state.gauge())),
        ("seawall_breaker_shadow", f64::from(u8::from(seen.shadow))),
        ("seawall_breaker_overdue_calls", seen.overdue as f64),
        (
            "seawall_breaker_openings_in_a_row",
            f64::from(seen.openings_in_a_row),
        ),
        (
            "seawall_breaker_failures_in_a_row",
            f64::from(seen.failures_in_a_row),
        ),
    ];
    for (metric, value) in gauges {
        sink.gauge(metric, &[], value);
    }
    totals(counts, transitions, sink);
    let windows = [
        ("calls", seen.calls),
        ("slow_calls", seen.slow_calls),
        ("time", seen.time),
    ];
    for (window, tally) in windows {
        let Some(WindowStats {
            calls,
            failures,
            slow,
            ..
        }) = tally
        else {
            continue;
        };
        for (metric, value) in [
            ("seawall_breaker_window_calls", calls),
            ("seawall_breaker_window_failures", failures),
            ("seawall_breaker_window_slow", slow),
        ] {
            sink.gauge(metric, &[("window", window)], value as f64);
        }
    }
}

/// What only grows, of one circuit or of many.
pub(crate) fn totals(counts: &Counts, transitions: &[(State, State, u64)], sink: &mut Samples<'_>) {
    for (outcome, total) in [
        ("success", counts.successes),
        ("failure", counts.failures),
        ("abstained", counts.abstained),
        ("abandoned", counts.abandoned),
        ("late", counts.late),
        ("unjudged", counts.unjudged),
    ] {
        let labels = [("layer", "breaker"), ("outcome", outcome)];
        sink.counter("seawall_calls_total", &labels, total);
    }
    sink.counter("seawall_breaker_slow_calls_total", &[], counts.slow);
    sink.counter(
        "seawall_breaker_would_reject_total",
        &[],
        counts.would_reject,
    );
    for (layer, reason, total) in [
        ("breaker", "circuit_open", counts.rejected),
        ("breaker", "not_ready", counts.not_ready),
        ("gate", "circuit_open", counts.gate_rejected),
        ("gate", "not_ready", counts.gate_not_ready),
    ] {
        let labels = [("layer", layer), ("reason", reason)];
        sink.counter("seawall_rejections_total", &labels, total);
    }
    for (from, to, total) in transitions {
        let labels = [("from", from.as_str()), ("to", to.as_str())];
        sink.counter("seawall_breaker_transitions_total", &labels, *total);
    }
}

pub(crate) fn settings(config: &BreakerConfig) -> Vec<(&'static str, String)> {
    let mut settings = Vec::with_capacity(24);
    let mut add = |name, value: Option<String>| settings.extend(value.map(|v| (name, v)));
    fn rate<Over: Debug>(rule: Option<RateRule<Over>>) -> Option<String> {
        rule.map(|r| {
            let (share, over, min) = (r.share.get(), r.over, r.min_calls);
            format!("{share} of {over:?}, from {min} calls")
        })
    }
    fn shown<T: Debug>(value: T) -> Option<String> {
        Some(format!("{value:?}"))
    }
    let in_a_row = config.consecutive_failures();
    add("consecutive_failures", in_a_row.map(|n| n.to_string()));
    add("failure_rate", rate(config.failure_rate()));
    add("failure_rate_over", rate(config.failure_rate_over()));
    add("slow_after", config.slow_after().and_then(shown));
    add("slow_rate", rate(config.slow_rate()));
    add("slow_rate_over", rate(config.slow_rate_over()));
    let names: Vec<_> = config.rules().map(Rule::name).collect();
    add("rules", (!names.is_empty()).then(|| names.join(", ")));
    add("open_on_ban", config.open_on_ban().and_then(shown));
    add("open_for", shown(config.open_for()));
    let growth = config.open_growth();
    add(
        "open_growth",
        growth.map(|(factor, cap)| format!("{factor}, up to {cap:?}")),
    );
    add("open_jitter", Some(config.open_jitter().get().to_string()));
    add("probes", Some(config.probes().to_string()));
    add("closing", shown(config.close_policy()));
    add("probe_timeout", shown(config.probe_timeout()));
    add("ramp", config.ramp().and_then(shown));
    add("while_probing", shown(config.half_open_policy()));
    add("abandoned", shown(config.abandoned_policy()));
    add("shadow", Some(config.shadow().to_string()));
    settings
}
