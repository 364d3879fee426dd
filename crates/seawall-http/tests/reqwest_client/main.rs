//! `reqwest::Client` as a Tower client, over real sockets: of both versions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[cfg(feature = "reqwest-0-12")]
mod version_0_12;
#[cfg(feature = "reqwest")]
mod version_0_13;
