//! Cache.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod calls;
mod coalesce;
mod config;
mod counts;
mod fetch;
mod file;
mod fill;
mod future;
mod handle;
mod kept;
mod layer;
mod refresh;
mod rules;
mod send;
mod service;
mod state;
mod sync;

pub use coalesce::{
    CloneError, Coalesce, CoalesceFuture, CoalesceHandle, CoalesceLayer, CoalesceSnapshot,
    CoalesceState, CopyError, NoErrorCopies,
};
pub use config::{CacheConfig, CacheConfigBuilder, CoalesceConfig, CoalesceConfigBuilder};
pub use counts::{CacheCounts, CoalesceCounts, LookUpCounts, RefreshCounts, StoreCounts};
#[cfg(feature = "serde")]
pub use file::JsonCodec;
pub use file::{Loaded, Saved, SnapshotCodec, SnapshotError, SnapshotFile};
pub use future::ResponseFuture;
pub use handle::{CacheHandle, CacheSnapshot, CacheState};
pub use layer::CacheLayer;
pub use refresh::{InBackground, InPlace, Refresh, RefreshBy};
pub use rules::{
    Ask, CacheHooks, CacheRules, CarriedHooks, Demand, Hooks, Keyed, Lifetime, NoRules, PrefixKey,
};
pub use service::Cache;

pub use seawall_core::{
    AnyAge, Classify, CloneRequest, ConstMeta, CopyRequest, DefaultMeta, Degradation, Degraded,
    Describe, Error, ErrorIsFailure, FailureKind, InvalidConfig, LayerExt, MarkDegraded,
    MarkInValue, NoMark, Outcome, Policies, Policy, Reason, Registry, Rejectable, Rejection,
    Replay, RequestMeta, StoreClone, StoreResponse, StoreSink, WantsFresh, WrapErrorLayer,
    assert_service, rejectable,
};
