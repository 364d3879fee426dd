//! Looking after a queue while nothing else happens.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker, ready};

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::{Queue, Supply, Wakers};

/// How long a watchdog stays after the last waiter has left, for the next one.
const LINGER: u64 = 1_000_000_000;

/// Tokio's timers are no finer.
const SHORTEST_SLEEP: u64 = 1_000_000;

/// How late a watchdog may be until the queue starts another: its runtime is blocked.
const OVERDUE: u64 = 100_000_000;

/// What a queue knows of its watchdog.
#[derive(Debug)]
pub(super) struct Watchdog {
    running: bool,
    /// Of two, the older one ends.
    generation: u64,
    armed_ns: u64,
    waker: Option<Waker>,
    /// How many have ended in a row that were never polled.
    never_polled: u8,
}

/// A runtime that goes down drops each watchdog at once: waiters are not woken to start more.
const MOST_NEVER_POLLED: u8 = 3;

impl Watchdog {
    pub(super) const fn new() -> Self {
        Self {
            running: false,
            generation: 0,
            armed_ns: 0,
            waker: None,
            never_polled: 0,
        }
    }

    /// Its waker, if it would look too late.
    pub(super) fn call(&mut self, next_check_ns: u64) -> Option<Waker> {
        if next_check_ns >= self.armed_ns {
            return None;
        }
        self.armed_ns = next_check_ns;
        self.waker.take()
    }
}

impl<T> Queue<T> {
    /// Whether a waiter that goes to sleep has to start a [watchdog](watch), and of which generation.
    pub fn start_watchdog(&mut self, now_ns: u64) -> Option<u64> {
        let watchdog = &mut self.watchdog;
        if watchdog.running && now_ns < watchdog.armed_ns.saturating_add(OVERDUE) {
            return None;
        }
        watchdog.running = true;
        watchdog.generation += 1;
        // It looks as soon as it runs.
        watchdog.armed_ns = now_ns;
        Some(watchdog.generation)
    }

    /// The watchdog looks, and looks again at the time that is returned, in nanoseconds; `None`
    /// ends it.
    pub fn watch(
        &mut self,
        generation: u64,
        now_ns: u64,
        waker: Waker,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) -> Option<u64> {
        if generation != self.watchdog.generation {
            wakers.discard(Some(waker));
            return None;
        }
        // It is here, and need not be woken.
        wakers.discard(self.watchdog.waker.take());
        self.dispatch(now_ns, supply, wakers);
        if self.is_empty() {
            self.watchdog.running = false;
            wakers.discard(Some(waker));
            return None;
        }
        // What cannot be done now can be done at some later time, or by somebody else.
        let latest = now_ns.saturating_add(LINGER);
        let armed_ns = self.next_check_ns().min(latest).max(now_ns + SHORTEST_SLEEP);
        self.watchdog.armed_ns = armed_ns;
        self.watchdog.never_polled = 0;
        self.watchdog.waker = Some(waker);
        Some(armed_ns)
    }

    /// The watchdog has ended, perhaps with its runtime. Waiters of other runtimes are woken, and
    /// the first to be polled starts another.
    pub fn watch_ended(&mut self, generation: u64, wakers: &mut Wakers) {
        let watchdog = &mut self.watchdog;
        if generation == watchdog.generation && watchdog.running {
            watchdog.running = false;
            let waker = watchdog.waker.take();
            if waker.is_none() {
                watchdog.never_polled = watchdog.never_polled.saturating_add(1);
            }
            wakers.discard(waker);
            if watchdog.never_polled <= MOST_NEVER_POLLED {
                self.wake_all(wakers);
            }
        }
    }
}

/// The owner of a queue, for its [watchdog](watch).
pub trait Watched: Send + Sync + 'static {
    /// [`Queue::watch`]; returns when to look again.
    fn watch(&self, generation: u64, waker: Waker) -> Option<Instant>;

    /// [`Queue::watch_ended`].
    fn watch_ended(&self, generation: u64);
}

/// Starts the watchdog of a queue, of the generation that [`Queue::start_watchdog`] has given: a
/// task of the current runtime that lets waiters lapse and expire in time, when no call arrives,
/// releases, or is polled. It ends within a second after the last waiter has left.
///
/// It sleeps until there is something to do, which is about once per [`GRACE`](super::GRACE) while
/// waiters come and go.
/// Nothing depends on it alone: without a runtime there is none, and the waiters' own timers do.
pub fn watch(watched: impl Watched, generation: u64) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(run(Ended {
            watched,
            generation,
        }))),
        Err(_) => watched.watch_ended(generation),
    }
}

/// Dropped with the task, finished or not.
struct Ended<W: Watched> {
    watched: W,
    generation: u64,
}

impl<W: Watched> Drop for Ended<W> {
    fn drop(&mut self) {
        self.watched.watch_ended(self.generation);
    }
}

async fn run<W: Watched>(of: Ended<W>) {
    let mut sleep = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            let waker = cx.waker().clone();
            let Some(next) = of.watched.watch(of.generation, waker) else {
                return Poll::Ready(());
            };
            sleep.as_mut().reset(next);
            ready!(sleep.as_mut().poll(cx));
        }
    })
    .await;
}
