//! Simulated providers: a broker, a market-data vendor and an AI API on loopback sockets.
//!
//! A client for paid APIs cannot be tested against them: it costs money, places orders, and they
//! fail when they like. Mocks inside the process have no connections that break and no limits that
//! are enforced. These are real HTTP/1.1 servers on 127.0.0.1 that imitate the [`Profile`] they
//! are given, enforce its limits, count every violation, break as an
//! [incident script](crate::incident) has it, and record every execution of every order.
//!
//! # Example
//!
//! ```
//! # async fn get(addr: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
//! #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! #     let mut stream = tokio::net::TcpStream::connect(addr).await?;
//! #     let head = format!("GET {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n");
//! #     stream.write_all(head.as_bytes()).await?;
//! #     let mut response = String::new();
//! #     stream.read_to_string(&mut response).await?;
//! #     Ok(response)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use seawall_sim::provider::{Limit, MarketData};
//!
//! let vendor = MarketData::alpaca()
//!     .limit(Limit::new(2, Duration::from_secs(60))?)
//!     .start()
//!     .await?;
//!
//! for _ in 0..3 {
//!     let response = get(vendor.addr(), "/v2/stocks/AAPL/quotes/latest").await?;
//!     println!("{response}");
//! }
//! let stats = vendor.stats();
//! assert_eq!((stats.received, stats.executed, stats.violations), (3, 2, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Routes
//!
//! | provider | profile | requests |
//! |---|---|---|
//! | [`Broker`] | Alpaca | `POST /v2/orders`, `GET /v2/orders`, `/v2/orders/{id}`, `/v2/orders:by_client_order_id?client_order_id=`, `PATCH` and `DELETE /v2/orders/{id}`, `GET /v2/account/activities/FILL`, `GET /v2/positions` |
//! | [`MarketData`] | Alpaca | `GET /v2/stocks/{symbol}/quotes/latest`, `/v2/stocks/{symbol}/bars` |
//! | | Polygon | `GET /v2/last/nbbo/{symbol}`, `/v2/aggs/ticker/{symbol}/range/...` |
//! | | Alpha Vantage | `GET /query?function=GLOBAL_QUOTE` or `TIME_SERIES_INTRADAY`, `&symbol=` |
//! | [`AiApi`] | OpenAI | `POST /v1/chat/completions` |
//! | | Anthropic | `POST /v1/messages` |
//!
//! `GET /v2/orders` has `status`, `limit`, `after`, `until`, `direction`, `symbols` and `side`, and no
//! two orders have one time, so that its pages have no gaps. The fills have `page_size`, `page_token`,
//! `after`, `until` and `direction`. `PATCH` closes an order and places another one, whose quantity is
//! the new one, or the old one, less what was filled.
//!
//! Credentials are not checked. `stream: true` gets server-sent events. A token is
//! four characters of a prompt and one word of a response.
//!
//! # How it works
//!
//! ```text
//! listener -> reset_before_read -> read -> ban? -> limit? -> delay -> fault or execution -> response
//!    ^                                                                                        ^
//! refuse, outage                                          reset, truncated, slow body --------+
//! ```
//!
//! A request that was read is carried out on a task of its own. A caller that gives up does not
//! undo its order.
//!
//! Limits, delays and incidents follow tokio's clock; wall-clock time appears only in headers and
//! bodies. With real sockets do not pause that clock: it would jump while packets are under way.
//! For hours of virtual time there is [`SimulatedQuota`], the counting of these servers without a socket.

mod ai_api;
mod app;
mod body;
mod broker;
mod builders;
mod call;
mod clock;
mod connection;
mod control;
mod handle;
mod limits;
mod market_data;
mod meter;
mod price;
mod profile;
mod server;
mod settings;
mod simulated_quota;
mod stats;
mod text;

pub use broker::{Duplicates, Fills};
pub use builders::{AiApi, Broker, MarketData};
pub use handle::Handle;
pub use meter::Counting;
pub use profile::Profile;
pub use settings::{BanPolicy, InvalidSetting, Limit};
pub use simulated_quota::{
    Measure, Rejected, SimulatedQuota, SimulatedQuotaLimit, SimulatedQuotaStats, Usage,
};
pub use stats::{Order, OrderStatus, Stats, TokenUsage};
