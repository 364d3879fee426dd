//! `tower::retry` both ways: its policies, budgets and backoffs in this layer, and this layer's
//! rules as a policy in its layer.

mod from_tower;
mod to_tower;

pub use from_tower::{TowerBackoff, TowerPolicy, TowerPolicyState};
pub use to_tower::{PolicyDelay, RetryPolicy};
