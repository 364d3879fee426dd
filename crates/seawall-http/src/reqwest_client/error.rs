//! The error of a `reqwest::Client` that knows whether redirects were followed.

use std::error::Error as StdError;
use std::fmt;

use super::reqwest;

/// An error of a [`ReqwestClient`](super::ReqwestClient): reqwest's own, and whether redirects were followed.
///
/// Its [`TransportError::outcome`](crate::TransportError::outcome) is "not sent" for a connection that could not be made by a
/// client without redirects, [`Outcome::Ignored`](seawall_core::Outcome::Ignored) for a request that could not be built (a URI
/// that is not complete) or whose own body failed, and [`Outcome::Unknown`](seawall_core::Outcome::Unknown) otherwise.
#[derive(Debug)]
pub struct ReqwestError {
    error: reqwest::Error,
    redirects: bool,
}

impl ReqwestError {
    pub(crate) const fn new(error: reqwest::Error, redirects: bool) -> Self {
        Self { error, redirects }
    }

    /// Whether its client may have followed redirects.
    pub(crate) const fn follows_redirects(&self) -> bool {
        self.redirects
    }

    /// The error of reqwest.
    pub const fn get_ref(&self) -> &reqwest::Error {
        &self.error
    }

    /// The error of reqwest, by value.
    pub fn into_inner(self) -> reqwest::Error {
        self.error
    }
}

impl fmt::Display for ReqwestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for ReqwestError {
    /// What caused the error of reqwest, whose text this error has.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}
