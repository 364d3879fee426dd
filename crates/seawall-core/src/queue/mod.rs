//! Wait queues: the order of waiters, and the future side of a call that waits.
//!
//! A layer that lets calls wait (for a permit, for tokens) needs the same of its queue each time:
//! first come, first served; a waiter that gives up leaves no gap behind; a waiter whose own service
//! is not ready lets others pass without losing its rank; and a waiter that is *not polled* holds up
//! nobody. [`Queue`] has this, without lock and clock: the layer keeps it under its own `Mutex` and
//! decides what there is to hand out ([`Supply`]). [`Waiter`] is the call's side of it: the poll
//! loop, with its timer. A [watchdog](watch) looks after the queue while nothing else happens.
//!
//! # The protocol
//!
//! * A waiter *waits* with its waker. As many waiters are *notified* as there are permits or tokens:
//!   each has a claim on what it needs, its waker is woken once, and it takes what it claims at its
//!   next poll, in any order among the notified ones. So one that is not polled costs at most what
//!   it claims.
//! * One that was notified and is not polled within [`GRACE`] has *lapsed*: its claim goes to the
//!   next waiter. It keeps its rank, and waits again when it is polled.
//! * One whose own service is not ready is *skipped*, until its service wakes it.
//! * One whose deadline has passed has *expired*: it does not count any more, polled or not. When it
//!   is polled it takes what there is, whatever its rank and the claims of others, or is rejected.
//! * A supply may let waiters take what they claim without the lock of the queue. It says so when it is
//!   asked ([`Supply::is_taken`], [`Supply::unclaim`]), and an expired waiter does not get what it has
//!   handed to another.
//!
//! Every operation ends in [`Queue::dispatch`], which lets waiters expire and lapse and notifies the
//! next ones. So whichever call arrives, releases, leaves or is polled keeps the queue going, and no
//! wake-up is lost with a waiter that is dropped.
//!
//! Clone, wake and drop wakers *outside* of the lock: all three run code of the executor, which may
//! use the same queue. Clones go in by value, and [`Wakers`] come out.

mod dispatch;
mod entry;
mod ordered;
mod rank;
mod runtime;
mod slots;
mod state;
mod supply;
mod waiter;
mod wakers;
mod watchdog;
mod watchdogs;

#[cfg(test)]
mod handed_tests;
#[cfg(test)]
mod tests;

pub use rank::{WaiterId, rank};
pub use state::{GRACE, Queue, Standing, Taking};
pub use supply::{Next, Supply};
pub use waiter::{InnerService, QueuedCall, Stopped, Target, Turn, Waiter};
pub use wakers::Wakers;
pub use watchdog::{Watched, watch};
