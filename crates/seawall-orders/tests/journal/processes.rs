//! Two processes, and one that is killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use seawall_orders::journal::durable::{DurableConfig, DurableJournal};
use seawall_orders::journal::{Filter, Journal, JournalError, Mark};

use crate::common::{Folder, intent, open};

const FILE: &str = "SEAWALL_TEST_JOURNAL";
const CUT: &str = "SEAWALL_TEST_CUT_JOURNALS";

/// Runs [`child`] in a process of its own.
fn spawn(folder: &Folder) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture"])
        .env(FILE, folder.file())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the other process does: appends from many tasks, and prints each id that was acknowledged.
/// Nothing at all where it is run as a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    let journal = open(file.as_ref()).await;
    // A second life continues where the first one was killed.
    let life = journal
        .list(&Filter::all().limit(10_000))
        .await
        .unwrap()
        .entries
        .len();
    println!("\nready");
    let mut tasks = Vec::new();
    for task in 0..32 {
        let journal = journal.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0.. {
                let id = format!("{life}-{task}-{n}");
                journal.append_sent(intent(&id)).await.unwrap();
                println!("\nsent {id}");
                if n % 2 == 0 {
                    let mark = Mark::confirmed(SystemTime::now(), "b", "");
                    journal.mark(&id, mark).await.unwrap();
                    println!("\nconfirmed {id}");
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// What the process does that opens journals which are cut short: each image of the folder, at many lengths.
/// Nothing at all where it is run as a test of its own.
#[tokio::test]
async fn opens_cut_journals() {
    let Ok(folder) = std::env::var(CUT) else {
        return;
    };
    let folder = std::path::Path::new(&folder);
    for image in ["closed", "killed"] {
        let whole = std::fs::read(folder.join(image)).unwrap();
        let pages = (0..whole.len()).step_by(4096);
        let lengths = pages.flat_map(|at| [at.saturating_sub(1), at, at + 1, at + 513]);
        let lengths = lengths.chain([whole.len() - 1]);
        let (mut opened, mut cut) = (0, 0);
        for len in lengths.filter(|len| *len < whole.len()) {
            let file = folder.join("cut");
            std::fs::write(&file, &whole[..len]).unwrap();
            match DurableJournal::open(&file, DurableConfig::default()).await {
                Ok(_) => opened += 1,
                Err(JournalError::Corrupted { what, .. }) if what.contains("panicked") => {
                    panic!("{len}: {what}")
                }
                Err(JournalError::Corrupted { .. }) => cut += 1,
                Err(JournalError::NotAJournal { .. }) => assert!(len < 2 * 4096, "{len}"),
                Err(error) => panic!("{len}: {error}"),
            }
        }
        println!("\n{image} opened {opened} cut {cut}");
    }
}

/// One panic of the database would be on the screen before the error that says what is wrong.
#[tokio::test]
async fn a_journal_that_is_cut_short_is_named_and_nothing_panics() {
    let folder = Folder::new();
    let journal = open(&folder.file()).await;
    for n in 0..500 {
        journal.append_sent(intent(&n.to_string())).await.unwrap();
    }
    let parent = folder.file().parent().unwrap().to_owned();
    // As a kill leaves it.
    std::fs::copy(folder.file(), parent.join("killed")).unwrap();
    journal.close().await.unwrap();
    std::fs::copy(folder.file(), parent.join("closed")).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::opens_cut_journals", "--nocapture"])
        .env(CUT, &parent)
        .output()
        .unwrap();
    let (out, errors) = (
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr),
    );
    assert!(child.status.success(), "{out}\n{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    for image in ["closed", "killed"] {
        let line = out.lines().find(|line| line.starts_with(image));
        let line = line.unwrap_or_else(|| panic!("{out}"));
        let cut: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(line.contains("opened 0 ") && cut > 500, "{line}");
    }
}

#[tokio::test]
async fn a_second_process_gets_the_first_ones_id() {
    let folder = Folder::new();
    let mut first = spawn(&folder);
    let lines = BufReader::new(first.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).find(|line| line == "ready");
    assert!(ready.is_some());
    let second = DurableJournal::open(folder.file(), DurableConfig::default()).await;
    let error = second.unwrap_err();
    let expected = first.id();
    assert!(
        matches!(error, JournalError::InUse { process: Some(id), .. } if id == expected),
        "{error}"
    );
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock ends with the process.
    open(&folder.file()).await;
}

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged() {
    let folder = Folder::new();
    let mut acknowledged = Vec::new();
    for life in 0..4 {
        let mut child = spawn(&folder);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed in the middle of its appends; what it has printed until then is read to the end.
        let before = 50 + 97 * life;
        acknowledged.extend(lines.by_ref().map_while(Result::ok).take(before));
        child.kill().unwrap();
        acknowledged.extend(lines.map_while(Result::ok));
        child.wait().unwrap();

        let journal = open(&folder.file()).await;
        let mut seen = 0;
        for line in &acknowledged {
            let Some((word, id)) = line.split_once(' ') else {
                continue;
            };
            if !["sent", "confirmed"].contains(&word) {
                continue;
            }
            let entry = journal.entry(id).await.unwrap();
            let entry = entry.unwrap_or_else(|| panic!("{id} is lost"));
            if word == "confirmed" {
                assert_eq!(entry.state().as_str(), word, "{id}");
            }
            seen += 1;
        }
        assert!(seen >= 10 * (life + 1), "{seen} in life {life}");
        journal.close().await.unwrap();
    }
}
