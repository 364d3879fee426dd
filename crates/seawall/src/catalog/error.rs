//! What is wrong with a catalogue, or with a name that is looked up in it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::mistake::{Mistake, Names, nearest, write_all};

/// Why there is no such provider, no such tier, or no catalogue of that folder.
///
/// ```
/// let unknown = seawall::provider("alpacca").unwrap_err();
/// assert!(unknown.to_string().contains("`alpaca`"), "the nearest names");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum CatalogError {
    /// A name that the catalogue does not have.
    Unknown(UnknownName),
    /// A folder or a file that cannot be read.
    Unreadable {
        /// The folder or the file.
        path: PathBuf,
        /// Why.
        error: Arc<io::Error>,
    },
    /// A file with mistakes: all of them.
    Invalid {
        /// The file.
        file: String,
        /// In the order of the file.
        mistakes: Vec<Mistake>,
    },
}

/// A name that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// What was looked for: `"provider"`, or `"tier of `alpaca`"`.
    what: String,
    name: String,
    accepted: Vec<String>,
}

impl UnknownName {
    pub(crate) fn new<'a>(
        what: impl Into<String>,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self {
            what: what.into(),
            name: name.to_owned(),
            accepted: nearest(name, known),
        }
    }

    /// The name that was looked up.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names that are nearest to it; all that there are when none is near.
    pub fn accepted(&self) -> &[String] {
        &self.accepted
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, name) = (&self.what, &self.name);
        write!(
            f,
            "there is no {what} `{name}`, there is {}",
            Names(&self.accepted)
        )
    }
}

impl std::error::Error for UnknownName {}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::Unreadable { path, error } => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            Self::Invalid { mistakes, .. } => write_all(f, mistakes),
        }
    }
}

impl std::error::Error for CatalogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(&**error),
            _ => None,
        }
    }
}

impl From<UnknownName> for CatalogError {
    fn from(unknown: UnknownName) -> Self {
        Self::Unknown(unknown)
    }
}
