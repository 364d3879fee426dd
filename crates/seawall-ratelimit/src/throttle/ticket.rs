//! What a call that passes carries, so that it is counted once.

use seawall_core::striped::Local;

use super::PriorityClass;
use super::formula::Verdict;
use super::state::{Common, Stripe};

/// A call under way. It is counted by its answer, or as abandoned when it is dropped before.
pub(crate) struct Ticket {
    local: Option<Local<Common, Stripe>>,
    class: PriorityClass,
}

impl Ticket {
    #[inline]
    pub(crate) const fn new(local: Local<Common, Stripe>, class: PriorityClass) -> Self {
        Self {
            local: Some(local),
            class,
        }
    }

    /// Counts the answer, which `judge` is asked about: it is told whether failures count.
    #[inline]
    pub(crate) fn settle(&mut self, judge: impl FnOnce(bool) -> Verdict) {
        let Some(local) = &self.local else { return };
        let common = local.common();
        // A judge that panics leaves the call to be abandoned.
        match judge(common.counts_failures()) {
            Verdict::Accepted => common.accepted(self.class, local.stripe()),
            Verdict::NotAccepted => common.not_accepted(self.class, local),
            Verdict::Silent => common.silent(local.stripe()),
        }
        self.local = None;
    }
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        if let Some(local) = self.local.take() {
            local.common().abandoned(local.stripe());
        }
    }
}
