//! Several keys and deployments of a model, and other models to fall back to.
//!
//! A key of an AI API has a limit, a provider has bad hours, and both end in a 429 or a 529 that another
//! key or another provider would not have given. A [`Router`] is a service over [`Model`]s in order, each
//! with its [`Deployment`]s: a name, a provider, and a service that is a whole stack, with limits and a
//! breaker of its own. The router chooses the one with the most left, leaves alone what has failed, and
//! moves on by what an error means ([`ErrorClass`](crate::ErrorClass)), within one budget and the
//! deadline of the call.
//!
//! Use it where several keys, regions or providers can answer the same request. Do without it where one
//! key at one provider is all there is: a stack with a retry does that.
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use seawall_ai::route::{Deployment, Model, Router, RouteTrace};
//! use seawall_core::{ConstMeta, RequestMeta, WrapErrorLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! type Body = Full<Bytes>;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In place of a stack around a client: a provider that is overloaded, and one that is not.
//! let provider = |status: u16| {
//!     let client = service_fn(move |_: Request<Body>| async move {
//!         let response = Response::builder().status(status).body(Body::default());
//!         Ok::<_, Infallible>(response.expect("a response"))
//!     });
//!     ServiceBuilder::new().boxed_clone_sync().layer(WrapErrorLayer).service(client)
//! };
//! let large = Model::new("large")
//!     .deployment(Deployment::new("key-1", "openai", provider(529)))
//!     .deployment(Deployment::new("key-2", "openai", provider(529)));
//! let other = Model::new("other")
//!     .deployment(Deployment::new("key-3", "anthropic", provider(200)).model("other-2026"));
//!
//! let router = Router::builder("assistant", large)
//!     .fallback(other)
//!     .describe(ConstMeta(RequestMeta::idempotent())) // a completion may be sent twice
//!     .build()?;
//! let handle = router.handle();
//!
//! let prompt = Request::post("/v1/chat/completions").body(Body::from(r#"{"model": "large"}"#))?;
//! let response = router.oneshot(prompt).await?;
//! assert_eq!(response.status(), 200);
//!
//! // One key of the overloaded provider was asked, and not the other one.
//! let trace = response.extensions().get::<RouteTrace>().ok_or("one attempt")?;
//! assert_eq!(trace.attempts().len(), 2);
//! assert_eq!(trace.last().ok_or("none")?.deployment.as_str(), "key-3");
//! assert_eq!(handle.snapshot().provider("openai").ok_or("none")?.reason, Some("overload"));
//! # Ok(()) }
//! ```
//!
//! [`guide`] has what follows each class of error, when a request is sent twice, how a deployment is
//! chosen, and where the router belongs in a stack.

mod builder;
mod classify;
mod config;
mod cool_down;
#[cfg(test)]
mod cool_down_tests;
mod counts;
mod deployment;
mod failed;
mod future;
mod handle;
mod headroom;
mod latency;
mod learn;
mod parts;
mod pick;
mod progress;
mod service;
mod set_model;
mod snapshot;
mod state;
mod sync;
mod trace;

#[doc = include_str!("../../docs/routes.md")]
pub mod guide {}

pub use builder::RouterBuilder;
pub use classify::{ClassifyResponse, StatusClasses};
pub use config::{RouterConfig, RouterConfigBuilder};
pub use counts::{DeploymentCounts, RouterCounts};
pub use deployment::{Deployment, Model};
pub use future::RouteFuture;
pub use handle::RouterHandle;
pub use headroom::{Available, Headroom};
pub use service::Router;
pub use set_model::{ReplaceData, set_model};
pub use snapshot::{DeploymentSnapshot, ProviderSnapshot, RouteState, RouterSnapshot, RouterState};
pub use trace::{RouteAttempt, RouteOutcome, RouteRecorder, RouteTrace};

/// What users of a router need of `seawall-core`.
#[doc(no_inline)]
pub use seawall_core::{Budget, BudgetConfig, BudgetHandle};
