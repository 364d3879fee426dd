//! Faults on purpose: a Tower layer that makes a service fail, to see what the stack around it makes of
//! that.
//!
//! Whether retries, breakers, timeouts and fallbacks do what they are meant to shows when the upstream
//! fails, which it does when nobody is looking. [`ChaosLayer`] makes it fail in each way that a client can see,
//! now: delays, hangs, errors before and after a request was sent, refused connections, statuses with
//! headers, bodies that break off, change or come slowly, stale responses, requests that are sent twice,
//! clocks that are off.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_chaos::{ChaosConfig, ChaosLayer, Delay, Fault, FaultSet, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chaos = ChaosLayer::new("vendor", ChaosConfig::default()).assume_idempotent();
//! let handle = chaos.handle();
//! let mut client = ServiceBuilder::new()
//!     // breaker, retry and timeouts stand here
//!     .layer(chaos)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|symbol: &'static str| async move {
//!         Ok::<_, std::io::Error>(symbol.len())
//!     }));
//!
//! let slow = Fault::delay(Delay::constant(Duration::from_millis(200))?);
//! let refused = Fault::refused_connection().with_intensity(0.5)?;
//! # if !seawall_chaos::CAN_INJECT { return Ok(()) }
//! let injection = handle.start(FaultSet::new([slow, refused])?.lasts(Duration::from_secs(60))?.seed(7))?;
//! for _ in 0..100 {
//!     let _ = client.call("SPY").await;
//! }
//! let counts = injection.stop();
//! assert_eq!(counts.delay, 100);
//! assert!((35..65).contains(&counts.refused_connection));
//! assert_eq!(client.call("SPY").await?, 3);
//! # Ok(()) }
//! ```
//!
//! # What is where
//!
//! * [`Fault`]: what happens, [how often](Fault::with_intensity), [to which calls](Fault::with_reach);
//!   [`FaultSet`]: several of them, for how long, by which seed.
//! * [`ChaosHandle`]: starts and stops them, and [counts](ChaosCounts) what had an effect.
//! * [`MakeFault`]: how a protocol makes responses of faults. `seawall_http::chaos` has HTTP's.
//! * [`guide`]: what each fault does, how they end, what is counted, where the layer stands.
//!
//! **No fault hits anything but a read**, no order and no cancel, unless the configuration says that
//! the upstream is [simulated](ChaosConfigBuilder::simulated_upstream).
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `inject` (default) | faults can be started; without it the layer passes every call, and `start` is an error that says so |
//! | `serde` | `Serialize` for snapshots and counts |
//! | `tracing` | starts and ends as `tracing` events |
//! | `metrics` | counters through the `metrics` facade |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(doctest, feature = "inject"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod active;
mod alteration;
mod call;
mod config;
mod counts;
mod decide;
mod delay;
mod effect;
mod error;
mod fault;
mod fault_set;
mod future;
mod handle;
mod hooks;
mod injection;
mod kind;
mod layer;
mod reach;
mod service;
mod skew;
mod snapshot;
mod state;
mod status;
mod store;
mod waiting;

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

pub use alteration::{Alteration, ResponseFault};
pub use config::{ChaosConfig, ChaosConfigBuilder};
pub use counts::ChaosCounts;
pub use delay::{Delay, LONGEST_DELAY};
pub use error::{ChaosError, InjectedError};
pub use fault::Fault;
pub use fault_set::FaultSet;
pub use future::ChaosFuture;
pub use handle::ChaosHandle;
pub use hooks::{ErrorFaults, FaultHooks, IntoError, MakeError, MakeFault};
pub use injection::{Injection, InjectionId};
pub use kind::FaultKind;
pub use layer::ChaosLayer;
pub use reach::Reach;
pub use service::Chaos;
pub use skew::ClockSkew;
pub use snapshot::{ChaosSnapshot, ChaosState, FaultSnapshot, InjectionSnapshot};
pub use status::StatusResponse;
pub use store::Keeper;
pub use waiting::Waiting;

/// Whether this build can inject: the feature `inject` is on.
pub const CAN_INJECT: bool = state::INJECT;

/// What users of this crate need of `seawall-core`.
#[doc(no_inline)]
pub use seawall_core::{
    ConstMeta, CopyRequest, Describe, InstanceHandle, InstanceName, InvalidConfig, Operation,
    PartitionKey, Policies, Policy, Registry, Replay, RequestMeta, WrapErrorLayer, assert_service,
};
