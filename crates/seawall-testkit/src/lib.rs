//! Tests for Tower layers: a strict contract mock, and the checks that every layer must pass.
//!
//! The bugs of a resilience layer show only under failure: a permit that stays with a cancelled
//! request, a clone that is called without having been polled ready, a task that is never woken.
//! This crate brings such failures about on purpose.
//!
//! - [`contract`]: a mock service that enforces the Tower contract to the letter, and one function
//!   for each check that a layer must pass.
//! - `alloc` (feature `alloc`): counts the allocations of a closure.
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
//! // A new layer on top of the mock, as often as a check wants one.
//! let subject = |inner| Timeout::new(inner, Duration::from_secs(1));
//! assert_check(checks::calls_the_ready_instance(subject).await);
//! assert_check(checks::pending_has_registered_the_waker(subject).await);
//! assert_check(checks::dropped_future_releases_everything(subject).await);
//! # }
//! ```
//!
//! The [module documentation](contract) lists the checks, the rules behind them, and the bugs that
//! they were made from; [`contract_tests!`] makes a test of each.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
pub mod alloc;
pub mod contract;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
