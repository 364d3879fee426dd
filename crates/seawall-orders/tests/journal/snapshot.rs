//! Reading without a change.

use std::fs;
use std::time::{Duration, SystemTime};

use seawall_orders::journal::durable::{DurableConfig, DurableJournal, JournalSnapshot};
use seawall_orders::journal::{Filter, Journal, JournalError, Mark, State};

use crate::common::{Folder, intent, open};

#[tokio::test]
async fn a_snapshot_has_what_the_journal_has_and_changes_nothing() {
    let folder = Folder::new();
    let config = DurableConfig::default().retention(Duration::MAX).unwrap();
    let journal = DurableJournal::open(folder.file(), config).await.unwrap();
    for n in 0..1_500 {
        drop(journal.append_sent(intent(&format!("order-{n}"))));
    }
    // Older than the default retention, with which an opening for writing would remove it.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let mark = Mark::absent(long_ago).details("by hand");
    journal.mark("order-0", mark).await.unwrap();
    journal.close().await.unwrap();
    let before = fs::read(folder.file()).unwrap();
    let modified = fs::metadata(folder.file()).unwrap().modified().unwrap();

    let mut read = JournalSnapshot::read(folder.file()).unwrap();
    // It is not locked any more, whatever is done to it meanwhile.
    let mut again = JournalSnapshot::read(folder.file()).unwrap();
    assert_eq!(again.list(&Filter::all()).unwrap().entries.len(), 1_000);
    let mut filter = Filter::open();
    let mut open = 0;
    loop {
        let page = read.list(&filter).unwrap();
        open += page.entries.len();
        match page.next {
            Some(seq) => filter = filter.after(seq),
            None => break,
        }
    }
    assert_eq!(open, 1_499);
    let settled = read.entry("order-0").unwrap().unwrap();
    assert_eq!(
        (settled.state(), settled.details()),
        (State::Absent, &b"by hand"[..])
    );
    assert!(read.entry("order-x").unwrap().is_none());

    assert!(
        fs::read(folder.file()).unwrap() == before,
        "the file has changed"
    );
    let after = fs::metadata(folder.file()).unwrap().modified().unwrap();
    assert_eq!(after, modified);
    let left: Vec<_> = fs::read_dir(folder.file().parent().unwrap())
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// A process that was killed leaves a file that has to be repaired.
#[tokio::test]
async fn a_snapshot_of_an_unclosed_journal_repairs_in_memory_alone() {
    let folder = Folder::new();
    let journal = open(&folder.file()).await;
    journal.append_sent(intent("order-1")).await.unwrap();
    let unclosed = folder.file().with_extension("copy");
    fs::copy(folder.file(), &unclosed).unwrap();
    let before = fs::read(&unclosed).unwrap();
    let mut read = JournalSnapshot::read(&unclosed).unwrap();
    assert_eq!(read.list(&Filter::open()).unwrap().entries.len(), 1);
    assert!(
        fs::read(&unclosed).unwrap() == before,
        "the file has changed"
    );
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_of_a_journal_in_use_is_an_error_with_the_process() {
    let folder = Folder::new();
    let journal = open(&folder.file()).await;
    let error = JournalSnapshot::read(folder.file()).unwrap_err();
    let own = std::process::id();
    assert!(
        matches!(error, JournalError::InUse { process: Some(id), .. } if id == own),
        "{error}"
    );
    journal.close().await.unwrap();
    JournalSnapshot::read(folder.file()).unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_an_error_and_is_not_made() {
    let folder = Folder::new();
    let config = DurableConfig::default();
    let errors = [
        JournalSnapshot::read(folder.file()).unwrap_err(),
        DurableJournal::open_existing(folder.file(), config)
            .await
            .unwrap_err(),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("opening the file: No such file"), "{text}");
    }
    assert!(!folder.file().exists());
    fs::create_dir(folder.file()).unwrap();
    let error = JournalSnapshot::read(folder.file()).unwrap_err();
    assert!(
        error.to_string().ends_with("it is no regular file"),
        "{error}"
    );
}
