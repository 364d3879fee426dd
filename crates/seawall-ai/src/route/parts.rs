//! What the services and the futures of a router share.

use std::sync::Arc;

use super::deployment::{Prepare, ReadModel};
use super::state::State;

/// What the services of a router share.
pub(crate) struct Parts<S, B, D> {
    pub(crate) state: Arc<State>,
    /// In the order of `State::deployments`.
    pub(crate) services: Box<[S]>,
    pub(crate) prepare: Box<[Box<[Prepare<B>]>]>,
    pub(crate) describer: D,
    /// Where a deployment has limits of each model and names none.
    pub(crate) read_model: Option<ReadModel<B>>,
}
