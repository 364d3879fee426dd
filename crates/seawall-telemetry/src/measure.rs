//! What the layers themselves cost: the time in the outermost service that is not the client's.

use std::cell::Cell;

use seawall_core::Clock;

use crate::state::{Id, here};

/// How many calls of a thread pass until the settings are looked at again, where no overhead is measured.
const IDLE: u32 = 1_024;

struct Measuring {
    /// How many calls of this thread pass until one is measured.
    left: Cell<u32>,
    /// Whether the running call is measured, and none of its client runs.
    is_on: Cell<bool>,
    /// The time in the client, while a call is measured.
    client_ns: Cell<u64>,
    /// Whether its client was seen.
    seen: Cell<bool>,
}

thread_local! {
    static MEASURING: Measuring = const {
        Measuring {
            left: Cell::new(0),
            is_on: Cell::new(false),
            client_ns: Cell::new(0),
            seen: Cell::new(false),
        }
    };
}

/// Whether this call is one of those that are measured.
#[inline]
pub(crate) fn is_due(id: Id) -> bool {
    MEASURING.with(|measuring| match measuring.left.get().checked_sub(1) {
        Some(left) => {
            measuring.left.set(left);
            false
        }
        None => begin(measuring, id),
    })
}

#[cold]
#[inline(never)]
fn begin(measuring: &Measuring, id: Id) -> bool {
    let every = here(id, |stripe| {
        let settings = &stripe.settings;
        if settings.is_on() {
            settings.overhead_every()
        } else {
            0
        }
    });
    let every = every.unwrap_or(0);
    measuring
        .left
        .set(if every == 0 { IDLE } else { every - 1 });
    every != 0
}

/// Puts back what was before, after a panic, too.
struct Restore<'a>(&'a Measuring, [bool; 2], u64);

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        let Self(measuring, [is_on, seen], client_ns) = *self;
        measuring.is_on.set(is_on);
        measuring.seen.set(seen);
        measuring.client_ns.set(client_ns);
    }
}

/// Runs a part of a measured call: its value, how long the layers took of it, and whether the client was
/// seen.
#[inline(never)]
pub(crate) fn outside<T>(clock: Clock, run: impl FnOnce() -> T) -> (T, u64, bool) {
    MEASURING.with(|measuring| {
        let before = [measuring.is_on.replace(true), measuring.seen.replace(false)];
        let _restore = Restore(measuring, before, measuring.client_ns.replace(0));
        let start = clock.now();
        let value = run();
        let took = clock.now().saturating_sub(start);
        let own = took.saturating_sub(measuring.client_ns.get());
        (value, own, measuring.seen.get())
    })
}

/// Runs what is the client's.
#[inline]
pub(crate) fn inside<T>(run: impl FnOnce() -> T) -> T {
    if MEASURING.with(|measuring| measuring.is_on.get()) {
        MEASURING.with(|measuring| measure_client(measuring, run))
    } else {
        run()
    }
}

#[cold]
#[inline(never)]
fn measure_client<T>(measuring: &Measuring, run: impl FnOnce() -> T) -> T {
    // The clock of the process; both sources give nanoseconds.
    let clock = Clock::start();
    let start = clock.now();
    // A stack within the client is the client's.
    measuring.is_on.set(false);
    let value = run();
    measuring.is_on.set(true);
    measuring.seen.set(true);
    let took = clock.now().saturating_sub(start);
    let so_far = measuring.client_ns.get();
    measuring.client_ns.set(so_far.saturating_add(took));
    value
}
