//! Reports as pages, JSON and files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use seawall_experiments::{Outcome, Report};

use crate::support::{Desk, Layers, experiment, game_day};

const OUTAGE: &str = r#"
    hypothesis = { metric = "success_ratio", service = "quotes", at_least = 0.9 }
    fault = [{ kind = "error_before_sending", intensity = 1.0 }]"#;

async fn report() -> Report {
    Desk::start(Layers::default()).run(&game_day(OUTAGE)).await
}

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    directory
}

#[tokio::test(start_paused = true)]
async fn a_page_has_what_happened_and_a_plot() {
    let report = report().await;
    let page = report.to_markdown();
    for part in [
        "# quotes fail: the hypothesis was refuted",
        "- hypothesis: success_ratio of quotes is at least 0.9",
        "- began 2026-11-29T17:00:00Z, took 18.0 s, runner `desk`",
        "| before | yes | 5 of 5 | 0 | 1.0000 | 1.0000 |",
        "| during | no | 10 of 10 | 10 | 0.0000 | 0.0000 |",
        "     1.050 *****|         *",
        "| quotes | error_before_sending 1 | 100 | 100 | 0 | 0 | 7 |",
        "- **quotes**, breaker, a layer that is missing: ",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    let svg = report.to_svg();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    assert_eq!(
        svg.matches("<rect").count(),
        2,
        "the time of the faults is shaded"
    );
}

#[tokio::test(start_paused = true)]
async fn json_has_all_of_it() {
    let report = report().await;
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["outcome"], "refuted");
    assert_eq!(json["hypothesis"]["bound"]["at_least"], 0.9);
    assert_eq!(json["hypothesis"]["phases"][1]["phase"], "during");
    assert_eq!(json["hypothesis"]["phases"][1]["samples"], 10);
    assert_eq!(json["hypothesis"]["phases"][1]["expected"], 10);
    assert_eq!(
        json["samples"].as_array().unwrap().len(),
        report.samples.len()
    );
    assert_eq!(json["faults"][0]["faults"][0][0], "error_before_sending");
    assert_eq!(json["recommendations"][0]["setting"], "missing");
}

#[tokio::test(start_paused = true)]
async fn a_refused_run_is_a_report_too() {
    let desk = Desk::start(Layers::default());
    let runner = desk.runner();
    runner.stop().stop("<b>no</b>\n# heading | `code`");
    let report = runner.run(&experiment(&game_day(OUTAGE))).await.unwrap();
    assert_eq!(report.outcome, Outcome::Refused);
    let page = report.to_markdown();
    assert!(
        page.contains("\\<b>no\\</b> # heading \\| \\`code\\`"),
        "{page}"
    );
    assert!(!report.to_svg().contains("NaN"));
}

#[tokio::test(start_paused = true)]
async fn no_report_overwrites_another() {
    let directory = directory("no_report_overwrites_another");
    let report = report().await;
    let saved: BTreeSet<_> = (0..5).map(|_| report.save(&directory).unwrap()).collect();
    assert_eq!(saved.len(), 5);
    let names: BTreeSet<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 15);
    assert!(
        names.contains("20261129T170000Z-quotes-fail-1.md"),
        "{names:?}"
    );
    assert!(names.contains("20261129T170000Z-quotes-fail-5.json"));
    let page =
        std::fs::read_to_string(directory.join("20261129T170000Z-quotes-fail-2.md")).unwrap();
    assert!(page.ends_with("![quotes-fail](20261129T170000Z-quotes-fail-2.svg)\n"));
    let svg =
        std::fs::read_to_string(directory.join("20261129T170000Z-quotes-fail-2.svg")).unwrap();
    assert_eq!(svg, report.to_svg());
}

#[tokio::test(start_paused = true)]
async fn a_name_is_no_path() {
    let directory = directory("a_name_is_no_path");
    let desk = Desk::start(Layers::default());
    for name in ["../../etc/passwd", "..", "/", "\u{1F525}", "C:\\\\temp"] {
        let text = game_day(OUTAGE).replace("quotes fail", name);
        let mut report = desk.run(&text).await;
        report.name.push('\n');
        let saved = report.save(&directory).unwrap();
        assert_eq!(saved.parent().unwrap(), directory);
    }
}
