//! The checks that are built in.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::{
    Events, InstanceHandle, InstanceName, Misconfiguration, Ratio, Registry, Samples,
};
use seawall_health::builtin::{self, ConfigState};
use seawall_health::{CheckConfig, CheckResult, HealthMonitor, Status};

/// An instance in a state of the test's choice, with one gauge.
struct Layer {
    pattern: &'static str,
    name: InstanceName,
    state: &'static str,
    metric: &'static str,
    gauge: f64,
    wrong: Vec<Misconfiguration>,
}

impl InstanceHandle for Layer {
    fn pattern(&self) -> &'static str {
        self.pattern
    }
    fn name(&self) -> InstanceName {
        self.name
    }
    fn state(&self) -> &'static str {
        self.state
    }
    fn samples(&self, sink: &mut Samples<'_>) {
        sink.counter("seawall_layer_calls_total", &[], 7);
        sink.gauge(self.metric, &[], self.gauge);
    }
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn misconfigured(&self) -> Vec<Misconfiguration> {
        self.wrong.clone()
    }
    fn attach(&self, _: &Events) {}
}

fn layer(pattern: &'static str, name: &str, state: &'static str) -> Layer {
    Layer {
        pattern,
        name: InstanceName::new(name),
        state,
        metric: "seawall_layer_tokens",
        gauge: 0.5,
        wrong: Vec::new(),
    }
}

fn registry(layers: impl IntoIterator<Item = Layer>) -> Registry {
    let registry = Registry::new("svc");
    for layer in layers {
        registry.register(layer).unwrap();
    }
    registry
}

fn message(result: &CheckResult) -> &str {
    result.message().unwrap_or_default()
}

#[tokio::test]
async fn open_circuits_degrade_and_too_many_of_them_fail() {
    let third = Ratio::new(0.3).unwrap();
    let of = |states: &[&'static str]| {
        let layers = states.iter().enumerate();
        registry(layers.map(|(at, state)| layer("breaker", &format!("c{at}"), state)))
    };
    let check = async |states: &[&'static str]| builtin::breakers(&of(states), third)().await;
    assert_eq!(check(&[]).await, CheckResult::healthy());
    let fine = check(&["closed", "half_open", "forced_closed"]).await;
    assert_eq!(fine, CheckResult::healthy());
    let some = check(&["closed", "closed", "open", "closed"]).await;
    assert_eq!(some, CheckResult::degraded("1 of 4 circuits are open: c2"));
    let many = check(&["closed", "forced_open", "open"]).await;
    assert_eq!(
        many,
        CheckResult::failed("2 of 3 circuits are open: c1, c2")
    );
    let all = check(&["open"; 8]).await;
    assert_eq!(
        message(&all),
        "8 of 8 circuits are open: c0, c1, c2, c3, c4 and 3 more"
    );
    // What is no circuit does not count.
    let other = registry([layer("bulkhead", "b", "open")]);
    let result = builtin::breakers(&other, third)().await;
    assert_eq!(result, CheckResult::healthy());
}

#[tokio::test]
async fn a_layer_that_is_set_up_wrongly_degrades() {
    let none = builtin::registry(&registry([]))().await;
    assert_eq!(message(&none), "no layer is registered");
    let fine = builtin::registry(&registry([layer("retry", "a", "ok")]))().await;
    assert_eq!(fine, CheckResult::healthy());
    let wrong = Layer {
        wrong: vec![Misconfiguration::Unclassified],
        ..layer("breaker", "a", "closed")
    };
    let wrong = builtin::registry(&registry([wrong]))().await;
    assert_eq!(wrong, CheckResult::degraded("breaker `a`: Unclassified"));
}

#[tokio::test]
async fn metrics_are_handed_out_are_numbers_and_are_rendered() {
    let none = builtin::metrics(&registry([]))().await;
    assert!(none.is_failure());
    let fine = registry([layer("retry", "a", "ok")]);
    assert_eq!(builtin::metrics(&fine)().await, CheckResult::healthy());
    let wrong = Layer {
        gauge: f64::NAN,
        ..layer("retry", "a", "ok")
    };
    let wrong = builtin::metrics(&registry([wrong]))().await;
    assert_eq!(
        message(&wrong),
        "not a number: seawall_layer_tokens of retry `a`"
    );

    let text = "seawall_layer_calls_total 7\nseawall_layer_tokens 0.5\n";
    let render = |text: &'static str| move || Ok::<_, String>(text.to_owned());
    let result = builtin::rendered_metrics(&fine, render(text))().await;
    assert_eq!(result, CheckResult::healthy());
    let half = builtin::rendered_metrics(&fine, render("seawall_layer_tokens 0.5"))().await;
    assert_eq!(message(&half), "not rendered: seawall_layer_calls_total");
    let broken = builtin::rendered_metrics(&fine, || Err("poisoned"))().await;
    assert_eq!(message(&broken), "not rendered: poisoned");
}

#[tokio::test]
async fn values_that_the_docs_allow_are_no_fault() {
    let check = async |metric, gauge| {
        let layer = Layer {
            metric,
            gauge,
            ..layer("rate_limit", "a", "paused")
        };
        builtin::metrics(&registry([layer]))().await
    };
    let pause = "seawall_ratelimit_pause_seconds";
    let used = "seawall_ratelimit_reported_used_ratio";
    assert_eq!(check(pause, f64::INFINITY).await, CheckResult::healthy());
    assert_eq!(check(used, f64::NAN).await, CheckResult::healthy());
    for (metric, gauge) in [(pause, f64::NAN), (used, f64::INFINITY), ("own", f64::NAN)] {
        let message = format!("not a number: {metric} of rate_limit `a`");
        assert_eq!(check(metric, gauge).await, CheckResult::failed(message));
    }
}

#[tokio::test]
async fn a_configuration_that_is_not_in_force_degrades() {
    let check = async |state: ConfigState| builtin::config(move || state.clone())().await;
    assert_eq!(check(ConfigState::Current).await, CheckResult::healthy());
    for state in [
        ConfigState::Rejected("line 3".into()),
        ConfigState::Mistaken("line 3".into()),
    ] {
        let result = check(state).await;
        assert!(!result.is_failure() && result != CheckResult::healthy());
        assert!(message(&result).ends_with(": line 3"));
    }
}

#[tokio::test]
async fn a_journal_that_lags_degrades_and_one_that_cannot_be_read_fails() {
    let unwritten = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&unwritten);
    let check = builtin::journal(move || {
        let unwritten = seen.load(Ordering::Relaxed);
        async move {
            match unwritten {
                99 => Err("the disk is full"),
                unwritten => Ok(unwritten),
            }
        }
    });
    assert_eq!(check().await, CheckResult::healthy());
    for (is, expected) in [
        (1, CheckResult::degraded("1 entry is not written")),
        (3, CheckResult::degraded("3 entries are not written")),
        (99, CheckResult::failed("the disk is full")),
    ] {
        unwritten.store(is, Ordering::Relaxed);
        assert_eq!(check().await, expected);
    }
    // As it is registered.
    let monitor = HealthMonitor::new("journal");
    monitor
        .register("journal", CheckConfig::default(), check)
        .unwrap();
    unwritten.store(0, Ordering::Relaxed);
    assert_eq!(monitor.run_all().await.status, Status::Healthy);
}
