//! The clock of the incidents.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Zero of the incident clock, if it runs.
#[derive(Debug)]
pub(crate) struct Clock {
    zero: Mutex<Option<Instant>>,
}

impl Clock {
    pub(crate) fn new(held: bool) -> Self {
        Self {
            zero: Mutex::new((!held).then(Instant::now)),
        }
    }

    pub(crate) fn start(&self, zero: Instant) {
        *self.zero.lock().unwrap_or_else(PoisonError::into_inner) = Some(zero);
    }

    pub(crate) fn zero(&self) -> Option<Instant> {
        *self.zero.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time on the timeline; `None` while the clock is held.
    pub(crate) fn at(&self, now: Instant) -> Option<Duration> {
        self.zero()
            .and_then(|zero| now.checked_duration_since(zero))
    }
}
