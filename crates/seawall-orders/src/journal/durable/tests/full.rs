//! A disk that takes nothing more.

use std::time::{Duration, UNIX_EPOCH};

use super::disk::Disk;
use super::{Known, assert_has, create, found, open, round};
use crate::Operation;
use crate::journal::durable::{DurableConfig, DurableJournal};
use crate::journal::{Filter, Intent, Journal, JournalError};

fn intent(n: usize) -> Intent {
    Intent::new(n.to_string(), Operation::Create, UNIX_EPOCH).hook(vec![b'.'; 1_000])
}

async fn journal(disk: &Disk, reopen: Duration) -> DurableJournal {
    drop(create(disk));
    let config = DurableConfig {
        reopen,
        ..DurableConfig::default()
    };
    let disk = disk.clone();
    let path = std::path::Path::new("orders.journal").into();
    let opened = DurableJournal::start(path, config, move || open(&disk));
    opened.await.expect("opened")
}

/// Appends until one fails: the number of those that did not, and the error.
async fn fill(journal: &DurableJournal, from: usize) -> (usize, JournalError) {
    for n in from.. {
        if let Err(error) = journal.append(intent(n)).await {
            return (n, error);
        }
    }
    unreachable!("a disk without end")
}

#[tokio::test]
async fn a_full_disk_is_named_and_writing_goes_on_when_there_is_space() {
    let disk = Disk::default();
    let journal = journal(&disk, Duration::ZERO).await;
    disk.set_space(Some(300_000));
    let (written, error) = fill(&journal, 0).await;
    assert!(written > 5, "{written}");
    let start = "journal orders.journal: writing: ";
    assert!(error.to_string().starts_with(start), "{error}");
    // It is tried again, and still fails.
    let error = journal.append(intent(10_000)).await.unwrap_err();
    assert!(matches!(error, JournalError::Io { .. }), "{error}");
    disk.set_space(None);
    journal.append(intent(20_000)).await.expect("written");
    let page = journal.list(&Filter::all()).await.expect("read");
    for n in (0..written).chain([20_000]) {
        let id = n.to_string();
        let there = page.entries.iter().any(|entry| entry.intent().id() == id);
        assert!(there, "{id} of {written} is lost");
    }
    journal.close().await.expect("closed");
}

#[tokio::test]
async fn until_the_file_is_opened_again_everything_is_rejected() {
    let disk = Disk::default();
    let journal = journal(&disk, Duration::MAX).await;
    disk.set_space(Some(100_000));
    let (written, failure) = fill(&journal, 0).await;
    disk.set_space(None);
    let error = journal.append(intent(written + 1)).await.unwrap_err();
    let text = format!("journal orders.journal cannot write yet, after: {failure}");
    assert_eq!(error.to_string(), text);
    let error = journal.entry("0").await.unwrap_err();
    assert!(matches!(error, JournalError::Unavailable { .. }), "{error}");
    // Closing says that it was not in good order.
    let error = journal.close().await.unwrap_err();
    assert_eq!(error.to_string(), failure.to_string());
}

#[tokio::test]
async fn after_a_failed_sync_it_stays_unavailable() {
    let disk = Disk::default();
    let journal = journal(&disk, Duration::ZERO).await;
    journal.append(intent(0)).await.expect("written");
    disk.set_syncs(Some(0));
    let failure = journal.append(intent(1)).await.unwrap_err();
    assert!(matches!(failure, JournalError::Io { .. }), "{failure}");
    disk.set_syncs(None);
    let error = journal.append(intent(2)).await.unwrap_err();
    assert!(matches!(error, JournalError::Unavailable { .. }), "{error}");
}

/// Space for every number of bytes: whatever the write is that fails, nothing is lost.
#[test]
fn whichever_write_fails() {
    for space in (0..400_000).step_by(9_973) {
        let disk = Disk::default();
        let mut store = create(&disk);
        let mut known = Known::new();
        disk.set_space(Some(space));
        let mut rounds = 0;
        while round(&mut store, rounds, 4, &mut known).is_ok() {
            rounds += 1;
        }
        // An error while it closes is all that is left of it.
        _ = store.close();
        disk.set_space(None);
        let mut store = open(&disk).expect("opened");
        assert_has(
            &found(&mut store),
            &known,
            &format!("space for {space} bytes"),
        );
    }
}
