//! The bounds of the journal in memory.

use std::time::SystemTime;

use seawall_orders::Operation;
use seawall_orders::journal::{
    Filter, Intent, Journal, JournalError, Mark, MemoryJournal, MemoryJournalConfig, State,
};

fn intent(id: &str) -> Intent {
    Intent::new(id, Operation::Create, SystemTime::now())
}

#[tokio::test]
async fn open_entries_are_bounded() {
    let config = MemoryJournalConfig::default().max_open(2).unwrap();
    let journal = MemoryJournal::new(config);
    journal.append(intent("a")).await.unwrap();
    journal.append(intent("b")).await.unwrap();
    let error = journal.append(intent("c")).await.unwrap_err();
    assert!(
        matches!(error, JournalError::Full { max_open: 2 }),
        "{error}"
    );
    let abandoned = Mark::abandoned(SystemTime::now(), "not needed");
    assert_eq!(journal.mark("a", abandoned).await.unwrap(), State::Intent);
    journal.append(intent("c")).await.unwrap();
}

#[tokio::test]
async fn of_ended_entries_the_oldest_goes() {
    let config = MemoryJournalConfig::default().max_ended(2).unwrap();
    let journal = MemoryJournal::new(config);
    journal.append(intent("open")).await.unwrap();
    for id in ["a", "b", "c"] {
        journal.append(intent(id)).await.unwrap();
        let abandoned = Mark::abandoned(SystemTime::now(), "");
        journal.mark(id, abandoned).await.unwrap();
    }
    let page = journal.list(&Filter::all()).await.unwrap();
    let left: Vec<_> = page
        .entries
        .iter()
        .map(|entry| entry.intent().id())
        .collect();
    assert_eq!(left, ["open", "b", "c"]);
    assert!(journal.entry("a").await.unwrap().is_none());
}

#[test]
fn no_open_entries_at_all_is_rejected() {
    let error = MemoryJournalConfig::default().max_open(0).unwrap_err();
    assert_eq!(error.to_string(), "`max_open` is 0, accepted is at least 1");
}
