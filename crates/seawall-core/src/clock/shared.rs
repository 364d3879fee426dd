//! One reading for the layers that a call passes on its way down a stack.

use std::cell::Cell;
use std::marker::PhantomData;

use tokio::time::Instant;

use super::{Clock, ClockReading};

// Exhaustive: a call arrives and departs.
/// What a reading is for, and so how old it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadFor {
    /// The arrival of a call: above the waits, where functions of the user's own may run between
    /// the layers. Only for what is decided again at departure, such as whether the deadline has
    /// passed.
    Arrival,
    /// Its departure: below the last wait, where nothing runs between the layers.
    Departure,
}

/// Which reading the layers of this thread share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sharing {
    /// None: no stack is being called.
    Off,
    /// None yet.
    Open,
    Arrival,
    Departure,
}

struct Shared {
    sharing: Cell<Sharing>,
    reading: Cell<ClockReading>,
}

thread_local! {
    static SHARED: Shared = const {
        Shared {
            sharing: Cell::new(Sharing::Off),
            reading: Cell::new(ClockReading { ns: 0, fast: false }),
        }
    };
}

/// While it is there, the layers that its thread calls share readings of the clock.
///
/// The outermost service of an HTTP stack holds one while it calls the service below, and what stands around
/// the client [ends](Self::end) it. So a reading is used only within the one synchronous `call` that
/// it was made in: a call that waits and departs in a later poll reads the clock again, as does a layer
/// that stands by itself. Whatever may take any time between the layers, such as a function of the
/// user's own, runs [apart](Self::apart).
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Clock, ReadFor::{Arrival, Departure}, SharedReadings};
/// use tokio::time::advance;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let (outer, inner) = (Clock::start(), Clock::start());
/// let sharing = SharedReadings::begin();
/// assert_eq!(outer.shared_now(Arrival), 0);
/// advance(Duration::from_nanos(5)).await;
/// assert_eq!(inner.shared_now(Arrival), 0, "that of the layer above");
/// assert_eq!(inner.shared_now(Departure), 5, "which was too old");
/// advance(Duration::from_nanos(5)).await;
/// assert_eq!(outer.shared_now(Departure), 5);
/// drop(sharing);
/// assert_eq!(outer.shared_now(Departure), 10);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "readings are shared until it is dropped"]
pub struct SharedReadings {
    /// It belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl SharedReadings {
    /// From now on readings are shared.
    #[inline]
    pub fn begin() -> Self {
        SHARED.with(|shared| shared.sharing.set(Sharing::Open));
        Self {
            thread: PhantomData,
        }
    }

    /// Whether a stack that is called on this thread shares readings.
    #[inline]
    #[must_use]
    pub fn are_open() -> bool {
        SHARED.with(|shared| shared.sharing.get() != Sharing::Off)
    }

    /// From now on they are not.
    #[inline]
    pub fn end() {
        SHARED.with(|shared| shared.sharing.set(Sharing::Off));
    }

    /// Runs code that may take any time: no layer that it calls shares a reading of this stack, and
    /// what was read before it does not count as the time of the departure after it.
    #[inline]
    pub fn apart<T>(run: impl FnOnce() -> T) -> T {
        let sharing = SHARED.with(|shared| shared.sharing.replace(Sharing::Off));
        // After a panic nothing is shared any more.
        let value = run();
        SHARED.with(|shared| shared.sharing.set(sharing.min(Sharing::Arrival)));
        value
    }
}

impl Drop for SharedReadings {
    #[inline]
    fn drop(&mut self) {
        Self::end();
    }
}

impl Clock {
    /// Shares `now`, which was read by this clock, with the layers below.
    #[inline]
    pub fn share(&self, now: u64, read_for: ReadFor) {
        SHARED.with(|shared| {
            if shared.sharing.get() != Sharing::Off {
                shared.share(self.reading(now), read_for);
            }
        });
    }

    /// The reading that a layer above has shared for this, or for what comes later. Where there is
    /// none, it reads the clock, and shares that.
    #[inline]
    pub fn shared_now(&self, read_for: ReadFor) -> u64 {
        let sharing = SHARED.with(|shared| shared.sharing.get());
        if sharing == Sharing::Off {
            return self.now();
        }
        let reading = SHARED.with(|shared| shared.reading.get());
        if sharing >= read_for.into() && reading.fast == self.is_fast() {
            return reading.ns.saturating_sub(self.start);
        }
        self.read_and_share(read_for)
    }

    // Apart, so that a layer by itself does not carry it.
    #[inline(never)]
    fn read_and_share(&self, read_for: ReadFor) -> u64 {
        let now = self.now();
        self.share(now, read_for);
        now
    }

    /// Whether this moment has come by [`shared_now`](Self::shared_now).
    #[inline]
    pub fn shared_has_passed(&self, deadline: Instant, read_for: ReadFor) -> bool {
        deadline <= self.instant(self.shared_now(read_for))
    }

    const fn reading(&self, now: u64) -> ClockReading {
        ClockReading {
            ns: self.start.saturating_add(now),
            fast: self.is_fast(),
        }
    }
}

impl Shared {
    #[inline]
    fn share(&self, reading: ClockReading, read_for: ReadFor) {
        self.reading.set(reading);
        self.sharing.set(read_for.into());
    }
}

impl From<ReadFor> for Sharing {
    #[inline]
    fn from(read_for: ReadFor) -> Self {
        match read_for {
            ReadFor::Arrival => Self::Arrival,
            ReadFor::Departure => Self::Departure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReadFor::{Arrival, Departure};
    use super::*;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    async fn step() {
        tokio::time::advance(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_layer_by_itself_shares_nothing() {
        let clock = Clock::start();
        for read_for in [Arrival, Departure] {
            clock.share(clock.now(), read_for);
            let before = clock.shared_now(read_for);
            step().await;
            assert_eq!(clock.shared_now(read_for), before + MS);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_departure_is_read_once_and_after_the_arrival() {
        let outer = Clock::start();
        step().await;
        let inner = Clock::start();
        let sharing = SharedReadings::begin();
        assert_eq!(outer.shared_now(Arrival), MS);
        step().await;
        assert_eq!(inner.shared_now(Arrival), 0, "of its own start");
        assert_eq!(inner.shared_now(Departure), MS, "it is read again");
        step().await;
        assert_eq!(outer.shared_now(Departure), 2 * MS);
        assert_eq!(
            outer.shared_now(Arrival),
            2 * MS,
            "a later one is good, too"
        );
        outer.share(outer.now(), Departure);
        assert_eq!(inner.shared_now(Departure), 2 * MS);
        drop(sharing);
        step().await;
        assert_eq!(inner.shared_now(Departure), 3 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_apart_shares_nothing_and_makes_the_departure_later() {
        let clock = Clock::start();
        let _sharing = SharedReadings::begin();
        clock.share(clock.now(), Departure);
        step().await;
        SharedReadings::apart(|| {
            for read_for in [Arrival, Departure] {
                assert_eq!(clock.shared_now(read_for), MS);
            }
        });
        assert_eq!(clock.shared_now(Arrival), 0);
        assert_eq!(clock.shared_now(Departure), MS);
        SharedReadings::end();
        SharedReadings::apart(|| ());
        step().await;
        assert_eq!(clock.shared_now(Arrival), 2 * MS, "it stays ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_nested_stack_shares_for_itself_and_ends_what_the_outer_one_shares() {
        let clock = Clock::start();
        let outer = SharedReadings::begin();
        clock.share(clock.now(), Departure);
        step().await;
        let inner = SharedReadings::begin();
        assert_eq!(clock.shared_now(Arrival), MS);
        drop(inner);
        step().await;
        assert_eq!(clock.shared_now(Arrival), 2 * MS);
        drop(outer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_it() {
        let clock = Clock::start();
        for apart in [false, true] {
            let panicked = std::panic::catch_unwind(|| {
                let _sharing = SharedReadings::begin();
                clock.share(clock.now(), Departure);
                if apart {
                    SharedReadings::apart(|| panic!("in a function"));
                }
                panic!("in a layer");
            });
            assert!(panicked.is_err());
            let before = clock.shared_now(Departure);
            step().await;
            assert_eq!(clock.shared_now(Departure), before + MS);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_reading_of_another_source_is_not_used() {
        let clock = Clock::start();
        step().await;
        let _sharing = SharedReadings::begin();
        let fast = !clock.is_fast();
        let strange = ClockReading { ns: 7, fast };
        SHARED.with(|shared| shared.share(strange, Departure));
        assert_eq!(clock.shared_now(Departure), MS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_has_passed_when_it_comes() {
        let (clock, moment) = (Clock::start(), Instant::now() + Duration::from_millis(1));
        assert!(!clock.shared_has_passed(moment, Arrival));
        step().await;
        assert!(clock.shared_has_passed(moment, Arrival));
    }
}
