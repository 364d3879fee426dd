//! Describes a request once per call and classifies a result once per attempt, however many layers
//! ask.
//!
//! Each layer asks the parts of its [`Policy`] by itself: what is this request, what does this result
//! mean. In a stack of eight layers a request is then described five times and a result classified
//! four times. Here the answers travel with what they are about:
//!
//! * [`DescribeLayer`], outermost, turns a request into a [`Described`] one;
//! * [`ClassifyLayer`], around the client, takes it apart, and turns the result into a
//!   [`Classified`] one;
//! * the layers between have the policy that [`carried`] makes of a service's own. Its classifier and
//!   its describer have next to no size and read what is carried; its other parts are the
//!   service's own, [`Carried`] over.
//!
//! What a layer between rejects by itself is classified when the error is made.
//!
//! The stacks of the crate `seawall` are built so. In a `ServiceBuilder` it looks like this:
//!
//! ```
//! use seawall_core::carry::{ClassifyLayer, DescribeLayer, carried};
//! use seawall_core::{ConstMeta, ErrorIsFailure, Policy, RequestMeta, WrapErrorLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let policy = Policy::new().describe(ConstMeta(RequestMeta::idempotent()));
//! let between = carried(&policy);
//! # let _ = between;
//! let client = ServiceBuilder::new()
//!     .layer(DescribeLayer::new(ConstMeta(RequestMeta::idempotent())))
//!     // Here RetryLayer::new(..).policy(between), BreakerLayer::new(..).policy(between) ..
//!     .layer(ClassifyLayer::new(ErrorIsFailure))
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|symbol: String| async move { Ok::<_, std::io::Error>(symbol.len()) }));
//! assert_eq!(client.oneshot("SPY".to_owned()).await.unwrap(), 3);
//! # }
//! ```
//!
//! [`Policy`]: crate::Policy

mod classify;
mod describe;
mod described;
mod guarded;
mod parts;
mod service;
mod storage;
mod store;

pub use classify::{
    Classified, ClassifiedResponse, ClassifyFuture, ClassifyLayer, ClassifyService,
};
pub use describe::{DescribeFuture, DescribeLayer, DescribeService};
pub use described::Described;
pub use guarded::{AllGuards, GuardList, GuardedResponse, Guards, HasOutcome, KeepingGuarded};
pub use parts::{Carried, CarriedMeta, CarriedOutcome, CarriedPolicy, KeepingClassified, carried};
pub use service::{PooledFuture, PooledService};
pub use storage::{Pooled, Storage};
pub use store::{DrainingCarried, MapResponse, StoredOutcome};
