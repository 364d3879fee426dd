//! Health, metrics and control of Seawall stacks over HTTP.
//!
//! An [`Admin`] shows what registries and health checks know, and carries out what an operator commands. Its
//! [`router`](Admin::router) can be nested in any axum application; with the feature `server` there is a
//! [server](serve::AdminServer) of its own.
//!
//! ```
//! use seawall_admin::{Admin, Role, Tokens};
//! use seawall_admin::serve::AdminServer;
//! use seawall_core::Registry;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new("desk"); // with the layers of the program
//! let tokens = Tokens::new().with(Role::Operator, "alice", "a-secret-of-some-length")?;
//! let admin = Admin::builder("desk").registry(registry).tokens(tokens).build()?;
//!
//! let server = AdminServer::bind("127.0.0.1:0", admin).await?;
//! println!("http://{}/health", server.local_addr());
//! server.stop().await;
//! # Ok(()) }
//! ```
//!
//! # What is safe
//!
//! * The server binds to loopback addresses, and to others only where there are tokens.
//! * Nothing changes by a `GET`. What changes something needs a [token](Tokens) of a [`Role`], a reason, and
//!   is written to the audit log before it is done.
//! * Requests of other sites, of hosts that the server is not, too many, too large or too slow ones are
//!   rejected. Errors are `application/problem+json` (RFC 9457), but for those of HTTP itself.
//! * A kill switch is engaged before that is written down: a full disk lets no order pass.
//! * Nothing here is on the path of a call: reading a component reads its counters.

mod audit;
mod auth;
mod builder;
mod commands;
mod extract;
#[cfg(feature = "monitor")]
mod frames;
mod hosts;
mod problem;
mod prometheus;
mod rate;
mod reading;
mod rendered;
mod role;
mod routes;
mod session;
mod state;
mod streams;
#[cfg(feature = "monitor")]
mod table;
mod tokens;
#[cfg(feature = "orders")]
mod trading;
mod view;
#[cfg(feature = "server")]
mod write_timeout;

#[cfg(feature = "server")]
pub mod serve;

pub use builder::{Admin, AdminBuilder};
pub use role::Role;
pub use seawall_core::InvalidConfig;
pub use streams::StreamCounts;
pub use tokens::{Identity, MAX_TOKENS, MIN_TOKEN_BYTES, Tokens};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
