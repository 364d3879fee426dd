//! The gauges of what a dashboard shows: times that run, limits, and what an upstream has reported of its own.

use std::time::Duration;

use seawall::ratelimit::{Limit, RateLimitConfig, RateLimitHandle, RateLimitLayer};
use seawall::{
    BreakerConfig, BreakerLayer, Budget, BulkheadConfig, BulkheadLayer, HedgeConfig, HedgeLayer,
    InstanceHandle, RetryConfig, RetryLayer,
};
use seawall_core::{
    QuotaSignal, Ratio, Replay, RequestMeta, Samples, Scope, ServerLimit, Unit, Value,
};
use tokio::time::advance;

/// The gauge of that name whose labels have this value, if there is one.
fn gauge(handle: &dyn InstanceHandle, metric: &str, label: Option<&str>) -> Option<f64> {
    let mut found = None;
    handle.samples(&mut Samples::new(&mut |sample| {
        let has_label = label.is_none_or(|value| sample.labels.iter().any(|(_, v)| *v == value));
        if let Value::Gauge(value) = sample.value
            && sample.metric == metric
            && has_label
        {
            assert_eq!(found.replace(value), None, "two of {metric} {label:?}");
        }
    }));
    found
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("there is none");
    assert!((found - expected).abs() < 0.01, "{found}, not {expected}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_shows_how_long_it_is_in_its_state_and_when_it_probes() {
    let config = BreakerConfig::builder()
        .failure_rate(0.3, 10)
        .failure_rate_over(0.4, Duration::from_secs(60))
        .slow_after(Duration::from_secs(1))
        .slow_rate(0.6, 10)
        .slow_rate_over(0.7, Duration::from_secs(60))
        .open_for(Duration::from_secs(20));
    let handle = BreakerLayer::new("shown", config.build().expect("valid")).handle();
    let of = |metric, label| gauge(&handle, metric, label);
    advance(Duration::from_secs(7)).await;
    near(of("seawall_breaker_state_seconds", None), 7.0);
    near(of("seawall_breaker_next_probe_seconds", None), 0.0);
    handle.force_open_for(Duration::from_secs(20));
    advance(Duration::from_secs(3)).await;
    near(of("seawall_breaker_state_seconds", None), 3.0);
    near(of("seawall_breaker_next_probe_seconds", None), 17.0);
    assert_eq!(handle.snapshot().in_state, Duration::from_secs(3));
    handle.reset();
    near(of("seawall_breaker_state_seconds", None), 0.0);
    near(of("seawall_breaker_next_probe_seconds", None), 0.0);
    for (metric, window, share) in [
        ("seawall_breaker_failure_threshold_ratio", "calls", 0.3),
        ("seawall_breaker_failure_threshold_ratio", "time", 0.4),
        ("seawall_breaker_slow_threshold_ratio", "slow_calls", 0.6),
        ("seawall_breaker_slow_threshold_ratio", "time", 0.7),
    ] {
        near(of(metric, Some(window)), share);
    }
    let plain = BreakerConfig::builder().failure_rate(0.5, 10).build();
    handle.configure(plain.unwrap()).unwrap();
    near(
        of("seawall_breaker_failure_threshold_ratio", Some("calls")),
        0.5,
    );
    assert_eq!(of("seawall_breaker_slow_threshold_ratio", None), None);
}

#[tokio::test(start_paused = true)]
async fn bulkheads_and_budgets_show_their_limits() {
    let config = BulkheadConfig::builder().max_concurrent(3).max_waiting(7);
    let bulkhead = BulkheadLayer::new("shown", config.build().expect("valid")).handle();
    near(gauge(&bulkhead, "seawall_bulkhead_max_waiting", None), 7.0);
    let budget = seawall_core::BudgetConfig::new(0.1, 1.0, 25).unwrap();
    let retry = RetryLayer::new("shown", RetryConfig::default());
    let retry = retry.budget(Budget::new(budget)).handle();
    near(gauge(&retry, "seawall_retry_budget_capacity", None), 25.0);
    let hedge = HedgeLayer::new("shown", HedgeConfig::default());
    let hedge = hedge.budget(Budget::new(budget)).handle();
    near(gauge(&hedge, "seawall_hedge_budget_capacity", None), 25.0);
}

fn limits(limits: Vec<Limit>) -> RateLimitHandle {
    let config = { limits }.into_iter().fold(
        RateLimitConfig::builder(),
        seawall::ratelimit::RateLimitConfigBuilder::limit,
    );
    RateLimitLayer::new("shown", config.build().expect("valid")).handle()
}

fn take(handle: &RateLimitHandle) {
    let reserved = handle.try_reserve(&RequestMeta::new(Replay::Never));
    reserved.expect("there are tokens").commit();
}

#[tokio::test(start_paused = true)]
async fn a_limit_shows_what_is_reserved_of_it() {
    let config = RateLimitConfig::builder()
        .limit(Limit::strict(100, Duration::from_secs(60)))
        .limit(Limit::bucket(10, Duration::from_secs(1)).burst(1));
    let share = Ratio::new(0.25).unwrap();
    let config = config.reserved_share(share).build().unwrap();
    let handle = RateLimitLayer::new("alpaca", config).handle();
    let of = |limit| gauge(&handle, "seawall_ratelimit_limit_reserved", Some(limit));
    near(of("0"), 25.0);
    near(of("1"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_shows_its_size_and_when_it_is_full_again() {
    let handle = limits(vec![
        Limit::bucket(10, Duration::from_secs(1)).burst(5).into(),
        Limit::strict(100, Duration::from_secs(60)).into(),
    ]);
    let of = |metric, limit| gauge(&handle, metric, Some(limit));
    for (limit, capacity, window) in [("0", 5.0, 1.0), ("1", 100.0, 60.0)] {
        near(of("seawall_ratelimit_limit_capacity", limit), capacity);
        near(of("seawall_ratelimit_limit_available", limit), capacity);
        near(of("seawall_ratelimit_limit_window_seconds", limit), window);
        near(of("seawall_ratelimit_limit_full_seconds", limit), 0.0);
    }
    (0..4).for_each(|_| take(&handle));
    near(of("seawall_ratelimit_limit_full_seconds", "0"), 0.4);
    let strict = of("seawall_ratelimit_limit_full_seconds", "1").unwrap();
    assert!((60.0..62.0).contains(&strict), "{strict}");
    advance(Duration::from_secs(30)).await;
    near(of("seawall_ratelimit_limit_full_seconds", "0"), 0.0);
    let strict = of("seawall_ratelimit_limit_full_seconds", "1").unwrap();
    assert!((30.0..32.0).contains(&strict), "{strict}");

    // A single bucket has the same gauges.
    let single = limits(vec![
        Limit::bucket(10, Duration::from_secs(1)).burst(5).into(),
    ]);
    take(&single);
    near(
        gauge(&single, "seawall_ratelimit_limit_available", Some("0")),
        4.0,
    );
    near(
        gauge(&single, "seawall_ratelimit_limit_full_seconds", Some("0")),
        0.1,
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_shows_how_long_it_lasts() {
    let handle = limits(vec![
        Limit::bucket(10, Duration::from_secs(1)).burst(5).into(),
    ]);
    let of = |metric| gauge(&handle, metric, None);
    near(of("seawall_ratelimit_pause_seconds"), 0.0);
    handle.apply_signal(QuotaSignal::Pause {
        lasts: Some(Duration::from_secs(12)),
        scope: Scope::Upstream,
    });
    near(of("seawall_ratelimit_pause_seconds"), 12.0);
    advance(Duration::from_secs(5)).await;
    near(of("seawall_ratelimit_pause_seconds"), 7.0);
    handle.pause();
    assert_eq!(of("seawall_ratelimit_pause_seconds"), Some(f64::INFINITY));
    assert_eq!(
        of("seawall_ratelimit_limit_full_seconds"),
        Some(f64::INFINITY)
    );
    handle.resume();
    near(of("seawall_ratelimit_pause_seconds"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_of_its_limit_is_shown_until_it_is_out_of_date() {
    const MINUTE: Duration = Duration::from_secs(60);
    let handle = limits(vec![Limit::bucket(100, MINUTE).burst(20).into()]);
    let of = |metric: &str| {
        gauge(
            &handle,
            &format!("seawall_ratelimit_reported_{metric}"),
            None,
        )
    };
    assert_eq!(of("remaining"), None, "nothing was reported");
    let reported = ServerLimit::new(Unit::Requests)
        .with_window(MINUTE)
        .with_limit(200);
    handle.apply_signal(QuotaSignal::Limit(
        reported.with_remaining(50).with_resets_in(MINUTE / 2),
    ));
    for (figure, value) in [
        ("limit", 200.0),
        ("remaining", 50.0),
        ("reset_seconds", 30.0),
        ("used_ratio", 0.75),
        ("age_seconds", 0.0),
    ] {
        near(of(figure), value);
    }
    advance(MINUTE / 3).await;
    near(of("reset_seconds"), 10.0);
    near(of("age_seconds"), 20.0);
    advance(MINUTE / 6).await;
    for figure in ["remaining", "reset_seconds", "used_ratio"] {
        assert!(of(figure).unwrap().is_nan(), "{figure} after the reset");
    }
    near(of("limit"), 200.0);
    near(of("age_seconds"), 30.0);
    let snapshot = handle.snapshot().limits[0].reported.unwrap();
    assert_eq!((snapshot.remaining, snapshot.used_ratio()), (None, None));

    // Without an end it holds for a window, and the share needs the limit.
    handle.apply_signal(QuotaSignal::Limit(
        ServerLimit::new(Unit::Requests).with_remaining(3),
    ));
    near(of("remaining"), 3.0);
    assert!(of("reset_seconds").unwrap().is_nan());
    assert!(of("used_ratio").unwrap().is_nan());
    advance(MINUTE).await;
    assert!(of("remaining").unwrap().is_nan());
}
