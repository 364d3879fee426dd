//! Steady state, faults, recovery.

use seawall_chaos::ChaosState;
use seawall_experiments::{InvalidConfig, Outcome, Phase};
use tokio::time::Instant;

use crate::support::{Desk, Layers, assert_outcome, experiment, game_day};

const RETRY: Layers = Layers {
    retry: true,
    breaker: false,
};

const HELD: &str = r#"
    hypothesis = { metric = "success_ratio", service = "quotes", at_least = 0.9 }
    fault = [{ kind = "error_before_sending", intensity = 0.1 }]"#;

#[tokio::test(start_paused = true)]
async fn retries_that_cover_for_failures_are_a_hypothesis_that_holds() {
    let desk = Desk::start(RETRY);
    let start = Instant::now();
    let report = desk.run(&game_day(HELD)).await;
    assert_outcome(&report, Outcome::Held);
    // Before and during as written, and until it had held for 3 s.
    assert_eq!((Instant::now() - start).as_secs(), 5 + 10 + 3);
    assert_eq!(report.seconds.round(), 18.0);
    let held: Vec<_> = report
        .hypothesis
        .phases
        .iter()
        .map(|phase| (phase.phase, phase.held))
        .collect();
    let expected = [Phase::Before, Phase::During, Phase::After].map(|phase| (phase, Some(true)));
    assert_eq!(held, expected);
    assert_eq!(report.phase(Phase::During).unwrap().samples, 10);
    assert!(report.injected() > 3, "of a hundred calls");
    assert_eq!(report.injected(), report.faults[0].injected);
    assert_eq!(
        report.faults[0].calls,
        desk.chaos.counts().injected() + report.faults[0].calls - report.injected()
    );
    assert_eq!(report.recovered_seconds, Some(0.0));
    assert!(report.recommendations.is_empty());
    assert_eq!(desk.chaos.state(), ChaosState::Off);
}

#[tokio::test(start_paused = true)]
async fn without_a_layer_that_helps_the_hypothesis_is_refuted() {
    let desk = Desk::start(Layers::default());
    let report = desk.run(&game_day(HELD)).await;
    assert_outcome(&report, Outcome::Refuted);
    let during = report.phase(Phase::During).unwrap();
    assert_eq!(during.held, Some(false));
    assert!(during.outside > 0 && during.worst.unwrap() < 0.9);
    assert_eq!(report.phase(Phase::Before).unwrap().mean, Some(1.0));
    assert_eq!(report.recovered_seconds, Some(0.0), "{}", report.words);
}

#[tokio::test(start_paused = true)]
async fn what_is_tolerated_is_not_refuted() {
    let desk = Desk::start(Layers::default());
    let tolerant = HELD.replace("at_least = 0.9", "at_least = 0.9, tolerated = 0.99");
    assert_outcome(&desk.run(&game_day(&tolerant)).await, Outcome::Held);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_in_steady_state_is_not_started() {
    let desk = Desk::start(Layers::default());
    let down = seawall_chaos::Fault::error_before_sending();
    let by_an_operator = desk.chaos.start(down).unwrap();
    let report = desk.run(&game_day(HELD)).await;
    assert_outcome(&report, Outcome::NotSteady);
    assert_eq!(report.injected(), 0);
    assert_eq!(report.phase(Phase::During), None);
    assert!(by_an_operator.is_on(), "faults of others stay");
}

#[tokio::test(start_paused = true)]
async fn faults_that_change_nothing_show_nothing() {
    let desk = Desk::start(Layers::default());
    let unreached = HELD.to_owned() + "\nblast_radius.operations = ['bars']";
    let text = game_day(&unreached)
        .replace("blast_radius = { services", "blast_radius.services")
        .replace("['quotes'] }", "['quotes']");
    let text = text.replace("[\"quotes\"] }\n        run", "[\"quotes\"]\n        run");
    let report = desk.run(&text).await;
    assert_outcome(&report, Outcome::Inconclusive);
    assert_eq!(report.injected(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_only_afterwards_has_not_recovered() {
    for (seconds, outcome) in [(20, Outcome::NotRecovered), (4, Outcome::Held)] {
        let desk = Desk::start(RETRY);
        let chaos = desk.chaos.clone();
        let ended_at = std::sync::OnceLock::new();
        // A backlog that takes so long to work off.
        let runner = desk.builder().metric("backlog", move || {
            let is_over = chaos.counts().injected() > 0 && chaos.state() == ChaosState::Off;
            let ended = is_over.then(|| *ended_at.get_or_init(Instant::now));
            let is_full = ended.is_some_and(|at| (Instant::now() - at).as_secs() < seconds);
            Some(f64::from(u8::from(is_full)))
        });
        let text = HELD.replace(
            "success_ratio\", service = \"quotes\", at_least = 0.9",
            "backlog\", at_most = 0",
        );
        let report = runner
            .build()
            .unwrap()
            .run(&experiment(&game_day(&text)))
            .await
            .unwrap();
        assert_outcome(&report, outcome);
        match outcome {
            Outcome::Held => assert_eq!(report.recovered_seconds, Some(4.0)),
            _ => assert_eq!(report.recovered_seconds, None),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_of_the_file_ends_the_faults() {
    let desk = Desk::start(Layers::default());
    let text = game_day(
        r#"
        hypothesis = { metric = "success_ratio", at_least = 0.01, tolerated = 0.9 }
        guard = [{ metric = "error_ratio", service = "quotes", at_most = 0.5, lasts = "3s" }]
        fault = [{ kind = "error_before_sending", intensity = 1.0 }]"#,
    );
    let report = desk.run(&text).await;
    assert_outcome(&report, Outcome::GuardTripped);
    assert_eq!(report.phase(Phase::During).unwrap().samples, 3);
    let why = report.guards[0].tripped.as_deref().unwrap();
    assert_eq!(why, "error_ratio of quotes is at most 0.5, and was 1.0000");
    assert_eq!(
        report.recovered_seconds,
        Some(0.0),
        "recovery is checked all the same"
    );
}

#[tokio::test(start_paused = true)]
async fn a_guard_of_the_program_ends_the_faults_also_when_it_panics() {
    for panics in [false, true] {
        let desk = Desk::start(Layers::default());
        let chaos = desk.chaos.clone();
        let runner = desk.builder().guard("few faults", move || {
            let injected = chaos.counts().injected();
            if injected > 0 && panics {
                panic!("a guard is wrong");
            }
            match injected {
                0 => Ok(()),
                injected => Err(format!("{injected} faults")),
            }
        });
        let runner = runner.build().unwrap();
        let report = runner.run(&experiment(&game_day(HELD))).await.unwrap();
        assert_outcome(&report, Outcome::GuardTripped);
        assert!(report.phase(Phase::During).unwrap().samples < 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_does_not_hold_before_lets_no_fault_start() {
    let desk = Desk::start(Layers::default());
    let runner = desk
        .builder()
        .guard("never", || Err("somebody trades".to_owned()));
    let report = runner
        .build()
        .unwrap()
        .run(&experiment(&game_day(HELD)))
        .await
        .unwrap();
    assert_outcome(&report, Outcome::NotSteady);
    assert_eq!(report.injected(), 0);
    assert_eq!(report.guards[0].tripped.as_deref(), Some("somebody trades"));
}

#[tokio::test(start_paused = true)]
async fn metrics_of_the_program_are_figures_like_others() {
    let desk = Desk::start(Layers::default());
    let chaos = desk.chaos.clone();
    let runner = desk
        .builder()
        .metric("lost_fills", move || Some(chaos.counts().injected() as f64));
    let runner = runner.build().unwrap();
    let text = game_day(
        r#"
        hypothesis = { metric = "lost_fills", at_most = 0 }
        fault = [{ kind = "error_before_sending", intensity = 1.0 }]"#,
    );
    let report = runner.run(&experiment(&text)).await.unwrap();
    assert_outcome(&report, Outcome::Refuted);
    assert_eq!(report.recovered_seconds, None, "what is lost stays lost");
}

#[tokio::test(start_paused = true)]
async fn figures_that_are_no_numbers_are_none() {
    let desk = Desk::start(Layers::default());
    for (figure, panics) in [(f64::NAN, false), (f64::INFINITY, false), (1.0, true)] {
        let runner = desk.builder().metric("odd", move || {
            assert!(!panics, "a metric is wrong");
            Some(figure)
        });
        let text = HELD.replace("success_ratio\", service = \"quotes\"", "odd\"");
        let report = runner
            .build()
            .unwrap()
            .run(&experiment(&game_day(&text)))
            .await
            .unwrap();
        assert_outcome(&report, Outcome::NotSteady);
        assert!(serde_json::to_string(&report).is_ok());
    }
}

/// Of the ten samples with faults so many have a figure, and so many of these are outside.
#[tokio::test(start_paused = true)]
async fn what_half_of_the_samples_do_not_show_is_not_shown() {
    for (figures, outside, tolerated, none, outcome) in [
        (5, 0, 0.0, None, Outcome::Held),
        (4, 0, 0.0, None, Outcome::Inconclusive),
        (4, 0, 0.0, Some(f64::NAN), Outcome::Inconclusive),
        (1, 0, 0.0, None, Outcome::Inconclusive),
        (0, 0, 0.0, None, Outcome::Inconclusive),
        // Refuted whatever those would have been that are missing.
        (1, 1, 0.0, None, Outcome::Refuted),
        (4, 4, 0.3, None, Outcome::Refuted),
        (4, 3, 0.3, None, Outcome::Inconclusive),
    ] {
        let desk = Desk::start(RETRY);
        let chaos = desk.chaos.clone();
        let seen = std::sync::atomic::AtomicU64::new(0);
        let runner = desk.builder().metric("spread", move || {
            if chaos.state() != ChaosState::Injecting {
                return Some(1.0);
            }
            match seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                before if before < outside => Some(9.0),
                before if before < figures => Some(1.0),
                _ => none,
            }
        });
        let text = HELD.replace(
            "success_ratio\", service = \"quotes\", at_least = 0.9",
            &format!("spread\", at_most = 5, tolerated = {tolerated:?}"),
        );
        let runner = runner.build().unwrap();
        let report = runner.run(&experiment(&game_day(&text))).await.unwrap();
        assert_outcome(&report, outcome);
        let during = report.phase(Phase::During).unwrap();
        assert_eq!((during.samples, during.expected), (figures, 10));
        assert!(
            report
                .to_markdown()
                .contains(&format!("| {figures} of 10 |"))
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["hypothesis"]["phases"][1]["expected"], 10);
        if outcome == Outcome::Inconclusive && figures > 0 {
            let words = format!("in {figures} of 10 samples");
            assert!(report.words.contains(&words), "{}", report.words);
            assert_eq!(during.held, None);
        }
    }
}

/// As without calls most of the time.
#[tokio::test(start_paused = true)]
async fn a_steady_state_that_few_samples_show_is_none() {
    let desk = Desk::start(RETRY);
    let reads = std::sync::atomic::AtomicU64::new(0);
    let runner = desk.builder().metric("spread", move || {
        let reads = reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (reads < 2).then_some(1.0)
    });
    let text = HELD.replace(
        "success_ratio\", service = \"quotes\", at_least = 0.9",
        "spread\", at_most = 5",
    );
    let runner = runner.build().unwrap();
    let report = runner.run(&experiment(&game_day(&text))).await.unwrap();
    assert_outcome(&report, Outcome::NotSteady);
    assert!(
        report.words.contains("in 2 of 5 samples"),
        "{}",
        report.words
    );
}

#[tokio::test(start_paused = true)]
async fn names_that_nothing_has_are_errors_before_anything_runs() {
    let desk = Desk::start(Layers::default());
    let of = |text: &str| {
        desk.runner()
            .check(&experiment(&game_day(text)))
            .unwrap_err()
    };
    let unknown = of(&HELD.replace("success_ratio\", service = \"quotes\"", "sucess_ratio\""));
    assert_eq!(unknown.invalid().field(), "hypothesis.metric");
    assert!(unknown.invalid().accepted().contains("success_ratio"));
    let text = game_day(HELD).replace("services = [\"quotes\"]", "services = [\"orders\"]");
    let unknown = desk.runner().run(&experiment(&text)).await.unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "\"quotes fail\": `blast_radius.services` is \"orders\", accepted is a service with a chaos layer: quotes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_a_layer_cannot_make_is_an_error_before_anything_runs() {
    let desk = Desk::start(Layers::default());
    let text = game_day(&HELD.replace("error_before_sending", "truncated_body"));
    let (runner, start) = (desk.runner(), Instant::now());
    let error = runner.check(&experiment(&text)).unwrap_err();
    assert_eq!(error.invalid().field(), "fault.kind of \"quotes\"");
    assert_eq!(error.invalid().value(), "`truncated_body`");
    assert!(error.invalid().accepted().contains("`hang`"), "{error}");
    assert_eq!(runner.run(&experiment(&text)).await.unwrap_err(), error);
    assert_eq!(Instant::now(), start);
    assert_eq!(desk.chaos.state(), ChaosState::Off);
    // A bypass is no error: what can end is refused.
    desk.chaos.bypass();
    assert_eq!(runner.check(&experiment(&game_day(HELD))), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_score_without_health_checks_is_an_error_before_anything_runs() {
    let desk = Desk::start(Layers::default());
    let guard = HELD.to_owned() + "\n    guard = [{ metric = \"score\", at_least = 50 }]";
    let hypothesis = HELD.replace(
        "success_ratio\", service = \"quotes\", at_least = 0.9",
        "score\", at_least = 50",
    );
    for (text, field) in [
        (&guard, "guard[0].metric"),
        (&hypothesis, "hypothesis.metric"),
    ] {
        let experiment = experiment(&game_day(text));
        let error = desk.runner().run(&experiment).await.unwrap_err();
        assert_eq!(error.invalid().field(), field);
        assert_eq!(error.invalid().value(), "\"score\"");
        let health = seawall_health::HealthMonitor::new("desk");
        let runner = desk.builder().health(health).build().unwrap();
        assert_eq!(runner.check(&experiment), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_hits_the_same_calls() {
    let (first, second) = (
        Desk::start(Layers::default()),
        Desk::start(Layers::default()),
    );
    let (first, second) = (
        first.run(&game_day(HELD)).await,
        second.run(&game_day(HELD)).await,
    );
    assert_eq!(
        (first.injected(), &first.samples),
        (second.injected(), &second.samples)
    );
    assert_eq!(first.faults[0].seed, Some(7));
}

#[test]
fn a_runner_has_different_names() {
    use seawall_experiments::{Environment, Runner};
    let builder = || Runner::builder("desk", Environment::Test);
    let field = |built: Result<Runner, InvalidConfig>| built.unwrap_err().field().to_owned();
    assert_eq!(
        field(Runner::builder("", Environment::Test).build()),
        "name"
    );
    assert_eq!(field(builder().metric("score", || None).build()), "metric");
    assert_eq!(field(builder().metric(" ", || None).build()), "metric");
    assert_eq!(field(builder().guard("", || Ok(())).build()), "guard");
    let twice = builder().metric("a", || None).metric("a", || None);
    assert_eq!(field(twice.build()), "metric");
    let twice = builder().guard("a", || Ok(())).guard("a", || Ok(()));
    assert_eq!(field(twice.build()), "guard");
}

#[tokio::test(start_paused = true)]
async fn how_runs_ended_is_counted_and_every_metric_is_in_the_table() {
    use seawall_core::{InstanceHandle, OwnedSample, Samples, Value, metric};

    let desk = Desk::start(RETRY);
    let runner = desk.runner();
    let read = || {
        let mut all = Vec::new();
        InstanceHandle::samples(
            &runner,
            &mut Samples::new(&mut |sample| {
                all.push(OwnedSample::from(sample));
            }),
        );
        all
    };
    let ended = |result: &'static str| {
        let all = read();
        let found = all
            .iter()
            .find(|sample| sample.labels == [("result", result)]);
        found.map(|sample| sample.value.clone())
    };
    let experiment = experiment(&game_day(HELD));
    assert_eq!(ended("held"), Some(Value::Counter(0)));
    runner.run(&experiment).await.unwrap();
    runner.stop().stop("enough");
    runner.run(&experiment).await.unwrap();
    assert_eq!(
        (ended("held"), ended("refused")),
        (Some(Value::Counter(1)), Some(Value::Counter(1)))
    );
    for sample in read() {
        let known = metric(sample.metric).expect(sample.metric);
        assert!(
            sample
                .labels
                .iter()
                .all(|(label, _)| known.labels.contains(label))
        );
    }
    assert_eq!(read().last().unwrap().value, Value::Gauge(0.0));
}

/// A metric that has nothing to measure is no reason to end anything; one that cannot be read is.
#[tokio::test(start_paused = true)]
async fn a_guard_trips_when_its_metric_is_no_number_or_panics() {
    let text =
        HELD.to_owned() + "\n    guard = [{ metric = \"drawdown\", at_most = 5, lasts = \"2s\" }]";
    type Read = fn() -> Option<f64>;
    let reads: [(Read, Option<&str>); 5] = [
        (|| None, None),
        (|| Some(1.0), None),
        (|| Some(f64::NAN), Some("the metric was NaN")),
        (|| Some(f64::NEG_INFINITY), Some("the metric was -inf")),
        (|| panic!("no database"), Some("the metric panicked")),
    ];
    for (read, why) in reads {
        let desk = Desk::start(RETRY);
        let chaos = desk.chaos.clone();
        let metric = move || match chaos.state() {
            ChaosState::Injecting => read(),
            _ => Some(1.0),
        };
        let runner = desk.builder().metric("drawdown", metric).build().unwrap();
        let report = runner.run(&experiment(&game_day(&text))).await.unwrap();
        match why {
            None => assert_outcome(&report, Outcome::Held),
            Some(why) => {
                assert_outcome(&report, Outcome::GuardTripped);
                assert_eq!(report.phase(Phase::During).unwrap().samples, 2);
                let tripped = report.guards[0].tripped.as_deref().unwrap();
                assert_eq!(tripped, format!("drawdown is at most 5, and {why}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hypothesis_or_guard_on_a_service_that_is_not_there_is_an_error() {
    let desk = Desk::start(Layers::default());
    let telemetry = seawall_telemetry::TelemetryLayer::new(
        "news/headlines",
        seawall_telemetry::TelemetryConfig::default(),
    );
    desk.registry.register(telemetry.handle()).unwrap();
    let guard = |service: &str| {
        let guard =
            format!("guard = [{{ metric = 'error_ratio', service = '{service}', at_most = 0.5 }}]");
        format!("{HELD}\n{guard}")
    };
    for (text, field) in [
        (guard("quotes"), None),
        (guard("news"), None),
        (guard("qoutes"), Some("guard[0].service")),
        (
            HELD.replace("\"quotes\"", "\"qoutes\""),
            Some("hypothesis.service"),
        ),
    ] {
        let experiment = experiment(&game_day(&text));
        let runner = desk.runner();
        let checked = runner.check(&experiment);
        let Some(field) = field else {
            checked.unwrap();
            continue;
        };
        let error = checked.unwrap_err();
        let invalid = error.invalid();
        assert_eq!((invalid.field(), invalid.value()), (field, "\"qoutes\""));
        assert!(invalid.accepted().ends_with(": news, quotes"), "{error}");
        assert_eq!(runner.run(&experiment).await.unwrap_err(), error);
    }
}
