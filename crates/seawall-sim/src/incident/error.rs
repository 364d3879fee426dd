//! What can be wrong with an incident file.

use std::fmt;
use std::io;

/// What is wrong with an incident file, and where.
///
/// Its `Display` is one line: file and line, the key, the value, and what is accepted.
///
/// ```
/// use seawall_sim::incident::Incidents;
///
/// let error = Incidents::from_toml("seed = -1").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "incidents: line 1: seed = -1: expected a whole number from 0 to 9223372036854775807"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentError {
    pub(super) file: Option<String>,
    pub(super) line: Option<usize>,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    pub(super) message: String,
}

impl IncidentError {
    pub(crate) fn unreadable(file: String, error: &io::Error) -> Self {
        let message = format!("cannot be read: {error}");
        Self {
            file: Some(file),
            line: None,
            key: None,
            value: None,
            message,
        }
    }

    /// The file, if the text came from one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The key with its path, e.g. `incident[2].probability`.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The value as it stands in the file.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What is wrong, and what is accepted.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for IncidentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.as_deref().unwrap_or("incidents"))?;
        if let Some(line) = self.line {
            write!(f, ": line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for IncidentError {}
