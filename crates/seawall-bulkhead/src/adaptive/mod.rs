//! Limits that find out by themselves how many calls an upstream bears.
//!
//! `config` has the settings, `window` gathers finished calls, `limit` closes windows and moves;
//! `knee`, `aimd`, `vegas` and `gradient` are the rules, pure arithmetic on one window at a time;
//! `lowest` bounds what they believe to be normal, and `tune` is the way into the bulkhead.

mod aimd;
mod config;
mod gradient;
mod knee;
mod limit;
mod lowest;
mod tune;
mod vegas;
mod window;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use aimd::Aimd;
pub use config::{Adaptive, AdaptiveBuilder, Algorithm};
pub use gradient::Gradient;
pub use knee::Knee;
pub use limit::AdaptiveLimit;
pub use vegas::Vegas;
pub use window::SampleKind;
