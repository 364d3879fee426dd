//! Raised, held, resolved, acknowledged, silenced.

use std::time::Duration;

use seawall_core::{Registry, Severity};
use seawall_health::{CheckConfig, Depth, HealthMonitor};
use seawall_monitor::{
    AlertCommandError, AlertKind, AlertRule, AlertRules, AlertState, Monitor, MonitorConfig,
    ScoreView, SilenceMatcher,
};
use tokio::time::sleep;

use crate::support::{Behavior, Fake, Noted, SECOND, builder, firing, monitor, tick, ticks};

#[tokio::test(start_paused = true)]
async fn failures_raise_after_their_time_and_resolve_below_another_figure() {
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    let rule = AlertRule::builder(AlertKind::ManyFailures)
        .window(2 * SECOND)
        .lasts(3 * SECOND)
        .resolve_after(2 * SECOND)
        .build()
        .unwrap();
    let rules = AlertRules::default().with(rule);
    let monitor = builder(&registry).rules(rules).build().unwrap();
    monitor.sample();
    let step = async |success, failure| {
        fake.calls(success, failure, 1);
        tick(&monitor).await;
        !firing(&monitor).is_empty()
    };
    // 20 % fail, for 3 s.
    for raised in [false, false, false, true, true] {
        assert_eq!(step(80, 20).await, raised);
    }
    let alert = &monitor.alerts()[0];
    assert_eq!(
        (alert.name, alert.severity),
        ("ManyFailures", Severity::Warning)
    );
    assert_eq!(alert.words, "alpaca: 20 % of the calls fail");
    assert_eq!((alert.value, alert.threshold), (0.2, 0.1));
    assert_eq!(alert.labels["service"], "alpaca");
    assert_eq!(alert.labels["registry"], "desk");
    assert_eq!(alert.runbook, "docs/runbooks/ManyFailures.md");
    // 7 % is between both figures: it holds.
    for _ in 0..10 {
        assert!(step(93, 7).await);
    }
    // Back, but not for long enough.
    assert!(step(100, 0).await);
    assert!(step(100, 0).await);
    assert!(step(80, 20).await);
    assert!(step(100, 0).await);
    for raised in [true, true, false, false] {
        assert_eq!(step(100, 0).await, raised);
    }
    let over = &monitor.alerts()[0];
    assert_eq!(over.state, AlertState::Resolved);
    assert!(over.resolved_at_unix_ms.unwrap() >= over.raised_at_unix_ms);
    assert_eq!(monitor.alerts().len(), 1, "it was one alert");
}

#[tokio::test(start_paused = true)]
async fn few_calls_raise_nothing_and_none_resolve_after_a_while() {
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    let monitor = monitor(&registry);
    fake.calls(0, 19, 1);
    ticks(&monitor, 30).await;
    assert_eq!(firing(&monitor), [""; 0]);
    for _ in 0..15 {
        fake.calls(0, 19, 1);
        tick(&monitor).await;
    }
    assert_eq!(firing(&monitor), ["ManyFailures"]);
    ticks(&monitor, 300).await;
    assert_eq!(
        firing(&monitor),
        ["ManyFailures"],
        "nothing shows that it is over"
    );
    ticks(&monitor, 70).await;
    assert_eq!(firing(&monitor), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn every_rule_is_raised_by_its_cause_and_resolved_without_it() {
    const QUOTA: &[(&str, &str)] = &[("limit", "0"), ("unit", "requests")];
    let registry = Registry::new("desk");
    let of = |pattern| Fake::new(&registry, pattern, "alpaca");
    let (calls, breaker, limit) = (of("telemetry"), of("breaker"), of("ratelimit"));
    Fake::new(&registry, "breaker", "polygon");
    let (retry, orders) = (of("retry"), of("orders"));
    orders.state("normal");
    let health = HealthMonitor::new("desk");
    let check = CheckConfig::builder()
        .failures_to_unhealthy(1)
        .successes_to_recover(1);
    let is_up = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let up = std::sync::Arc::clone(&is_up);
    health
        .register("broker", check.build().unwrap(), move || {
            let up = up.load(std::sync::atomic::Ordering::Relaxed);
            async move { up }
        })
        .unwrap();
    let score = std::sync::Arc::new(std::sync::Mutex::new(90.0));
    let read = std::sync::Arc::clone(&score);
    let monitor = builder(&registry)
        .health(health.clone())
        .score(move || Some(ScoreView::new(*read.lock().unwrap(), 80.0)))
        .build()
        .unwrap();
    health.run(Depth::Shallow).await;
    monitor.sample();
    let settle = async || {
        for _ in 0..130 {
            calls.calls(10, 0, 1);
            tick(&monitor).await;
        }
        assert_eq!(firing(&monitor), [""; 0]);
    };
    let expect = async |seconds, names: &[&str]| {
        ticks(&monitor, seconds).await;
        assert_eq!(firing(&monitor), names);
    };
    settle().await;

    breaker.state("open");
    expect(1, &["BreakerOpened"]).await;
    // Of three circuits there is a share.
    Fake::new(&registry, "breaker", "feed");
    expect(1, &["BreakerOpened", "ManyBreakersOpen"]).await;
    expect(
        61,
        &["BreakerOpenLong", "BreakerOpened", "ManyBreakersOpen"],
    )
    .await;
    breaker.state("half_open");
    expect(
        29,
        &["BreakerOpenLong", "BreakerOpened", "ManyBreakersOpen"],
    )
    .await;
    expect(2, &["BreakerOpenLong", "BreakerOpened"]).await;
    breaker.state("closed");
    expect(29, &["BreakerOpened"]).await;
    expect(2, &[]).await;
    settle().await;

    for _ in 0..5 {
        let opened = &[("from", "closed"), ("to", "open")];
        breaker.count("seawall_breaker_transitions_total", opened, 1);
        ticks(&monitor, 2).await;
    }
    expect(1, &["BreakerFlapping"]).await;
    expect(880, &["BreakerFlapping"]).await;
    expect(25, &[]).await;
    settle().await;

    calls.calls(200, 0, 30_000);
    expect(15, &["SlowCalls"]).await;
    settle().await;

    calls.count("seawall_calls_total", &[("outcome", "rejected")], 500);
    expect(15, &["ManyRejections"]).await;
    settle().await;

    // A twentieth is not too much.
    calls.count("seawall_calls_total", &[("outcome", "degraded")], 30);
    expect(15, &[]).await;
    calls.count("seawall_calls_total", &[("outcome", "degraded")], 500);
    expect(15, &["DegradedAnswers"]).await;
    let words = &monitor.alerts()[0].words;
    assert!(words.ends_with(" of the answers are degraded"), "{words}");
    settle().await;

    calls.count("seawall_calls_total", &[("outcome", "throttled")], 1);
    expect(1, &["ThrottledByUpstream"]).await;
    settle().await;

    is_up.store(false, std::sync::atomic::Ordering::Relaxed);
    health.run(Depth::Shallow).await;
    expect(1, &["CheckFailing"]).await;
    assert_eq!(monitor.alerts()[0].words, "the health check `broker` fails");
    assert_eq!(monitor.alerts()[0].labels["check"], "broker");
    is_up.store(true, std::sync::atomic::Ordering::Relaxed);
    health.run(Depth::Shallow).await;
    settle().await;

    *score.lock().unwrap() = 79.0;
    expect(12, &["LowScore"]).await;
    *score.lock().unwrap() = 83.0;
    expect(60, &["LowScore"]).await;
    *score.lock().unwrap() = 85.0;
    settle().await;

    retry.gauge("seawall_retry_budget_capacity", &[], 100.0);
    retry.gauge("seawall_retry_budget_balance", &[], 0.0);
    expect(32, &["RetryBudgetExhausted"]).await;
    retry.gauge("seawall_retry_budget_balance", &[], 10.0);
    expect(60, &["RetryBudgetExhausted"]).await;
    retry.gauge("seawall_retry_budget_balance", &[], 30.0);
    settle().await;

    limit.gauge("seawall_ratelimit_limit_window_seconds", QUOTA, 86_400.0);
    limit.gauge("seawall_ratelimit_limit_capacity", QUOTA, 1_000.0);
    limit.gauge("seawall_ratelimit_limit_available", QUOTA, 50.0);
    expect(12, &["QuotaNearlySpent"]).await;
    assert_eq!(
        monitor.alerts()[0].words,
        "alpaca: 95 % of the limit `alpaca` is used"
    );
    limit.gauge("seawall_ratelimit_limit_available", QUOTA, 1_000.0);
    settle().await;
    // Orders have used all that is not reserved for cancels.
    limit.gauge("seawall_ratelimit_limit_reserved", QUOTA, 200.0);
    limit.gauge("seawall_ratelimit_limit_available", QUOTA, 200.0);
    expect(12, &["QuotaNearlySpent"]).await;
    limit.gauge("seawall_ratelimit_limit_available", QUOTA, 1_000.0);
    settle().await;
    // A pace that is used up every second is none.
    limit.gauge("seawall_ratelimit_limit_window_seconds", QUOTA, 1.0);
    limit.gauge("seawall_ratelimit_limit_available", QUOTA, 0.0);
    settle().await;

    orders.gauge("seawall_orders_in_doubt", &[], 1.0);
    expect(12, &["OrdersInDoubt"]).await;
    orders.gauge("seawall_orders_in_doubt", &[], 0.0);
    settle().await;

    orders.gauge("seawall_orders_kill_switch", &[], 1.0);
    expect(1, &["KillSwitchOn"]).await;
    orders.gauge("seawall_orders_kill_switch", &[], 0.0);
    orders.state("halted");
    expect(1, &["KillSwitchOn"]).await;
    orders.state("normal");
    settle().await;
    let mut raised: Vec<_> = monitor.alerts().iter().map(|alert| alert.name).collect();
    raised.sort_unstable();
    raised.dedup();
    let mut others: Vec<_> = AlertKind::ALL.iter().map(|kind| kind.as_str()).collect();
    others.retain(|name| !raised.contains(name));
    assert_eq!(others, ["ManyFailures"], "that one has tests of its own");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_is_one_alert_with_all_that_depends_on_it() {
    let registry = Registry::new("desk");
    let health = HealthMonitor::new("desk");
    let once = CheckConfig::builder()
        .failures_to_unhealthy(1)
        .successes_to_recover(1)
        .build()
        .unwrap();
    let is_up = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let up = std::sync::Arc::clone(&is_up);
    let network = move || {
        let up = up.load(std::sync::atomic::Ordering::Relaxed);
        async move { up }
    };
    health.register("network", once, network).unwrap();
    for number in 0..20 {
        let name = format!("dependent{number}");
        health
            .register(name.clone(), once, || async { true })
            .unwrap();
        health.set_dependencies(&name, &["network"]).unwrap();
    }
    let monitor = builder(&registry).health(health.clone()).build().unwrap();
    for expected in [&["CheckFailing"][..], &[]] {
        health.run(Depth::Shallow).await;
        tick(&monitor).await;
        assert_eq!(firing(&monitor), expected);
        is_up.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    assert_eq!(monitor.alerts()[0].labels["check"], "network");
}

#[tokio::test(start_paused = true)]
async fn probes_that_fail_are_one_outage() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let monitor = monitor(&registry);
    for second in 0..75 {
        breaker.state(if second % 10 == 9 {
            "half_open"
        } else {
            "open"
        });
        tick(&monitor).await;
    }
    assert!(firing(&monitor).contains(&"BreakerOpenLong"));
    let opened = monitor.alerts().into_iter();
    assert_eq!(opened.filter(|it| it.name == "BreakerOpened").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn rules_change_while_it_runs() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    Fake::new(&registry, "breaker", "polygon");
    Fake::new(&registry, "breaker", "feed");
    let monitor = monitor(&registry);
    breaker.state("open");
    tick(&monitor).await;
    assert_eq!(firing(&monitor), ["BreakerOpened", "ManyBreakersOpen"]);
    let off = |kind| AlertRule::builder(kind).enabled(false).build().unwrap();
    let rules = monitor.rules().with(off(AlertKind::BreakerOpened));
    monitor.configure(rules.clone());
    tick(&monitor).await;
    assert_eq!(firing(&monitor), ["ManyBreakersOpen"]);
    monitor.configure(rules.with(AlertRule::of(AlertKind::BreakerOpened)));
    tick(&monitor).await;
    assert_eq!(firing(&monitor), ["BreakerOpened", "ManyBreakersOpen"]);
    for name in ["alpaca", "polygon", "feed"] {
        registry.remove("breaker", name);
    }
    tick(&monitor).await;
    assert_eq!(
        firing(&monitor),
        ["ManyBreakersOpen"],
        "of no circuit there is no share"
    );
    ticks(&monitor, 302).await;
    assert_eq!(firing(&monitor), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_kept_within_bounds() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let config = MonitorConfig::builder().max_alerts(10).build().unwrap();
    let at_once = AlertRule::builder(AlertKind::BreakerOpened).resolve_after(Duration::ZERO);
    let rules = AlertRules::default().with(at_once.build().unwrap());
    let monitor = builder(&registry)
        .config(config)
        .rules(rules)
        .build()
        .unwrap();
    monitor.sample();
    for _ in 0..50 {
        breaker.state("open");
        tick(&monitor).await;
        breaker.state("closed");
        tick(&monitor).await;
    }
    let alerts = monitor.alerts();
    assert_eq!(alerts.len(), 10);
    assert!(
        alerts.windows(2).all(|pair| pair[0].id > pair[1].id),
        "newest first"
    );
}

/// A monitor with an open circuit, and what its sink gets.
async fn alarmed(registry: &Registry) -> (Monitor, Noted, Fake) {
    let breaker = Fake::new(registry, "breaker", "alpaca");
    let at_once = AlertRule::builder(AlertKind::BreakerOpened).resolve_after(Duration::ZERO);
    let long = AlertRule::builder(AlertKind::BreakerOpenLong).enabled(false);
    let rules = AlertRules::default()
        .with(at_once.build().unwrap())
        .with(long.build().unwrap());
    let sink = Noted::new("noted", Behavior::Notes);
    let built = builder(registry).rules(rules).sink(sink.clone()).build();
    (built.unwrap(), sink, breaker)
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_alert_is_sent_again_when_that_ends() {
    use AlertState::{Firing, Resolved};
    let registry = Registry::new("desk");
    let (monitor, sink, breaker) = alarmed(&registry).await;
    let _guard = monitor.start();
    breaker.state("open");
    sleep(2 * SECOND).await;
    assert_eq!(sink.names(), [("BreakerOpened", Firing)]);
    let id = monitor.alerts()[0].id;
    let unknown = monitor.acknowledge(99, "ann", "known", SECOND);
    assert_eq!(unknown, Err(AlertCommandError::NotFiring(99)));
    let never = monitor.acknowledge(id, "ann", "known", Duration::ZERO);
    assert_eq!(never, Err(AlertCommandError::NoTime));
    let long = "a".repeat(1_025);
    let by = monitor.acknowledge(id, &long, "known", SECOND);
    assert_eq!(by, Err(AlertCommandError::TooLong("by")));
    let reason = monitor.silence(SilenceMatcher::all(), &long[1..], &long, SECOND);
    assert_eq!(reason, Err(AlertCommandError::TooLong("reason")));
    assert_eq!(
        reason.unwrap_err().to_string(),
        "`reason` has more than 1024 bytes"
    );
    assert_eq!(monitor.silences(), []);
    monitor
        .acknowledge(id, "ann", "known", 60 * SECOND)
        .unwrap();
    assert_eq!(monitor.alerts()[0].acknowledged.as_ref().unwrap().by, "ann");
    sleep(30 * SECOND).await;
    assert_eq!(sink.names().len(), 1);
    sleep(40 * SECOND).await;
    assert_eq!(sink.names(), [("BreakerOpened", Firing); 2]);
    assert_eq!(monitor.alerts()[0].acknowledged, None);
    monitor
        .acknowledge(id, "ann", "known", Duration::MAX)
        .unwrap();
    monitor.unacknowledge(id).unwrap();
    sleep(100 * SECOND).await;
    assert_eq!(sink.names().len(), 2, "once is enough");
    breaker.state("closed");
    sleep(2 * SECOND).await;
    assert_eq!(sink.names()[2], ("BreakerOpened", Resolved));
    assert!(monitor.unacknowledge(id).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_silenced_alert_is_shown_and_sent_when_that_ends() {
    use AlertState::{Firing, Resolved};
    let registry = Registry::new("desk");
    let (monitor, sink, breaker) = alarmed(&registry).await;
    let _guard = monitor.start();
    let other = SilenceMatcher::all().service("polygon");
    monitor
        .silence(other, "ann", "not this one", Duration::MAX)
        .unwrap();
    let matcher = SilenceMatcher::all()
        .rule(AlertKind::BreakerOpened)
        .service("alpaca");
    let silence = monitor
        .silence(matcher, "ann", "maintenance", 60 * SECOND)
        .unwrap();
    breaker.state("open");
    sleep(2 * SECOND).await;
    assert_eq!(firing(&monitor), ["BreakerOpened"]);
    let shown = monitor.alerts()[0].silenced.clone().unwrap();
    assert_eq!((&*shown.by, &*shown.reason), ("ann", "maintenance"));
    assert_eq!(sink.names(), []);
    // What was never sent is not resolved, either.
    breaker.state("closed");
    sleep(2 * SECOND).await;
    assert_eq!(sink.names(), []);
    breaker.state("open");
    sleep(60 * SECOND).await;
    assert_eq!(sink.names(), [("BreakerOpened", Firing)]);
    assert_eq!(
        monitor.unsilence(silence),
        Err(AlertCommandError::NoSilence(silence))
    );

    // Silenced while it is firing: that it is over is sent.
    let silence = monitor
        .silence(matcher, "ann", "again", 600 * SECOND)
        .unwrap();
    assert!(monitor.alerts()[0].silenced.is_some());
    assert_eq!(monitor.alerts()[0].silence, Some(silence));
    // The one that has expired is not shown; the newest is first.
    let shown = monitor.silences();
    assert_eq!(monitor.overview().silences, shown);
    let services: Vec<_> = shown.iter().map(|it| (it.rule, it.service)).collect();
    let expected = [
        (Some("BreakerOpened"), Some("alpaca")),
        (None, Some("polygon")),
    ];
    assert_eq!(services, expected);
    assert_eq!(
        (shown[0].id, &*shown[0].silenced.reason),
        (silence, "again")
    );
    let mut changes = monitor.changes();
    changes.mark_unchanged();
    monitor.unsilence(silence).unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(monitor.silences().len(), 1);
    assert!(monitor.alerts()[0].silenced.is_none());
    assert_eq!(monitor.alerts()[0].silence, None);
    monitor
        .silence(matcher, "ann", "again", 600 * SECOND)
        .unwrap();
    breaker.state("closed");
    sleep(2 * SECOND).await;
    assert_eq!(sink.names()[1..], [("BreakerOpened", Resolved)]);
    // It holds for the next one, so it is shown though nothing is firing, until it expires.
    let silences = || monitor.overview().silences.len();
    assert_eq!(silences(), 2);
    sleep(600 * SECOND).await;
    assert_eq!(silences(), 1);
}

#[tokio::test(start_paused = true)]
async fn silences_are_bounded_and_expire() {
    let registry = Registry::new("desk");
    let monitor = monitor(&registry);
    let add = |lasts| monitor.silence(SilenceMatcher::all(), "ann", "", lasts);
    for _ in 0..256 {
        add(SECOND).unwrap();
    }
    assert_eq!(add(SECOND), Err(AlertCommandError::TooManySilences));
    tokio::time::advance(SECOND).await;
    add(SECOND).unwrap();
}

#[test]
fn rules_that_make_no_sense_are_rejected_by_name() {
    let of = AlertRule::builder;
    for (built, expected) in [
        (
            of(AlertKind::ManyFailures).threshold(f64::NAN),
            "`threshold` is NaN, accepted is a share from 0 to 1",
        ),
        (
            of(AlertKind::ManyFailures).resolve_at(0.2),
            "`resolve_at` is 0.2, accepted is the threshold, 0.1, or below it",
        ),
        (
            of(AlertKind::LowScore).resolve_at(70.0),
            "`resolve_at` is 70, accepted is the threshold, 80, or above it",
        ),
        (
            of(AlertKind::LowScore).threshold(101.0),
            "`threshold` is 101, accepted is a score from 0 to 100",
        ),
        (
            of(AlertKind::KillSwitchOn).threshold(1.0),
            "`threshold` is 1, accepted is nothing: it has no effect on this rule",
        ),
        (
            of(AlertKind::OrdersInDoubt).window(SECOND),
            "`window` is 1s, accepted is nothing: it has no effect on this rule",
        ),
        (
            of(AlertKind::ManyFailures).window(121 * SECOND),
            "`window` is 121s, accepted is from 1s to 120s",
        ),
        (
            of(AlertKind::ThrottledByUpstream).min_calls(3),
            "`min_calls` is 3, accepted is nothing: it has no effect on this rule",
        ),
        (
            of(AlertKind::ManyFailures).min_calls(0),
            "`min_calls` is 0, accepted is at least 1",
        ),
        (
            of(AlertKind::ManyFailures).lasts(Duration::MAX),
            "`lasts` is forever, accepted is at most a day",
        ),
    ] {
        assert_eq!(built.build().unwrap_err().to_string(), expected);
    }
    for kind in AlertKind::ALL {
        assert_eq!(of(kind).build(), Ok(AlertRule::of(kind)), "{kind:?}");
        assert_eq!(AlertKind::by_name(kind.as_str()), Ok(kind));
    }
    assert_eq!(AlertKind::by_name("Nothing").unwrap_err().field(), "rule");
    // A threshold on the other side of the default takes that along.
    let low = of(AlertKind::ManyFailures).threshold(0.01).build().unwrap();
    assert_eq!(low.resolve_at(), 0.01);
}
