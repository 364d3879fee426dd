//! A `reqwest::Client` as a Tower client.
//!
//! The files are those of [`reqwest_0_12`](crate::reqwest_0_12), too: the two versions differ in nothing
//! that is used here, but their types are not the same.

mod client;
mod error;
mod outcome;

use ::reqwest;

pub use client::{IntoReqwestBody, ReqwestClient, ReqwestFuture};
pub use error::ReqwestError;
pub(crate) use outcome::known;
pub use outcome::reqwest_without_redirects;
