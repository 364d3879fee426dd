//! Experiments that run when they are due.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_experiments::{Environment, ExperimentSet, Refusal, Report, Runner};
use tokio::time::{Instant, timeout};

use crate::support::{Desk, Layers, SUNDAY, unix};

fn text(name: &str, schedule: &str, during: &str) -> String {
    format!(
        r#"
        [[experiment]]
        name = "{name}"
        hypothesis = {{ metric = "success_ratio", at_least = 0.01, tolerated = 0.9 }}
        fault = [{{ kind = "error_before_sending", intensity = 0.5 }}]
        schedule = {{ {schedule} }}
        market = {{ calendar = "none" }}
        blast_radius = {{ services = ["quotes"] }}
        run = {{ before = "5s", during = "{during}", after = "10s" }}
        "#
    )
}

/// Names and begins of what ran within a time, in seconds from the start; and whether it came to its end.
async fn ran(texts: &[String], within: Duration) -> (Vec<(String, u64, Option<Refusal>)>, bool) {
    let desk = Desk::start(Layers::default());
    let set = ExperimentSet::from_toml_at(&texts.concat(), unix(SUNDAY)).unwrap();
    let reports: Arc<Mutex<Vec<Report>>> = Arc::default();
    let runner = desk.runner();
    let all = runner.run_scheduled(&set, |report| reports.lock().unwrap().push(report));
    let ended = timeout(within, all).await.is_ok();
    let reports = reports.lock().unwrap();
    let began = |report: &Report| report.started_unix_ms / 1_000 - SUNDAY;
    let all = reports
        .iter()
        .map(|it| (it.name.clone(), began(it), it.refusal));
    (all.collect(), ended)
}

fn run(name: &str, at: u64) -> (String, u64, Option<Refusal>) {
    (name.to_owned(), at, None)
}

#[tokio::test(start_paused = true)]
async fn crontabs_and_moments_are_run_when_they_are_due() {
    let texts = [
        text(
            "hourly",
            "cron = \"0 * * * *\", zone = \"UTC\", until = \"2026-11-29T19:30:00Z\"",
            "10s",
        ),
        text(
            "once",
            "at = \"2026-11-29T12:30:00\", zone = \"America/New_York\"",
            "10s",
        ),
        text("by hand", "game_day = true", "10s"),
    ];
    let (ran, ended) = ran(&texts, Duration::from_secs(3 * 3_600)).await;
    assert_eq!(
        ran,
        [
            run("once", 1_800),
            run("hourly", 3_600),
            run("hourly", 7_200)
        ]
    );
    assert!(ended, "nothing will be due any more");
}

#[tokio::test(start_paused = true)]
async fn what_was_due_long_ago_is_not_made_up_for() {
    let texts = [
        text("long", "at = \"2026-11-29T17:10:00Z\"", "10m"),
        text("soon after", "at = \"2026-11-29T17:11:00Z\"", "10s"),
        text("at its end", "at = \"2026-11-29T17:20:00Z\"", "10s"),
    ];
    let (ran, _) = ran(&texts, Duration::from_secs(3_600)).await;
    assert_eq!(ran[0], run("long", 600));
    assert_eq!(
        ran[1],
        ("soon after".to_owned(), 1_208, Some(Refusal::Late))
    );
    assert_eq!(ran[2], run("at its end", 1_208), "8 s late");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_repeats_nothing_and_one_that_is_set_forward_is_late() {
    for (step, expected) in [(-7_200_i64, vec![3_600]), (7_200, vec![])] {
        let desk = Desk::start(Layers::default());
        let start = Instant::now();
        // Set after 61 minutes, or while it waits.
        let set_after = if step < 0 { 3_660 } else { 600 };
        let runner = Runner::builder("desk", Environment::Test)
            .target(desk.chaos.clone())
            .registry(desk.registry.clone())
            .clock(move || {
                let seconds = (Instant::now() - start).as_secs();
                let step = if seconds < set_after { 0 } else { step };
                unix((SUNDAY + seconds).saturating_add_signed(step))
            })
            .build()
            .unwrap();
        let set = text("once", "at = \"2026-11-29T18:00:00Z\"", "10s");
        let set = ExperimentSet::from_toml_at(&set, unix(SUNDAY)).unwrap();
        let mut began = Vec::new();
        let all = runner.run_scheduled(&set, |report| {
            if report.refusal != Some(Refusal::Late) {
                began.push((Instant::now() - start).as_secs() - report.seconds.round() as u64);
            }
        });
        timeout(Duration::from_secs(24 * 3_600), all)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(began, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nothing_has_is_an_error_at_the_start() {
    let desk = Desk::start(Layers::default());
    let text = text("late", "at = \"2027-11-29T18:00:00Z\"", "10s")
        .replace("[\"quotes\"]", "[\"orders\"]");
    let set = ExperimentSet::from_toml_at(&text, unix(SUNDAY)).unwrap();
    let runner = desk.runner();
    let error = runner.run_scheduled(&set, drop).await.unwrap_err();
    assert_eq!(error.invalid().field(), "blast_radius.services");
}
