//! The adapter for clients of reqwest 0.12, as it is for those of 0.13 at the root of this crate.
//!
//! ```no_run
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use seawall_http::reqwest_0_12::ReqwestClient;
//! use tower::ServiceExt;
//! # // In a program of its own the dependency is named `reqwest`.
//! # use reqwest_0_12 as reqwest;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ReqwestClient::build(reqwest::Client::builder())?;
//! let request = Request::get("http://localhost:8080/quotes").body(Full::<Bytes>::default())?;
//! println!("{}", client.oneshot(request).await?.status());
//! # Ok(()) }
//! ```

#[allow(
    clippy::duplicate_mod,
    reason = "the same code for the types of another version"
)]
#[path = "reqwest_client/client.rs"]
mod client;
#[allow(
    clippy::duplicate_mod,
    reason = "the same code for the types of another version"
)]
#[path = "reqwest_client/error.rs"]
mod error;
#[allow(
    clippy::duplicate_mod,
    reason = "the same code for the types of another version"
)]
#[path = "reqwest_client/outcome.rs"]
mod outcome;

use reqwest_0_12 as reqwest;

pub use client::{IntoReqwestBody, ReqwestClient, ReqwestFuture};
pub use error::ReqwestError;
pub(crate) use outcome::known;
pub use outcome::reqwest_without_redirects;
