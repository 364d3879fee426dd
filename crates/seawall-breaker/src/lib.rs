//! A circuit breaker for Tower services, and for any async function.
//!
//! An upstream that is down responds slowly or not at all; every call that is sent there costs the
//! caller its time and the upstream its recovery. A breaker counts the outcomes. When too many calls
//! fail it *opens* and rejects at once, and after a while it lets a few *probes* pass to see whether
//! the upstream is back.
//!
//! **By default every `Err` is a failure and every `Ok` a success.** Where a service reports failures
//! inside of `Ok` (an HTTP status, an error object of a model, a variant of an enum of your own), the
//! circuit never opens without [`classify`](BreakerLayer::classify).
//!
//! ```
//! use std::time::Duration;
//! use seawall_breaker::{BreakerConfig, BreakerLayer, WrapErrorLayer};
//! use tower::{ServiceBuilder, service_fn};
//!
//! # fn main() -> Result<(), seawall_breaker::InvalidConfig> {
//! let breaker = BreakerLayer::new(
//!     "polygon",
//!     BreakerConfig::builder()
//!         .failure_rate(0.5, 100)
//!         .min_calls(20)
//!         .open_for(Duration::from_secs(30))
//!         .build()?,
//! );
//! let client = ServiceBuilder::new()
//!     .layer(breaker)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|symbol: String| async move { Ok::<_, std::io::Error>(symbol) }));
//! # let _ = client; Ok(()) }
//! ```
//!
//! # What it must know
//!
//! What a result means: [`classify`](BreakerLayer::classify); `seawall-http` and `seawall-grpc` have
//! classifiers. Around a client of HTTP or gRPC a missing one is
//! [noted](seawall_core::Misconfiguration): logged, emitted and in what the handle knows. Of a type of
//! your own it cannot be known: `settings` of the handle show `classifier: none` then.
//!
//! # When to use it, and where
//!
//! For calls to an upstream that can be down for seconds or longer. Not for a service that fails by
//! overload of its own process (use a bulkhead), and not in place of a timeout: a call that hangs
//! keeps its caller waiting, whatever the circuit does. In a stack: outside of the attempt timeout,
//! inside of retry, with the [gate](BreakerLayer::gate) outside of everything that waits.
//!
//! # Where to look
//!
//! * [`BreakerConfigBuilder`]: every setting, with an example; [`Rule`]: custom rules.
//! * [`CircuitHandle`]: state, counts, snapshot, live settings, commands; and calls without Tower:
//!   [`call`](CircuitHandle::call) a future, [`wrap`](CircuitHandle::wrap) a function,
//!   [`admit`](CircuitHandle::admit) for everything else.
//! * [`KeyedBreakerLayer`]: one circuit per host, account or symbol; [`BreakerRegistry`]: the same by
//!   name, without Tower.
//! * [`guide`]: states, accuracy, gate, readiness, cancellation.
//!
//! # Features
//!
//! `fast-clock` (default) and `test-util`: which clock is read, see [`seawall_core::Clock`];
//! `tracing` (an opening circuit is a warning), `metrics`, `serde` (snapshots and counts).
#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(
    private_bounds,
    reason = "sealed: circuits are those of a layer (Single) or of a registry (Keyed)"
)]

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod access;
mod admission;
mod ages;
mod buckets;
mod call;
mod circuit;
mod config;
mod config_snapshot;
mod control;
mod counts;
mod custom_rules;
mod entry_point;
mod future;
mod gate;
mod gate_future;
mod handle;
mod in_flight;
mod keyed;
mod layer;
mod opening;
mod overdue;
mod permit;
mod probe_wait;
mod publish;
mod readiness;
mod record;
mod ring;
mod rule;
mod service;
mod settle;
mod state;
mod state_change;
mod state_word;
mod stripe;
mod sync;
mod transition;
mod votes;
mod wakers;
mod windows;

pub use access::Single;
pub use call::GuardedFuture;
pub use config::{
    AbandonedPolicy, BreakerConfig, BreakerConfigBuilder, ClosePolicy, HalfOpenPolicy, PanicPolicy,
    Ramp, RateRule,
};
pub use counts::{CircuitCounts, CircuitSnapshot};
pub use future::{NoWait, ResponseFuture};
pub use gate::{Gate, GateLayer};
pub use gate_future::GateFuture;
pub use handle::{BreakerHandle, CircuitHandle};
pub use keyed::{
    BreakerRegistry, BreakerRegistrySnapshot, ExtractKey, Keyed, KeyedBreaker, KeyedBreakerLayer,
    KeyedWait,
};
pub use layer::BreakerLayer;
pub use permit::Permit;
pub use rule::{Rule, RuleContext, RuleTrigger, WindowStats};
pub use service::Breaker;
pub use state_change::StateChange;
pub use state_word::CircuitState;
pub use transition::{Explanation, Figures, Transition};

pub use seawall_core::{
    CircuitCause, Classify, Complete, CompleteOnResponse, ConstMeta, Error, ErrorIsFailure,
    FailureKind, InstanceName, InvalidConfig, LayerExt, Outcome, Policies, Policy, Reason,
    Registry, Rejectable, Rejection, Replay, RequestMeta, Scope, TrackCompletion, WrapErrorLayer,
    assert_service, rejectable,
};
