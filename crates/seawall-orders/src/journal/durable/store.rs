//! The tables in the database, and one transaction for many operations.

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{
    Builder, Database, Durability, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    WriteTransaction,
};

use super::codec::{decode, encode};
use super::command::{Operation, Value};
use super::frame::{Behind, Frame};
use crate::journal::entry::Entry;
use crate::journal::filter::MAX_SCAN;
use crate::journal::intent::{Intent, Millis};
use crate::journal::{Filter, JournalError, Mark, Page};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("ids");
const OPEN: TableDefinition<'_, u64, ()> = TableDefinition::new("open");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The number of the last commit.
const COMMIT: &str = "commit";
/// The number of the next entry.
const NEXT: &str = "next";

/// What the database itself failed with.
pub(super) enum Failed {
    /// Not read or not written.
    Database(Box<redb::Error>),
    /// Read, and wrong.
    Wrong(String),
}

impl<E: Into<redb::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl Failed {
    fn at(self, frame: &Frame, doing: &'static str) -> JournalError {
        let error = match self {
            Self::Wrong(what) => return frame.corrupted(what),
            Self::Database(error) => *error,
        };
        match error {
            redb::Error::Corrupted(what) => frame.corrupted(what),
            redb::Error::Io(error) => match error.kind() {
                ErrorKind::UnexpectedEof => frame.corrupted("it is cut short"),
                ErrorKind::InvalidData => frame.corrupted("the database in it is none"),
                _ => frame.io(doing, error),
            },
            error @ redb::Error::PreviousIo => frame.io(doing, io::Error::other(error.to_string())),
            // Tables of other types than ours, a poisoned lock: nothing that writing could cause.
            error => frame.corrupted(error.to_string()),
        }
    }
}

/// What operations answer, one each and in their order.
pub(super) type Answers = Vec<Result<Value, JournalError>>;

/// The open database.
pub(super) struct Store {
    // Before the frame, which it writes to when it is dropped.
    database: Database,
    frame: Arc<Frame>,
    commit: u64,
}

impl Store {
    /// Makes a journal of an empty file.
    pub(super) fn create(frame: &Arc<Frame>, cache: usize) -> Result<(), JournalError> {
        frame.format()?;
        guarded(frame, || {
            let create = || -> Result<(), Failed> {
                let database = database(frame, cache)?;
                let transaction = database.begin_write()?;
                drop(Tables::open(&transaction)?);
                transaction.commit()?;
                Ok(())
            };
            create().map_err(|failed| failed.at(frame, "creating the tables"))
        })?;
        frame.seal()?;
        frame.sync()
    }

    /// Opens a journal and reads all of it, so that damage is found now.
    pub(super) fn open(frame: Arc<Frame>, cache: usize) -> Result<Self, JournalError> {
        let acknowledged = frame.check()?;
        let (database, commit) = guarded(&frame, || {
            let open = || -> Result<(Database, u64), Failed> {
                let mut database = database(&frame, cache)?;
                // Each page against its checksum. What this cannot repair is an error; what a repair
                // has lost, the number of the commit shows.
                database.check_integrity()?;
                let commit = inspect(&database)?;
                Ok((database, commit))
            };
            open().map_err(|failed| failed.at(&frame, "opening"))
        })?;
        if commit < acknowledged {
            return Err(frame.corrupted(format!(
                "its last commit is number {commit}, and number {acknowledged} was acknowledged"
            )));
        }
        frame.own()?;
        Ok(Self {
            database,
            frame,
            commit,
        })
    }

    pub(super) fn frame(&self) -> &Arc<Frame> {
        &self.frame
    }

    /// Does all operations in one transaction, and returns when it is durable.
    ///
    /// # Errors
    ///
    /// Whether any of them took effect is not known, and the store is to be opened again.
    pub(super) fn run<'a>(
        &mut self,
        operations: impl Iterator<Item = &'a Operation>,
    ) -> Result<Answers, JournalError> {
        let commit = self.commit + 1;
        let (database, frame) = (&self.database, &self.frame);
        let (answers, written) = guarded(frame, || {
            transact(database, commit, operations).map_err(|failed| failed.at(frame, "writing"))
        })?;
        if written {
            self.commit = commit;
            self.frame.acknowledge(commit)?;
        }
        Ok(answers)
    }

    /// Gives the space of removed entries back to the file system; `false` if there is none.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub(super) fn compact(&mut self) -> Result<bool, JournalError> {
        let (database, frame) = (&mut self.database, &self.frame);
        guarded(frame, || {
            let compacted = database.compact();
            compacted.map_err(|error| Failed::from(error).at(frame, "compacting"))
        })
    }

    /// Closes the database, so that the next one that opens it has nothing to repair.
    pub(super) fn close(self) -> Result<(), JournalError> {
        let Self {
            database, frame, ..
        } = self;
        guarded(&frame, || {
            drop(database);
            Ok(())
        })?;
        frame.sync()
    }
}

/// Turns a panic of the database, which damaged pages can cause, into an error.
fn guarded<T>(
    frame: &Frame,
    run: impl FnOnce() -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    // What the closure has changed is dropped with it, or the store is opened again.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = (panic.downcast_ref::<String>().map(String::as_str))
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no text");
        Err(frame.corrupted(format!("the database panicked: {text}")))
    })
}

fn database(frame: &Arc<Frame>, cache: usize) -> Result<Database, Failed> {
    let behind = Behind(Arc::clone(frame));
    Ok(Builder::new()
        .create_with_file_format_v3(true)
        .set_cache_size(cache)
        .create_with_backend(behind)?)
}

/// Reads every record and compares the tables: the number of the last commit.
fn inspect(database: &Database) -> Result<u64, Failed> {
    let wrong = |what: String| Err(Failed::Wrong(what));
    let transaction = database.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let ids = transaction.open_table(IDS)?;
    let open = transaction.open_table(OPEN)?;
    let meta = transaction.open_table(META)?;
    let next = meta.get(NEXT)?.map_or(0, |next| next.value());
    let (mut records, mut still_open) = (0, 0);
    for record in entries.iter()? {
        let (seq, record) = record?;
        let seq = seq.value();
        let entry = decode(seq, record.value()).map_err(Failed::Wrong)?;
        if seq >= next {
            return wrong(format!("record {seq} is behind the last one, {next}"));
        }
        if ids.get(&*entry.intent.id)?.map(|seq| seq.value()) != Some(seq) {
            return wrong(format!("the id of record {seq} leads elsewhere"));
        }
        if open.get(seq)?.is_some() != entry.state.is_open() {
            return wrong(format!("record {seq} is open in one table alone"));
        }
        records += 1;
        still_open += u64::from(entry.state.is_open());
    }
    if [entries.len()?, ids.len()?, open.len()?] != [records, records, still_open] {
        return wrong("the tables have different numbers of records".into());
    }
    Ok(meta.get(COMMIT)?.map_or(0, |commit| commit.value()))
}

/// Does the operations, and says whether there was anything to write.
fn transact<'a>(
    database: &Database,
    commit: u64,
    operations: impl Iterator<Item = &'a Operation>,
) -> Result<(Answers, bool), Failed> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate);
    let mut tables = Tables::open(&transaction)?;
    let mut answers = Answers::new();
    for operation in operations {
        answers.push(tables.apply(operation)?);
    }
    let written = tables.changed;
    if written {
        tables.meta.insert(COMMIT, commit)?;
    }
    drop(tables);
    if written {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok((answers, written))
}

/// The tables of one transaction.
struct Tables<'a> {
    entries: Table<'a, u64, &'static [u8]>,
    ids: Table<'a, &'static str, u64>,
    open: Table<'a, u64, ()>,
    meta: Table<'a, &'static str, u64>,
    changed: bool,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, Failed> {
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            ids: transaction.open_table(IDS)?,
            open: transaction.open_table(OPEN)?,
            meta: transaction.open_table(META)?,
            changed: false,
        })
    }

    /// The outer error is the database's, the inner one the caller's.
    fn apply(&mut self, operation: &Operation) -> Result<Result<Value, JournalError>, Failed> {
        Ok(match operation {
            Operation::Append { intent, sent } => self.append(intent, *sent)?,
            Operation::Mark { id, mark } => self.mark(id, mark)?,
            Operation::Entry { id } => Ok(Value::Entry(self.find(id)?.map(Box::new))),
            Operation::List { filter } => Ok(Value::Page(self.list(filter)?)),
            Operation::Prune { before, all } => Ok(Value::Count(self.prune(*before, *all)?)),
        })
    }

    fn find(&self, id: &str) -> Result<Option<Entry>, Failed> {
        let Some(seq) = self.ids.get(id)?.map(|seq| seq.value()) else {
            return Ok(None);
        };
        self.read(seq).map(Some)
    }

    fn read(&self, seq: u64) -> Result<Entry, Failed> {
        let record = self.entries.get(seq)?;
        let record = record.ok_or_else(|| Failed::Wrong(format!("record {seq} is missing")))?;
        decode(seq, record.value()).map_err(Failed::Wrong)
    }

    fn write(&mut self, entry: &Entry) -> Result<(), Failed> {
        self.changed = true;
        self.entries.insert(entry.seq, &*encode(entry))?;
        Ok(())
    }

    fn append(
        &mut self,
        intent: &Intent,
        sent: bool,
    ) -> Result<Result<Value, JournalError>, Failed> {
        if let Some(used) = self.find(&intent.id)? {
            return Ok(Err(JournalError::UsedId {
                id: Arc::clone(&intent.id),
                state: used.state,
            }));
        }
        let seq = self.meta.get(NEXT)?.map_or(0, |next| next.value());
        self.meta.insert(NEXT, seq + 1)?;
        self.ids.insert(&*intent.id, seq)?;
        self.open.insert(seq, ())?;
        self.write(&Entry::new(seq, intent.clone(), sent))?;
        Ok(Ok(Value::Seq(seq)))
    }

    fn mark(&mut self, id: &Arc<str>, mark: &Mark) -> Result<Result<Value, JournalError>, Failed> {
        let Some(mut entry) = self.find(id)? else {
            return Ok(Err(JournalError::UnknownId { id: Arc::clone(id) }));
        };
        let before = entry.state;
        if let Err(error) = entry.apply(mark) {
            return Ok(Err(error));
        }
        match (before.is_open(), entry.state.is_open()) {
            (true, false) => _ = self.open.remove(entry.seq)?,
            (false, true) => _ = self.open.insert(entry.seq, ())?,
            _ => {}
        }
        self.write(&entry)?;
        Ok(Ok(Value::State(before)))
    }

    fn list(&self, filter: &Filter) -> Result<Page, Failed> {
        if filter.only_open() {
            let open = self.open.range(filter.start()..)?;
            return Page::collect(filter, open.map(|open| self.read(open?.0.value())));
        }
        let all = self.entries.range(filter.start()..)?;
        let all = all.map(|record| {
            let (seq, record) = record?;
            decode(seq.value(), record.value()).map_err(Failed::Wrong)
        });
        Page::collect(filter, all)
    }

    /// Removes ended entries that have not changed since `before`: all of them, or those in front,
    /// until one that may not go.
    fn prune(&mut self, before: Millis, all: bool) -> Result<u64, Failed> {
        let mut old = Vec::new();
        for (looked, record) in self.entries.iter()?.enumerate() {
            let (seq, record) = record?;
            let entry = decode(seq.value(), record.value()).map_err(Failed::Wrong)?;
            match keep(&entry, before) {
                ControlFlow::Continue(true) => old.push((entry.seq, entry.intent.id)),
                ControlFlow::Break(()) if !all => break,
                _ => {}
            }
            if !all && looked == MAX_SCAN {
                break;
            }
        }
        for (seq, id) in &old {
            self.entries.remove(seq)?;
            self.ids.remove(&**id)?;
        }
        self.changed |= !old.is_empty();
        Ok(old.len() as u64)
    }
}

/// `Continue(true)` for an entry to remove, `Continue(false)` for an open one, `Break` for an ended
/// one that is too young.
fn keep(entry: &Entry, before: Millis) -> ControlFlow<(), bool> {
    match (entry.state.is_open(), entry.changed() < before) {
        (true, _) => ControlFlow::Continue(false),
        (false, true) => ControlFlow::Continue(true),
        (false, false) => ControlFlow::Break(()),
    }
}
