//! The past, and what of it a file keeps.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use seawall_core::Registry;
use seawall_monitor::Monitor;
use tokio::time::sleep;

use crate::support::{Fake, SECOND, builder, monitor, tick, ticks};

/// A file in a directory of its own, which is removed at the end.
struct TestFile(PathBuf);

impl TestFile {
    fn new(name: &str) -> Self {
        let directory = format!("seawall-monitor-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        fs::create_dir_all(&directory).unwrap();
        Self(directory.join("history.jsonl"))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_default()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}

#[tokio::test(start_paused = true)]
async fn points_are_10_s_and_a_minute() {
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    let monitor = monitor(&registry);
    for _ in 0..120 {
        fake.calls(3, 1, 50);
        tick(&monitor).await;
    }
    let history = monitor.history("alpaca");
    assert_eq!(history.len(), 1);
    let of = &history[0];
    assert_eq!((of.ten_seconds.len(), of.minutes.len()), (12, 2));
    for point in of.ten_seconds.iter().chain(&of.minutes) {
        assert!((point.calls_per_second - 4.0).abs() < 0.1, "{point:?}");
        assert!((point.error_ratio.unwrap() - 0.25).abs() < 0.01);
        assert!((0.05..0.055).contains(&point.p99_seconds.unwrap()));
    }
    assert!(monitor.history("polygon").is_empty());
    // What is gone has a past.
    registry.remove("telemetry", "alpaca");
    ticks(&monitor, 60).await;
    assert_eq!(monitor.history("alpaca")[0].minutes.len(), 2);
}

/// Runs a monitor for some minutes, in time that is paused; its file is written by a real thread.
async fn run(monitor: &Monitor, fake: &Fake, minutes: u32) {
    let guard = monitor.start();
    for _ in 0..minutes {
        fake.calls(50, 10, 20);
        sleep(60 * SECOND).await;
    }
    sleep(2 * SECOND).await;
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_and_what_is_corrupt_is_skipped_and_counted() {
    let file = TestFile::new("again");
    let start = |registry: &Registry| {
        let built = builder(registry).history_file(&file.0, 1 << 20).build();
        built.unwrap()
    };
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    let monitor = start(&registry);
    run(&monitor, &fake, 3).await;
    assert_eq!(monitor.history_errors(), [0, 0]);
    let lines = file.text().lines().count();
    assert_eq!(lines, 3, "{}", file.text());

    // A line that a crash has cut short, and what else may be there.
    let day = 24 * 3600 * 1_000;
    let old = format!(
        "{{\"at\":{},\"registry\":\"desk\",\"service\":\"alpaca\",\"calls\":1}}\n",
        now_ms() - 2 * day
    );
    let mut bytes = file.text().into_bytes();
    bytes.extend(b"\xff\xfe\x00\n{}\n");
    bytes.extend(vec![b'x'; 100_000]);
    bytes.extend(b"\n{\"at\":1e999,\"registry\":\"desk\"}\n");
    bytes.extend(
        b"{\"at\":5,\"registry\":\"desk\",\"service\":\"alpaca\",\"calls\":-1}\n".as_slice(),
    );
    bytes.extend(old.as_bytes());
    bytes.extend(b"{\"at\":17,\"regis");
    fs::write(&file.0, &bytes).unwrap();

    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    drop(monitor);
    let monitor = start(&registry);
    assert_eq!(monitor.history_errors(), [6, 0]);
    let kept = monitor.history("alpaca")[0].minutes.clone();
    assert_eq!(kept.len(), 3);
    assert!((kept[1].error_ratio.unwrap() - 1.0 / 6.0).abs() < 0.01);
    assert!(kept[0].at_unix_ms <= kept[1].at_unix_ms);

    // It is appended to, and the line that was cut short spoils none.
    run(&monitor, &fake, 2).await;
    assert_eq!(monitor.history("alpaca")[0].minutes.len(), 5);
    drop(monitor);
    let again = start(&Registry::new("desk"));
    assert_eq!(again.history("alpaca")[0].minutes.len(), 5);
    assert_eq!(again.history_errors()[0], 6);
}

#[tokio::test(start_paused = true)]
async fn points_of_another_clock_and_another_registry_are_left_out() {
    let file = TestFile::new("clock");
    let line = |at: u64, registry: &str| {
        format!("{{\"at\":{at},\"registry\":\"{registry}\",\"service\":\"alpaca\",\"calls\":1}}\n")
    };
    let now = now_ms();
    let lines = [
        line(now + 3_600_000, "desk"),
        line(now - 60_000, "desk"),
        line(now - 120_000, "desk"),
        line(now - 60_000, "other"),
        line(u64::MAX, "desk"),
    ];
    fs::write(&file.0, lines.concat()).unwrap();
    let registry = Registry::new("desk");
    let built = builder(&registry).history_file(&file.0, 1 << 20).build();
    let minutes = built.unwrap().history("alpaca")[0].minutes.clone();
    let at: Vec<_> = minutes.iter().map(|point| now - point.at_unix_ms).collect();
    assert_eq!(at, [120_000, 60_000], "in their order");
}

#[tokio::test(start_paused = true)]
async fn the_files_stay_within_their_bound() {
    let file = TestFile::new("bound");
    let registry = Registry::new("desk");
    let fakes: Vec<_> = (0..50)
        .map(|number| Fake::new(&registry, "telemetry", &format!("upstream{number}")))
        .collect();
    let built = builder(&registry).history_file(&file.0, 65_536).build();
    let monitor = built.unwrap();
    let earlier = file.0.with_extension("jsonl.old");
    let guard = monitor.start();
    for _ in 0..40 {
        fakes[0].calls(1, 0, 1);
        sleep(60 * SECOND).await;
        let size = |path| fs::metadata(path).map_or(0, |it| it.len());
        let both = size(&file.0) + size(&earlier);
        assert!(both <= 65_536, "{both}");
    }
    drop(guard);
    assert!(earlier.exists());
    let taken = builder(&registry).history_file(&file.0, 65_536).build();
    let words = taken.unwrap_err().to_string();
    assert!(words.contains("of another monitor"), "{words}");
    drop(monitor);
    let built = builder(&registry).history_file(&file.0, 65_536).build();
    let minutes = built.unwrap().history("upstream7")[0].minutes.len();
    assert!((5..40).contains(&minutes), "{minutes}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_written_is_counted_and_stops_nothing() {
    let file = TestFile::new("gone");
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    let built = builder(&registry).history_file(&file.0, 65_536).build();
    let monitor = built.unwrap();
    // Half of the bound makes it the earlier one, whose place is taken by a directory.
    fs::write(&file.0, vec![b'\n'; 40_000]).unwrap();
    let old = file.0.with_extension("jsonl.old");
    fs::create_dir_all(old.join("in the way")).unwrap();
    let again = builder(&registry).history_file(&file.0, 65_536).build();
    drop(monitor);
    // A directory in place of the file is found at the start.
    assert_eq!(again.unwrap_err().field(), "history_file");
    fs::remove_dir_all(&old).unwrap();
    let monitor = builder(&registry)
        .history_file(&file.0, 65_536)
        .build()
        .unwrap();
    fs::create_dir_all(old.join("in the way")).unwrap();
    run(&monitor, &fake, 2).await;
    assert_eq!(monitor.history_errors()[1], 2);
    assert!(monitor.overview().monitor.samples >= 120);
}
