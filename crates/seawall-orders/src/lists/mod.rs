//! Our own view of orders and positions beside the broker's lists, at start and periodically.
//!
//! [`compare`] reads the lists of orders to their ends and gives what differs, with the figures of both sides,
//! and [`compare_positions`] does so with the list of positions.
//! [`Confirmations`] decides which differences are reported, since one reading can be wrong.
//!
//! # What one reading can get wrong
//!
//! Orders move while lists are read. What is done about it:
//!
//! | what happens | what would be wrong | what is done |
//! |---|---|---|
//! | an order is filled between the list of open orders and that of closed ones | it is in both | the later one counts |
//! | the same the other way round | it is in neither | open orders are read first |
//! | an order moves between two pages of a list | it is missing, or there twice | by the broker's id it counts once; a missing one is not missing in the next reading |
//! | we send an order while lists are read | unknown to us | our own view is taken after the lists |
//! | an order was accepted and is not shown yet | unknown to the broker | it is expected once it is confirmed for the visibility window and the time of the reading |
//! | a fill is in the list, and not yet in our view | other figures | the next reading, after the visibility window |
//! | a fill moves a position while it is read | another position | our own view is taken after the list, and the gap must last |
//! | a list cannot be read, or not to its end | much is missing | an error, and no differences |
//!
//! So a difference is reported when a reading that began a visibility window after the first one still has
//! it, and every reading between had it. For an order that is unknown to one side *it* is the order; for
//! other figures the order with unchanged figures of our own, since a view that follows is not wrong; for
//! a position a gap that neither side closes, however it changes. Several orders of one client order id that
//! work at the same time are reported at once: a false alarm costs a look, and a late one a doubled position.
//!
//! What a list has of an order that is in doubt, or was not executed by our view, is no difference but
//! [evidence](Reading::evidence), at once: one reading cannot show an order that is not there. The layer confirms
//! such an order, which is an alert where it was reported as not executed. An order that never left is not ours:
//! what has its id at the broker is unknown to us.
//!
//! A list whose pages begin at a number can miss the same order in two readings, where orders before it end
//! at the wrong moments. So look an order up by its id before anything is done about it.
//!
//! # What the lists cover
//!
//! Open orders are always read; closed ones and fills where the broker has such lists, of as much of the
//! past as the implementation of [`Broker`](crate::broker::Broker) asks for. An order of ours is expected in a list only where
//! that covers it: one that worked and is not open any more needs the list of closed orders. Without one it
//! is [`NotOpen`](OwnedDifference::NotOpen): look it up.
//!
//! # Positions
//!
//! A list of positions has no client order ids, so it shows what no list of orders does: shares that were
//! moved by hand, a corporate action, a fill that nobody counted. What we hold is known to the user alone, and
//! [`OwnPositions`] is how it is asked for. The lists of exchanges (Binance, Coinbase, Kraken) are balances by
//! asset, cash and what orders lock included.

mod compare;
mod config;
mod confirm;
mod difference;
mod own;
mod positions;
mod read;

pub use compare::{Reading, compare};
pub use config::{ListsConfig, ListsConfigBuilder};
pub use confirm::{Confirmations, Confirmed};
pub use difference::{ListedOrder, OwnedDifference};
pub use own::{OwnEntry, OwnView};
pub use positions::{OwnPositions, compare_positions};
pub use read::{ListError, ListErrorKind, ListName};
