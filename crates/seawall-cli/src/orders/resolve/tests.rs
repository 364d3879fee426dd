use std::path::{Path, PathBuf};

use seawall_orders::Operation;
use seawall_orders::journal::Intent;
use seawall_orders::journal::durable::JournalSnapshot;

use super::*;

/// A journal with one order that may have left, and one that is only written down.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("seawall-cli-{}-{test}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("writable");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let opened = DurableJournal::open(folder.join("j"), DurableConfig::default()).await;
            let journal = opened.expect("opened");
            let intent = |id: &str| Intent::new(id, Operation::Create, SystemTime::now());
            journal.append_sent(intent("left")).await.expect("written");
            journal.append(intent("written")).await.expect("written");
            journal.close().await.expect("closed");
        });
        Self(folder)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("j")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn resolve(journal: &Path, id: &str, outcome: Outcome) -> Resolve {
    Resolve {
        journal: journal.into(),
        id: id.to_owned(),
        outcome,
        because: "seen \"there\"".to_owned(),
        broker_id: String::new(),
        yes: false,
    }
}

/// The result with what was printed, where a person answers so.
fn answered(resolve: &Resolve, answer: Option<&str>) -> (Result<u8, String>, String, String) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let mut ask = |question: &str, errors: &mut dyn Write| {
        write!(errors, "{question}")?;
        Ok(answer.map(str::to_owned))
    };
    let done = run(resolve, &mut out, &mut errors, &mut ask);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let done = done.map_err(|error| error.to_string());
    (done, text(out), text(errors))
}

fn entry(journal: &Path, id: &str) -> Entry {
    let mut journal = JournalSnapshot::read(journal).expect("read");
    journal.entry(id).expect("read").expect("there")
}

#[test]
fn a_person_sees_the_order_and_confirms_with_a_word() {
    let folder = Folder::new("asked");
    let confirmed = Resolve {
        broker_id: "b-1".to_owned(),
        ..resolve(&folder.journal(), "left", Outcome::Confirmed)
    };
    for answer in ["", "y\n", "no\n", "YES\n"] {
        let (done, out, _) = answered(&confirmed, Some(answer));
        assert_eq!(
            (done, out.as_str()),
            (Err("nothing was changed".into()), "")
        );
    }
    let (done, _, _) = answered(&confirmed, None);
    let without = "without a terminal to ask at, `--yes` is needed";
    assert_eq!(done, Err(without.into()));
    assert_eq!(entry(&folder.journal(), "left").state(), State::Sent);

    let (done, out, errors) = answered(&confirmed, Some("yes\n"));
    assert_eq!(done, Ok(0));
    assert!(out.starts_with("left: sent before, confirmed now"), "{out}");
    assert!(errors.contains("what to do"), "{errors}");
    assert!(
        errors.ends_with("Mark `left` as confirmed? Type yes: "),
        "{errors}"
    );
    let settled = entry(&folder.journal(), "left");
    assert_eq!(
        (settled.state(), settled.broker_id()),
        (State::Confirmed, &b"b-1"[..])
    );
    let details: serde_json::Value = serde_json::from_slice(settled.details()).expect("JSON");
    assert_eq!(details["because"], "seen \"there\"");
    assert_eq!(details["by"], user());
}

#[test]
fn what_has_ended_stays_as_it_is() {
    let folder = Folder::new("ended");
    let abandoned = resolve(&folder.journal(), "written", Outcome::Abandoned);
    assert_eq!(answered(&abandoned, Some("yes")).0, Ok(0));
    let once = entry(&folder.journal(), "written");
    assert_eq!(once.state(), State::Abandoned);
    for outcome in [Outcome::Confirmed, Outcome::NotExecuted, Outcome::Abandoned] {
        let again = resolve(&folder.journal(), "written", outcome);
        let (done, _, _) = answered(&again, Some("yes"));
        let error = done.expect_err("ended");
        assert!(
            error.starts_with("`written` is abandoned since 20"),
            "{error}"
        );
    }
    assert_eq!(entry(&folder.journal(), "written"), once);
}

/// A crash loses the mark that an order leaves: a person may find it at the broker all the same.
#[test]
fn an_order_that_is_only_written_down_can_have_every_outcome() {
    for (outcome, steps) in [
        (Outcome::Confirmed, &["intent", "sent", "confirmed"][..]),
        (Outcome::NotExecuted, &["intent", "sent", "absent"]),
        (Outcome::Abandoned, &["intent", "abandoned"]),
    ] {
        let folder = Folder::new(steps[steps.len() - 1]);
        let by_hand = resolve(&folder.journal(), "written", outcome);
        assert_eq!(answered(&by_hand, Some("yes")).0, Ok(0));
        let settled = entry(&folder.journal(), "written");
        let found: Vec<_> = settled
            .steps()
            .iter()
            .map(|step| step.state().as_str())
            .collect();
        assert_eq!(found, steps);
    }
}
