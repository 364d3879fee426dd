//! Whether a fault that was drawn changed something.

use std::sync::Arc;

use crate::FaultKind;
use crate::active::Active;
use crate::counts::ChaosCounters;

/// A fault that was drawn for a call. It is counted as injected when it has an effect, and
/// otherwise, when it is dropped, as one without.
#[derive(Debug)]
pub(crate) struct Effect {
    total: Arc<ChaosCounters>,
    active: Arc<Active>,
    kind: FaultKind,
    is_counted: bool,
}

impl Effect {
    pub(crate) const fn new(
        total: Arc<ChaosCounters>,
        active: Arc<Active>,
        kind: FaultKind,
    ) -> Self {
        Self {
            total,
            active,
            kind,
            is_counted: false,
        }
    }

    pub(crate) const fn active(&self) -> &Arc<Active> {
        &self.active
    }

    pub(crate) const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Counts the fault, once.
    pub(crate) fn happened(&mut self) {
        if !self.is_counted {
            self.is_counted = true;
            for counters in [&*self.total, &self.active.counters] {
                counters.of(self.kind).add();
            }
        }
    }
}

impl Drop for Effect {
    fn drop(&mut self) {
        if !self.is_counted {
            for counters in [&*self.total, &self.active.counters] {
                counters.without_effect.add();
            }
        }
    }
}
