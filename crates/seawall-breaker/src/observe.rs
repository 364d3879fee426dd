//! Counters and settings as the registry shows them.

use seawall_core::{Sample, Value};

use crate::config::BreakerConfig;
use crate::shared::Counts;
use crate::word::State;

pub(crate) fn samples(state: State, counts: &Counts, sink: &mut dyn FnMut(Sample<'_>)) {
    let mut send = |metric, labels: &[(&'static str, &'static str)], value| {
        sink(Sample {
            metric,
            labels,
            value,
        });
    };
    send(
        "seawall_breaker_state",
        &[],
        Value::Gauge(f64::from(state.gauge())),
    );
    for (outcome, total) in [
        ("success", counts.successes),
        ("failure", counts.failures),
        ("abstained", counts.abstained),
        ("abandoned", counts.abandoned),
        ("late", counts.late),
    ] {
        send(
            "seawall_calls_total",
            &[("layer", "breaker"), ("outcome", outcome)],
            Value::Counter(total),
        );
    }
    for (layer, reason, total) in [
        ("breaker", "circuit_open", counts.refused),
        ("breaker", "not_ready", counts.not_ready),
        ("gate", "circuit_open", counts.gate_refused),
        ("gate", "not_ready", counts.gate_not_ready),
    ] {
        send(
            "seawall_rejections_total",
            &[("layer", layer), ("reason", reason)],
            Value::Counter(total),
        );
    }
    for (to, total) in [
        ("open", counts.opened),
        ("half_open", counts.half_opened),
        ("closed", counts.closed),
    ] {
        send(
            "seawall_breaker_transitions_total",
            &[("to", to)],
            Value::Counter(total),
        );
    }
    let window = [
        ("seawall_breaker_window_calls", counts.window_calls),
        ("seawall_breaker_window_failures", counts.window_failures),
    ];
    for (metric, value) in window {
        send(metric, &[], Value::Gauge(f64::from(value)));
    }
}

pub(crate) fn settings(config: &BreakerConfig) -> Vec<(&'static str, String)> {
    let mut settings = Vec::with_capacity(8);
    if let Some(failures) = config.consecutive_failures() {
        settings.push(("consecutive_failures", failures.to_string()));
    }
    if let Some(rate) = config.rate {
        settings.push(("failure_rate", rate.threshold.get().to_string()));
        settings.push(("window", rate.window.get().to_string()));
        settings.push(("min_calls", rate.min_calls.get().to_string()));
    }
    settings.push(("open_for", format!("{:?}", config.open_for())));
    settings.push(("probes", config.probes().to_string()));
    settings.push((
        "successes_to_close",
        config.successes_to_close().to_string(),
    ));
    settings.push(("probe_timeout", format!("{:?}", config.probe_timeout())));
    settings
}
