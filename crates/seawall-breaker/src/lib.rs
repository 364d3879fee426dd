//! A circuit breaker for Tower services.
//!
//! An upstream that is down answers slowly or not at all, and every call that is sent there costs
//! the caller its time and the upstream its recovery. A breaker watches the outcomes; when too
//! many calls fail it *opens* and refuses at once, and after a while it lets a few *probes* pass
//! to see whether the upstream is back.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_breaker::{BreakerConfig, BreakerLayer};
//! use seawall_core::LiftLayer;
//! use tower::{ServiceBuilder, service_fn};
//!
//! # fn main() -> Result<(), seawall_core::InvalidConfig> {
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
//!     .layer(LiftLayer)
//!     .service(service_fn(|symbol: String| async move { Ok::<_, std::io::Error>(symbol) }));
//! # let _ = client; Ok(()) }
//! ```
//!
//! # How it works
//!
//! ```text
//!            too many failures                 open time over, a call comes
//!  ┌────────┐ ───────────────▶ ┌────────────┐ ───────────────▶ ┌───────────┐
//!  │ closed │                  │    open    │                  │ half-open │──┐ probes lost:
//!  └────────┘ ◀─┐              └────────────┘ ◀─────────────── └───────────┘◀─┘ dealt again
//!               │                               a probe fails       │
//!               └───────────────────────────────────────────────────┘
//!                              enough probes succeed
//! ```
//!
//! * **Rules**: failures in a row, and the share of failures among the last N calls, a ring that
//!   really slides. A success never opens a circuit: rules are evaluated at failures, on exactly
//!   the last N outcomes.
//! * **Tickets**: every admission carries the generation of the state it was admitted in and is
//!   settled once. A result that comes after a transition is counted as late and does not vote.
//! * **Half-open**: at most [`probes`](BreakerConfig::probes) calls at once, never more than can
//!   still be needed. A cancelled probe gives its place back; the places of probes that hang are
//!   dealt again after [`probe_timeout`](BreakerConfig::probe_timeout), so the state cannot wedge.
//!   The hung calls go on until an attempt timeout inside of the breaker ends them.
//! * **Speed**: a success takes no lock and allocates nothing; it counts itself up in a word of
//!   its thread's stripe. Failures and transitions take a short lock.
//!
//! # Gate and breaker
//!
//! A breaker outside of a queue lets calls that were queued when the circuit opened go out all
//! the same; one inside of it gives refused calls a place and a token first. So the breaker is
//! two layers with one state: the [gate](BreakerLayer::gate) outside of the waits refuses early
//! and limits the herd of a half-open circuit, the breaker inside admits and judges the call that
//! really departs. The breaker alone is a complete breaker.
//!
//! # One circuit per key
//!
//! One circuit for many hosts, accounts or symbols refuses the healthy ones with the ill one.
//! [`BreakerLayer::per_key`] gives each key a circuit of its own, made when it is first seen and
//! evicted when it is idle and there are too many ([`Breakers`] has the bounds and the costs):
//!
//! ```
//! use std::borrow::Cow;
//! use seawall_breaker::{BreakerConfig, BreakerLayer};
//! use seawall_core::LiftLayer;
//! use tower::{ServiceBuilder, service_fn};
//!
//! struct Get { host: String, path: String }
//!
//! let breaker = BreakerLayer::per_key("crawler", BreakerConfig::default(), |get: &Get| {
//!     Cow::Borrowed(get.host.as_str())
//! });
//! let hosts = breaker.handle();
//! hosts.on_transition(|host, change| println!("{host}: {:?}", change.to));
//! let client = ServiceBuilder::new()
//!     .layer(breaker)
//!     .layer(LiftLayer)
//!     .service(service_fn(|get: Get| async move { Ok::<_, std::io::Error>(get.path) }));
//! # let _ = client;
//! assert!(hosts.open_keys().is_empty());
//! ```
//!
//! [`Breakers`] without a layer are named breakers for any async function. There is no gate per
//! key, and [`PerKey`] has its own rules of readiness.
//!
//! # Readiness
//!
//! While the circuit is open, `poll_ready` is ready without polling the inner service, and `call`
//! answers the refusal. Otherwise readiness is the inner service's, and nothing is reserved. A
//! task that waits for an unready inner service is woken and refused when the circuit opens. A
//! refusal seen by `poll_ready` stays a refusal for that `call`, with the wait as of that moment;
//! if the circuit has changed in between, its reason is
//! [`NotReady`](seawall_core::Reason::NotReady). Asked again once the open time is over, readiness
//! is the inner service's again, which may be pending. A task that waits while the circuit is
//! half-open is woken by transitions, not when the last probe's place is taken. A call refused by `call`
//! alone leaves the inner service ready and whatever it reserved with it, until the next call or
//! until the instance is dropped.
//!
//! # Cancellation
//!
//! A future dropped before its answer, also before its first poll, is *abandoned*: counted, no
//! vote, and a probe's place is given back. A panic in the inner service's future or in the
//! classifier is the same; one in its `call` is, for a probe, and otherwise admitted nothing.
//!
//! # Ordering
//!
//! Outside of the attempt timeout (a timeout is a failure), inside of retry (each attempt is one
//! vote). Refusals of layers below do not count.
//!
//! # Errors
//!
//! [`CircuitOpen`](seawall_core::Reason::CircuitOpen) with the time to the next probe; without a
//! time while the circuit is half-open and full, or forced open. The request was not sent.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod beat;
mod buckets;
mod call;
mod cause;
mod circuit;
mod circuits;
mod config;
mod counts;
mod flights;
mod future;
mod gate;
mod handle;
mod keyed;
mod layer;
mod observe;
mod opening;
mod parking;
mod patience;
mod ready;
mod ring;
mod rule;
mod service;
mod shared;
mod sync;
mod ticket;
mod votes;
mod windows;
mod word;

pub use call::Guarded;
pub use cause::{Cause, Explanation, Figures, Transition};
pub use config::{
    Abandoned, BreakerConfig, BreakerConfigBuilder, Closing, Ramp, RateRule, WhileProbing,
};
pub use counts::{CircuitSnapshot, Counts};
pub use future::{GateFuture, ResponseFuture};
pub use gate::{Gate, GateLayer};
pub use handle::{BreakerHandle, Changed};
pub use keyed::{Breakers, KeyHandle, KeyTicket, PerKey, PerKeyFuture, PerKeyLayer};
pub use layer::BreakerLayer;
pub use rule::{Event, Rule, Sight, Tally};
pub use service::Breaker;
pub use ticket::Ticket;
pub use word::State;
