//! Two processes, and one that is killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use seawall_orders::journal::durable::{DurableConfig, DurableJournal};
use seawall_orders::journal::{Filter, Journal, JournalError, Mark};

use crate::common::{Folder, intent, open};

const FILE: &str = "SEAWALL_TEST_JOURNAL";

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
