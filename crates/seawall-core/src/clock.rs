//! One clock for everything that measures or waits.
//!
//! Two sources give the same nanoseconds: tokio's clock, which is the operating system's unless a
//! test has paused it, and the processor's counter, which costs a third of that to read and is
//! held within a millisecond of it.

#[cfg_attr(
    not(all(
        feature = "fast-clock",
        any(
            target_arch = "x86_64",
            all(target_arch = "aarch64", not(target_os = "ios"))
        ),
        not(seawall_loom)
    )),
    path = "clock/no_counter.rs"
)]
mod counter;
mod nanoseconds;
mod origin;
#[cfg(feature = "test-util")]
mod readings;
mod shared;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use counter::Counter;
pub use nanoseconds::ns;
pub(crate) use nanoseconds::saturating_ns;
use origin::{ORIGIN, os_now};
#[cfg(feature = "test-util")]
pub use readings::readings;
pub use shared::{ReadFor, SharedReadings};

/// Nanoseconds since this value was made, so that a moment fits into an atomic word. Readings
/// saturate: never negative, at most 584 years.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Clock;
///
/// let clock = Clock::start();
/// let now = clock.now();
/// assert!(clock.now() >= now);
/// // For a timer that starts from the same reading:
/// let soon = clock.instant(now + 5_000_000);
/// assert!(soon <= tokio::time::Instant::now() + Duration::from_millis(6));
/// ```
///
/// # What is read
///
/// With the feature `fast-clock`, which is on by default, the processor's time-stamp counter,
/// where it runs at one rate (on x86-64 Linux: where the kernel uses it itself). Readings follow
/// the operating system's clock, `CLOCK_MONOTONIC` on Linux, and are never more than a
/// millisecond away from it, also after a suspend or a long idle time and while that clock is
/// slewed; in practice they are within a microsecond. In one thread they never go backwards.
/// Between threads they do so by at most some two microseconds, since a processor may read its counter
/// before it has seen what another thread wrote.
///
/// In all other cases tokio's clock is read: without that feature; where the counter cannot be
/// trusted; in builds with debug assertions and with the feature `test-util`; and when tokio's
/// time was paused or has been advanced when this value is made. So `tokio::time::pause` works as
/// it should in `cargo test`. In an optimized build it works for layers that are made after it,
/// on a thread of the paused runtime, as with `#[tokio::test(start_paused = true)]`; for those
/// made before, the feature `test-util` is needed: `cargo test --release --features
/// seawall/test-util`.
#[derive(Clone, Copy)]
pub struct Clock {
    start: u64,
    counter: Option<&'static Counter>,
}

/// A moment that every [`Clock`] of the process understands, so that several layers can share one
/// reading.
///
/// ```
/// use seawall_core::Clock;
///
/// let (outer, inner) = (Clock::start(), Clock::start());
/// let reading = outer.read();
/// assert!(outer.of(reading) >= inner.of(reading), "it was started earlier");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    ns: u64,
    fast: bool,
}

impl Clock {
    /// A clock that starts now. The first one of a process may take a millisecond.
    #[must_use]
    pub fn start() -> Self {
        let mut clock = Self {
            start: 0,
            counter: counter(),
        };
        clock.start = clock.read().ns;
        clock
    }

    /// Reads the clock.
    #[inline]
    pub fn now(&self) -> u64 {
        self.read().ns.saturating_sub(self.start)
    }

    /// Reads the clock for several layers.
    #[inline]
    pub fn read(&self) -> ClockReading {
        #[cfg(feature = "test-util")]
        readings::count();
        let (ns, fast) = match self.counter {
            Some(counter) => (counter.now(), true),
            None => (tokio_now(), false),
        };
        ClockReading { ns, fast }
    }

    /// A reading in this clock's nanoseconds; 0 for one before its start. A reading from a clock
    /// of another source (one of the two was made while tokio's time was paused) is of no use
    /// here: then this clock is read.
    #[inline]
    pub fn of(&self, reading: ClockReading) -> u64 {
        if reading.fast == self.counter.is_some() {
            reading.ns.saturating_sub(self.start)
        } else {
            self.now()
        }
    }

    /// An instant in this clock's nanoseconds; 0 for instants before its start.
    #[inline]
    pub fn at(&self, instant: Instant) -> u64 {
        tokio_ns(instant).saturating_sub(self.start)
    }

    /// Reads the clock, for a timer or for a deadline.
    #[inline]
    pub fn instant_now(&self) -> Instant {
        #[cfg(feature = "test-util")]
        readings::count();
        match self.counter {
            Some(counter) => at_origin(counter.now()),
            None => Instant::now(),
        }
    }

    /// Whether this moment has come. Reads the clock.
    #[inline]
    pub fn has_passed(&self, deadline: Instant) -> bool {
        #[cfg(feature = "test-util")]
        readings::count();
        match self.counter {
            // This way round, the conversion takes the fewest instructions.
            Some(counter) => deadline <= at_origin(counter.now()),
            None => deadline <= Instant::now(),
        }
    }

    /// Whether the counter is read. With [`Clock::of_source`] it is the clock of a future that has
    /// room for one bit.
    #[must_use]
    pub const fn is_fast(&self) -> bool {
        self.counter.is_some()
    }

    /// A clock that counts from the origin of all readings, by the counter or by tokio.
    #[inline]
    #[must_use]
    pub fn of_source(fast: bool) -> Self {
        let counter = fast.then(Counter::get).flatten();
        Self { start: 0, counter }
    }

    /// The instant of a reading; as far in the future as the platform has instants when it is
    /// farther.
    #[inline]
    pub fn instant(&self, reading: u64) -> Instant {
        at_origin(self.start.saturating_add(reading))
    }
}

/// The instant that is so many nanoseconds after the origin.
#[inline]
fn at_origin(ns: u64) -> Instant {
    deadline((*ORIGIN).into(), Duration::from_nanos(ns))
}

/// Tokio's clock in nanoseconds since the origin. Apart, so that calls which read the counter do
/// not carry it.
#[inline(never)]
fn tokio_now() -> u64 {
    tokio_ns(Instant::now())
}

/// A moment of tokio's clock in nanoseconds since the origin; 0 for one before.
#[inline]
fn tokio_ns(instant: Instant) -> u64 {
    ns(instant.into_std().saturating_duration_since(*ORIGIN))
}

/// The counter, if it may be read and tokio's time is the operating system's.
fn counter() -> Option<&'static Counter> {
    let tokio_only = cfg!(any(debug_assertions, feature = "test-util"));
    (!tokio_only && !is_simulated())
        .then(Counter::get)
        .flatten()
}

/// Whether tokio's time is another than the operating system's: paused, or advanced before.
///
/// A paused clock stands still, so it is late by the time it takes to ask, if by nothing else.
fn is_simulated() -> bool {
    let before = os_now();
    let tokio = Instant::now().into_std();
    !(before..=os_now()).contains(&tokio)
}

/// `start + wait`, or thirty years from `start` where the platform's clock has no such instant.
#[inline]
pub fn deadline(start: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    start.checked_add(wait.min(FAR)).unwrap_or(start)
}

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("start", &self.start)
            .field("fast", &self.counter.is_some())
            .finish()
    }
}
