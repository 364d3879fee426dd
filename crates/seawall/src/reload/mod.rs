//! A configuration that is read again while the program runs, and put on the running stacks.
//!
//! ```
//! use seawall::config::Config;
//! # use std::fs;
//! # let folder = std::env::temp_dir().join(format!("seawall-reload-{}", std::process::id()));
//! # fs::create_dir_all(&folder)?;
//! # let path = folder.join("seawall.toml");
//!
//! fs::write(&path, "[resilience.feed]\nkind = \"market-data\"\nbulkhead.max_concurrent = 8\n")?;
//! let config = Config::loader().file(&path).from_env().load_reloadable()?;
//! let feed = config.stack("feed")?; // one stack per service: the same for all who ask
//!
//! // Fewer calls at once, without a restart. Calls under way go on, a circuit that is open stays
//! // open, tokens that were spent stay spent.
//! fs::write(&path, "[resilience.feed]\nkind = \"market-data\"\nbulkhead.max_concurrent = 2\n")?;
//! assert_eq!(config.reload()?.changed, ["feed"]);
//! assert_eq!(feed.handles().snapshot().bulkhead.limit, 2);
//!
//! // A mistake changes nothing.
//! fs::write(&path, "[resilience.feed]\nbulkhead.max_concurent = 4\n")?;
//! assert!(config.reload().is_err());
//! assert_eq!(feed.handles().snapshot().bulkhead.limit, 2);
//! assert!(config.status().rejected.is_some());
//! # fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`watch`](ReloadableConfig::watch) does it when the file changes. The
//! [guide](crate::guide::reload) says what a running stack can take.

mod changed;
mod directory;
mod handle;
mod kept;
mod outcome;
mod reloadable;
mod report;
mod turn;
mod watch;

pub use changed::ChangedSetting;
pub use outcome::{RejectedConfig, ReloadError, ReloadStatus, Reloaded};
pub use reloadable::ReloadableConfig;
pub use watch::{ConfigWatch, WatchConfig, WatchConfigBuilder, WatchError};
