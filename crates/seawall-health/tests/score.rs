//! The score of a program and its parts.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{
    Error, Events, FailureKind, InstanceHandle, InstanceName, Outcome, Ratio, Registry, Samples,
};
use seawall_health::{
    CheckConfig, HealthConfig, HealthLayer, HealthMonitor, HealthScore, Part, ScoreConfig,
    ScoreReport, ServiceFigures, Status, TradingFigures,
};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

struct Instance(&'static str, InstanceName, &'static str);

impl InstanceHandle for Instance {
    fn pattern(&self) -> &'static str {
        self.0
    }
    fn name(&self) -> InstanceName {
        self.1
    }
    fn state(&self) -> &'static str {
        self.2
    }
    fn samples(&self, _: &mut Samples<'_>) {}
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn attach(&self, _: &Events) {}
}

fn registry(layers: &[(&'static str, &'static str, &'static str)]) -> Registry {
    let registry = Registry::new("svc");
    for (pattern, name, state) in layers {
        let instance = Instance(pattern, InstanceName::from(*name), state);
        registry.register(instance).unwrap();
    }
    registry
}

fn score_of(report: &ScoreReport, part: Part) -> f64 {
    let score = report.part(part).unwrap().score.unwrap();
    (score * 100.0).round() / 100.0
}

#[test]
fn parts_have_their_weights_and_those_without_a_source_are_left_out() {
    let none = HealthScore::default().report();
    assert_eq!((none.score, none.is_low), (None, false));
    assert!(none.parts.iter().all(|part| part.score.is_none()));

    let closed = registry(&[("breaker", "a", "closed")]);
    let figures = || vec![ServiceFigures::new("feed", 0.1, Duration::ZERO)];
    let score = HealthScore::default().registry(&closed).services(figures);
    let report = score.report();
    let weights: Vec<_> = report.parts.iter().map(|p| p.weight.round()).collect();
    // 40 and 20 of 60.
    assert_eq!(weights, [67.0, 0.0, 33.0, 0.0]);
    assert_eq!(score_of(&report, Part::Services), 50.0);
    let expected = (40.0 * 100.0 + 20.0 * 50.0) / 60.0;
    assert!((report.score.unwrap() - expected).abs() < 1e-9);
    let system = report.part(Part::System).unwrap();
    assert!(system.words.starts_with("it has no source"));

    // Weights of any sum; one of 0 does not count.
    let config = ScoreConfig::builder()
        .weight(Part::Resilience, 0.0)
        .weight(Part::Services, 1.0)
        .build();
    let score = HealthScore::new(config.unwrap())
        .registry(&closed)
        .services(figures);
    let report = score.report();
    assert_eq!(report.score, Some(50.0));
    assert!(report.is_low);
    assert_eq!(score_of(&report, Part::Resilience), 100.0);
    assert_eq!(report.part(Part::Resilience).unwrap().weight, 0.0);
}

#[test]
fn settings_that_cannot_be_are_rejected_by_name() {
    let field = |b: seawall_health::ScoreConfigBuilder| b.build().unwrap_err().field().to_owned();
    let builder = ScoreConfig::builder;
    for wrong in [-1.0, f64::NAN, f64::INFINITY, 2e9] {
        assert_eq!(
            field(builder().weight(Part::System, wrong)),
            "weights.system"
        );
    }
    let nothing = Part::ALL
        .into_iter()
        .fold(builder(), |b, part| b.weight(part, 0.0));
    assert_eq!(field(nothing), "weights");
    for wrong in [-0.1, 100.1, f64::NAN] {
        assert_eq!(field(builder().threshold(wrong)), "threshold");
    }
    assert_eq!(builder().build(), Ok(ScoreConfig::default()));
    let all: f64 = Part::ALL
        .map(|part| ScoreConfig::default().weight(part))
        .iter()
        .sum();
    assert_eq!(all, 100.0);
}

#[test]
fn circuits_count_for_most_and_every_loss_is_named_by_what_it_costs() {
    let registry = registry(&[
        ("breaker", "broker", "open"),
        ("breaker", "feed", "half_open"),
        ("breaker", "news", "closed"),
        ("breaker", "mail", "closed"),
        ("bulkhead", "broker", "full"),
        ("rate_limit", "broker", "ok"),
        ("telemetry", "broker", "off"),
        ("health_monitor", "desk", "unhealthy"),
    ]);
    let report = HealthScore::default().registry(&registry).report();
    // 70 % of (0 + 1/2 + 1 + 1) / 4, and 30 % of (1/2 + 1) / 2.
    assert_eq!(
        score_of(&report, Part::Resilience),
        70.0 * 0.625 + 30.0 * 0.75
    );
    let words: Vec<_> = report
        .recommendations
        .iter()
        .map(|r| r.words.as_str())
        .collect();
    assert_eq!(
        words,
        [
            "look at what is down: breaker `broker` is open",
            "wait for its recovery: breaker `feed` is half_open",
            "send less, or allow more: bulkhead `broker` is full",
        ]
    );
    let points: f64 = report.recommendations.iter().map(|r| r.points).sum();
    assert!((points - (100.0 - report.score.unwrap())).abs() < 1e-9);
    let others = HealthScore::default()
        .registry(&registry_of_others())
        .report();
    assert_eq!(others.score, None, "nothing there protects");
}

fn registry_of_others() -> Registry {
    registry(&[("telemetry", "x", "on"), ("health", "x", "healthy")])
}

#[test]
fn trading_is_what_passes_and_what_is_in_doubt() {
    for (figures, score) in [
        (TradingFigures::new(true, true), 100.0),
        (TradingFigures::new(false, true), 40.0),
        (TradingFigures::new(false, false), 0.0),
        (TradingFigures::new(true, false), 0.0),
        (TradingFigures::new(true, true).in_doubt(u32::MAX), 70.0),
        (TradingFigures::new(true, true).exhausted(9), 50.0),
        (
            TradingFigures::new(false, true).in_doubt(9).exhausted(9),
            0.0,
        ),
    ] {
        let report = HealthScore::default().trading(move || figures).report();
        assert_eq!((figures.score(), report.score), (score, Some(score)));
        assert_eq!(report.recommendations.is_empty(), score == 100.0);
    }
}

#[cfg(feature = "system")]
#[test]
fn the_machine_is_a_part_where_it_is_known() {
    use seawall_health::SystemProbe;

    let report = HealthScore::default()
        .system(SystemProbe::new().disk("/"))
        .report();
    let system = report.system.clone().unwrap();
    if cfg!(target_os = "linux") {
        let memory = system.memory.unwrap().share();
        let part = score_of(&report, Part::System);
        assert!(part <= (100.0 * (1.0 - memory) / 0.3).min(100.0) + 0.01);
    }
}

#[tokio::test(start_paused = true)]
async fn services_are_layers_and_the_checks_of_the_monitor() {
    let config = HealthConfig::builder().min_calls(2).build().unwrap();
    let layer = HealthLayer::new("orders", config);
    let mut client = layer.layer(service_fn(|fails: bool| async move {
        if fails {
            Err(Error::Inner("down"))
        } else {
            Ok::<_, Error<&str>>(())
        }
    }));
    let monitor = HealthMonitor::new("services");
    let once = CheckConfig::builder()
        .failures_to_unhealthy(1)
        .build()
        .unwrap();
    monitor.register_layer(layer.handle(), once).unwrap();
    monitor.register("good", once, || async { true }).unwrap();
    monitor
        .register("bad", once, || async { Err::<(), _>("down") })
        .unwrap();
    monitor
        .register("never run", once, || async { true })
        .unwrap();
    monitor.remove("never run");
    assert_eq!(monitor.score(), None);
    monitor.set_score(HealthScore::default().layer(layer.handle()));
    assert_eq!(
        monitor.score().unwrap().score,
        None,
        "nothing was called yet"
    );

    for fails in [true, false] {
        let _ = client.ready().await.unwrap().call(fails).await;
    }
    monitor.run_all().await;
    let report = monitor.comprehensive();
    let score = report.score.unwrap();
    let services: Vec<_> = score
        .services
        .iter()
        .map(|s| (s.name.as_str(), s.score))
        .collect();
    // Half of the calls of the layer fail, which is five times what may.
    assert_eq!(services, [("orders", 0.0), ("bad", 0.0), ("good", 100.0)]);
    assert_eq!(score_of(&monitor.score().unwrap(), Part::Services), 33.33);
    let words: Vec<_> = score
        .recommendations
        .iter()
        .map(|r| r.words.as_str())
        .collect();
    assert_eq!(
        words,
        [
            "look at `orders`: 50.0 % of the calls fail, 0.0 % are slow",
            "look at `bad`: 100.0 % of the calls fail",
        ]
    );

    // What is down because of something else is not what to look at.
    monitor.set_dependencies("good", &["bad"]).unwrap();
    let score = monitor.score().unwrap();
    let words = score.recommendations.iter().map(|r| r.words.as_str());
    assert!(
        words
            .clone()
            .any(|w| w == "bring `bad` back: `good` depends on it"),
        "{words:?}"
    );

    let mut gauges = Vec::new();
    monitor.samples(&mut Samples::new(&mut |sample| {
        if sample.metric.contains("score") {
            gauges.push((sample.metric, sample.labels.to_vec()));
        }
    }));
    assert_eq!(gauges.len(), 1 + 1 + 3);
    assert!(gauges.contains(&("seawall_health_part_score", vec![("part", "services")])));
}

#[tokio::test(start_paused = true)]
async fn sources_are_asked_at_each_report() {
    let percent = Arc::new(AtomicU64::new(0));
    let errors = Arc::clone(&percent);
    let limit = Ratio::new(0.5).unwrap();
    let score = HealthScore::default().services(move || {
        let rate = errors.load(Ordering::Relaxed) as f64 / 100.0;
        vec![ServiceFigures::new("feed", rate, Duration::ZERO).limits(limit, SECOND)]
    });
    assert_eq!(score.report().score, Some(100.0));
    percent.store(50, Ordering::Relaxed);
    let report = score.report();
    assert_eq!((report.score, report.is_low), (Some(50.0), true));
}

/// A layer around a fallback, whose calls end as they are asked to.
async fn around_a_fallback(outcomes: &[Outcome]) -> ScoreReport {
    let config = HealthConfig::builder().min_calls(10).build().unwrap();
    let layer = HealthLayer::new("opinion", config)
        .classify(|result: Result<&Outcome, &Error<&str>>| *result.unwrap());
    let echo = service_fn(|outcome: Outcome| async move { Ok::<_, Error<&str>>(outcome) });
    let mut client = layer.layer(echo);
    for outcome in outcomes {
        let answer = client.ready().await.unwrap().call(*outcome).await;
        answer.unwrap();
    }
    HealthScore::default().layer(layer.handle()).report()
}

fn mixed(success: usize, degraded: usize, failure: usize) -> Vec<Outcome> {
    [
        vec![Outcome::Success; success],
        vec![Outcome::Degraded; degraded],
        vec![Outcome::Failure(FailureKind::Server); failure],
    ]
    .concat()
}

#[tokio::test(start_paused = true)]
async fn a_service_that_its_fallback_answers_for_is_not_healthy() {
    for (calls, score) in [
        (mixed(100, 0, 0), Some(100.0)),
        // At the limit of 10 % failures have half of the marks: the mean of 100 and 50.
        (mixed(90, 10, 0), Some(75.0)),
        (mixed(50, 50, 0), Some(50.0)),
        (mixed(0, 100, 0), Some(50.0)),
        // What no step has answered is a failure: 5 of 100 alone have 75, with 5 more 50.
        (mixed(90, 5, 5), Some(62.5)),
        (mixed(0, 0, 100), Some(0.0)),
        (mixed(0, 9, 0), None),
    ] {
        let report = around_a_fallback(&calls).await;
        let part = report.part(Part::Services).unwrap().score;
        assert_eq!(part.is_some(), score.is_some(), "{report:?}");
        if let (Some(part), Some(score)) = (part, score) {
            assert!((part - score).abs() < 1e-9, "{report:?}");
        }
    }
    let report = around_a_fallback(&mixed(58, 42, 0)).await;
    assert_eq!(
        report.recommendations[0].words,
        "look at `opinion`: 0.0 % of the calls fail, 42.0 % were not answered by the upstream, 0.0 % are slow"
    );
    // That nobody gets an answer caps the score; that nobody gets a fresh one does not.
    let words = |report: &ScoreReport| report.recommendations[0].words.clone();
    let answered = around_a_fallback(&mixed(0, 100, 0)).await;
    assert!(!words(&answered).contains("at most"), "{answered:?}");
    let failed = around_a_fallback(&mixed(0, 1, 99)).await;
    assert!(!words(&failed).contains("at most"), "{failed:?}");
    let nothing_degraded = words(&around_a_fallback(&mixed(90, 0, 10)).await);
    assert!(
        !nothing_degraded.contains("upstream"),
        "{nothing_degraded:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn degraded_answers_do_not_change_the_status() {
    let config = HealthConfig::builder().min_calls(10).build().unwrap();
    let layer = HealthLayer::new("opinion", config)
        .classify(|result: Result<&Outcome, &Error<&str>>| *result.unwrap());
    let echo = service_fn(|outcome: Outcome| async move { Ok::<_, Error<&str>>(outcome) });
    let mut client = layer.layer(echo);
    for outcome in mixed(10, 30, 0) {
        let answer = client.ready().await.unwrap().call(outcome).await;
        answer.unwrap();
    }
    let stats = layer.handle().passive_stats();
    assert_eq!((stats.status, stats.calls), (Status::Healthy, 10));
    assert_eq!((stats.degraded, stats.degraded_rate()), (30, 0.75));
    // They are as long in the window as the others.
    tokio::time::advance(61 * SECOND).await;
    let stats = layer.handle().passive_stats();
    assert_eq!((stats.degraded, stats.degraded_rate()), (0, 0.0));
}

proptest! {
    /// Worth less than a fresh answer, and more than a failure, whatever the limits are.
    #[test]
    fn a_degraded_answer_is_between_a_fresh_one_and_a_failure(
        failed in 0.0_f64..1.0, share in 0.0_f64..1.0, limit in 0.0_f64..=1.0, ms in 0_u64..60_000,
    ) {
        let share = share * (1.0 - failed);
        let of = |failed, degraded| {
            ServiceFigures::new("s", failed, Duration::from_millis(ms))
                .limits(Ratio::new(limit).unwrap(), SECOND)
                .degraded(Ratio::new(degraded).unwrap())
                .score()
        };
        let (fresh, degraded, fails) = (of(failed, 0.0), of(failed, share), of(failed + share, 0.0));
        prop_assert!(fails <= degraded && degraded <= fresh, "{fails} {degraded} {fresh}");
        prop_assert!(fresh - fails < 1e-6 || (fails < degraded && degraded < fresh));
    }
}

#[test]
fn a_critical_service_that_lets_nothing_pass_caps_the_score() {
    for (state, is_capped) in [
        ("open", true),
        ("forced_open", true),
        ("half_open", false),
        ("forced_closed", false),
        ("closed", false),
    ] {
        let feeds = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let mut all: Vec<_> = feeds.map(|feed| ("breaker", feed, "closed")).into();
        all.push(("breaker", "broker", state));
        let registry = registry(&all);
        let score = || HealthScore::default().registry(&registry);
        assert!(!score().report().is_low, "one of many: {state}");
        assert!(!score().critical("a").report().is_low);
        let report = score().critical("a").critical("broker").report();
        assert_eq!(report.is_low, is_capped, "{state}");
        if is_capped {
            assert_eq!(report.score, Some(40.0));
            let words = &report.recommendations[0].words;
            assert!(words.contains("breaker `broker` is"), "{words}");
            assert!(
                words.ends_with("until then the score is at most 40"),
                "{words}"
            );
        }
    }
}

/// A pace of ten a second has less than one token after each call: the score fell to 40 with each of them.
#[test]
fn of_a_critical_service_only_what_lets_nothing_pass_caps_the_score() {
    for (pattern, state, is_capped) in [
        ("ratelimit", "exhausted", false),
        ("ratelimit_per_key", "exhausted", false),
        ("ratelimit", "queueing", false),
        ("ratelimit", "paused", true),
        ("bulkhead", "full", false),
        ("bulkhead", "draining", true),
        ("router", "exhausted", true),
        ("spend", "exhausted", true),
        ("orders", "normal", false),
        ("orders", "reduce_only", false),
        ("orders", "halted", true),
    ] {
        let all = [("breaker", "broker", "closed"), (pattern, "broker", state)];
        let score = HealthScore::default().registry(&registry(&all));
        let report = score.critical("broker").report();
        assert_eq!(report.is_low, is_capped, "{pattern} {state}: {report:?}");
    }
}

#[test]
fn a_critical_service_that_is_not_there_caps_the_score() {
    let feeds = registry(&[("breaker", "feed", "closed")]);
    for registry in [feeds, Registry::new("empty")] {
        let score = HealthScore::default().registry(&registry);
        let report = score.critical("brokr").report();
        assert!(report.is_low, "{report:?}");
        let words = &report.recommendations[0].words;
        assert!(
            words.starts_with("register `brokr`, which is critical"),
            "{words}"
        );
    }
}

#[test]
fn what_does_not_work_caps_the_score_below_the_threshold() {
    let registry = registry(&[("breaker", "broker", "closed")]);
    let of = |figures: ServiceFigures, opens, closes, config: ScoreConfig| {
        HealthScore::new(config)
            .registry(&registry)
            .services(move || vec![figures])
            .trading(move || TradingFigures::new(opens, closes))
            .report()
    };
    let fine = || ServiceFigures::new("feed", 0.0, Duration::ZERO);
    let dead = || ServiceFigures::new("feed", 1.0, Duration::ZERO);
    let default = ScoreConfig::default();
    let is_full = |report: ScoreReport| report.score.unwrap() > 100.0 - 1e-9;
    assert!(is_full(of(fine(), true, true, default)));

    let no_order = "find out why no order passes, not even one that closes a position";
    let no_new = "find out why no new order passes";
    let no_call = "look at `feed`: 100.0 % of the calls fail";
    for (report, words) in [
        (of(fine(), false, false, default), no_order),
        (of(fine(), false, true, default), no_new),
        (of(dead(), true, true, default), no_call),
    ] {
        assert_eq!((report.score, report.is_low), (Some(40.0), true), "{words}");
        let [only] = &report.recommendations[..] else {
            panic!("{:?}", report.recommendations);
        };
        assert_eq!(
            only.words,
            format!("{words}; until then the score is at most 40")
        );
        assert!((only.points - 60.0).abs() < 1e-9, "{only:?}");
    }
    // Both are named, and what the score lacks is what they cost.
    let both = of(dead(), false, true, default);
    assert_eq!((both.score, both.recommendations.len()), (Some(40.0), 2));
    let points: f64 = both.recommendations.iter().map(|r| r.points).sum();
    assert!((points - 60.0).abs() < 1e-9, "{points}");

    // What does not count does not cap, and neither does what is not critical.
    let config = ScoreConfig::builder().weight(Part::Trading, 0.0).build();
    assert!(is_full(of(fine(), false, false, config.unwrap())));
    let other = of(dead().not_critical(), true, true, default);
    assert!(other.score.unwrap() > 70.0, "{other:?}");
}

#[test]
fn a_source_that_panics_costs_its_part_and_nothing_else() {
    let registry = registry(&[("breaker", "broker", "closed")]);
    let monitor = HealthMonitor::new("panics");
    let fine = || vec![ServiceFigures::new("feed", 0.0, Duration::ZERO)];
    let score = HealthScore::default()
        .registry(&registry)
        .services(fine)
        .services(|| panic!("no table"))
        .trading(|| panic!("the book is poisoned"));
    monitor.set_score(score);
    let score = monitor.comprehensive().score.unwrap();
    assert_eq!(score_of(&score, Part::Services), 50.0);
    assert_eq!(score_of(&score, Part::Trading), 0.0);
    assert!(score.is_low, "nobody knows whether orders pass");
    let words: Vec<_> = score
        .recommendations
        .iter()
        .map(|r| r.words.as_str())
        .collect();
    assert!(
        words[0].contains("trading panics: the book is poisoned"),
        "{words:?}"
    );
    assert_eq!(
        words[1],
        "find out why a source of services panics: no table"
    );
    monitor.samples(&mut Samples::new(&mut |_| {}));
}

#[tokio::test(start_paused = true)]
async fn a_critical_check_that_is_unhealthy_caps_the_score() {
    for (critical, low) in [(true, true), (false, false)] {
        let monitor = HealthMonitor::new("caps");
        let config = CheckConfig::builder().failures_to_unhealthy(1);
        let config = config.critical(critical).build().unwrap();
        monitor
            .register("feed", config, || async { false })
            .unwrap();
        for at in 0..9 {
            let fine = || async { true };
            monitor
                .register(format!("fine {at}"), config, fine)
                .unwrap();
        }
        monitor.set_score(HealthScore::default());
        monitor.run_all().await;
        let score = monitor.score().unwrap();
        assert_eq!(
            (score.is_low, score.score),
            (low, Some(if low { 40.0 } else { 90.0 }))
        );
    }
}

#[test]
fn a_share_that_is_not_a_number_has_no_marks() {
    let figures = ServiceFigures::new("feed", f64::NAN, Duration::ZERO);
    assert_eq!(figures.score(), 0.0);
    let report = HealthScore::default()
        .services(move || vec![figures])
        .report();
    assert_eq!(report.score, Some(0.0));
    let words = "look at `feed`: its share of failed calls is not a number";
    assert_eq!(report.recommendations[0].words, words);
}

proptest! {
    /// Whatever the weights and figures are: the score is between the worst and the best part, and
    /// weights come to 100 %.
    #[test]
    fn a_score_is_a_mean_of_its_parts(
        weights in proptest::array::uniform4(0.0_f64..1_000.0),
        rate in 0.0_f64..2.0,
        open in 0_usize..5,
        doubt in 0_u32..9,
        trades in any::<bool>(),
    ) {
        let builder = Part::ALL.into_iter().zip(weights);
        let builder = builder.fold(ScoreConfig::builder(), |b, (part, weight)| b.weight(part, weight));
        let Ok(config) = builder.build() else { return Ok(()) };
        let names = ["a", "b", "c", "d", "e"];
        let state = |at: usize| if at < open { "open" } else { "closed" };
        let layers: Vec<_> = (0..5).map(|at| ("breaker", names[at], state(at))).collect();
        let mut score = HealthScore::new(config)
            .registry(&registry(&layers))
            .services(move || vec![ServiceFigures::new("s", rate, SECOND)]);
        if trades {
            score = score.trading(move || TradingFigures::new(true, true).in_doubt(doubt));
        }
        let report = score.report();
        let counted: Vec<_> = report.parts.iter().filter(|p| p.weight > 0.0).collect();
        let scores = counted.iter().filter_map(|p| p.score);
        let (low, high) = scores.fold((100.0_f64, 0.0_f64), |(l, h), s| (l.min(s), h.max(s)));
        if let Some(score) = report.score {
            // Where every call fails, it is capped.
            prop_assert!(rate >= 1.0 || score >= low - 1e-6);
            prop_assert!(score <= high + 1e-6);
            let sum: f64 = report.parts.iter().map(|p| p.weight).sum();
            prop_assert!((sum - 100.0).abs() < 1e-6);
        }
    }
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_comprehensive_report_is_serialized() {
    let monitor = HealthMonitor::new("desk");
    monitor.set_score(HealthScore::default().trading(|| TradingFigures::new(true, true)));
    let json = serde_json::to_value(monitor.comprehensive()).unwrap();
    assert_eq!(json["name"], "desk");
    assert_eq!(json["score"]["score"], 100.0);
    assert_eq!(json["score"]["parts"][3]["part"], "trading");
    assert_eq!(json["score"]["parts"][0]["score"], serde_json::Value::Null);
    assert_eq!(json["score"]["is_low"], false);
}
