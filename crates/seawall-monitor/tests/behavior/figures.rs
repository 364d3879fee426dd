//! Rates, shares, quantiles and what they do at their bounds.

use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{HistogramSnapshot, Registry};
use seawall_monitor::{Monitor, MonitorConfig, Trend};
use serde_json::Value;

use crate::support::{Fake, SECOND, builder, firing, monitor, service, tick, ticks};

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("there is a figure");
    assert!((found - expected).abs() < 0.01, "{found}, not {expected}");
}

#[tokio::test(start_paused = true)]
async fn rates_are_those_of_the_window() {
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    fake.calls(1_000, 1_000, 1);
    let monitor = monitor(&registry);
    let first = service(&monitor, "alpaca");
    assert_eq!(first.calls_per_second, 0.0, "what was before counts not");
    assert_eq!((first.error_ratio, first.p99_seconds), (None, None));
    for _ in 0..20 {
        fake.calls(18, 2, 100);
        tick(&monitor).await;
    }
    let seen = service(&monitor, "alpaca");
    near(Some(seen.calls_per_second), 20.0);
    near(seen.error_ratio, 0.1);
    near(seen.average_seconds, 0.1);
    for quantile in [seen.p50_seconds, seen.p95_seconds, seen.p99_seconds] {
        assert!((0.1..0.107).contains(&quantile.unwrap()), "{quantile:?}");
    }
    assert_eq!(seen.sparkline.len(), 20);
    near(Some(seen.sparkline[19].ago_seconds.into()), 0.0);
    near(Some(seen.sparkline[0].ago_seconds.into()), 19.0);
    let short = monitor.overview().with_last_sparks(2);
    assert_eq!(short.services[0].sparkline, seen.sparkline[18..]);
    ticks(&monitor, 11).await;
    let idle = service(&monitor, "alpaca");
    assert_eq!(idle.calls_per_second, 0.0);
    assert_eq!((idle.error_ratio, idle.p99_seconds), (None, None));
    ticks(&monitor, 200).await;
    assert_eq!(service(&monitor, "alpaca").sparkline.len(), 120);
}

#[tokio::test(start_paused = true)]
async fn the_outermost_layer_that_knows_outcomes_counts_the_calls() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let bulkhead = Fake::new(&registry, "bulkhead", "alpaca");
    let monitor = monitor(&registry);
    let success = &[("layer", "breaker"), ("outcome", "success")];
    let rejected = &[("layer", "bulkhead"), ("reason", "bulkhead_full")];
    breaker.count("seawall_calls_total", success, 60);
    bulkhead.count("seawall_calls_total", success, 60);
    bulkhead.count("seawall_rejections_total", rejected, 20);
    tick(&monitor).await;
    let seen = service(&monitor, "alpaca");
    near(Some(seen.calls_per_second), 80.0);
    near(seen.rejected_ratio, 0.25);
    near(
        Some(monitor.overview().totals.bulkhead_rejections_per_second),
        20.0,
    );

    // Around them, retry sees them all.
    let retry = Fake::new(&registry, "retry", "alpaca");
    tick(&monitor).await;
    retry.count("seawall_calls_total", &[("outcome", "success")], 5);
    retry.count("seawall_calls_total", &[("outcome", "rejected")], 5);
    bulkhead.count("seawall_rejections_total", rejected, 7);
    ticks(&monitor, 10).await;
    let seen = service(&monitor, "alpaca");
    near(Some(seen.calls_per_second), 1.0);
    near(seen.rejected_ratio, 0.5);
}

#[tokio::test(start_paused = true)]
async fn the_share_of_degraded_answers_is_shown_and_is_no_success() {
    let registry = Registry::new("desk");
    let calls = Fake::new(&registry, "telemetry", "alpaca");
    let monitor = monitor(&registry);
    calls.count("seawall_calls_total", &[("outcome", "success")], 30);
    calls.count("seawall_calls_total", &[("outcome", "failure")], 10);
    calls.count("seawall_calls_total", &[("outcome", "degraded")], 10);
    tick(&monitor).await;
    let seen = service(&monitor, "alpaca");
    near(Some(seen.calls_per_second), 50.0);
    near(seen.degraded_share, 0.2);
    near(seen.error_ratio, 0.25);
    let words = "20 % of the answers are degraded";
    assert!(seen.verdict.contains(words), "{}", seen.verdict);
    ticks(&monitor, 11).await;
    assert_eq!(service(&monitor, "alpaca").degraded_share, None);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_again_gives_no_negative_rate() {
    let registry = Registry::new("desk");
    let first = Fake::new(&registry, "telemetry", "alpaca");
    first.calls(500, 0, 10);
    let monitor = monitor(&registry);
    first.calls(10, 0, 10);
    tick(&monitor).await;
    near(Some(service(&monitor, "alpaca").calls_per_second), 10.0);

    // A counter that is smaller than it was began again.
    first.with(|it| it.counters.values_mut().for_each(|total| *total = 3));
    tick(&monitor).await;
    near(Some(service(&monitor, "alpaca").calls_per_second), 8.0);

    // Replaced between two samples: what the new one has counted for another is in none of them.
    registry.remove("telemetry", "alpaca").unwrap();
    let second = Fake::new(&registry, "telemetry", "alpaca");
    second.calls(5_000, 0, 10);
    tick(&monitor).await;
    near(
        Some(service(&monitor, "alpaca").calls_per_second),
        16.0 / 3.0,
    );

    // Gone for a sample, and back with what it had.
    registry.remove("telemetry", "alpaca").unwrap();
    tick(&monitor).await;
    assert!(monitor.overview().services.is_empty());
    registry.register(second.clone()).unwrap();
    ticks(&monitor, 11).await;
    assert_eq!(service(&monitor, "alpaca").calls_per_second, 0.0);
    second.calls(7, 0, 10);
    tick(&monitor).await;
    let last = *service(&monitor, "alpaca").sparkline.last().unwrap();
    near(Some(last.calls_per_second.into()), 7.0);
}

#[tokio::test(start_paused = true)]
async fn samples_at_the_same_moment_divide_nothing_by_zero() {
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    let monitor = monitor(&registry);
    fake.calls(10, 10, 5);
    monitor.sample();
    monitor.sample();
    assert_no_number_is_odd(&monitor);
    assert_eq!(service(&monitor, "alpaca").calls_per_second, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_summary_has_its_snapshots_and_its_trend() {
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    let config = MonitorConfig::builder().snapshots(20).build().unwrap();
    let monitor = builder(&registry).config(config).build().unwrap();
    monitor.sample();
    for _ in 0..30 {
        fake.calls(99, 1, 10);
        tick(&monitor).await;
    }
    let steady = service(&monitor, "alpaca").summary;
    assert_eq!((steady.snapshots, steady.calls), (20, 2_000));
    near(steady.success_ratio, 0.99);
    near(steady.average_seconds, 0.01);
    assert_eq!(steady.success_trend, Trend::Steady);
    assert_eq!(steady.latency_trend, Trend::Steady);
    for _ in 0..10 {
        fake.calls(50, 50, 40);
        tick(&monitor).await;
    }
    let worse = service(&monitor, "alpaca").summary;
    assert_eq!(worse.success_trend, Trend::Worse);
    assert_eq!(worse.latency_trend, Trend::Worse);
    assert!(worse.p99_seconds.unwrap() > 0.039, "{worse:?}");
    for _ in 0..10 {
        fake.calls(100, 0, 5);
        tick(&monitor).await;
    }
    let better = service(&monitor, "alpaca").summary;
    assert_eq!(better.success_trend, Trend::Better);
    assert_eq!(better.latency_trend, Trend::Better);
    ticks(&monitor, 30).await;
    let idle = service(&monitor, "alpaca").summary;
    assert_eq!(
        (idle.calls, idle.success_ratio, idle.p50_seconds),
        (0, None, None)
    );
    assert_eq!(idle.success_trend, Trend::Unknown);
}

#[tokio::test(start_paused = true)]
async fn more_services_than_may_be_are_counted() {
    let registry = Registry::new("desk");
    let config = MonitorConfig::builder().max_services(3).build().unwrap();
    for number in 0..5 {
        Fake::new(&registry, "breaker", &format!("upstream{number}"));
    }
    let monitor = builder(&registry).config(config).build().unwrap();
    monitor.sample();
    assert_eq!(monitor.overview().services.len(), 3);
    assert_eq!(monitor.overview().services_left_out, 2);
    // What is gone makes room.
    for number in 0..3 {
        registry.remove("breaker", format!("upstream{number}").as_str());
    }
    tick(&monitor).await;
    tick(&monitor).await;
    assert_eq!(monitor.overview().services.len(), 2);
    assert_eq!(monitor.overview().services_left_out, 0);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_panics_is_counted_and_spoils_no_other() {
    let registry = Registry::new("desk");
    let bad = Fake::new(&registry, "telemetry", "bad");
    let good = Fake::new(&registry, "telemetry", "good");
    let monitor = monitor(&registry);
    bad.with(|it| it.panics = true);
    good.calls(5, 0, 1);
    tick(&monitor).await;
    assert_eq!(monitor.read_panics(), 1);
    near(Some(service(&monitor, "good").calls_per_second), 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_cannot_be_read_leaves_what_was_known() {
    let registry = Registry::new("desk");
    let orders = Fake::new(&registry, "orders", "broker");
    let breaker = Fake::new(&registry, "breaker", "broker");
    let calls = Fake::new(&registry, "telemetry", "broker");
    orders.state("halted");
    orders.gauge("seawall_orders_kill_switch", &[], 1.0);
    orders.gauge("seawall_orders_in_doubt", &[], 2.0);
    let monitor = monitor(&registry);
    ticks(&monitor, 12).await;
    let alerts = ["KillSwitchOn", "OrdersInDoubt"];
    assert_eq!(firing(&monitor), alerts);
    let known = monitor.overview().orders.unwrap();
    // It panics after it has reported its counters and gauges.
    orders.with(|it| it.panics = true);
    orders.gauge("seawall_orders_in_doubt", &[], 3.0);
    calls.calls(5, 0, 10);
    calls.with(|it| it.panics = true);
    ticks(&monitor, 600).await;
    assert_eq!(firing(&monitor), alerts);
    assert_eq!(monitor.overview().orders, Some(known));
    let seen = service(&monitor, "broker");
    assert_eq!(
        seen.verdict,
        "the kill switch is engaged, `orders` cannot be read, it is shown as it was, 2 orders in doubt"
    );
    // Others of the service are read.
    breaker.state("open");
    tick(&monitor).await;
    assert_eq!(service(&monitor, "broker").state, "open");
    breaker.state("closed");
    for is_infinite in [true, false] {
        orders.with(|it| it.panics = false);
        let value = if is_infinite { f64::INFINITY } else { 0.0 };
        orders.gauge("seawall_orders_in_doubt", &[], value);
        tick(&monitor).await;
        let in_doubt = if is_infinite { 2 } else { 0 };
        assert_eq!(monitor.overview().orders.unwrap().in_doubt, in_doubt);
    }
    // What it has counted meanwhile is in the first sample that it can be read for.
    calls.with(|it| it.panics = false);
    tick(&monitor).await;
    assert_eq!(
        service(&monitor, "broker")
            .sparkline
            .last()
            .unwrap()
            .calls_per_second,
        5.0
    );
    assert!(
        !service(&monitor, "broker")
            .verdict
            .contains("cannot be read")
    );
}

/// Every number in the JSON is finite; serde writes others as `null`, where the type has no such.
fn assert_no_number_is_odd(monitor: &Monitor) {
    let overview = monitor.overview();
    let json = serde_json::to_value(&*overview).unwrap();
    for service in json["services"].as_array().unwrap() {
        for field in ["trouble", "calls_per_second", "throttled_per_second"] {
            assert!(service[field].is_number(), "{field}: {}", service[field]);
        }
        for spark in service["sparkline"].as_array().unwrap() {
            assert!(spark["calls_per_second"].is_number(), "{spark}");
        }
    }
    for (field, value) in json["totals"].as_object().unwrap() {
        let may_be_null = matches!(field.as_str(), "error_ratio" | "average_seconds");
        assert!(value.is_number() || may_be_null, "{field}: {value}");
    }
}

const GAUGES: [(&str, &[(&str, &str)]); 12] = [
    ("seawall_breaker_state_seconds", &[]),
    ("seawall_breaker_next_probe_seconds", &[]),
    (
        "seawall_breaker_failure_threshold_ratio",
        &[("window", "calls")],
    ),
    ("seawall_bulkhead_in_flight", &[]),
    ("seawall_bulkhead_max_waiting", &[]),
    ("seawall_ratelimit_pause_seconds", &[]),
    (
        "seawall_ratelimit_limit_available",
        &[("limit", "0"), ("unit", "requests")],
    ),
    (
        "seawall_ratelimit_limit_capacity",
        &[("limit", "0"), ("unit", "requests")],
    ),
    (
        "seawall_ratelimit_reported_used_ratio",
        &[("limit", "0"), ("unit", "requests")],
    ),
    ("seawall_retry_budget_balance", &[]),
    ("seawall_retry_budget_capacity", &[]),
    ("seawall_orders_in_doubt", &[]),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_figure_that_a_layer_reports_makes_json_odd(
        values in prop::collection::vec(
            prop_oneof![
                Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY),
                Just(-1.0), Just(0.0), Just(f64::MAX), 0.0..2.0,
            ],
            GAUGES.len(),
        ),
        counters: [u64; 4],
        seconds in 0_u64..100,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let registry = Registry::new("desk");
            let fakes = ["breaker", "bulkhead", "ratelimit", "retry", "orders", "telemetry"]
                .map(|pattern| Fake::new(&registry, pattern, "alpaca"));
            let monitor = monitor(&registry);
            for ((metric, labels), value) in GAUGES.iter().zip(&values) {
                for fake in &fakes {
                    fake.gauge(metric, labels, *value);
                }
            }
            for (outcome, count) in [
                &[("outcome", "success")], &[("outcome", "failure")],
                &[("outcome", "throttled")], &[("outcome", "rejected")],
            ].into_iter().zip(counters) {
                fakes[5].count("seawall_calls_total", outcome, count);
            }
            tokio::time::advance(Duration::from_secs(seconds)).await;
            monitor.sample();
            assert_no_number_is_odd(&monitor);
            tokio::time::advance(SECOND).await;
            monitor.sample();
            assert_no_number_is_odd(&monitor);
            let text = serde_json::to_string(&*monitor.overview()).unwrap();
            assert!(serde_json::from_str::<Value>(&text).is_ok());
        });
    }
}

#[test]
fn an_empty_histogram_has_no_quantile() {
    assert_eq!(HistogramSnapshot::default().quantile(0.5), None);
}
