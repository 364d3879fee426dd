//! Reads and stops a dead man's switch.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_core::{EventKind, EventSource, Events, InstanceName};
use tokio::sync::watch;
use tokio::time::Instant;

use super::countdown::{Change, Countdown, DeadManSnapshot, DeadManState};

/// What the driver and the handles share.
pub(super) struct Shared {
    pub(super) countdown: Mutex<Countdown>,
    pub(super) source: EventSource,
    /// Whether it is to stop.
    pub(super) stop: watch::Sender<bool>,
    /// How it stopped.
    pub(super) stopped: watch::Receiver<Option<Result<(), NotDisarmed>>>,
}

impl Shared {
    /// Changes what is known, and emits the change outside of the lock.
    pub(super) fn change(&self, change: impl FnOnce(&mut Countdown) -> Option<Change>) {
        let changed = change(
            &mut self
                .countdown
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if let Some(Change { from, to, reason }) = changed {
            let (from, to) = (from.as_str(), to.as_str());
            self.source
                .emit(|| EventKind::Transition { from, to, reason });
        }
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Countdown) -> T) -> T {
        read(
            &self
                .countdown
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

/// Reads and stops a [`DeadManSwitch`](super::DeadManSwitch). Clones are of the same.
#[derive(Clone)]
pub struct DeadManHandle {
    pub(super) shared: Arc<Shared>,
}

impl DeadManHandle {
    /// The name of the switch.
    pub fn name(&self) -> InstanceName {
        self.shared.source.name()
    }

    /// What is known of the venue's timer.
    pub fn state(&self) -> DeadManState {
        self.snapshot().state
    }

    /// How long the timer will not fire, at least; `None` if it is not set.
    pub fn left(&self) -> Option<Duration> {
        self.snapshot().left
    }

    /// Everything that is known.
    pub fn snapshot(&self) -> DeadManSnapshot {
        self.shared.read(|known| known.snapshot(Instant::now()))
    }

    /// Emits to `events`, with the pattern `"dead_man"`; `false` where it does so already.
    ///
    /// All events but the command to [stop](Self::stop) are transitions, those that leave the state
    /// included: of a renewal from armed to armed
    /// because of `renewed`, of a request that failed with `timeout`, `error`, `rejected`, `late` or
    /// `unhealthy`.
    pub fn attach(&self, events: &Events) -> bool {
        self.shared.source.attach(events)
    }

    /// Disarms the timer, and ends the driver: for an orderly stop, or before maintenance of the venue.
    /// It is disarmed whatever health says; to let it fire, drop the driver. Cancel-safe: the driver
    /// goes on without it.
    ///
    /// # Errors
    ///
    /// [`NotDisarmed`]: the venue did not confirm it, or the driver is gone. The timer may fire.
    pub async fn stop(&self) -> Result<(), NotDisarmed> {
        self.shared.stop.send_replace(true);
        self.shared.source.commanded("stop");
        let mut stopped = self.shared.stopped.clone();
        let stopped = stopped.wait_for(Option::is_some).await;
        let stopped = stopped.ok().and_then(|stopped| *stopped);
        stopped.unwrap_or_else(|| {
            let left = self.left();
            Err(NotDisarmed { left })
        })
    }
}

seawall_core::impl_debug!(DeadManHandle: |this|
    name = this.name(),
    snapshot = this.snapshot(),
);

/// The venue's timer may fire: it could not be disarmed.
// Exhaustive: all that is known is when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDisarmed {
    /// How long it will not fire, at least; `None` if it has fired, or was never set as far as is known.
    pub left: Option<Duration>,
}

impl fmt::Display for NotDisarmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the venue's timer was not disarmed")?;
        match self.left {
            Some(left) => write!(f, ": it cancels all orders in {left:?}"),
            None => f.write_str(": it may have cancelled all orders"),
        }
    }
}

impl StdError for NotDisarmed {}
