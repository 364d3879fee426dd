//! Several keys and deployments of a model, and other models to fall back to.

mod builder;
mod classify;
mod config;
mod cool_down;
mod counts;
mod deployment;
mod failed;
mod future;
mod handle;
mod headroom;
mod latency;
mod learn;
mod parts;
mod pick;
mod progress;
mod service;
mod set_model;
mod snapshot;
mod state;
mod trace;

pub use builder::RouterBuilder;
pub use classify::{ClassifyResponse, StatusClasses};
pub use config::{RouterConfig, RouterConfigBuilder};
pub use counts::{DeploymentCounts, RouterCounts};
pub use deployment::{Deployment, Model};
pub use future::RouteFuture;
pub use handle::RouterHandle;
pub use headroom::{Available, Headroom};
pub use service::Router;
pub use set_model::{ReplaceData, set_model};
pub use snapshot::{DeploymentSnapshot, ProviderSnapshot, RouteState, RouterSnapshot, RouterState};
pub use trace::{RouteAttempt, RouteOutcome, RouteRecorder, RouteTrace};

/// What users of a router need of `seawall-core`.
#[doc(no_inline)]
pub use seawall_core::{Budget, BudgetConfig, BudgetHandle};
