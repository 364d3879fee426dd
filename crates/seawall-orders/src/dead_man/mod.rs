//! A dead man's switch: a timer at the venue that cancels all orders when it is not renewed.
//!
//! A process that has lost its network, hangs or is gone cannot cancel its orders. Some venues have a
//! timer for that: each request sets it again, and when none comes in time the venue cancels everything.
//! [`DeadManSwitch`] renews it for as long as a health closure allows new orders, and lets it fire when
//! that does not.
//!
//! | venue | request | unit | source |
//! |---|---|---|---|
//! | Kraken, Spot | `POST /0/private/CancelAllOrdersAfter`, form field `timeout` | whole seconds, below 86,400 | docs.kraken.com, Cancel All Orders After X |
//! | BitMEX | `POST /api/v1/order/cancelAllAfter`, JSON field `timeout` | milliseconds | docs.bitmex.com, Cancel All Of Your Order(s) After a Specified Timeout |
//!
//! Of both: a timeout of 0 disarms, and a timer that has fired stays off until it is set again. Kraken
//! recommends 60 s, set every 15 to 30 s, and to disarm it before maintenance of the venue, which would
//! make it fire; BitMEX shows 60 s every 15 s.
//!
//! # What is counted from when
//!
//! The venue starts its timer when the request arrives: after it was sent, and before its response. So the
//! time that is left is counted from the *sending* of a request whose response came, and a response
//! that comes late renews nothing. A request whose response did not come may have renewed the timer, or may
//! still do so: it is not counted, and at the end the timer is disarmed again once such a request cannot
//! arrive any more.
//!
//! Time is the operating system's running clock, which stands still while a machine is suspended: a timer
//! that fires meanwhile is not noticed.
//!
//! When health is lost, a renewal that is under way is dropped, and none follows. The venue fires at
//! most one timeout after the last one arrived.

mod config;
mod countdown;
mod driver;
mod handle;
mod venue;

pub use config::{DeadManConfig, DeadManConfigBuilder};
pub use countdown::{DeadManSnapshot, DeadManState};
pub use driver::DeadManSwitch;
pub use handle::{DeadManHandle, NotDisarmed};
pub use venue::{BitmexTimer, CancelAllAfter, KrakenTimer};
