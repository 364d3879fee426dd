//! The time-stamp counter, where the operating system itself trusts it.

mod segment;
mod segments;
mod sync;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use super::origin::{ORIGIN, os_now};
use crate::ns;
use segments::{Segments, Source};

/// Nanoseconds by the counter.
#[derive(Debug)]
pub(super) struct Counter {
    source: Tsc,
    segments: Segments,
}

impl Counter {
    /// The counter of this machine, if it is of use.
    pub(super) fn get() -> Option<&'static Self> {
        static COUNTER: OnceLock<Option<Counter>> = OnceLock::new();
        let counter = COUNTER.get_or_init(|| {
            is_trusted().then(|| Self {
                // Once per process, about a millisecond: quanta measures the rate for itself.
                source: Tsc(quanta::Clock::new()),
                segments: Segments::new(),
            })
        });
        counter.as_ref()
    }

    /// Nanoseconds since the origin of all readings.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.segments.read(&self.source)
    }
}

/// Used for its raw counter only: what quanta makes of that follows the rate that it measured
/// first, and no correction of the operating system's clock.
#[derive(Debug)]
struct Tsc(quanta::Clock);

impl Source for Tsc {
    #[inline]
    fn counter(&self) -> u64 {
        self.0.raw()
    }

    fn ns(&self) -> u64 {
        os_ns()
    }
}

/// The operating system's clock in nanoseconds since the origin.
fn os_ns() -> u64 {
    ns(os_now().saturating_duration_since(*ORIGIN))
}

/// Linux names the clock source that it uses itself. It takes the counter only where that runs
/// at one rate and alike on all cores, and drops it when a watchdog finds otherwise.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn is_trusted() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    std::fs::read_to_string(SOURCE).is_ok_and(|source| source.trim() == "tsc")
}

/// Elsewhere quanta asks the processor, and reads the operating system's clock where the counter
/// does not run at one rate. The system counter of AArch64 always does.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn is_trusted() -> bool {
    true
}
