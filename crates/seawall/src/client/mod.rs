//! HTTP clients behind a stack.
//!
//! ```
//! # use seawall_sim::provider::MarketData;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let vendor = MarketData::alpaca().start().await?;
//! # let url = vendor.base_url();
//! let client = seawall::alpaca_data()?.client()?.base_url(url);
//! let client = client.header("APCA-API-KEY-ID", "key").build()?;
//! let response = client.get("/v2/stocks/AAPL/quotes/latest").send().await?;
//! let quote: serde_json::Value = response.error_for_status().await?.json().await?;
//! assert!(quote["quote"]["ap"].is_number());
//! # Ok(()) }
//! ```
//!
//! Everything that the stack does is done: the deadline, retries of what may be sent again, the limits
//! of the tier, the circuit; see [`Client::stack`] for its handles.
//!
//! # What is sent twice
//!
//! An order whose connection could not be made was certainly not sent, and is tried again. One whose
//! connection broke may have been executed: its error says so ([`ClientError::sent`]), and nothing
//! is repeated. [`RequestBuilder::retry_safe`] is for requests that may be.
//!
//! # Connections
//!
//! hyper's pooling client over rustls, with the certificates that the system accepts. HTTP/2 is spoken
//! where the server offers it. An attempt that is given up while its HTTP/2 connection was silent, as by
//! the attempt timeout, retires that connection: otherwise one whose packets are lost would take every
//! further attempt. Redirects are responses like any other. Compressed bodies are decompressed below the
//! stack, whose layers see the text.
//!
//! # Many clients
//!
//! [`Clients`] builds each when it is first asked for, by a function of yours: of a tier, or of a service
//! of a [file](crate::config).

mod api;
mod base_url;
mod body;
mod builder;
mod clients;
#[cfg(feature = "config")]
mod configured;
mod connector;
mod departing;
mod error;
mod request;
mod response;
mod sending;
mod tls;
mod transport;

#[cfg(feature = "catalog")]
mod tier;

pub use api::Client;
pub use base_url::path_segment;
pub use body::RequestBody;
pub use builder::ClientBuilder;
pub use clients::{Clients, GetClientError};
pub use departing::Departing;
pub use error::ClientError;
#[cfg(all(feature = "ai", feature = "catalog"))]
pub(crate) use request::Defaults;
pub use request::{RequestBuilder, StackOf};
pub use response::{Chunks, Events, Response};
pub use seawall_http::sse::SseEvent;
pub use sending::{AuthError, SendError, SendFuture, Sending};
pub use transport::{HttpBody, HttpError, HttpFuture, HttpTransport, HttpVersion};
