//! The vocabulary that every Seawall layer speaks.
//!
//! A suite of layers is pleasant to stack only when its layers agree on a few things: what a
//! refusal is ([`Rejection`]), how it travels without changing the error type of a service
//! ([`Refusable`], [`Error`], [`LiftLayer`]), what an answer says about the upstream
//! ([`Outcome`], [`Classify`]), and what is known of a request ([`Meta`], [`Describe`]). This
//! crate has these words and the few parts that several layers share: [`Backoff`], [`Budget`],
//! [`Quantile`], [`striped`] state, [`Events`], the [`Registry`]. It has no layer of its own and does
//! no I/O.
//!
//! # Local refusals are no failures of the upstream
//!
//! Everything rests on this rule. A layer that refuses answers with an error made from a
//! [`Rejection`]; every other layer finds it with [`Refusable::rejection`] and leaves it out of
//! its judgement of the upstream. Only an attempt that timed out says something
//! ([`Rejection::outcome`]). So layers can be reordered and left out without touching a type.
//!
//! # Features
//!
//! * `tracing`: transitions at `debug`, decisions per request at `trace`.
//! * `metrics`: [`Registry`]`::publish`, which hands all counters to the `metrics` facade.

pub mod queue;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod striped;

mod backoff;
mod because;
mod budget;
mod clock;
mod copy;
mod error;
mod event;
mod hold;
mod lift;
mod meta;
mod name;
mod outcome;
mod quantile;
mod quota;
mod registry;
mod rejection;
mod trace;
mod value;

pub use backoff::{Backoff, Delays, Jitter};
pub use because::Because;
pub use budget::{Budget, BudgetConfig, Charge};
pub use clock::{Clock, deadline, ns};
pub use copy::{CloneRequest, CopyRequest};
pub use error::{Error, Refusable, find_rejection};
pub use event::{Delivery, Event, Events, Listening, Observer, Subscription, What};
pub use hold::{Hold, Settle, UntilAnswered};
pub use lift::{Lift, LiftFuture, LiftLayer};
pub use meta::{Always, Describe, Key, Meta, Priority, Replay, Tokens, Undescribed};
pub use name::Name;
pub use outcome::{Classify, ErrorIsFailure, FailureKind, Outcome, Scope, Vote, judge};
pub use quantile::{Quantile, QuantileConfig};
pub use quota::{Feedback, Said, ServerLimit, Unit};
pub use registry::{
    AlreadyRegistered, Command, Component, Reading, Registry, Sample, Snapshot, Unsupported, Value,
};
pub use rejection::{Reason, Rejection, Sent};
pub use value::{Count, InvalidConfig, Positive, Ratio};
