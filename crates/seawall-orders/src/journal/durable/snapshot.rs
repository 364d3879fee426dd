//! What a journal has, without a change to its file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::command::{Job, Value};
use super::file;
use super::store::Store;
use crate::journal::{Entry, Filter, JournalError, Page};

/// What is kept of the copy beside the copy.
const CACHE: usize = 1 << 20;

/// What a journal has when it is read, for tools: nothing in the file is changed, and it is locked only
/// while it is read.
///
/// The file is read into memory in one go and checked as at an [opening](super#opening). What a crash has
/// torn is repaired in memory alone.
///
/// ```
/// use seawall_orders::Operation;
/// use seawall_orders::journal::durable::{DurableConfig, DurableJournal, JournalSnapshot};
/// use seawall_orders::journal::{Filter, Intent, Journal};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("seawall-snapshot-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("orders.journal");
/// # let journal = DurableJournal::open(&path, DurableConfig::default()).await?;
/// # let intent = Intent::new("desk-1", Operation::Create, std::time::SystemTime::now());
/// # journal.append_sent(intent).await?;
/// # journal.close().await?;
/// let mut journal = JournalSnapshot::read(&path)?;
/// let open = journal.list(&Filter::open())?;
/// assert_eq!(open.entries[0].intent().id(), "desk-1");
/// assert!(journal.entry("desk-2")?.is_none());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
pub struct JournalSnapshot {
    store: Store,
    path: Arc<Path>,
}

impl fmt::Debug for JournalSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JournalSnapshot").field(&self.path).finish()
    }
}

impl JournalSnapshot {
    /// Reads the journal at `path`. Blocks for as long as the disk takes, and needs as much memory as
    /// the file is long.
    ///
    /// # Errors
    ///
    /// As [`DurableJournal::open_existing`](super::DurableJournal::open_existing): a journal that a program
    /// has open is [`InUse`](JournalError::InUse), since a copy of a file that is written to may be torn.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path: Arc<Path> = path.as_ref().into();
        let store = file::open_copy(&path, CACHE)?;
        Ok(Self { store, path })
    }

    /// The entry of a client order id; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Corrupted`](JournalError::Corrupted), which reading has not found.
    pub fn entry(&mut self, id: &str) -> Result<Option<Entry>, JournalError> {
        match self.run(&Job::Entry { id: id.into() })? {
            Value::Entry(entry) => Ok(entry.map(|entry| *entry)),
            _ => Err(JournalError::Closed),
        }
    }

    /// Entries in the order in which they were appended.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn list(&mut self, filter: &Filter) -> Result<Page, JournalError> {
        let filter = filter.clone();
        match self.run(&Job::List { filter })? {
            Value::Page(page) => Ok(page),
            _ => Err(JournalError::Closed),
        }
    }

    fn run(&mut self, job: &Job) -> Result<Value, JournalError> {
        let mut answers = self.store.run(std::iter::once(job))?;
        answers.pop().unwrap_or(Err(JournalError::Closed))
    }
}
