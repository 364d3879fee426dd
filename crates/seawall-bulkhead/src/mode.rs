//! The command in force, of the kinds of bulkhead that decide under a lock.

use seawall_core::Reason;

use crate::semaphore::Admission;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By the settings.
    #[default]
    Normal,
    /// No call passes.
    Blocked,
    /// Every call passes.
    Bypassed,
}

impl Mode {
    /// What is decided about a call for which the settings alone would decide `normal`.
    pub(crate) const fn admission(self, normal: Admission) -> Admission {
        match (self, normal) {
            (Self::Blocked, _) => Admission::Rejected(Reason::Paused),
            (Self::Bypassed, Admission::Wait) => Admission::Shadowed(None),
            (Self::Bypassed, Admission::Rejected(reason)) => Admission::Shadowed(Some(reason)),
            (Self::Normal | Self::Bypassed, normal) => normal,
        }
    }
}
