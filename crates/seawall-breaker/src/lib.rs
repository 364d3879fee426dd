//! A circuit breaker for Tower services.
//!
//! An upstream that is down answers slowly or not at all, and every call that is sent there costs
//! the caller its time and the upstream its recovery. A breaker watches the outcomes; when too
//! many calls fail it *opens* and rejects at once, and after a while it lets a few *probes* pass
//! to see whether the upstream is back.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_breaker::{BreakerConfig, BreakerLayer};
//! use seawall_core::WrapErrorLayer;
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
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|symbol: String| async move { Ok::<_, std::io::Error>(symbol) }));
//! # let _ = client; Ok(()) }
//! ```
//!
//! # How it works
//!
//! ```text
//!              a rule trips, or a ban
//!  ┌────────┐ ───────────────────────▶ ┌────────────┐  open time over, a call comes
//!  │ closed │                          │    open    │ ──────────────────┐
//!  └────────┘                          └────────────┘                   ▼
//!      ▲                                     ▲     a probe fails  ┌───────────┐
//!      │                                     ├─────────────────── │ half-open │──┐ probes lost:
//!      │                                     │                    │  probes   │◀─┘ dealt again
//!      │    enough probes succeed            │                    └───────────┘
//!      ├─────────────────────────────────────┼──────────────────────────┤
//!      │                                     │ a rule trips             ▼ with a ramp
//!      │    the last step is over            │                    ┌───────────┐
//!      └─────────────────────────────────────┼─────────────────── │ half-open │ 1/8, 1/4, 1/2
//!                                            └─────────────────── │   ramp    │ of the calls
//!                                                                 └───────────┘
//!  by an operator, from any state, until released:  forced open (perhaps for a time) · disabled
//! ```
//!
//! * **Rules**, any of which opens, and which name themselves as the reason: failures in a row;
//!   the share of failures, or of slow calls, among the last N calls or over the last T; a ban or a
//!   throttle that the upstream tells; [rules of your own](Rule). [`BreakerConfigBuilder`] has an
//!   example of each.
//! * **Calls under way** that are slow already count as slow before they end: an upstream that
//!   hangs ends no call. Who comes next, at the gate or at the breaker, notices.
//! * **Tickets**: every admission carries the generation of the state it was admitted in and is
//!   settled once: success, failure, nothing to say, or abandoned; slow or not. A result that
//!   comes in a later period is counted as late and does not vote. (A ban that is told late keeps
//!   an open circuit open.)
//! * **Open time**: fixed, or growing while openings follow each other, with jitter on top so that
//!   clients do not come back together, and taken back step by step while all is well.
//! * **Half-open**: at most [`probes`](BreakerConfig::probes) calls at once, never more than can
//!   still be needed; the verdict, by count or by rate, falls as soon as it cannot change. A
//!   cancelled probe gives its place back; the places of probes that hang are dealt again after
//!   [`probe_timeout`](BreakerConfig::probe_timeout), so the state cannot wedge. The hung calls go
//!   on until an attempt timeout inside of the breaker ends them. Who finds no place is rejected,
//!   or [waits](HalfOpenPolicy).
//! * **Shadow**: all of this, and nothing rejected; what would have been is counted and told.
//! * **Control**: [`BreakerHandle`] reads and commands from any thread, and changes settings while
//!   calls are under way; nothing that was counted is lost.
//!
//! # How exact it is
//!
//! A success takes no lock: it counts itself up, by one compare-exchange, in a word of its
//! thread's stripe. Failures and slow calls take a short lock and drain the stripes before they
//! are entered and judged, so:
//!
//! * what a rule judges is exact for an order in which the calls may have ended: every call votes
//!   once, in its own period, or not at all. Loom checks it, and property tests compare the
//!   windows with lists;
//! * the window of calls is the last N calls, and really slides;
//! * the window of time has ten buckets: a call counts for at least 0.9 T and at most T after it
//!   ended, whatever happened in between and however long nothing did;
//! * a call under way is overdue from its threshold on, or up to an eighth of it later;
//! * a success never opens a circuit: a minimum of calls that a success reaches takes effect at the
//!   next failure.
//!
//! The cost of a call does not depend on the window or the traffic. A window of time costs one
//! clock read per call, slow calls one more.
//!
//! # Gate and breaker
//!
//! A breaker outside of a queue lets calls that were queued when the circuit opened go out all
//! the same; one inside of it gives rejected calls a place and a token first. So the breaker is
//! two layers with one state: the [gate](BreakerLayer::gate) outside of the waits rejects early
//! and limits the herd of a half-open circuit, the breaker inside admits and judges the call that
//! really departs. The breaker alone is a complete breaker.
//!
//! # One circuit per key
//!
//! One circuit for many hosts, accounts or symbols rejects the healthy ones with the ill one.
//! [`BreakerLayer::per_key`] gives each key a circuit of its own, made when it is first seen and
//! evicted when it is idle and there are too many ([`BreakerRegistry`] has the bounds and the costs):
//!
//! ```
//! use std::borrow::Cow;
//! use seawall_breaker::{BreakerConfig, BreakerLayer};
//! use seawall_core::WrapErrorLayer;
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
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|get: Get| async move { Ok::<_, std::io::Error>(get.path) }));
//! # let _ = client;
//! assert!(hosts.open_keys().is_empty());
//! ```
//!
//! [`BreakerRegistry`] without a layer are named breakers for any async function. There is no gate per
//! key, and [`KeyedBreaker`] has its own rules of readiness.
//!
//! # Without Tower
//!
//! [`BreakerHandle::call`] guards any future, [`BreakerHandle::wrap`] any async function, and
//! [`BreakerHandle::admit`] gives out the ticket itself; [`BreakerRegistry`] does so by name.
//!
//! # Readiness
//!
//! While the circuit is open, `poll_ready` is ready without polling the inner service, and `call`
//! answers the rejection. Otherwise readiness is the inner service's, and nothing is reserved. A
//! task that waits for an unready inner service is woken and rejected when the circuit opens. A
//! rejection seen by `poll_ready` stays a rejection for that `call`, with the wait as of that moment;
//! if the circuit has changed in between, its reason is
//! [`NotReady`](seawall_core::Reason::NotReady). Asked again once the open time is over, readiness
//! is the inner service's again, which may be pending. A task that waits while the circuit is
//! half-open is woken by transitions, not when the last probe's place is taken. A call rejected by
//! `call` alone (on a ramp, or when another was quicker) leaves the inner service ready and
//! whatever it reserved with it, until the next call or until the instance is dropped.
//!
//! Where calls [wait while probes run](HalfOpenPolicy::Wait), `poll_ready` is pending until a place
//! is free or the verdict has fallen, and then reserves the place for the next `call` of this
//! instance; dropped instead, it gives the place back. It needs a Tokio runtime with time enabled.
//!
//! # Cancellation
//!
//! A future dropped before its answer, also before its first poll, is *abandoned*: counted, and a
//! probe's place is given back. It does not vote, since mostly the caller has lost interest, which
//! says nothing of the upstream; [`AbandonedPolicy::FailureAfter`] makes a failure of one that was old
//! enough, for callers whose timeout is outside of the breaker. Where slow calls are watched, one
//! that was slow when it was dropped is entered as slow: it had been counted while it was under
//! way. A panic in the inner service's future or in the classifier is the same as a drop; one in
//! its `call` is, for a probe, and otherwise admitted nothing. A panic in a rule of your own counts
//! as "no".
//!
//! # Ordering
//!
//! Outside of the attempt timeout (a timeout is a failure), inside of retry (each attempt is one
//! vote). Rejections of layers below do not count.
//!
//! # Errors
//!
//! [`CircuitOpen`](seawall_core::Reason::CircuitOpen), which says
//! [why](seawall_core::Rejection::cause), with the figure that decided, and the time to the next
//! probe or to the next step of the ramp; without a time while probes are under way, or where no
//! end is known. The request was not sent. [`BreakerHandle::explain`] has the exact figures.

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
mod control;
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

pub use call::GuardedFuture;
pub use cause::{Cause, Explanation, Figures, Transition};
pub use config::{
    AbandonedPolicy, BreakerConfig, BreakerConfigBuilder, ClosePolicy, HalfOpenPolicy, Ramp,
    RateRule,
};
pub use counts::{CircuitSnapshot, Counts};
pub use future::{GateFuture, ResponseFuture};
pub use gate::{Gate, GateLayer};
pub use handle::{BreakerHandle, StateChange};
pub use keyed::{
    BreakerRegistry, CircuitHandle, CircuitPermit, KeyedBreaker, KeyedBreakerFuture,
    KeyedBreakerLayer,
};
pub use layer::BreakerLayer;
pub use rule::{Event, Rule, RuleContext, WindowStats};
pub use service::Breaker;
pub use ticket::Permit;
pub use word::State;
