//! Disks that fail.

mod damage;
mod disk;
mod full;
mod power;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use self::disk::Disk;
use super::command::{Job, Value};
use super::frame::Frame;
use super::store::Store;
use crate::Operation;
use crate::journal::{Filter, Intent, JournalError, Mark, SavedRequest, State};

const CACHE: usize = 1 << 20;

/// The states that were acknowledged, by id.
type Known = BTreeMap<String, State>;

fn frame(disk: &Disk) -> Arc<Frame> {
    let path: Arc<Path> = Path::new("orders.journal").into();
    Arc::new(Frame::new(Box::new(disk.clone()), path))
}

fn open(disk: &Disk) -> Result<Store, JournalError> {
    Store::open(frame(disk), CACHE)
}

/// An empty journal on an empty disk.
fn create(disk: &Disk) -> Store {
    Store::create(&frame(disk), CACHE).expect("created");
    open(disk).expect("opened")
}

fn append(id: &str) -> Job {
    let request = SavedRequest::new("POST", "/v2/orders").body(vec![b'.'; 60]);
    let at = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let intent = Intent::new(id, Operation::Create, at).request(request);
    Job::Append { intent, sent: true }
}

fn confirm(id: &str) -> Job {
    Job::Mark {
        id: id.into(),
        mark: Mark::confirmed(UNIX_EPOCH, "broker", ""),
    }
}

/// Appends `per_commit` intents and settles half of them, each in a commit, and notes what was
/// acknowledged.
fn round(
    store: &mut Store,
    round: usize,
    per_commit: usize,
    known: &mut Known,
) -> Result<(), JournalError> {
    let ids: Vec<_> = (0..per_commit).map(|n| format!("{round}-{n}")).collect();
    let appends: Vec<_> = ids.iter().map(|id| append(id)).collect();
    for answer in store.run(appends.iter())? {
        answer.expect("appended");
    }
    known.extend(ids.iter().map(|id| (id.clone(), State::Sent)));
    let half = &ids[..per_commit / 2];
    let confirms: Vec<_> = half.iter().map(|id| confirm(id)).collect();
    for answer in store.run(confirms.iter())? {
        answer.expect("confirmed");
    }
    known.extend(half.iter().map(|id| (id.clone(), State::Confirmed)));
    Ok(())
}

/// What the journal has.
fn found(store: &mut Store) -> Known {
    let mut found = Known::new();
    let mut filter = Filter::all();
    loop {
        let list = Job::List {
            filter: filter.clone(),
        };
        let mut answers = store.run(std::iter::once(&list)).expect("read");
        let Some(Ok(Value::Page(page))) = answers.pop() else {
            panic!("no page")
        };
        let entries = page.entries.iter();
        found.extend(entries.map(|entry| (entry.intent().id().to_owned(), entry.state())));
        match page.next {
            Some(seq) => filter = filter.after(seq),
            None => return found,
        }
    }
}

/// Everything acknowledged is there; an order that was about to be confirmed may be.
fn assert_has(found: &Known, acknowledged: &Known, context: &str) {
    for (id, state) in acknowledged {
        let later = *state == State::Sent && found.get(id) == Some(&State::Confirmed);
        assert!(
            found.get(id) == Some(state) || later,
            "{context}: {id} is lost"
        );
    }
}
