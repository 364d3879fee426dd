//! What a report recommends, and what it does not where the evidence is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use seawall_chaos::ChaosState;
use seawall_core::{Events, InstanceHandle, InstanceName, Samples};
use seawall_experiments::{Outcome, Recommendation, Report};

use crate::support::{Desk, Layers, experiment, game_day};

fn found(report: &Report) -> Vec<(&'static str, &'static str)> {
    report
        .recommendations
        .iter()
        .map(|it| (it.layer, it.setting))
        .collect()
}

const OUTAGE: &str = r#"
    hypothesis = { metric = "success_ratio", service = "quotes", at_least = 0.9 }
    fault = [{ kind = "error_before_sending", intensity = 1.0 }]"#;

#[tokio::test(start_paused = true)]
async fn an_outage_without_a_breaker_recommends_one_and_shows_why() {
    let desk = Desk::start(Layers::default());
    let report = desk.run(&game_day(OUTAGE)).await;
    assert_eq!(found(&report), [("breaker", "missing")]);
    let Recommendation { evidence, .. } = &report.recommendations[0];
    assert_eq!(
        evidence,
        "100 of 100 attempts failed (100 %), and no layer counts circuits"
    );
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_opened_needs_no_other_threshold_but_something_that_answers() {
    let desk = Desk::start(Layers {
        retry: false,
        breaker: true,
    });
    let report = desk.run(&game_day(OUTAGE)).await;
    assert_eq!(report.outcome, Outcome::Refuted);
    assert_eq!(found(&report), [("fallback", "missing")]);
    assert!(
        report.recommendations[0]
            .evidence
            .starts_with("an open circuit rejected 9")
    );
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_did_not_open_should_open_earlier() {
    let desk = Desk::start(Layers {
        retry: false,
        breaker: true,
    });
    // Every second call: never five in a row.
    let text = OUTAGE.replace("intensity = 1.0", "intensity = 0.3");
    let report = desk.run(&game_day(&text)).await;
    assert_eq!(found(&report), [("breaker", "failure_rate")]);
    assert!(
        report.recommendations[0]
            .evidence
            .contains("and no circuit opened")
    );
}

#[tokio::test(start_paused = true)]
async fn few_failures_that_nothing_tries_again_recommend_retries() {
    let desk = Desk::start(Layers::default());
    let text = OUTAGE
        .replace("intensity = 1.0", "intensity = 0.1")
        .replace("at_least = 0.9", "at_least = 1.0");
    let report = desk.run(&game_day(&text)).await;
    assert_eq!(found(&report), [("retry", "missing")]);
}

#[tokio::test(start_paused = true)]
async fn what_held_needs_nothing() {
    let desk = Desk::start(Layers::default());
    let text = OUTAGE
        .replace("at_least = 0.9", "at_least = 0.9, tolerated = 0.99")
        .replace("1.0 }", "0.15 }");
    let report = desk.run(&game_day(&text)).await;
    assert_eq!(report.outcome, Outcome::Held);
    assert_eq!(found(&report), []);
    assert!(report.to_markdown().contains("None: the hypothesis held."));
}

#[tokio::test(start_paused = true)]
async fn slow_calls_that_nothing_ends_recommend_a_timeout() {
    let desk = Desk::start(Layers::default());
    let text = game_day(
        r#"
        hypothesis = { metric = "p99_seconds", service = "quotes", at_most = 0.1 }
        fault = [{ kind = "delay", intensity = 0.5, delay = { constant = "2s" } }]"#,
    );
    let report = desk.run(&text).await;
    assert_eq!(found(&report), [("attempt_timeout", "missing")]);
    // Without any fault to speak of there is nothing to say.
    let text = text
        .replace("at_most = 0.1", "at_most = 0.011")
        .replace("2s", "10ms");
    let desk = Desk::start(Layers::default());
    let report = desk.run(&text).await;
    assert_eq!(report.outcome, Outcome::Refuted, "{}", report.to_markdown());
    assert_eq!(found(&report), []);
    assert!(
        report
            .to_markdown()
            .contains("None: nothing that was counted points to a setting.")
    );
}

/// A layer whose counter is that of the test.
struct Counting {
    pattern: &'static str,
    metric: &'static str,
    labels: &'static [(&'static str, &'static str)],
    count: Arc<AtomicU64>,
}

impl InstanceHandle for Counting {
    fn pattern(&self) -> &'static str {
        self.pattern
    }
    fn name(&self) -> InstanceName {
        InstanceName::new("quotes")
    }
    fn state(&self) -> &'static str {
        "ok"
    }
    fn samples(&self, sink: &mut Samples<'_>) {
        sink.counter(self.metric, self.labels, self.count.load(Ordering::Relaxed));
    }
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn attach(&self, _: &Events) {}
}

/// What is recommended where another layer has counted so much before, and so much with the faults.
async fn with_counts(
    (pattern, metric, labels): (
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
    ),
    [before, during]: [u64; 2],
) -> Vec<(&'static str, &'static str)> {
    let desk = Desk::start(Layers::default());
    let count = Arc::new(AtomicU64::new(0));
    let layer = Counting {
        pattern,
        metric,
        labels,
        count: Arc::clone(&count),
    };
    desk.registry.register(layer).unwrap();
    let chaos = desk.chaos.clone();
    let (started, faulty) = (AtomicBool::new(false), AtomicBool::new(false));
    // Asked at each sample, the first one of a phase at its end.
    let runner = desk.builder().metric("load", move || {
        if !started.swap(true, Ordering::Relaxed) {
            count.fetch_add(before, Ordering::Relaxed);
        }
        let is_on = chaos.state() == ChaosState::Injecting;
        if is_on && !faulty.swap(true, Ordering::Relaxed) {
            count.fetch_add(during, Ordering::Relaxed);
        }
        Some(f64::from(u8::from(is_on)))
    });
    let text = game_day(
        r#"
        hypothesis = { metric = "load", at_most = 0 }
        fault = [{ kind = "delay", intensity = 0.01, delay = { constant = "1ms" } }]"#,
    );
    let report = runner
        .build()
        .unwrap()
        .run(&experiment(&text))
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::Refuted, "{}", report.to_markdown());
    found(&report)
}

#[tokio::test(start_paused = true)]
async fn rejections_count_where_there_are_more_of_them_than_before() {
    let full = (
        "bulkhead",
        "seawall_rejections_total",
        &[("layer", "bulkhead"), ("reason", "bulkhead_full")][..],
    );
    let limited = (
        "ratelimit",
        "seawall_rejections_total",
        &[("layer", "ratelimit"), ("reason", "rate_limited")][..],
    );
    // 50 calls before, 100 with the faults.
    assert_eq!(
        with_counts(full, [0, 10]).await,
        [("bulkhead", "max_concurrent")]
    );
    assert_eq!(with_counts(full, [10, 10]).await, [], "it was worse before");
    assert_eq!(with_counts(full, [0, 0]).await, []);
    assert_eq!(
        with_counts(limited, [0, 10]).await,
        [("ratelimit", "max_wait")]
    );
    assert_eq!(with_counts(limited, [10, 0]).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_is_open_at_the_end_should_probe_earlier() {
    let desk = Desk::start(Layers {
        retry: false,
        breaker: true,
    });
    let text = game_day(OUTAGE).replace("after = \"10s\"", "after = \"1s\", recovered = \"1s\"");
    // The circuit opens again and again, and may be open for 2 s after the end.
    let text = text.replace("during = \"10s\"", "during = \"9s\"");
    let report = desk.run(&text).await;
    match report.recovered_seconds {
        Some(_) => assert!(!found(&report).contains(&("breaker", "open_time"))),
        None => assert!(found(&report).contains(&("breaker", "open_time"))),
    }
    assert_eq!(report.recovered_seconds, None, "{}", report.to_markdown());
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_is_switched_off_should_be_on() {
    let desk = Desk::start(Layers {
        retry: false,
        breaker: true,
    });
    let breaker = desk.registry.get("breaker", "quotes").unwrap();
    breaker.control(seawall_core::Command::Bypass).unwrap();
    let report = desk.run(&game_day(OUTAGE)).await;
    assert_eq!(found(&report), [("breaker", "enabled")]);
}

/// How long a call takes says nothing of an attempt where calls are tried again.
#[tokio::test(start_paused = true)]
async fn waits_of_our_own_are_no_reason_for_a_timeout() {
    let desk = Desk::start(Layers {
        retry: true,
        breaker: false,
    });
    let text = game_day(
        r#"
        hypothesis = { metric = "p99_seconds", service = "quotes", at_most = 0.1 }
        fault = [{ kind = "delay", intensity = 0.5, delay = { constant = "2s" } }]"#,
    );
    let report = desk.run(&text).await;
    assert_eq!(report.outcome, Outcome::Refuted, "{}", report.to_markdown());
    assert_eq!(found(&report), []);
}
