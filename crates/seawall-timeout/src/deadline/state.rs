//! What the services of one deadline share.

use super::config::DeadlineConfig;
use super::counts::DeadlineCounters;
use crate::state;

pub(super) type State = state::State<DeadlineConfig, DeadlineCounters>;
