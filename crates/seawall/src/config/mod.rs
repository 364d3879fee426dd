//! Services from a file and the environment.
//!
//! One file in TOML says which services there are, and what of their numbers is different from those
//! of their provider or kind; variables of the environment are put over it. Every mistake is found
//! at once, with its line and column or its variable. The [guide](crate::guide::configuration) has
//! all settings.
//!
//! ```
//! use seawall::config::Config;
//!
//! let text = r#"
//! [resilience]
//! utilization = 0.7                 # for every service
//!
//! [resilience.orders]
//! provider = "alpaca"
//! deadline = "20s"
//!
//! [resilience.feed]
//! kind = "market-data"
//! rate_limit.rate = "10/s"
//! "#;
//! let variables = [("SEAWALL__FEED__RETRY__ATTEMPTS", "2")];
//! let config = Config::loader().text("seawall.toml", text).environment(variables).load()?;
//! assert_eq!(config.service("feed")?.settings().retry.attempts(), 2);
//!
//! let orders = config.service("orders")?.build()?;
//! # let _ = orders.handles();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer_layers;
mod answer_tables;
mod answers;
mod apply;
mod breaker;
#[cfg(feature = "reload")]
mod changes;
mod environment;
mod error;
mod fail_safe;
mod fallback_value;
mod file;
mod flat;
mod health;
mod kind;
mod layers;
mod limits;
mod loader;
mod merge;
mod numbers;
mod resolve;
mod running;
mod schema;
mod scope;
mod service;
mod set;
mod setting;
mod table;
#[cfg(test)]
mod tests;
#[cfg(feature = "reload")]
mod update;
mod value;

pub use crate::mistake::{Mistake, Place};
pub use answer_layers::AnswerLayers;
#[cfg(feature = "reload")]
pub(crate) use changes::Overlay;
#[cfg(feature = "reload")]
pub use changes::{SettingChanges, SettingValue};
pub use error::ConfigError;
pub use health::HealthSettings;
pub use kind::ServiceKind;
pub use loader::{Config, Loader, MAX_FILE_BYTES};
#[cfg(feature = "reload")]
pub(crate) use running::RunningAnswers;
pub use schema::json_schema;
pub use service::{EffectiveSetting, Origin, ServiceConfig};
#[cfg(feature = "reload")]
pub(crate) use update::Update;
