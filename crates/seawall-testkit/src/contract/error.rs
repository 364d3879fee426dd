//! The errors of the mock and of subjects.

use std::error::Error;
use std::fmt;

/// The error of the mock and of each subject: the one that `tower::BoxError` names.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The error that a [`Mock`](super::Mock) gives, inside a [`BoxError`].
///
/// A subject that passes errors through lets the caller downcast to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MockError {
    /// `poll_ready` failed, see [`MockHandle::set_failed`](super::MockHandle::set_failed).
    NotReady,
    /// A call failed with this error; the number is the user's own.
    Failed(u32),
}

impl fmt::Display for MockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MockError::NotReady => f.write_str("mock failed to become ready"),
            MockError::Failed(code) => write!(f, "mock failed with error {code}"),
        }
    }
}

impl Error for MockError {}
