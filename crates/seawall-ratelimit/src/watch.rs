//! Looks after what a limit depends on outside of this process: the wall clock, and files.
//!
//! The wall clock is read once per second of calls and compared with the running clock. A small
//! difference is drift: it is followed. A larger one is a jump: somebody has set the clock, or the
//! machine has slept. It is emitted and counted, and the limits that count by the wall clock get the new
//! time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seawall_core::{Clock, EventKind};

use crate::meter::WallClock;

/// How often it looks, at most.
const EVERY_NS: u64 = 1_000_000_000;

/// A larger difference is a jump.
const JUMP_NS: u64 = 1_000_000_000;

/// A smaller one is not worth the work.
const DRIFT_NS: u64 = 1_000_000;

/// Reading two clocks takes no longer, unless the thread was preempted between.
const AT_ONCE: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Watch {
    /// The reading from which on it looks again.
    next: AtomicU64,
    is_needed: bool,
    seen: Mutex<LastLook>,
}

#[derive(Clone, Copy, Debug)]
struct LastLook {
    wall: WallClock,
    /// Both at the same moment: the running clock, and that of the operating system which it follows
    /// unless a test has paused it.
    at: u64,
    steady: Instant,
    write_errors: u64,
}

/// What has happened since it looked last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    /// The wall clock now, where it differs from what was known.
    pub(crate) wall: Option<WallClock>,
    pub(crate) jump: Option<EventKind>,
    pub(crate) write_errors: u64,
}

impl Watch {
    /// Watches from `now` on, if there is a limit that depends on the wall clock.
    pub(crate) fn new(now: u64, wall: WallClock, is_needed: bool) -> Self {
        let next = if is_needed { now } else { u64::MAX };
        Self {
            next: AtomicU64::new(next),
            is_needed,
            seen: Mutex::new(LastLook {
                wall,
                at: now,
                steady: steady(),
                write_errors: 0,
            }),
        }
    }

    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.next.load(Ordering::Relaxed)
    }

    /// The wall clock is what a user has set from now on, and is not read any more.
    pub(crate) fn set_wall_clock(&self, wall: WallClock) {
        self.lock().wall = wall;
        self.next.store(u64::MAX, Ordering::Relaxed);
    }

    /// The clock of the system counts again, from the next call on.
    pub(crate) fn follow_system(&self) {
        if self.is_needed {
            self.next.store(0, Ordering::Relaxed);
        }
    }

    /// The wall clock, as it was last read.
    #[cfg(test)]
    fn wall(&self) -> WallClock {
        self.lock().wall
    }

    /// Looks, unless another thread has just done so.
    #[cold]
    pub(crate) fn look(&self, clock: &Clock, write_errors: u64) -> News {
        let mut seen = self.lock();
        let mut news = News::default();
        let (before, now, after) = (steady(), clock.now(), steady());
        if !self.is_due(now) {
            return news;
        }
        news.write_errors = write_errors.saturating_sub(seen.write_errors);
        seen.write_errors = write_errors;
        if after - before > AT_ONCE {
            // Once more at the next call.
            return news;
        }
        let passed = Duration::from_nanos(now - seen.at);
        if passed.abs_diff(after - seen.steady) > 10 * AT_ONCE {
            // A test has paused the running clock: the wall clock follows that one.
            self.next.store(u64::MAX, Ordering::Relaxed);
            return news;
        }
        self.next
            .store(now.saturating_add(EVERY_NS), Ordering::Relaxed);
        let wall = WallClock::now(now);
        let (known, shown) = (seen.wall.unix_ns(now), wall.unix_ns(now));
        let by = u64::try_from(known.abs_diff(shown)).unwrap_or(u64::MAX);
        // A running clock is corrected by up to 500 millionths.
        let drift = JUMP_NS.saturating_add((now - seen.at) / 1_000);
        (seen.at, seen.steady) = (now, after);
        if by >= DRIFT_NS {
            seen.wall = wall;
            news.wall = Some(wall);
        }
        if by > drift {
            news.jump = Some(EventKind::ClockJumped {
                by: Duration::from_nanos(by),
                back: shown < known,
            });
        }
        news
    }

    fn lock(&self) -> MutexGuard<'_, LastLook> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of the operating system that tokio's follows, unless a test has paused that.
#[allow(
    clippy::disallowed_methods,
    reason = "it shows whether tokio's is paused"
)]
fn steady() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_clock_that_was_set_is_a_jump_and_then_known() {
        for back in [true, false] {
            let clock = Clock::start();
            let other = match back {
                true => SystemTime::now() + HOUR,
                false => SystemTime::now() - HOUR,
            };
            let now = clock.now();
            let watch = Watch::new(now, WallClock::at(now, other), true);
            let news = loop {
                // Again where the thread was preempted.
                let news = watch.look(&clock, 3);
                if news.wall.is_some() {
                    break news;
                }
            };
            let Some(EventKind::ClockJumped { by, back: was_back }) = news.jump else {
                panic!("{news:?}");
            };
            assert!(by.abs_diff(HOUR) < Duration::from_secs(1) && was_back == back);
            assert!(!watch.is_due(clock.now()));
            assert!(watch.look(&clock, 3).jump.is_none());
        }
    }

    #[test]
    fn a_clock_that_drifts_is_followed_in_silence() {
        let clock = Clock::start();
        let now = clock.now();
        let other = SystemTime::now() + Duration::from_millis(300);
        let watch = Watch::new(now, WallClock::at(now, other), true);
        let news = loop {
            let news = watch.look(&clock, 0);
            if news.wall.is_some() {
                break news;
            }
        };
        assert!(news.jump.is_none());
        let shown = watch.wall().unix_ns(clock.now());
        let real = WallClock::now(0).unix_ns(0);
        assert!(shown.abs_diff(real) < 250_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_is_not_compared() {
        let clock = Clock::start();
        let now = clock.now();
        let watch = Watch::new(now, WallClock::now(now), true);
        tokio::time::advance(HOUR).await;
        assert!(watch.is_due(clock.now()));
        while watch.is_due(clock.now()) {
            assert!(watch.look(&clock, 0).wall.is_none());
        }
    }

    #[test]
    fn without_need_or_after_it_was_set_by_hand_it_never_looks() {
        let wall = WallClock::now(0);
        assert!(!Watch::new(0, wall, false).is_due(u64::MAX - 1));
        let watch = Watch::new(0, wall, true);
        assert!(watch.is_due(0));
        watch.set_wall_clock(WallClock::new(0, 7));
        assert!(!watch.is_due(u64::MAX - 1));
        assert_eq!(watch.wall(), WallClock::new(0, 7));
    }

    #[test]
    fn a_clock_that_was_set_by_hand_gives_way_to_that_of_the_system() {
        let clock = Clock::start();
        let watch = Watch::new(0, WallClock::now(0), true);
        watch.set_wall_clock(WallClock::at(clock.now(), SystemTime::now() + HOUR));
        watch.follow_system();
        let news = loop {
            let news = watch.look(&clock, 0);
            if news.wall.is_some() {
                break news;
            }
        };
        assert!(matches!(
            news.jump,
            Some(EventKind::ClockJumped { back: true, .. })
        ));
        let not_needed = Watch::new(0, WallClock::now(0), false);
        not_needed.follow_system();
        assert!(!not_needed.is_due(u64::MAX - 1));
    }
}
