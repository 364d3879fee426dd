//! The settings of a breaker: values that cannot be wrong.

mod breaker_config;
mod builder;
mod builder_hints;
mod builder_recovery;
mod check;
mod from_config;
mod rare;
mod settings;
#[cfg(all(test, not(seawall_loom)))]
mod tests;
mod values;

pub use breaker_config::BreakerConfig;
pub use builder::BreakerConfigBuilder;
pub(crate) use settings::settings;
pub use values::{AbandonedPolicy, ClosePolicy, HalfOpenPolicy, PanicPolicy, Ramp, RateRule};
