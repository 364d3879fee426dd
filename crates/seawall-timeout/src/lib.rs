//! Attempt timeouts and overall deadlines as Tower layers.
mod attempt;
mod deadline;
mod instance;
mod limit;
mod race;
mod state;

pub use attempt::{
    AttemptTimeout, AttemptTimeoutConfig, AttemptTimeoutCounts, AttemptTimeoutFuture,
    AttemptTimeoutHandle, AttemptTimeoutLayer, AttemptTimeoutSnapshot, AttemptTimeoutState, Fixed,
    Learned, LearnedConfig, LearnedConfigBuilder, NoOverride, PerRequestTimeout,
};
pub use deadline::{
    Deadline, DeadlineConfig, DeadlineCounts, DeadlineFuture, DeadlineHandle, DeadlineLayer,
    DeadlineSnapshot, DeadlineState, NoPropagation, PropagateDeadline,
};
pub use seawall_core::{
    Classify, Command, Describe, Error, ErrorIsFailure, Events, InstanceHandle, InstanceName,
    InvalidConfig, Outcome, Policies, Policy, Reason, Registry, Rejectable, Rejection, Replay,
    RequestMeta, Sent, WrapError, WrapErrorLayer,
};
