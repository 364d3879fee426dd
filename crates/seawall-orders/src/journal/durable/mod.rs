//! A journal that keeps what it acknowledged across crashes and power cuts, in one file.
//!
//! ```
//! use std::time::SystemTime;
//! use seawall_orders::journal::durable::{DurableConfig, DurableJournal};
//! use seawall_orders::Operation;
//! use seawall_orders::journal::{Filter, Intent, Journal};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("seawall-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let path = folder.join("orders.journal");
//! let journal = DurableJournal::open(&path, DurableConfig::default()).await?;
//! let intent = Intent::new("desk-1", Operation::Create, SystemTime::now());
//! journal.append_sent(intent).await?; // on the disk: now the request may leave
//! # journal.close().await?;
//! // ... a crash, and a new process: what is open is looked up before new orders pass ...
//! let journal = DurableJournal::open(&path, DurableConfig::default()).await?;
//! assert_eq!(journal.list(&Filter::open()).await?.entries[0].intent().id(), "desk-1");
//! journal.close().await?;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is kept when
//!
//! An answer comes when what it says is on the disk: a write's when the write is, a read's when all
//! that it has seen is. What was handed over and not answered may be there after a crash or not, each
//! operation completely or not at all.
//!
//! A thread of its own has the file. [`FsyncPolicy`] says how many operations share one sync; all of
//! those in one commit become durable together. No runtime has to be there for it: one that shuts
//! down loses answers, not writes.
//!
//! # Opening
//!
//! Opening reads the whole file and compares every checksum, of the database's pages and of each
//! record. Damage is [`Corrupted`](JournalError::Corrupted), and a last commit that was acknowledged
//! and is gone is, too: nothing is dropped in silence. What a crash has torn and nobody was
//! answered for is no damage. Copy a damaged file before anything else is tried with it.
//!
//! One damage cannot be known: a power cut while a commit is written **and** a damaged first page
//! with the number of the commit before it.
//!
//! [`JournalSnapshot`] reads a journal that no program has open, and changes nothing in it: opening one
//! for writing repairs what a crash has torn, and removes ended entries by its own retention.
//!
//! One handle at a time has a file: the second gets [`InUse`](JournalError::InUse) with the process
//! that has it. The lock ends with the process, however that ends.
//!
//! # Failures
//!
//! When a write fails (a full disk, a read-only file system), all operations of its commit fail with
//! [`Io`](JournalError::Io): whether they took effect is known when the journal can read its file
//! again. Until then every operation is [`Unavailable`](JournalError::Unavailable); an operation that
//! comes a second after the failure or later makes the journal open its file again, and succeeds if
//! the disk takes it.
//!
//! After a **sync** that failed, or when damage is found while running, the journal stays
//! unavailable: the system may have dropped what it could not write, and reading would show it
//! nevertheless. Restart on a disk that is in order.
//!
//! # Memory
//!
//! The open entries and the id of every entry that is kept: about 100 bytes for each ended one, and
//! the cache ([`DurableConfig::cache`]). Several days of many orders are millions of ids: a shorter
//! [`retention`](DurableConfig::retention) is the remedy.
//!
//! # Closing
//!
//! [`close`](DurableJournal::close) finishes what was handed over, and its answer comes when the file
//! is free for another process. When the last handle is dropped the same happens without an answer;
//! a process that ends in the meantime loses what it was not answered for, and nothing else.

mod codec;
mod command;
mod config;
mod file;
mod frame;
mod snapshot;
mod store;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use self::command::{Command, Job, Queue, Value};
use self::store::Store;
use self::writer::Writer;
use super::intent::Millis;
use super::{Answer, Entry, Filter, Intent, Journal, JournalError, Mark, Page, State};

pub use self::config::{DurableConfig, FsyncPolicy};
pub use self::snapshot::JournalSnapshot;

/// A journal in a file. Clones have the same one. See the [module](self).
#[derive(Clone)]
pub struct DurableJournal(Arc<Handle>);

struct Handle {
    queue: Arc<Queue>,
    max_pending: usize,
    path: Arc<Path>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.hang_up();
    }
}

impl fmt::Debug for DurableJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DurableJournal").field(&self.0.path).finish()
    }
}

impl DurableJournal {
    /// Opens the journal at `path`, or makes an empty one where no file is; its folder must be there.
    ///
    /// A thread does the work: dropping the answer stops it as soon as the file is open.
    ///
    /// # Errors
    ///
    /// [`InUse`](JournalError::InUse), [`NotAJournal`](JournalError::NotAJournal),
    /// [`NewerVersion`](JournalError::NewerVersion), [`Corrupted`](JournalError::Corrupted) and
    /// [`Io`](JournalError::Io).
    pub fn open(path: impl AsRef<Path>, config: DurableConfig) -> Answer<Self> {
        let path: Arc<Path> = path.as_ref().into();
        let file = Arc::clone(&path);
        Self::start(path, config, move || file::open(&file, config.cache))
    }

    /// As [`open`](Self::open), and an error where no file is: for tools, to which a wrong name must not
    /// look like a journal without orders.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_existing(path: impl AsRef<Path>, config: DurableConfig) -> Answer<Self> {
        let path: Arc<Path> = path.as_ref().into();
        let file = Arc::clone(&path);
        Self::start(path, config, move || {
            file::open_existing(&file, config.cache)
        })
    }

    fn start(
        path: Arc<Path>,
        config: DurableConfig,
        open: impl FnOnce() -> Result<Store, JournalError> + Send + 'static,
    ) -> Answer<Self> {
        let (opened, answer) = oneshot::channel();
        let journal = Self(Arc::new(Handle {
            queue: Arc::default(),
            max_pending: config.max_pending,
            path: Arc::clone(&path),
        }));
        let work = move || {
            let store = match open() {
                Ok(store) => store,
                Err(error) => {
                    _ = opened.send(Err(error));
                    return;
                }
            };
            let writer = Writer::new(Arc::clone(&journal.0.queue), config, store);
            // Where the caller has gone, this drops the only handle, and the writer ends at once.
            _ = opened.send(Ok(journal));
            writer.run();
        };
        let thread = std::thread::Builder::new().name("seawall-journal".into());
        match thread.spawn(work) {
            Ok(_) => Answer::pending(answered(answer)),
            Err(error) => Answer::ready(Err(JournalError::Io {
                path,
                doing: "starting its thread",
                error: Arc::<io::Error>::new(error),
            })),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Finishes what was handed over, closes the file and unlocks it. Operations of any clone that
    /// come later fail with [`Closed`](JournalError::Closed).
    ///
    /// # Errors
    ///
    /// [`Closed`](JournalError::Closed) if it is; [`Io`](JournalError::Io) or an earlier failure if
    /// the file could not be closed in good order: what was acknowledged is there all the same.
    pub fn close(&self) -> Answer<()> {
        self.send(Command::Close)
    }

    /// Gives the space of removed entries back to the file system; answers `false` if there was none.
    /// Other operations wait meanwhile, for seconds where the file is large.
    ///
    /// # Errors
    ///
    /// Those of a write.
    pub fn compact(&self) -> Answer<bool> {
        self.send(Command::Compact)
    }

    fn send<T: Send + 'static>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> Command,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        match self.0.queue.push(command(reply), self.0.max_pending) {
            Ok(()) => Answer::pending(answered(answer)),
            Err(error) => Answer::ready(Err(error)),
        }
    }

    /// Hands an operation over; `expect` takes its kind of value, which the writer answers.
    fn run<T: Send + 'static>(&self, operation: Job, expect: fn(Value) -> Option<T>) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Run(Box::new(operation), reply);
        match self.0.queue.push(command, self.0.max_pending) {
            Ok(()) => Answer::pending(async move {
                expect(answered(answer).await?).ok_or(JournalError::Closed)
            }),
            Err(error) => Answer::ready(Err(error)),
        }
    }

    fn put(&self, intent: Intent, sent: bool) -> Answer<u64> {
        if let Err(error) = intent.check() {
            return Answer::ready(Err(error.into()));
        }
        self.run(Job::Append { intent, sent }, |value| match value {
            Value::Seq(seq) => Some(seq),
            _ => None,
        })
    }
}

async fn answered<T>(
    answer: oneshot::Receiver<Result<T, JournalError>>,
) -> Result<T, JournalError> {
    // The writer has ended without an answer.
    answer.await.unwrap_or(Err(JournalError::Closed))
}

impl Journal for DurableJournal {
    fn append(&self, intent: Intent) -> Answer<u64> {
        self.put(intent, false)
    }

    fn append_sent(&self, intent: Intent) -> Answer<u64> {
        self.put(intent, true)
    }

    fn mark(&self, id: &str, mark: Mark) -> Answer<State> {
        let id = id.into();
        self.run(Job::Mark { id, mark }, |value| match value {
            Value::State(state) => Some(state),
            _ => None,
        })
    }

    fn entry(&self, id: &str) -> Answer<Option<Entry>> {
        let id = id.into();
        self.run(Job::Entry { id }, |value| match value {
            Value::Entry(entry) => Some(entry.map(|entry| *entry)),
            _ => None,
        })
    }

    fn list(&self, filter: &Filter) -> Answer<Page> {
        let filter = filter.clone();
        self.run(Job::List { filter }, |value| match value {
            Value::Page(page) => Some(page),
            _ => None,
        })
    }

    fn prune(&self, before: SystemTime) -> Answer<u64> {
        let before = Millis::of(before);
        let prune = Job::Prune { before, all: true };
        self.run(prune, |value| match value {
            Value::Count(count) => Some(count),
            _ => None,
        })
    }
}
