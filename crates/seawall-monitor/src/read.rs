//! What the samples of an instance are for a service. The names are those that layers hand out.

use seawall_core::{InstanceHandle, Sample, Samples, Value};

use crate::counts::Counts;
use crate::overview::number;
use crate::service_name::service_of;
use crate::standing::{Standing, least, sum};

/// Which instance of a service counts its calls: the outermost one that knows their outcomes.
pub(crate) fn source_rank(pattern: &str, state: &str) -> u8 {
    match pattern {
        "telemetry" if state == "on" => 9,
        "retry" => 8,
        "hedge" => 7,
        "breaker" => 6,
        "throttle" => 5,
        "bulkhead" => 4,
        "ratelimit" | "ratelimit_per_key" => 3,
        _ => 0,
    }
}

/// Whether the calls of a pattern have those among them that layers below have rejected.
pub(crate) fn sees_rejections(rank: u8) -> bool {
    rank >= 7
}

/// Reads an instance into what is empty. Returns its state.
pub(crate) fn read(
    handle: &dyn InstanceHandle,
    counts: &mut Counts,
    standing: &mut Standing,
) -> &'static str {
    let (pattern, name, state) = (handle.pattern(), handle.name().as_str(), handle.state());
    let is_shown = standing.take_state(pattern, state);
    standing.last_rejection = handle.last_rejection();
    let mut circuit = Circuit::default();
    handle.samples(&mut Samples::new(&mut |sample| match &sample.value {
        Value::Counter(total) => counter(&sample, *total, counts),
        Value::Gauge(value) => {
            if sample.metric.starts_with("seawall_breaker_") {
                circuit.gauge(&sample, *value, standing, is_shown);
            } else {
                gauge(&sample, *value, name, standing);
            }
        }
        Value::Histogram(snapshot)
            if sample.metric == "seawall_call_duration_seconds"
                && label(&sample, "outcome") != "rejected" =>
        {
            counts.latency = if counts.latency.is_empty() {
                snapshot.clone()
            } else {
                counts.latency.merge(snapshot)
            };
        }
        _ => {}
    }));
    if pattern == "breaker" && !circuit.is_keyed {
        standing.circuits += 1;
        match state {
            "open" | "forced_open" => {
                standing.open += 1;
                standing.is_main_open |= service_of(pattern, handle.name()) == Some(name);
            }
            "half_open" => standing.half_open += 1,
            _ => {}
        }
    }
    state
}

fn label(sample: &Sample<'_>, key: &str) -> &'static str {
    let found = sample.labels.iter().find(|(name, _)| *name == key);
    found.map_or("", |(_, value)| *value)
}

fn counter(sample: &Sample<'_>, total: u64, counts: &mut Counts) {
    match sample.metric {
        "seawall_calls_total" => counts.add_calls(label(sample, "outcome"), total),
        "seawall_rejections_total" => {
            counts.add_rejections(label(sample, "layer"), label(sample, "reason"), total);
        }
        "seawall_slow_calls_total" | "seawall_breaker_slow_calls_total" => counts.slow += total,
        "seawall_hedge_fired_total" => counts.hedged += total,
        "seawall_router_rerouted_total" => counts.rerouted += total,
        "seawall_retry_give_ups_total" if label(sample, "cause") == "budget_exhausted" => {
            counts.unpaid += total;
        }
        "seawall_breaker_transitions_total" if label(sample, "to") == "open" => {
            counts.opened += total;
        }
        _ => {}
    }
}

/// What the gauges of one breaker say.
#[derive(Default)]
struct Circuit {
    is_keyed: bool,
}

impl Circuit {
    fn gauge(&mut self, sample: &Sample<'_>, value: f64, to: &mut Standing, is_shown: bool) {
        match sample.metric {
            "seawall_breaker_state_seconds" if is_shown => to.state_seconds = number(value),
            "seawall_breaker_next_probe_seconds" if is_shown && value > 0.0 => {
                to.next_probe_seconds = number(value);
            }
            "seawall_breaker_failure_threshold_ratio" => least(&mut to.error_threshold, value),
            "seawall_breaker_slow_threshold_ratio" => least(&mut to.slow_threshold, value),
            "seawall_breaker_keys" => {
                self.is_keyed = true;
                let keys = value.max(0.0) as u64;
                to.circuits += keys;
                match label(sample, "state") {
                    "open" => to.open += keys,
                    "half_open" => to.half_open += keys,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn gauge(sample: &Sample<'_>, value: f64, name: &'static str, to: &mut Standing) {
    match sample.metric {
        "seawall_bulkhead_in_flight" => sum(&mut to.in_flight, value),
        "seawall_bulkhead_max_concurrent" => sum(&mut to.max_concurrent, value),
        "seawall_bulkhead_max_waiting" => sum(&mut to.max_waiting, value),
        "seawall_bulkhead_queue_depth" | "seawall_ratelimit_queue_depth" => {
            sum(&mut to.queue_depth, value);
        }
        "seawall_ratelimit_pause_seconds" => to.pause_seconds = to.pause_seconds.max(value),
        "seawall_retry_budget_balance" => least(&mut to.retry_balance, value),
        "seawall_retry_budget_capacity" => least(&mut to.retry_capacity, value),
        "seawall_health_status" => to.health = to.health.max(Some(value as u8)),
        "seawall_orders_in_doubt" | "seawall_orders_exhausted" => {
            // No orders would be an all-clear.
            to.is_wrong |= !(0.0..1e15).contains(&value);
            let orders = to.orders.get_or_insert_default();
            if sample.metric == "seawall_orders_in_doubt" {
                orders.in_doubt = value as u64;
            } else {
                orders.exhausted = value as u64;
            }
        }
        "seawall_orders_kill_switch" => {
            to.orders.get_or_insert_default().kill_switch |= value > 0.0;
        }
        metric if metric.starts_with("seawall_ratelimit_") => limit(sample, value, name, to),
        _ => {}
    }
}

fn limit(sample: &Sample<'_>, value: f64, name: &'static str, to: &mut Standing) {
    let (index, unit) = (label(sample, "limit"), label(sample, "unit"));
    if unit.is_empty() {
        return;
    }
    let limit = to.limit(name, index, unit);
    let field = match sample.metric {
        "seawall_ratelimit_limit_available" => &mut limit.available,
        "seawall_ratelimit_limit_capacity" => &mut limit.capacity,
        "seawall_ratelimit_limit_reserved" => &mut limit.reserved,
        "seawall_ratelimit_limit_window_seconds" => &mut limit.window_seconds,
        "seawall_ratelimit_limit_full_seconds" => &mut limit.full_seconds,
        "seawall_ratelimit_reported_limit" => &mut limit.reported_limit,
        "seawall_ratelimit_reported_remaining" => &mut limit.reported_remaining,
        "seawall_ratelimit_reported_reset_seconds" => &mut limit.reported_reset_seconds,
        "seawall_ratelimit_reported_used_ratio" => &mut limit.reported_used_ratio,
        "seawall_ratelimit_reported_age_seconds" => &mut limit.reported_age_seconds,
        _ => return,
    };
    *field = number(value);
}
