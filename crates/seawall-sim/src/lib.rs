//! Simulated brokers, market-data vendors and AI APIs, and scripts of what goes wrong with them.
//!
//! - [`provider`]: HTTP/1.1 servers on loopback that keep a provider's limits, count violations
//!   and remember every order.
//! - [`incident`]: timelines of faults that these servers perform.
//!
//! Seawall's tests, examples and benchmarks run against them. The crate is not published.

pub mod incident;
pub mod provider;
