//! The tables in the database, and one transaction for many operations.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{
    Builder, Database, Durability, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    WriteTransaction,
};

use super::codec::{decode, encode};
use super::command::{Job, Value};
use super::frame::{Behind, Frame};
use crate::journal::entry::Entry;
use crate::journal::filter::MAX_SCAN;
use crate::journal::intent::{Intent, Millis};
use crate::journal::{Filter, JournalError, Mark, Page};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The number of the last commit.
const COMMIT: &str = "commit";
/// The number of the next entry, which those that were removed have left no trace of otherwise.
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
    index: Index,
}

/// What is known without reading the database. It is ahead of the database while a commit is on its
/// way; when that fails, the store goes with it.
#[derive(Default)]
struct Index {
    commit: u64,
    next: u64,
    ids: HashMap<Arc<str>, u64>,
    open: BTreeMap<u64, Entry>,
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
        let (database, index) = guarded(&frame, || {
            let open = || -> Result<(Database, Index), Failed> {
                let mut database = database(&frame, cache)?;
                // Each page against its checksum. What this cannot repair is an error; what a repair
                // has lost, the number of the commit shows.
                database.check_integrity()?;
                let index = inspect(&database)?;
                Ok((database, index))
            };
            open().map_err(|failed| failed.at(&frame, "opening"))
        })?;
        let commit = index.commit;
        if commit < acknowledged {
            return Err(frame.corrupted(format!(
                "its last commit is number {commit}, and number {acknowledged} was acknowledged"
            )));
        }
        frame.own()?;
        Ok(Self {
            database,
            frame,
            index,
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
        operations: impl Iterator<Item = &'a Job>,
    ) -> Result<Answers, JournalError> {
        let (database, frame, index) = (&self.database, &self.frame, &mut self.index);
        let (answers, written) = guarded(frame, || {
            transact(database, index, operations).map_err(|failed| failed.at(frame, "writing"))
        })?;
        if written {
            self.frame.acknowledge(self.index.commit)?;
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

/// Reads every record.
fn inspect(database: &Database) -> Result<Index, Failed> {
    let transaction = database.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let meta = transaction.open_table(META)?;
    let mut index = Index {
        commit: meta.get(COMMIT)?.map_or(0, |commit| commit.value()),
        next: meta.get(NEXT)?.map_or(0, |next| next.value()),
        ..Index::default()
    };
    let mut records = 0;
    for record in entries.iter()? {
        let (seq, record) = record?;
        let seq = seq.value();
        let entry = decode(seq, record.value()).map_err(Failed::Wrong)?;
        if seq >= index.next {
            let what = format!("record {seq} is behind the last one, {}", index.next);
            return Err(Failed::Wrong(what));
        }
        let id = Arc::clone(&entry.intent.id);
        if let Some(other) = index.ids.insert(id, seq) {
            let what = format!("records {other} and {seq} have one id");
            return Err(Failed::Wrong(what));
        }
        if entry.state().is_open() {
            index.open.insert(seq, entry);
        }
        records += 1;
    }
    if entries.len()? != records {
        let what = format!("of {} records there are {records}", entries.len()?);
        return Err(Failed::Wrong(what));
    }
    Ok(index)
}

/// Does the operations, and says whether there was anything to write.
fn transact<'a>(
    database: &Database,
    index: &mut Index,
    operations: impl Iterator<Item = &'a Job>,
) -> Result<(Answers, bool), Failed> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate);
    let mut tables = Tables::open(&transaction)?;
    let mut answers = Answers::new();
    for operation in operations {
        answers.push(tables.apply(index, operation)?);
    }
    let written = tables.changed;
    if written {
        index.commit += 1;
        tables.meta.insert(COMMIT, index.commit)?;
        tables.meta.insert(NEXT, index.next)?;
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
    meta: Table<'a, &'static str, u64>,
    changed: bool,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, Failed> {
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            meta: transaction.open_table(META)?,
            changed: false,
        })
    }

    /// The outer error is the database's, the inner one the caller's.
    fn apply(
        &mut self,
        index: &mut Index,
        operation: &Job,
    ) -> Result<Result<Value, JournalError>, Failed> {
        Ok(match operation {
            Job::Append { intent, sent } => self.append(index, intent, *sent)?,
            Job::Mark { id, mark } => self.mark(index, id, mark)?,
            Job::Entry { id } => Ok(Value::Entry(match index.ids.get(id) {
                Some(seq) => Some(Box::new(self.read(index, *seq)?)),
                None => None,
            })),
            Job::List { filter } => Ok(Value::Page(self.list(index, filter)?)),
            Job::Prune { before, all } => Ok(Value::Count(self.prune(index, *before, *all)?)),
        })
    }

    fn read(&self, index: &Index, seq: u64) -> Result<Entry, Failed> {
        if let Some(entry) = index.open.get(&seq) {
            return Ok(entry.clone());
        }
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
        index: &mut Index,
        intent: &Intent,
        sent: bool,
    ) -> Result<Result<Value, JournalError>, Failed> {
        if let Some(seq) = index.ids.get(&intent.id) {
            return Ok(Err(JournalError::UsedId {
                id: Arc::clone(&intent.id),
                state: self.read(index, *seq)?.state(),
            }));
        }
        let seq = index.next;
        let entry = Entry::new(seq, intent.clone(), sent);
        self.write(&entry)?;
        index.next += 1;
        index.ids.insert(Arc::clone(&intent.id), seq);
        index.open.insert(seq, entry);
        Ok(Ok(Value::Seq(seq)))
    }

    fn mark(
        &mut self,
        index: &mut Index,
        id: &Arc<str>,
        mark: &Mark,
    ) -> Result<Result<Value, JournalError>, Failed> {
        let Some(seq) = index.ids.get(id).copied() else {
            return Ok(Err(JournalError::UnknownId { id: Arc::clone(id) }));
        };
        let mut entry = self.read(index, seq)?;
        let before = entry.state();
        if let Err(error) = entry.apply(mark) {
            return Ok(Err(error));
        }
        self.write(&entry)?;
        if entry.state().is_open() {
            index.open.insert(seq, entry);
        } else {
            index.open.remove(&seq);
        }
        Ok(Ok(Value::State(before)))
    }

    fn list(&self, index: &Index, filter: &Filter) -> Result<Page, Failed> {
        if filter.only_open() {
            let open = index.open.range(filter.start()..);
            return Page::collect(filter, open.map(|(_, entry)| Ok(entry.clone())));
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
    fn prune(&mut self, index: &mut Index, before: Millis, all: bool) -> Result<u64, Failed> {
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
            index.ids.remove(id);
        }
        self.changed |= !old.is_empty();
        Ok(old.len() as u64)
    }
}

/// `Continue(true)` for an entry to remove, `Continue(false)` for an open one, `Break` for an ended
/// one that is too young.
fn keep(entry: &Entry, before: Millis) -> ControlFlow<(), bool> {
    match (entry.state().is_open(), entry.fate.changed() < before) {
        (true, _) => ControlFlow::Continue(false),
        (false, true) => ControlFlow::Continue(true),
        (false, false) => ControlFlow::Break(()),
    }
}
