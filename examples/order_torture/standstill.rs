//! For how long the machine stood still: the rules of the brokers allow for some of it, and a run on a machine
//! that is busier than that shows nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// How often a look is taken at the time.
const EVERY: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    longest_us: AtomicU64,
}

impl Shared {
    #[expect(
        clippy::disallowed_methods,
        reason = "a thread of its own, and what is measured is real time"
    )]
    fn watch(&self) {
        let mut before = Instant::now();
        while !self.ended.load(Ordering::Relaxed) {
            sleep(EVERY);
            let now = Instant::now();
            let late = (now - before).saturating_sub(EVERY);
            let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            self.longest_us.fetch_max(late, Ordering::Relaxed);
            before = now;
        }
    }
}

/// A thread that is late whenever this process is.
#[derive(Debug)]
pub(crate) struct Standstill {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Standstill {
    /// Watches from now on, until it is dropped.
    pub(crate) fn watch() -> Self {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = Some(spawn(move || own.watch()));
        Self { shared, thread }
    }

    /// The longest standstill since then.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.shared.longest_us.load(Ordering::Relaxed))
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and a result that is lost here changes nothing.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is real time")]
    fn a_thread_that_is_late_is_seen() {
        let shared = Shared::default();
        std::thread::scope(|scope| {
            scope.spawn(|| shared.watch());
            sleep(EVERY * 4);
            shared.ended.store(true, Ordering::Relaxed);
        });
        assert!(
            shared.longest_us.load(Ordering::Relaxed) > 0,
            "a sleep is never exact"
        );
    }
}
