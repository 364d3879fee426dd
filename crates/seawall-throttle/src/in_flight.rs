//! What a call that passes carries, so that it is counted once.

use seawall_core::striped::Local;

use crate::PriorityClass;
use crate::acceptance::Acceptance;
use crate::state::{Common, Stripe};

/// A call in flight. It is counted by its result, or as abandoned when it is dropped before.
pub(crate) struct InFlight {
    local: Option<Local<Common, Stripe>>,
    class: PriorityClass,
}

impl InFlight {
    #[inline]
    pub(crate) const fn new(local: Local<Common, Stripe>, class: PriorityClass) -> Self {
        Self {
            local: Some(local),
            class,
        }
    }

    /// Counts the result, which `acceptance` classifies; it gets whether failures count.
    #[inline]
    pub(crate) fn complete(&mut self, acceptance: impl FnOnce(bool) -> Acceptance) {
        let Some(local) = &self.local else { return };
        let common = local.common();
        // When the classifier panics, the call stays here and is abandoned.
        let acceptance = acceptance(common.counts_failures());
        let counters = local.stripe().of(self.class);
        match acceptance {
            Acceptance::Accepted => counters.accepted.add(),
            Acceptance::NotAccepted => common.not_accepted(self.class, local),
            Acceptance::RejectedBelow => counters.rejected_below.add(),
        }
        self.local = None;
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        if let Some(local) = self.local.take() {
            local.common().abandoned(self.class, local.stripe());
        }
    }
}
