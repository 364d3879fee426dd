//! The emergency stop, and runs that are dropped or no longer polled.

use std::time::Duration;

use seawall_chaos::{ChaosHandle, ChaosState, Delay, Fault, InjectionId};
use seawall_core::{Command, InstanceHandle};
use seawall_experiments::{Outcome, Phase, Refusal};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Desk, Layers, assert_outcome, experiment, game_day};

const HANG: &str = r#"
    hypothesis = { metric = "success_ratio", at_least = 0.01, tolerated = 0.9 }
    fault = [{ kind = "hang", intensity = 1.0 }]"#;

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_faults_before_it_returns_and_calls_under_way_go_on() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    let stop = runner.stop();
    let running =
        tokio::spawn(async move { runner.run(&experiment(&game_day(HANG))).await.unwrap() });
    sleep(Duration::from_secs(8)).await;
    assert_eq!(desk.chaos.state(), ChaosState::Injecting);
    let hanging = desk.ended();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(desk.ended(), hanging, "every call hangs");
    stop.stop("the desk has called");
    assert_eq!(
        desk.chaos.state(),
        ChaosState::Off,
        "without anything being polled"
    );
    let start = Instant::now();
    let report = running.await.unwrap();
    assert_eq!((Instant::now() - start), Duration::ZERO, "at once");
    assert_outcome(&report, Outcome::Stopped);
    assert_eq!(
        report.words,
        "the faults were ended at once: the desk has called"
    );
    assert!(report.faults[0].calls >= 30, "what they did is reported");
    assert_eq!(report.phase(Phase::After), None);
    sleep(Duration::from_millis(50)).await;
    assert!(
        desk.ended() >= hanging + 30,
        "the calls that hung have ended"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_until_the_stop_is_released() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    runner.stop().stop("not today");
    runner.stop().stop("a second reason");
    let report = runner.run(&experiment(&game_day(HANG))).await.unwrap();
    assert_outcome(&report, Outcome::Refused);
    assert_eq!(report.refusal, Some(Refusal::Stopped));
    assert_eq!(report.words, "the emergency stop is on: not today");
    runner.stop().release();
    let report = runner.run(&experiment(&game_day(HANG))).await.unwrap();
    assert_ne!(report.outcome, Outcome::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_each_phase_ends_the_run() {
    // 5 s before, 10 s during, 3 s after.
    for seconds in [0, 1, 4, 5, 7, 14, 15, 16, 17] {
        let desk = Desk::start(Layers::default());
        let runner = desk.runner();
        let stop = runner.stop();
        let running =
            tokio::spawn(async move { runner.run(&experiment(&game_day(HANG))).await.unwrap() });
        sleep(Duration::from_millis(seconds * 1_000 + 500)).await;
        stop.stop("now");
        let report = timeout(Duration::from_millis(1), running)
            .await
            .unwrap()
            .unwrap();
        assert_outcome(&report, Outcome::Stopped);
        assert_eq!(desk.chaos.state(), ChaosState::Off);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_released_at_once_still_ends_the_run() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    let stop = runner.stop();
    let running =
        tokio::spawn(async move { runner.run(&experiment(&game_day(HANG))).await.unwrap() });
    sleep(Duration::from_secs(8)).await;
    stop.stop("the desk has called");
    stop.release();
    let report = running.await.unwrap();
    assert_outcome(&report, Outcome::Stopped);
    assert_eq!(
        report.words,
        "the faults were ended at once: the desk has called"
    );
}

/// A run whose faults somebody has ended at the chaos layer shows nothing of the rest of its time.
#[tokio::test(start_paused = true)]
async fn faults_that_are_ended_at_the_chaos_layer_stop_the_run_at_the_next_sample() {
    type End = fn(&ChaosHandle);
    let ends: [(End, &str); 4] = [
        (
            |chaos| assert_eq!(chaos.stop_all(), 1),
            "those of `quotes` were stopped at its chaos layer",
        ),
        (
            |chaos| {
                let id = chaos.snapshot().injections[0].id;
                assert!(chaos.stop(InjectionId::from_number(id)));
            },
            "those of `quotes` were stopped at its chaos layer",
        ),
        (
            ChaosHandle::bypass,
            "the chaos layer of `quotes` was bypassed",
        ),
        (
            |chaos| {
                let control: &dyn InstanceHandle = chaos;
                control.control(Command::Bypass).unwrap();
            },
            "the chaos layer of `quotes` was bypassed",
        ),
    ];
    // In the first sample of the faults, in the middle, and in the last one.
    for milliseconds in [5_100, 8_500, 14_900] {
        for (end, why) in ends {
            let desk = Desk::start(Layers::default());
            let runner = desk.runner();
            let running =
                tokio::spawn(
                    async move { runner.run(&experiment(&game_day(HANG))).await.unwrap() },
                );
            sleep(Duration::from_millis(milliseconds)).await;
            end(&desk.chaos);
            let report = timeout(Duration::from_millis(1_000), running).await;
            let report = report.unwrap().unwrap();
            assert_outcome(&report, Outcome::Stopped);
            let words = format!("the faults were ended at once: {why}");
            assert_eq!(report.words, words);
            assert!(report.faults[0].calls > 0, "what they did is reported");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chaos_layer_that_is_bypassed_is_refused_before_anything_is_measured() {
    let desk = Desk::start(Layers::default());
    desk.chaos.bypass();
    let start = Instant::now();
    let report = desk.run(&game_day(HANG)).await;
    assert_eq!(Instant::now(), start);
    assert_eq!(report.refusal, Some(Refusal::Faults));
    assert_eq!(
        report.words,
        "the chaos layer of `quotes` is bypassed: reset it first"
    );
    desk.chaos.reset();
    assert_eq!(desk.run(&game_day(HANG)).await.refusal, None);
}

/// Nor are the faults of somebody else those of the run.
#[tokio::test(start_paused = true)]
async fn other_faults_of_the_layer_may_end_during_a_run() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    let other = desk.chaos.start(Fault::delay(
        Delay::constant(Duration::from_millis(1)).unwrap(),
    ));
    let running =
        tokio::spawn(async move { runner.run(&experiment(&game_day(HANG))).await.unwrap() });
    sleep(Duration::from_secs(8)).await;
    other.unwrap().stop();
    assert_ne!(running.await.unwrap().outcome, Outcome::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_anywhere_takes_its_faults_along() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    let experiment = experiment(&game_day(HANG));
    for milliseconds in (0..18_000).step_by(500) {
        let run = runner.run(&experiment);
        let ended = timeout(Duration::from_millis(milliseconds), run).await;
        assert!(ended.is_err());
        assert_eq!(
            desk.chaos.state(),
            ChaosState::Off,
            "dropped after {milliseconds} ms"
        );
        assert_eq!(runner.state(), "idle");
        sleep(Duration::from_secs(20)).await;
    }
    // One that was never polled has begun nothing.
    drop(runner.run(&experiment));
    assert_eq!(runner.state(), "idle");
}

#[tokio::test(start_paused = true)]
async fn faults_end_by_themselves_when_the_run_is_no_longer_polled() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    let experiment = experiment(&game_day(HANG));
    let mut run = Box::pin(runner.run(&experiment));
    assert!(timeout(Duration::from_secs(8), &mut run).await.is_err());
    assert_eq!(desk.chaos.state(), ChaosState::Injecting);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(
        desk.chaos.state(),
        ChaosState::Off,
        "10 s, and one of grace"
    );
    drop(run);
}

#[tokio::test(start_paused = true)]
async fn a_runner_has_one_experiment_at_a_time() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    let experiment = experiment(&game_day(HANG));
    let (first, second) = tokio::join!(runner.run(&experiment), runner.run(&experiment));
    assert_ne!(first.unwrap().outcome, Outcome::Refused);
    assert_eq!(second.unwrap().refusal, Some(Refusal::Running));
}

#[tokio::test(start_paused = true)]
async fn an_operator_stops_it_by_a_command() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    let control: &dyn InstanceHandle = &runner;
    control.control(Command::Bypass).unwrap();
    assert_eq!(control.state(), "stopped");
    assert_eq!(runner.stop().reason().as_deref(), Some("an operator"));
    control.control(Command::Reset).unwrap();
    assert_eq!(control.state(), "idle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_real_time_a_stop_from_another_thread_is_immediate() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    let stop = runner.stop();
    let text = game_day(HANG).replace(
        "before = \"5s\", during = \"10s\"",
        "every = \"100ms\", before = \"300ms\", during = \"1h\"",
    );
    let running = tokio::spawn(async move { runner.run(&experiment(&text)).await.unwrap() });
    while desk.chaos.state() != ChaosState::Injecting {
        sleep(Duration::from_millis(10)).await;
    }
    let chaos = desk.chaos.clone();
    let stopped = std::thread::spawn(move || {
        stop.stop("from a thread");
        chaos.state()
    });
    assert_eq!(stopped.join().unwrap(), ChaosState::Off);
    let report = timeout(Duration::from_secs(5), running)
        .await
        .unwrap()
        .unwrap();
    assert_outcome(&report, Outcome::Stopped);
}

#[cfg(all(unix, feature = "signal"))]
#[tokio::test]
async fn a_signal_stops() {
    let desk = Desk::start(Layers::default());
    let stop = desk.runner().stop();
    let waiting = tokio::spawn({
        let stop = stop.clone();
        async move { stop.on_signal().await }
    });
    sleep(Duration::from_millis(100)).await;
    let process = std::process::id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &process])
        .status()
        .unwrap();
    assert!(killed.success());
    timeout(Duration::from_secs(5), waiting)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(stop.reason().as_deref(), Some("a signal"));
}
