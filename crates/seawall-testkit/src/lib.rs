//! Test Tower layers and clients: a strict contract mock, the laws of a layer, simulated providers
//! and scripted incidents.
//!
//! A resilience layer is written for the bad day, and its bugs wait for one: a permit that stays
//! with a cancelled request, a clone that is called without having been polled ready, a task that
//! nobody wakes. This crate makes bad days to order.
//!
//! - [`contract`] is for the author of a layer: a mock service that holds its callers to the letter
//!   of the Tower contract, and one function for each law that a layer must keep.
//! - `provider` and `incident` (feature `providers`, on by default) are for the user of layers:
//!   servers on localhost that behave like brokers, market-data feeds and AI APIs, and timelines of
//!   what goes wrong with them.
//! - `alloc` (feature `alloc`) counts the allocations of a closure.
//!
//! # Example
//!
//! ```
//! use seawall_testkit::contract::{assert_check, checks};
//! use tower::timeout::Timeout;
//! # use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! // A new layer on top of the mock, as often as a law wants one.
//! let subject = |inner| Timeout::new(inner, Duration::from_secs(1));
//! assert_check(checks::calls_the_ready_instance(subject).await);
//! assert_check(checks::pending_has_registered_the_waker(subject).await);
//! assert_check(checks::dropped_future_releases_everything(subject).await);
//! # }
//! ```

#[cfg(feature = "alloc")]
pub mod alloc;
pub mod contract;
#[cfg(feature = "providers")]
pub mod incident;
#[cfg(feature = "providers")]
pub mod provider;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
