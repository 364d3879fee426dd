//! What is wrong with a catalogue, or with a name that is looked up in it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

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

/// A mistake in a file of a catalogue.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From 1 on.
    pub line: usize,
    /// From 1 on.
    pub column: usize,
    /// The key, the value, and what is accepted in its place.
    pub problem: String,
}

impl UnknownName {
    pub(super) fn new<'a>(
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

/// The known names that `name` may have been meant for: those that are like it, and if there is
/// none, all of them.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    /// Jaro-Winkler similarity, from 0 to 1: a letter wrong, two swapped or some missing are above.
    const NEAR: f64 = 0.8;
    let folded = name.to_lowercase();
    let mut known: Vec<_> = known
        .map(|known| (strsim::jaro_winkler(&folded, known), known))
        .collect();
    known.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let near = known
        .iter()
        .filter(|(likeness, _)| *likeness >= NEAR)
        .count();
    let count = if near == 0 { known.len() } else { near.min(3) };
    let names = known.iter().take(count);
    names.map(|(_, known)| (*known).to_owned()).collect()
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} `{}`, there is ", self.what, self.name)?;
        for (at, name) in self.accepted.iter().enumerate() {
            let between = match at {
                0 => "",
                _ if at + 1 == self.accepted.len() => " and ",
                _ => ", ",
            };
            write!(f, "{between}`{name}`")?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownName {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::Unreadable { path, error } => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            Self::Invalid { file, mistakes } => {
                for (at, mistake) in mistakes.iter().enumerate() {
                    let end = if at == 0 { "" } else { "\n" };
                    write!(f, "{end}{file}:{mistake}")?;
                }
                Ok(())
            }
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
