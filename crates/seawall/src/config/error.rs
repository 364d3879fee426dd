//! Why there is no configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::CatalogError;
use crate::mistake::{Mistake, write_all};

/// Why a configuration was not loaded.
///
/// ```
/// use seawall::config::Config;
///
/// let text = "[resilience.feed]\nkind = \"market-date\"\n[resilience.feed.retry]\natempts = 2\n";
/// let error = Config::loader().text("seawall.toml", text).load().unwrap_err();
/// assert_eq!(error.mistakes().len(), 2, "all of them");
/// assert!(error.to_string().contains("seawall.toml:4:1: `feed.retry.atempts` is unknown"));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum ConfigError {
    /// A file that cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Arc<io::Error>,
    },
    /// The catalogue of this crate cannot be read.
    Catalog(CatalogError),
    /// Mistakes in the file and in variables: all of them, in their order.
    Invalid(Vec<Mistake>),
}

impl ConfigError {
    /// The mistakes; none where the file cannot be read.
    pub fn mistakes(&self) -> &[Mistake] {
        match self {
            Self::Invalid(mistakes) => mistakes,
            _ => &[],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            Self::Catalog(error) => error.fmt(f),
            Self::Invalid(mistakes) => write_all(f, mistakes),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(&**error),
            Self::Catalog(error) => Some(error),
            Self::Invalid(_) => None,
        }
    }
}

impl From<CatalogError> for ConfigError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}
