//! Degraded answers as a Tower layer.
mod answer;
mod answering;
mod config;
mod counts;
mod covers;
mod depth;
mod envelope;
mod future;
mod handle;
mod last_good;
mod layer;
mod order;
mod rules;
mod service;
mod state;
mod step;

pub use answer::{Answer, FailedCall};
pub use config::{FallbackConfig, FallbackConfigBuilder};
pub use counts::{FallbackCounts, StepCounts};
pub use covers::Covers;
pub use envelope::{Envelope, InCarry, Plain};
pub use future::FallbackFuture;
pub use handle::{FallbackHandle, FallbackSnapshot, FallbackState, StepSnapshot};
pub use last_good::{LastGood, LastGoodConfig, LastGoodConfigBuilder};
pub use layer::FallbackLayer;
pub use order::NeverOlder;
pub use service::Fallback;
pub use step::Step;

pub use seawall_core::{
    AnyAge, Classify, ClassifyMarked, CloneRequest, ConstMeta, CopyRequest, DefaultMeta,
    Degradation, Degraded, Describe, DropResponse, Error, ErrorIsFailure, FailureKind,
    InvalidConfig, KeepResponse, KeepWhole, LayerExt, MarkDegraded, MarkInValue, NoMark, Operation,
    Outcome, ParsedDegradation, Policies, Policy, Reason, Registry, Rejectable, Rejection, Replay,
    RequestMeta, Sent, WantsFresh, WrapErrorLayer, assert_service, rejectable,
};
