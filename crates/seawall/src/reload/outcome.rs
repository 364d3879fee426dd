//! What came of reading a configuration again.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use seawall_core::InvalidConfig;

use crate::config::{ConfigError, Mistake};
use crate::mistake::write_all;

/// What is different in a configuration that was read again.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The number of the configuration in force: the first one is 1. The same as before where nothing
    /// is different.
    pub generation: u64,
    /// Services whose settings are others, by name.
    pub changed: Vec<String>,
    /// Services that are new.
    pub added: Vec<String>,
    /// Services that are there no more. Their stacks work on as they were.
    pub removed: Vec<String>,
    /// What has changed in a layer that an [option](crate::HttpStack) of some stack of the service has
    /// replaced, such as `breaker_per_key`: the layer of that stack keeps what it has. A setting for
    /// each such layer, with its place.
    pub not_reached: Vec<Mistake>,
}

impl Reloaded {
    /// Whether everything is as before.
    pub const fn is_unchanged(&self) -> bool {
        self.changed.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }
}

/// Why a configuration that was read again is not in force.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum ReloadError {
    /// It cannot be read, or there are mistakes in it: any, also with `fail_safe_defaults`, which are for
    /// the first load.
    Config(ConfigError),
    /// Settings that a running stack cannot have: all of them.
    /// [`forget`](super::ReloadableConfig::forget) the stacks of these services, and reload.
    NeedsNewStack(Vec<Mistake>),
    /// A change of a service that is not in the configuration.
    UnknownService(InvalidConfig),
    /// A change was for another generation of the configuration than this one, which is in force.
    OtherGeneration(u64),
    /// It was called by a listener of events that a reload on the same thread emits; nothing was read.
    Nested,
}

impl ReloadError {
    /// Each with its place; none where the file cannot be read.
    pub fn mistakes(&self) -> &[Mistake] {
        match self {
            Self::Config(error) => error.mistakes(),
            Self::NeedsNewStack(mistakes) => mistakes,
            Self::UnknownService(_) | Self::OtherGeneration(_) | Self::Nested => &[],
        }
    }

    /// Why, in one word: `"unreadable"`, `"invalid"`, `"new_stack"`, `"unknown_service"`,
    /// `"other_generation"` or `"nested"`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Config(ConfigError::Unreadable { .. }) => "unreadable",
            Self::Config(_) => "invalid",
            Self::NeedsNewStack(_) => "new_stack",
            Self::UnknownService(_) => "unknown_service",
            Self::OtherGeneration(_) => "other_generation",
            Self::Nested => "nested",
        }
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::NeedsNewStack(mistakes) => write_all(f, mistakes),
            Self::UnknownService(error) => error.fmt(f),
            Self::OtherGeneration(generation) => {
                write!(
                    f,
                    "the change was for another generation, accepted is {generation}, which is in force"
                )
            }
            Self::Nested => f.write_str("a listener of a reload's events cannot reload"),
        }
    }
}

impl std::error::Error for ReloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::UnknownService(error) => Some(error),
            Self::NeedsNewStack(_) | Self::OtherGeneration(_) | Self::Nested => None,
        }
    }
}

/// Which configuration is in force, and whether it is what the file says.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ReloadStatus {
    /// The number of the configuration in force: the first one is 1.
    pub generation: u64,
    /// Since when it is in force.
    pub since: SystemTime,
    /// The file; `None` where there is none.
    pub source: Option<PathBuf>,
    /// What the file says since then and is not accepted.
    pub rejected: Option<RejectedConfig>,
    /// What was wrong when it was loaded first: with `fail_safe_defaults` it is in force in spite of
    /// that, and services have the numbers of their base. Empty from the first reload on.
    pub mistakes: Arc<[Mistake]>,
}

/// A configuration that was read again and is not in force.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct RejectedConfig {
    /// What is wrong.
    pub error: Arc<ReloadError>,
    /// Since when.
    pub since: SystemTime,
}

impl RejectedConfig {
    pub(super) fn new(error: ReloadError, since: SystemTime) -> Self {
        Self {
            error: Arc::new(error),
            since,
        }
    }
}
