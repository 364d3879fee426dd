//! Looking after a queue while nothing else happens.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker, ready};

use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::runtime::current_runtime;
use super::watchdogs::{LINGER, Watchdog};
use super::{Queue, Supply, Wakers};

/// Tokio's timers are no finer.
const SHORTEST_SLEEP: u64 = 1_000_000;

/// How late a watchdog may be until the queue starts another: its runtime is blocked.
const OVERDUE: u64 = 100_000_000;

/// A runtime that goes down drops each watchdog at once: waiters are not woken to start more.
const MOST_NEVER_POLLED: u8 = 3;

impl<T> Queue<T> {
    /// Whether a waiter that goes to sleep has to start a [watchdog](watch) for its runtime, and of
    /// which generation.
    pub fn start_watchdog(&mut self, now_ns: u64, wakers: &mut Wakers) -> Option<u64> {
        let runtime = current_runtime()?;
        let watchdogs = &mut self.watchdogs;
        let known = watchdogs.running.iter().position(|w| w.runtime == runtime);
        if let Some(at) = known {
            if now_ns < watchdogs.running[at].armed_ns.saturating_add(OVERDUE) {
                return None;
            }
            // It ends when it finds that it is not known any more.
            wakers.add(watchdogs.running.swap_remove(at).waker);
        }
        watchdogs.last_generation += 1;
        let generation = watchdogs.last_generation;
        watchdogs.add(Watchdog {
            runtime,
            generation,
            // It looks as soon as it runs.
            armed_ns: now_ns,
            notifications: 0,
            waker: None,
        });
        Some(generation)
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
        let Some(mut watchdog) = self.watchdogs.remove(generation) else {
            wakers.discard(Some(waker));
            return None;
        };
        // It is here, and need not be woken.
        wakers.discard(watchdog.waker.take());
        self.forget_taken(supply, wakers);
        self.dispatch(now_ns, supply, wakers);
        self.wake_untimed(now_ns, wakers);
        if self.is_empty() {
            wakers.discard(Some(waker));
            return None;
        }
        // What cannot be done now can be done at some later time, or by somebody else. While waiters are
        // notified, the next one would have to wake it.
        let is_quiet = std::mem::replace(&mut watchdog.notifications, self.notifications)
            == self.notifications;
        let latest = now_ns.saturating_add(if is_quiet { LINGER } else { self.grace_ns });
        let earliest = now_ns.saturating_add(SHORTEST_SLEEP);
        let armed_ns = self.next_check_ns().min(latest).max(earliest);
        watchdog.armed_ns = armed_ns;
        watchdog.waker = Some(waker);
        self.watchdogs.never_polled = 0;
        self.watchdogs.add(watchdog);
        Some(armed_ns)
    }

    /// The watchdog has ended, perhaps with its runtime. Waiters are woken, and the first of each
    /// runtime to be polled starts another.
    pub fn watch_ended(&mut self, generation: u64, wakers: &mut Wakers) {
        let Some(watchdog) = self.watchdogs.remove(generation) else {
            return;
        };
        if watchdog.waker.is_none() {
            self.watchdogs.never_polled = self.watchdogs.never_polled.saturating_add(1);
        }
        wakers.discard(watchdog.waker);
        if self.watchdogs.never_polled <= MOST_NEVER_POLLED {
            self.wake_all(wakers);
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
/// waiters come and go. There is one for each runtime whose tasks wait in the queue.
///
/// # Panics
///
/// In a runtime without time.
pub fn watch(watched: impl Watched, generation: u64) {
    match Handle::try_current() {
        Ok(runtime) => {
            let of = Ended {
                watched,
                generation,
            };
            // Here it panics where there is no time, rather than in a task of its own.
            let sleep = sleep_until(Instant::now());
            drop(runtime.spawn(run(of, sleep)));
        }
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

async fn run<W: Watched>(of: Ended<W>, sleep: Sleep) {
    let mut sleep = pin!(sleep);
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
