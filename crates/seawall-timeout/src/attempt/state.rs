//! What the services of one attempt timeout share.

use std::time::Duration;

use seawall_core::InstanceName;

use super::config::Source;
use super::counts::{AttemptTimeoutCounters, AttemptTimeoutCounts};
use super::learner::Learner;
use super::{AttemptTimeoutSnapshot, AttemptTimeoutState};
use crate::state;

#[derive(Debug)]
pub(crate) struct State {
    pub(super) common: state::State<Source, AttemptTimeoutCounters>,
    /// `None` where the timeout is fixed.
    pub(super) learner: Option<Learner>,
}

impl State {
    pub(super) fn new(name: InstanceName, source: Source) -> Self {
        Self {
            common: state::State::new(name, source),
            learner: source.learning().map(Learner::new),
        }
    }

    pub(super) fn configure(&self, source: Source) {
        // Under the lock of the settings, so that the learner has those that were set last.
        self.common.change(|settings| {
            settings.config = source;
            if let (Some(learner), Some(learned)) = (&self.learner, source.learning()) {
                learner.configure(learned);
            }
        });
    }

    pub(super) fn reset(&self) {
        if let Some(learner) = &self.learner {
            learner.reset();
        }
        self.common.change(|settings| settings.bypassed = false);
    }

    pub(super) fn snapshot(&self) -> AttemptTimeoutSnapshot {
        let settings = self.common.settings();
        let learner = self.learner.as_ref();
        let estimate = learner.and_then(Learner::last_estimate);
        let (state, timeout) = match learner {
            _ if settings.bypassed => (AttemptTimeoutState::Bypassed, None),
            None => (AttemptTimeoutState::Fixed, Some(settings.config.timeout())),
            Some(learner) => {
                let state = match estimate {
                    None => AttemptTimeoutState::WarmingUp,
                    Some(_) => AttemptTimeoutState::Learned,
                };
                let timeout = Duration::from_nanos(learner.last_timeout());
                (state, Some(timeout))
            }
        };
        AttemptTimeoutSnapshot {
            name: self.common.name(),
            state,
            timeout,
            estimate,
            samples_missing: learner.map_or(0, Learner::samples_missing),
            counts: AttemptTimeoutCounts::sum([self.common.counters()]),
        }
    }
}
