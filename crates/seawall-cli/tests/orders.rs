//! `seawall orders`, as a person at night runs it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use seawall_orders::Operation;
use seawall_orders::journal::durable::{DurableConfig, DurableJournal};
use seawall_orders::journal::{Intent, Journal, Mark, SavedRequest};
use seawall_orders::switch::KillSwitch;

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("seawall-orders-cli-{}-{test}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("writable");
        Self(folder)
    }

    /// One with a journal in which the orders of [`write`] are.
    fn with_journal(test: &str) -> Self {
        let folder = Self::new(test);
        block_on(async {
            let journal = open(&folder).await;
            write(&journal).await;
            journal.close().await.expect("closed");
        });
        folder
    }

    fn journal(&self) -> PathBuf {
        self.0.join("orders.journal")
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut seawall = Command::new(env!("CARGO_BIN_EXE_seawall"));
        seawall
            .env_clear()
            .env("USER", "alice")
            .current_dir(&self.0);
        texts(
            &seawall
                .arg("orders")
                .args(arguments)
                .output()
                .expect("it runs"),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

async fn open(folder: &Folder) -> DurableJournal {
    let config = DurableConfig::default()
        .retention(Duration::MAX)
        .expect("valid");
    let opened = DurableJournal::open(folder.journal(), config).await;
    opened.expect("opened")
}

fn ago(seconds: u64) -> SystemTime {
    SystemTime::now() - Duration::from_secs(seconds)
}

fn intent(id: &str, seconds_ago: u64) -> Intent {
    let request = SavedRequest::new("POST", "/v2/orders")
        .header("content-type", b"application/json")
        .header("authorization", b"Bearer secret")
        .body(r#"{"symbol":"AAPL","qty":"1"}"#);
    Intent::new(id, Operation::Create, ago(seconds_ago))
        .account("alpaca/paper")
        .request(request)
}

/// Number 0 to 4: confirmed long ago, in doubt, exhausted, written down, and one with a hostile name.
async fn write(journal: &DurableJournal) {
    let written = async |intent| journal.append_sent(intent).await.expect("written");
    let mark = async |id, mark| journal.mark(id, mark).await.expect("marked");
    written(intent("done", 30 * 86_400)).await;
    mark("done", Mark::confirmed(ago(30 * 86_400), "b-0", "{}")).await;
    written(intent("doubt", 7_500)).await;
    written(intent("lost", 86_400)).await;
    mark("lost", Mark::exhausted(ago(86_000), "503 thrice")).await;
    let replace = Intent::new("written", Operation::Replace, ago(30));
    journal.append(replace).await.expect("written");
    written(Intent::new("\x1b[2Jevil\n", Operation::Cancel, ago(10)).account("a\u{202e}b")).await;
}

#[test]
fn the_open_orders_are_listed_and_an_exhausted_one_is_exit_code_3() {
    let folder = Folder::with_journal("list");
    let before = fs::read(folder.journal()).expect("read");
    let (code, out, errors) = folder.run(&["list", "orders.journal"]);
    assert_eq!((code, errors.as_str()), (Some(3), ""), "{out}");
    let cells = |line: &str| -> Vec<String> {
        let cells = line
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 6, "{out}");
    assert_eq!(
        cells(lines[0]),
        [
            "number",
            "id",
            "account",
            "operation",
            "state",
            "attempts",
            "age",
            "broker id"
        ]
    );
    let doubt = [
        "1",
        "doubt",
        "alpaca/paper",
        "create",
        "sent",
        "1",
        "2 h 5 min",
    ];
    assert_eq!(cells(lines[1]), doubt);
    assert_eq!(
        cells(lines[2])[..5],
        ["2", "lost", "alpaca/paper", "create", "exhausted"]
    );
    assert_eq!(
        cells(lines[3])[..5],
        ["3", "written", "replace", "intent", "0"]
    );
    assert_eq!(
        cells(lines[4])[1..4],
        ["\\u{1b}[2Jevil\\n", "a\\u{202e}b", "cancel"]
    );
    assert_eq!(
        lines[5],
        "4 orders that are open; 1 exhausted: nobody looks after them"
    );
    let after = fs::read(folder.journal()).expect("read");
    assert!(before == after, "listing has changed the journal");
    assert_eq!(fs::read_dir(&folder.0).expect("a folder").count(), 1);
}

#[test]
fn a_list_is_of_states_of_a_time_and_of_the_last_ones() {
    let folder = Folder::with_journal("filters");
    let list = |more: &[&str]| folder.run(&[&["list", "orders.journal"], more].concat());
    let (code, out, _) = list(&["--state", "sent"]);
    assert_eq!(code, Some(0), "the exhausted one is no such order: {out}");
    assert!(out.ends_with("2 orders that are sent\n"), "{out}");
    let (code, out, _) = list(&["--since", "3h"]);
    assert_eq!(code, Some(0));
    assert!(
        out.ends_with("3 orders that are open\n") && !out.contains("lost"),
        "{out}"
    );
    let (code, out, _) = list(&["--all", "--limit=2"]);
    assert_eq!(code, Some(3), "also where it is not shown");
    assert!(out.contains("written") && !out.contains("doubt"), "{out}");
    let last = "5 orders, 3 earlier not shown (--limit 5); 1 exhausted: nobody looks after them\n";
    assert!(out.ends_with(last), "{out}");
    let (code, out, _) = list(&["--state", "rejected"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "0 orders that are rejected\n")
    );

    let (code, out, _) = list(&["--all", "--json", "--limit", "1"]);
    assert_eq!(code, Some(3));
    let all: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&all["not_shown"], &all["exhausted"]),
        (&4.into(), &1.into())
    );
    assert_eq!(all["entries"][0]["id"], "\x1b[2Jevil\n");
    assert_eq!(all["entries"][0]["state"], "sent");
}

#[test]
fn one_order_is_shown_with_all_that_is_known() {
    let folder = Folder::with_journal("show");
    let (code, out, _) = folder.run(&["show", "orders.journal", "lost"]);
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("lost: exhausted for 23 h 53 min\n"),
        "{out}"
    );
    for part in [
        "details    503 thrice",
        " UTC  intent, 1 d ago\n",
        " UTC  sent, attempt 1, 1 d ago\n",
        " UTC  exhausted, 23 h 53 min ago\n",
        "POST /v2/orders\n  content-type: application/json\n  {\"symbol\":\"AAPL\",\"qty\":\"1\"}\n",
        "what to do\n  The order may be at the broker, every look-up has failed",
    ] {
        assert!(out.contains(part), "{part:?}\n{out}");
    }
    assert!(!out.contains("secret"), "{out}");
    let (_, by_number, _) = folder.run(&["show", "orders.journal", "--number", "2"]);
    assert_eq!(
        by_number, out,
        "the number of a rejection is that of its order"
    );
    let (code, out, _) = folder.run(&["show", "orders.journal", "lost", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &all["number"]), (Some(0), &2.into()));
    assert_eq!(all["steps"][2]["state"], "exhausted");
    assert_eq!(all["request"]["body"], r#"{"symbol":"AAPL","qty":"1"}"#);
    for missing in [
        &["show", "orders.journal", "lots"][..],
        &["show", "orders.journal", "--number=9"],
    ] {
        let (code, out, errors) = folder.run(missing);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(
            errors.starts_with("seawall: no order in orders.journal has the "),
            "{errors}"
        );
    }
}

#[test]
fn an_order_is_settled_by_hand_and_nothing_else_changes() {
    let folder = Folder::with_journal("resolve");
    let because = ["--because", "called the broker"];
    let resolve = |more: &[&str]| folder.run(&[&["resolve", "orders.journal"], more].concat());
    let (code, out, errors) = resolve(&[&["lost", "not-executed"], &because[..]].concat());
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        errors.contains("lost: exhausted for"),
        "it is shown: {errors}"
    );
    assert!(errors.ends_with("`--yes` is needed\n"), "{errors}");

    let (code, out, errors) = resolve(&[&["lost", "not-executed", "--yes"], &because[..]].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(
        out.starts_with("lost: exhausted before, absent now"),
        "{out}"
    );
    let (_, out, _) = folder.run(&["show", "orders.journal", "lost", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let details = all["details"].as_str().expect("text");
    let details: serde_json::Value = serde_json::from_str(details).expect("JSON");
    assert_eq!(
        (&details["by"], &details["because"]),
        (&"alice".into(), &"called the broker".into())
    );
    // The program's retention is not ours: what ended 30 days ago is there.
    let (code, out, _) = folder.run(&["list", "orders.journal", "--all"]);
    assert_eq!(code, Some(0), "nothing is exhausted any more");
    assert!(out.contains("done") && out.ends_with("5 orders\n"), "{out}");

    let (code, _, errors) = resolve(&[&["lost", "confirmed", "--yes"], &because[..]].concat());
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with("seawall: `lost` is absent since 2"),
        "{errors}"
    );
    let (code, _, errors) = resolve(&[&["lots", "confirmed", "--yes"], &because[..]].concat());
    assert_eq!(code, Some(2));
    assert!(
        errors.contains("no order in orders.journal has the client order id `lots`"),
        "{errors}"
    );
}

#[test]
fn a_journal_in_use_is_an_error_with_the_process_and_what_to_do() {
    let folder = Folder::with_journal("used");
    block_on(async {
        let journal = open(&folder).await;
        for command in [
            &["list", "orders.journal"][..],
            &["show", "orders.journal", "lost"],
            &[
                "resolve",
                "orders.journal",
                "lost",
                "abandoned",
                "--because",
                "x",
                "--yes",
            ],
        ] {
            let (code, out, errors) = folder.run(command);
            assert_eq!((code, out.as_str()), (Some(2), ""));
            let used = format!(
                "is in use by process {}: as long as it runs",
                std::process::id()
            );
            assert!(
                errors.contains(&used) && errors.contains("stop it"),
                "{errors}"
            );
        }
        journal.close().await.expect("closed");
    });
    assert_eq!(folder.run(&["list", "orders.journal"]).0, Some(3));
}

#[test]
fn what_is_no_readable_journal_is_an_error_and_stays_as_it_is() {
    let folder = Folder::with_journal("bad");
    let good = fs::read(folder.journal()).expect("read");
    let mut damaged = good.clone();
    let middle = good.len() - 5;
    damaged[4096..middle]
        .iter_mut()
        .step_by(97)
        .for_each(|byte| *byte ^= 0x55);
    let mut newer = good.clone();
    newer[16] = 9;
    let crc = crc32fast::hash(&newer[..20]);
    newer[20..24].copy_from_slice(&crc.to_le_bytes());
    fs::write(folder.0.join("damaged"), &damaged).expect("written");
    fs::write(folder.0.join("newer"), &newer).expect("written");
    fs::write(folder.0.join("text"), "a,b,c\n".repeat(10_000)).expect("written");
    fs::write(folder.0.join("empty"), "").expect("written");
    fs::create_dir(folder.0.join("folder")).expect("made");
    for (name, part) in [
        ("nowhere", "opening the file: No such file"),
        ("damaged", "is damaged: "),
        (
            "newer",
            "has format 9, and this program knows formats up to 1",
        ),
        ("text", "is no journal of orders: it does not begin as one"),
        ("empty", "is no journal of orders: it is 0 bytes long"),
        ("folder", "is no journal of orders: it is no regular file"),
    ] {
        let settle = [
            "resolve",
            name,
            "lost",
            "abandoned",
            "--because",
            "x",
            "--yes",
        ];
        for command in [&["list", name][..], &["show", name, "lost"], &settle] {
            let (code, out, errors) = folder.run(command);
            assert_eq!((code, out.as_str()), (Some(2), ""), "{name}");
            assert!(errors.contains(part), "{name}: {errors}");
        }
    }
    assert!(!folder.0.join("nowhere").exists());
    assert!(fs::read(folder.0.join("damaged")).expect("read") == damaged);
    assert!(fs::read(folder.0.join("newer")).expect("read") == newer);
}

#[test]
fn the_kill_switch_is_engaged_shown_and_released() {
    let folder = Folder::new("switch");
    let switch = |more: &[&str]| folder.run(&[&["kill-switch", "stop"], more].concat());
    let passes = (
        Some(0),
        "not engaged: new orders pass\n".to_owned(),
        String::new(),
    );
    assert_eq!(switch(&[]), passes);
    assert!(!folder.0.join("stop").exists());
    let (code, out, _) = switch(&["--engage", "positions differ"]);
    assert!(
        out.starts_with("engaged: positions differ, by alice, since 2"),
        "{out}"
    );
    assert_eq!(code, Some(0));
    let engaged = KillSwitch::file(folder.0.join("stop"))
        .engaged()
        .expect("engaged");
    assert_eq!(
        (engaged.reason.as_str(), engaged.by.as_str()),
        ("positions differ", "alice")
    );
    let (_, shown, _) = switch(&[]);
    assert!(
        shown.starts_with("engaged: positions differ, by alice, since 2"),
        "{shown}"
    );
    fs::write(folder.0.join("stop"), "half").expect("written");
    let (_, shown, _) = switch(&[]);
    assert!(
        shown.starts_with("engaged: its file cannot be read (it has another form"),
        "{shown}"
    );
    assert_eq!(switch(&["--release"]), passes);
    let (code, _, errors) = folder.run(&["kill-switch", "no/stop", "--engage", "x"]);
    assert_eq!(code, Some(2));
    assert!(
        errors.contains("no/stop.new: writing it: No such file"),
        "{errors}"
    );
}

#[test]
fn what_cannot_be_meant_is_an_error_with_the_usage() {
    let folder = Folder::new("usage");
    for (arguments, part) in [
        (&[][..], "a command of `orders` is missing"),
        (&["lists"], "there is no command `orders lists`"),
        (&["list"], "a JOURNAL is missing"),
        (&["list", "j", "k"], "`k` is one argument too many"),
        (&["list", "j", "--fast"], "there is no option `--fast`"),
        (&["list", "j", "--json=1"], "there is no option `--json=1`"),
        (&["list", "j", "--limit"], "`--limit` needs a value"),
        (
            &["list", "j", "--limit", "0"],
            "`--limit` is \"0\", accepted is at least 1",
        ),
        (
            &["list", "j", "--since", "2w"],
            "`--since` is \"2w\", accepted is a length of time",
        ),
        (
            &["list", "j", "--state", "lost"],
            "accepted is one of intent, sent, confirmed",
        ),
        (&["list", "j", "--all", "--open"], "exclude each other"),
        (&["list", "j", "--all", "--all"], "`--all` is there twice"),
        (&["list", "j", "--yes"], "`--yes` has no effect here"),
        (&["kill-switch"], "a PATH is missing"),
        (
            &["kill-switch", "p", "--engage", ""],
            "`--engage` needs a reason",
        ),
        (
            &["kill-switch", "p", "--engage=x", "--release"],
            "exclude each other",
        ),
        (&["show", "j"], "an ID is missing"),
        (&["show", "j", "--number", "x"], "`--number` is \"x\""),
        (&["resolve", "j", "a"], "an outcome is missing"),
        (
            &["resolve", "j", "a", "gone"],
            "the outcome is \"gone\", accepted are",
        ),
        (
            &["resolve", "j", "a", "abandoned"],
            "`--because` is missing",
        ),
        (
            &["resolve", "j", "a", "abandoned", "--because", " "],
            "`--because` is missing",
        ),
        (
            &[
                "resolve",
                "j",
                "a",
                "abandoned",
                "--because=x",
                "--broker-id=1",
            ],
            "`--broker-id` has an effect",
        ),
    ] {
        let (code, _, errors) = folder.run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(
            errors.contains(part) && errors.contains("Exit codes"),
            "{errors}"
        );
    }
    let (code, out, _) = folder.run(&["--help"]);
    assert_eq!(
        (code, out.contains("orders resolve JOURNAL ID")),
        (Some(0), true)
    );
    // An id that looks like an option.
    let (_, _, errors) = folder.run(&["show", "--", "j", "--all"]);
    assert!(errors.contains("journal j: opening the file"), "{errors}");
}
