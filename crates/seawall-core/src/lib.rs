//! The vocabulary that every Seawall layer shares.
//!
//! A suite of layers is pleasant to stack only when its layers agree on a few things: what a
//! rejection is ([`Rejection`]), how it travels without changing the error type of a service
//! ([`Rejectable`], [`Error`], [`WrapErrorLayer`]), what a result means for the upstream
//! ([`Outcome`], [`Classify`]), and what is known of a request ([`RequestMeta`], [`Describe`]). This
//! crate has these words and the few parts that several layers share: [`Backoff`], [`Budget`],
//! [`Quantile`], [`Histogram`], [`striped`] state, [`Events`], the [`Registry`]. It has no pattern of its own and
//! does no I/O; its layers are steps that belong to none of them: [`WrapErrorLayer`], the hook at
//! departure, [`DepartureLayer`], and those of [`carry`], by which a stack describes a request once and
//! classifies a result once.
//!
//! # Local rejections are no failures of the upstream
//!
//! Everything rests on this rule. A layer that rejects returns an error made from a
//! [`Rejection`]; every other layer finds it with [`Rejectable::rejection`] and does not count it
//! against the upstream. Only an attempt that timed out says something ([`Rejection::outcome`]).
//! So layers can be reordered and left out without touching a type.
//!
//! # Features
//!
//! * `fast-clock` (default): [`Clock`] reads the processor's counter where it runs at one rate.
//! * `test-util`: [`Clock`] reads tokio's clock in optimized builds, too, for tests that pause it.
//! * `tracing`: transitions at `debug`, decisions per request at `trace`.
//! * `serde`: snapshots, counts and settings as `serde::Serialize`.
//! * `metrics`: [`Registry`]`::publish`, which hands counters and histograms to the `metrics` facade.

pub mod counters;
pub mod queue;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod carry;
#[cfg(feature = "serde")]
pub mod serialize;
pub mod striped;

mod backoff;
mod budget;
mod call;
mod cause;
mod classify;
mod clock;
mod commander;
mod completion;
mod copy;
mod degraded;
mod departure;
mod error;
mod event;
mod figure;
mod handle_methods;
mod histogram;
mod human;
mod in_place;
mod keep;
mod last_rejection;
mod macros;
mod meta;
mod metric;
mod name;
mod operation;
mod outcome;
mod partition_key;
mod policy;
#[cfg(feature = "metrics")]
mod published;
#[cfg(feature = "metrics")]
mod publisher;
mod quantile;
mod quota;
mod registry;
mod rejection;
mod sample;
mod store;
mod trace;
mod unwind;
mod value;
mod wrap_error;

pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Budget, BudgetConfig, BudgetHandle, CostClass, ForeignBudget, Withdrawal};
pub use call::{Function, LayerExt, assert_service};
pub use cause::CircuitCause;
pub use classify::{Classify, ErrorIsFailure, classify_error, classify_result};
#[cfg(feature = "test-util")]
pub use clock::readings;
pub use clock::{Clock, ClockReading, ReadFor, SharedReadings, deadline, ns};
pub use commander::{Operated, as_recovery};
pub use completion::{Complete, CompleteOnResponse, TrackCompletion};
pub use copy::{CloneRequest, CopyRequest};
pub use degraded::{
    AnyAge, ClassifyMarked, Degradation, Degraded, MarkDegraded, MarkInValue, NoMark,
    ParsedDegradation, WantsFresh,
};
pub use departure::{Departure, DepartureFuture, DepartureLayer, PrepareDeparture};
pub use error::{Error, Rejectable, find_rejection};
pub use event::{
    ChangeFeed, Changes, Event, EventFilter, EventKind, EventSource, EventType, Events,
    ListenerGuard, Misconfiguration, Received, Severity, Subscription,
};
pub use figure::Figure;
pub use histogram::{HISTOGRAM_BOUNDS, Histogram, HistogramSnapshot, HistogramStripe};
pub use human::Span;
pub use in_place::is_large;
pub use keep::{DropResponse, KeepResponse, KeepWhole};
pub use last_rejection::LastRejection;
pub use meta::{ConstMeta, DefaultMeta, Describe, Priority, Replay, RequestMeta, TokenCount};
pub use metric::{METRIC_LABELS, METRICS, Metric, MetricKind, MetricLabel, metric};
pub use name::InstanceName;
pub use operation::Operation;
pub use outcome::{FailureKind, Outcome, Scope, Vote};
pub use partition_key::PartitionKey;
pub use policy::{Policies, Policy};
#[cfg(feature = "metrics")]
pub use publisher::Publisher;
pub use quantile::{Quantile, QuantileConfig};
pub use quota::{LateUsage, QuotaSignal, ReadQuotaSignals, ServerLimit, Unit};
pub use registry::{AlreadyRegistered, Command, InstanceHandle, Registry, Snapshot, Unsupported};
pub use rejection::{Reason, Rejection, Sent};
pub use sample::{OwnedSample, Sample, Samples, Value};
pub use store::{ReadValue, StoreClone, StoreResponse, StoreSink};
pub use unwind::on_unwind;
pub use value::{InvalidConfig, NonZeroCount, NonZeroDuration, Ratio};
pub use wrap_error::{WrapError, WrapErrorFuture, WrapErrorLayer};
