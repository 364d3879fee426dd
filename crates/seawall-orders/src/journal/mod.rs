//! The journal of order intents: what was to be sent, written before it may leave, and what became
//! of it.
//!
//! A timeout, a reset, a dropped future or a crash leaves an order whose fate nobody knows. What a
//! program wrote before it sent is what it can look for afterwards.
//!
//! ```
//! use std::time::SystemTime;
//! use seawall_orders::Operation;
//! use seawall_orders::journal::{Filter, Intent, Journal, Mark, MemoryJournal};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), seawall_orders::journal::JournalError> {
//! let journal = MemoryJournal::default();
//! let intent = Intent::new("desk-1", Operation::Create, SystemTime::now()).account("alpaca");
//! journal.append(intent).await?;
//! journal.mark("desk-1", Mark::sent(SystemTime::now(), 1)).await?;
//! // ... the request leaves, and the connection breaks: the entry stays open ...
//! assert_eq!(journal.list(&Filter::open()).await?.entries.len(), 1);
//! // ... until a query finds the order.
//! journal.mark("desk-1", Mark::confirmed(SystemTime::now(), "904837e3", "")).await?;
//! assert!(journal.list(&Filter::open()).await?.entries.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # States
//!
//! [`State::allows`] is the one table of what may follow what. An intent is written before anything
//! leaves, `sent` before the request leaves, the outcome afterwards;
//! [`append_sent`](Journal::append_sent) writes the first two at once. A mark that the state forbids
//! is an error with both states, and changes nothing.
//!
//! # Order
//!
//! Operations take effect in the order of the calls, per thread; of two threads whose calls are not
//! ordered otherwise, either comes first. An operation sees all that took effect before it, whether
//! or not its answer has been awaited.
//!
//! # Cancellation
//!
//! **The call hands the operation over, not the first poll.** A dropped [`Answer`], polled or not,
//! loses the answer alone: the write takes effect all the same. So a mark can be made from a `Drop`
//! implementation, and the caller of an order that goes away cannot take knowledge along. A caller
//! that must not send before the intent is durable awaits the answer first.
//!
//! # Errors
//!
//! [`JournalError`] lists them. After any error of a write, do not send.
//!
//! # Which journal
//!
//! | journal | keeps | for |
//! |---|---|---|
//! | [`MemoryJournal`] | until the process ends, bounded | tests, and calls that may be lost with the process |
//! | [`DurableJournal`](durable::DurableJournal), feature `durable` | what it acknowledged, across crashes and power cuts | orders |
//!
//! Another store implements [`Journal`]. The trait can be boxed, so that a stack does not have the
//! type of its journal in its own type; its answers are a concrete future, so that one that is
//! there already costs no allocation.

mod answer;
#[cfg(feature = "durable")]
#[cfg_attr(docsrs, doc(cfg(feature = "durable")))]
pub mod durable;
mod entry;
mod error;
mod filter;
mod intent;
mod kept;
mod mark;
mod memory;
mod request;
mod state;

use std::fmt;
use std::time::SystemTime;

pub use answer::Answer;
pub use entry::{Entry, Step};
pub use error::JournalError;
pub use filter::{Filter, Page};
pub use intent::Intent;
pub(crate) use intent::check_name;
pub use mark::Mark;
pub use memory::{MemoryJournal, MemoryJournalConfig};
pub use request::SavedRequest;
pub use state::State;

/// Where intents are written before they leave. See the [module](self) for order and cancellation.
///
/// Each method hands its operation over before it returns, and must not block for longer than a
/// lock is held: what takes longer belongs to the answer.
pub trait Journal: Send + Sync + fmt::Debug {
    /// Writes an intent, and answers with its place in the order of all: any number below
    /// [`u64::MAX`].
    ///
    /// # Errors
    ///
    /// [`UsedId`](JournalError::UsedId), [`Invalid`](JournalError::Invalid),
    /// [`Full`](JournalError::Full), and those of the store.
    fn append(&self, intent: Intent) -> Answer<u64>;

    /// Writes an intent and its first `sent` mark in one step: one disk write before the request
    /// leaves, where nothing can happen between the two.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    fn append_sent(&self, intent: Intent) -> Answer<u64>;

    /// Writes what became of an intent, and answers with the state before.
    ///
    /// # Errors
    ///
    /// [`UnknownId`](JournalError::UnknownId), [`Forbidden`](JournalError::Forbidden),
    /// [`WrongAttempt`](JournalError::WrongAttempt), [`Invalid`](JournalError::Invalid), and those of
    /// the store.
    fn mark(&self, id: &str, mark: Mark) -> Answer<State>;

    /// Reads the entry of a client order id; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of the store.
    fn entry(&self, id: &str) -> Answer<Option<Entry>>;

    /// Lists entries in the order in which they were appended.
    ///
    /// # Errors
    ///
    /// Those of the store.
    fn list(&self, filter: &Filter) -> Answer<Page>;

    /// Removes the ended entries that have not changed since `before`, and answers with their number.
    /// An open one is never removed. The ids of removed entries count as unused.
    ///
    /// # Errors
    ///
    /// Those of the store.
    fn prune(&self, before: SystemTime) -> Answer<u64>;
}

impl<J: Journal + ?Sized> Journal for std::sync::Arc<J> {
    fn append(&self, intent: Intent) -> Answer<u64> {
        (**self).append(intent)
    }

    fn append_sent(&self, intent: Intent) -> Answer<u64> {
        (**self).append_sent(intent)
    }

    fn mark(&self, id: &str, mark: Mark) -> Answer<State> {
        (**self).mark(id, mark)
    }

    fn entry(&self, id: &str) -> Answer<Option<Entry>> {
        (**self).entry(id)
    }

    fn list(&self, filter: &Filter) -> Answer<Page> {
        (**self).list(filter)
    }

    fn prune(&self, before: SystemTime) -> Answer<u64> {
        (**self).prune(before)
    }
}
