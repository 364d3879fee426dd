//! `tower::retry` both ways: its policies, budgets and backoffs in this layer, and this layer's
//! rules as a policy in its layer.

mod here;
mod there;

pub use here::{PolicyMemory, TowerBackoff, TowerPolicy};
pub use there::{PolicyPause, RetryPolicy};
