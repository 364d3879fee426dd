//! HTTP clients behind a stack.
//!
//! From nothing to protected clients of Alpaca, an order and a quote, in ten lines:
//!
//! ```
//! # use seawall_sim::provider::{Broker, MarketData};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (broker, vendor) = (Broker::alpaca().start().await?, MarketData::alpaca().start().await?);
//! # let (trading_url, data_url) = (broker.base_url(), vendor.base_url());
//! use serde_json::{Value, json};
//!
//! // Without a URL: `.base("paper")` and `.base("live")`, which the catalogue knows.
//! let trading = seawall::alpaca()?.client()?.base_url(trading_url);
//! let data = seawall::alpaca_data()?.client()?.base_url(data_url);
//! let trading = trading.header("APCA-API-KEY-ID", "key").build()?;
//! let data = data.header("APCA-API-KEY-ID", "key").build()?;
//! let order = json!({"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market",
//!     "time_in_force": "day", "client_order_id": "order-1"});
//! let placed: Value = trading.post("/v2/orders").json(&order).send().await?.json().await?;
//! let quote: Value = data.get("/v2/stocks/AAPL/quotes/latest").send().await?.json().await?;
//! println!("{} at {}", placed["status"], quote["quote"]["ap"]);
//! # assert_eq!(placed["client_order_id"], "order-1");
//! # assert!(quote["quote"]["ap"].is_number(), "{quote}");
//! # assert_eq!(broker.executions("order-1"), 1);
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
pub use request::{RequestBuilder, StackOf};
pub use response::{Chunks, Events, Response};
pub use seawall_http::sse::SseEvent;
pub use sending::{AuthError, SendError, SendFuture, Sending};
pub use transport::{HttpBody, HttpError, HttpFuture, HttpTransport, HttpVersion};
