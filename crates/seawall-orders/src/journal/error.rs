//! Why a journal did not do what it was asked to.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use seawall_core::InvalidConfig;

use super::State;

/// Why a journal did not do what it was asked to.
///
/// After an error of a write, nothing may be sent on the strength of it. After
/// [`Io`](Self::Io) and [`Unavailable`](Self::Unavailable) the write may be in the file or not: read
/// the entry when the journal can write again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// The client order id was used before.
    UsedId {
        /// The id.
        id: Arc<str>,
        /// The state of the entry that has it.
        state: State,
    },
    /// No entry has this client order id: it was never appended, or retention has removed it.
    UnknownId {
        /// The id.
        id: Arc<str>,
    },
    /// The state of the entry does not allow the mark.
    Forbidden {
        /// The id.
        id: Arc<str>,
        /// The state of the entry.
        from: State,
        /// The state of the mark.
        to: State,
    },
    /// A `sent` mark has not the number of the next attempt.
    WrongAttempt {
        /// The id.
        id: Arc<str>,
        /// The number of the next attempt.
        expected: u32,
        /// The number in the mark.
        found: u32,
    },
    /// A value that the journal does not accept.
    Invalid(InvalidConfig),
    /// As many entries are open as may be.
    Full {
        /// The limit.
        max_open: usize,
    },
    /// As many operations wait for the disk as may wait.
    Behind {
        /// The limit.
        max_pending: usize,
    },
    /// The journal is closed.
    Closed,
    /// Another handle, mostly another process, has the journal.
    InUse {
        /// The file.
        path: Arc<Path>,
        /// The id of the process that has it, where the file says so.
        process: Option<u32>,
    },
    /// The file is no journal.
    NotAJournal {
        /// The file.
        path: Arc<Path>,
        /// What was found.
        found: Arc<str>,
    },
    /// A later version wrote the file.
    NewerVersion {
        /// The file.
        path: Arc<Path>,
        /// The version of its format.
        found: u32,
        /// The latest version that this program knows.
        known: u32,
    },
    /// The file is damaged. Nothing of it is used: what it lacks might be an open order.
    Corrupted {
        /// The file.
        path: Arc<Path>,
        /// What is wrong.
        what: Arc<str>,
    },
    /// Reading or writing failed.
    Io {
        /// The file.
        path: Arc<Path>,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        error: Arc<io::Error>,
    },
    /// An earlier write failed, and the journal cannot write yet.
    Unavailable {
        /// The file.
        path: Arc<Path>,
        /// That failure.
        cause: Arc<str>,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedId { id, state } => {
                write!(
                    f,
                    "client order id `{id}` was used before, its entry is {state}"
                )
            }
            Self::UnknownId { id } => write!(f, "no entry has the client order id `{id}`"),
            Self::Forbidden { id, from, to } => {
                write!(f, "`{id}` is {from} and cannot be marked {to}")
            }
            Self::WrongAttempt {
                id,
                expected,
                found,
            } => {
                write!(
                    f,
                    "the next attempt of `{id}` is number {expected}, the mark has {found}"
                )
            }
            Self::Invalid(error) => error.fmt(f),
            Self::Full { max_open } => {
                write!(
                    f,
                    "the journal has {max_open} open entries, which is its limit"
                )
            }
            Self::Behind { max_pending } => write!(
                f,
                "{max_pending} operations wait for the journal's disk, which is the limit"
            ),
            Self::Closed => f.write_str("the journal is closed"),
            Self::InUse { path, process } => {
                write!(f, "journal {} is in use", path.display())?;
                match process {
                    Some(process) => write!(f, " by process {process}"),
                    None => f.write_str(" by another process"),
                }
            }
            Self::NotAJournal { path, found } => {
                write!(f, "{} is no journal of orders: {found}", path.display())
            }
            Self::NewerVersion { path, found, known } => write!(
                f,
                "journal {} has format {found}, and this program knows formats up to {known}",
                path.display()
            ),
            Self::Corrupted { path, what } => {
                write!(f, "journal {} is damaged: {what}", path.display())
            }
            Self::Io { path, doing, error } => {
                write!(f, "journal {}: {doing}: {error}", path.display())
            }
            Self::Unavailable { path, cause } => write!(
                f,
                "journal {} cannot write yet, after: {cause}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::Io { error, .. } => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl From<InvalidConfig> for JournalError {
    fn from(error: InvalidConfig) -> Self {
        Self::Invalid(error)
    }
}
