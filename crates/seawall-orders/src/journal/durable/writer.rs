//! The thread that has the file.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_core::Clock;
use tokio::sync::oneshot;

use super::DurableConfig;
use super::command::{Command, Job, Queue, Reply};
use super::frame::Frame;
use super::store::Store;
use crate::journal::JournalError;
use crate::journal::intent::Millis;

/// How often ended entries are looked at for their age.
const RETENTION_INTERVAL: Duration = Duration::from_secs(10);

/// Takes commands and does them until the queue is closed.
pub(super) struct Writer {
    queue: Arc<Queue>,
    config: DurableConfig,
    frame: Arc<Frame>,
    /// `None` after a failure.
    store: Option<Store>,
    failure: Option<JournalError>,
    clock: Clock,
    reopen_at: u64,
    retain_at: u64,
    closers: Vec<oneshot::Sender<Result<(), JournalError>>>,
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>, config: DurableConfig, store: Store) -> Self {
        Self {
            queue,
            config,
            frame: Arc::clone(store.frame()),
            store: Some(store),
            failure: None,
            clock: Clock::start(),
            reopen_at: 0,
            retain_at: 0,
            closers: Vec::new(),
        }
    }

    /// Works until the queue is closed and empty; then the file is closed and free for others.
    pub(super) fn run(mut self) {
        loop {
            let (commands, finished) = self.queue.take(self.config.fsync, RETENTION_INTERVAL);
            self.batch(commands);
            self.retain();
            if finished {
                break;
            }
        }
        let closed = match self.store.take() {
            Some(store) => store.close(),
            None => self.failure.take().map_or(Ok(()), Err),
        };
        let closers = mem::take(&mut self.closers);
        // The lock on the file goes with the last reference.
        drop(self);
        for closer in closers {
            _ = closer.send(closed.clone());
        }
    }

    fn batch(&mut self, commands: Vec<Command>) {
        let mut together = Vec::with_capacity(commands.len());
        for command in commands {
            match command {
                Command::Run(operation, reply) => together.push((operation, reply)),
                Command::Compact(reply) => {
                    self.commit(mem::take(&mut together));
                    _ = reply.send(self.with_store(Store::compact));
                }
                Command::Close(closer) => self.closers.push(closer),
            }
        }
        self.commit(together);
    }

    /// Does operations in one commit, then answers them.
    fn commit(&mut self, operations: Vec<(Box<Job>, Reply)>) {
        if operations.is_empty() {
            return;
        }
        let done = self.with_store(|store| store.run(operations.iter().map(|(op, _)| &**op)));
        match done {
            Ok(answers) => {
                for ((_, reply), answer) in operations.into_iter().zip(answers) {
                    // A caller that has gone does not need its answer.
                    _ = reply.send(answer);
                }
            }
            Err(error) => {
                for (_, reply) in operations {
                    _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Runs `work` on the store, which is opened again after a failure.
    fn with_store<T>(
        &mut self,
        work: impl FnOnce(&mut Store) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.reopen()?,
        };
        match work(&mut store) {
            Ok(done) => {
                self.store = Some(store);
                Ok(done)
            }
            Err(error) => {
                // What has failed once answers nothing more; what is left open is repaired.
                _ = store.close();
                Err(self.failed(error))
            }
        }
    }

    fn failed(&mut self, error: JournalError) -> JournalError {
        self.failure = Some(error.clone());
        self.reopen_at = self.after(self.config.reopen);
        error
    }

    fn reopen(&mut self) -> Result<Store, JournalError> {
        let lasting = self.frame.sync_failed()
            || matches!(self.failure, Some(JournalError::Corrupted { .. }));
        if let Some(failure) = &self.failure
            && (lasting || self.clock.now() < self.reopen_at)
        {
            return Err(JournalError::Unavailable {
                path: Arc::clone(self.frame.path()),
                cause: failure.to_string().into(),
            });
        }
        match Store::open(Arc::clone(&self.frame), self.config.cache) {
            Ok(store) => {
                self.failure = None;
                Ok(store)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Removes ended entries that are old enough, from time to time.
    fn retain(&mut self) {
        if self.store.is_none() || self.clock.now() < self.retain_at {
            return;
        }
        self.retain_at = self.after(RETENTION_INTERVAL);
        let Some(before) = SystemTime::now().checked_sub(self.config.retention) else {
            return;
        };
        let prune = Job::Prune {
            before: Millis::of(before),
            all: false,
        };
        // A failure is kept, and the next caller meets it.
        _ = self.with_store(|store| store.run(std::iter::once(&prune)));
    }

    fn after(&self, interval: Duration) -> u64 {
        self.clock.now().saturating_add(seawall_core::ns(interval))
    }
}

impl Drop for Writer {
    /// Whatever ends the thread, nobody waits for it.
    fn drop(&mut self) {
        for command in self.queue.abort() {
            command.fail(JournalError::Closed);
        }
    }
}
