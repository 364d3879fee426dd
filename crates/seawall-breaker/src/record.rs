//! What an admission keeps of itself.

use crate::in_flight::StartBucket;
use crate::state_word::StateWord;

/// The start of a call that is not measured.
pub(crate) const UNMEASURED: u64 = u64::MAX;

/// The record of one admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionRecord {
    pub(crate) word: StateWord,
    /// When the call started, in the clock's nanoseconds, or [`UNMEASURED`].
    pub(crate) start: u64,
    pub(crate) bucket: StartBucket,
}

impl AdmissionRecord {
    /// How long the call took, if it was measured.
    pub(crate) fn took(&self, now: u64) -> Option<u64> {
        (self.start != UNMEASURED).then(|| now.saturating_sub(self.start))
    }
}
