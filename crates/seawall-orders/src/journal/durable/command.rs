//! What is handed over to the writer, and the queue in between.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::FsyncPolicy;
use crate::journal::intent::{Intent, Millis};
use crate::journal::{Entry, Filter, JournalError, Mark, Page, State};

/// The most operations of one commit: bounds the time that the first one waits for the last.
const MAX_BATCH: usize = 4096;

/// One operation on the tables.
pub(super) enum Job {
    Append { intent: Intent, sent: bool },
    Mark { id: Arc<str>, mark: Mark },
    Entry { id: Arc<str> },
    List { filter: Filter },
    Prune { before: Millis, all: bool },
}

/// What an operation answers.
pub(super) enum Value {
    Seq(u64),
    State(State),
    Entry(Option<Box<Entry>>),
    Page(Page),
    Count(u64),
}

pub(super) type Reply = oneshot::Sender<Result<Value, JournalError>>;

/// What the writer is asked for.
pub(super) enum Command {
    /// One operation, together with its neighbours.
    Run(Box<Job>, Reply),
    /// Give space back.
    Compact(oneshot::Sender<Result<bool, JournalError>>),
    /// Finish what was handed over before, close the file, accept nothing more.
    Close(oneshot::Sender<Result<(), JournalError>>),
}

/// What is handed over and not done.
#[derive(Default)]
pub(super) struct Queue {
    pending: Mutex<Pending>,
    arrived: Condvar,
}

#[derive(Default)]
struct Pending {
    commands: VecDeque<Command>,
    closed: bool,
}

impl Queue {
    // Every change is complete before anything that can panic.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a command over. Nothing follows `Close`.
    pub(super) fn push(&self, command: Command, max_pending: usize) -> Result<(), JournalError> {
        let mut pending = self.lock();
        if pending.closed {
            return Err(JournalError::Closed);
        }
        match command {
            Command::Close(_) => pending.closed = true,
            _ if pending.commands.len() >= max_pending => {
                return Err(JournalError::Behind { max_pending });
            }
            _ => {}
        }
        pending.commands.push_back(command);
        drop(pending);
        self.arrived.notify_one();
        Ok(())
    }

    /// The last handle is gone: the writer is to finish.
    pub(super) fn hang_up(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// The commands of the next commit; empty when the queue is closed and nothing is left, or when
    /// nothing has come for `idle`.
    pub(super) fn take(&self, policy: FsyncPolicy, idle: Duration) -> (Vec<Command>, bool) {
        let pending = self.lock();
        let waited = self.arrived.wait_timeout_while(pending, idle, |pending| {
            pending.commands.is_empty() && !pending.closed
        });
        let (mut pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let most = match policy {
            FsyncPolicy::Always => 1,
            FsyncPolicy::Group { max_delay } => {
                if !max_delay.is_zero() && !pending.commands.is_empty() {
                    let waited = self
                        .arrived
                        .wait_timeout_while(pending, max_delay, |pending| {
                            pending.commands.len() < MAX_BATCH && !pending.closed
                        });
                    (pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
                }
                MAX_BATCH
            }
        };
        let len = pending.commands.len().min(most);
        let commands: Vec<_> = pending.commands.drain(..len).collect();
        let finished = pending.closed && pending.commands.is_empty();
        (commands, finished)
    }

    /// Closes the queue and takes what is left.
    pub(super) fn abort(&self) -> Vec<Command> {
        let mut pending = self.lock();
        pending.closed = true;
        pending.commands.drain(..).collect()
    }
}

impl Command {
    /// Answers with an error. A caller that has gone does not need it.
    pub(super) fn fail(self, error: JournalError) {
        match self {
            Self::Run(_, reply) => _ = reply.send(Err(error)),
            Self::Compact(reply) => _ = reply.send(Err(error)),
            Self::Close(reply) => _ = reply.send(Err(error)),
        }
    }
}
