//! What the layers themselves cost: the time in the outermost service that is not the client's.

use std::cell::Cell;

use seawall_core::Clock;

use crate::state::{Id, here};
use crate::stripe::Took;

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

/// A part of a measured call, which runs until it is [left](Part::leave). Dropped by a panic, it puts back
/// what was before.
pub(crate) struct Part {
    clock: Clock,
    start: u64,
    before: (bool, bool, u64),
}

impl Part {
    #[cold]
    #[inline(never)]
    pub(crate) fn enter(clock: Clock) -> Self {
        let before = MEASURING.with(|measuring| {
            (
                measuring.is_on.replace(true),
                measuring.seen.replace(false),
                measuring.client_ns.replace(0),
            )
        });
        Self {
            clock,
            start: clock.now(),
            before,
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn leave(self) -> Took {
        let took = self.clock.now().saturating_sub(self.start);
        MEASURING.with(|measuring| Took {
            own_ns: took.saturating_sub(measuring.client_ns.get()),
            has_client: measuring.seen.get(),
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        MEASURING.with(|measuring| {
            measuring.is_on.set(self.before.0);
            measuring.seen.set(self.before.1);
            measuring.client_ns.set(self.before.2);
        });
    }
}

/// The client's part of a measured call. A stack within the client is the client's.
pub(crate) struct ClientPart {
    clock: Clock,
    start: u64,
}

impl ClientPart {
    /// Whether the running call is measured.
    #[inline]
    pub(crate) fn is_due() -> bool {
        MEASURING.with(|measuring| measuring.is_on.get())
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn enter() -> Self {
        MEASURING.with(|measuring| measuring.is_on.set(false));
        let clock = Clock::start();
        Self {
            clock,
            start: clock.now(),
        }
    }
}

impl Drop for ClientPart {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        let took = self.clock.now().saturating_sub(self.start);
        MEASURING.with(|measuring| {
            measuring.is_on.set(true);
            measuring.seen.set(true);
            let so_far = measuring.client_ns.get();
            measuring.client_ns.set(so_far.saturating_add(took));
        });
    }
}
