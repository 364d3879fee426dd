//! Faults on purpose: a Tower layer that makes a service fail.

#![cfg_attr(docsrs, feature(doc_cfg))]

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
