//! The commands in force, of the kinds of bulkhead that decide under a lock.

use seawall_core::Reason;

use crate::semaphore::Admission;
use crate::semaphore::packed::{BYPASS, DRAINING, PAUSED, SHADOW};

/// Some of the [flags](crate::semaphore::packed) that a semaphore has in its word: `PAUSED`,
/// `DRAINING`, `SHADOW` and `BYPASS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(u64);

impl Mode {
    /// By the settings alone.
    pub(crate) const fn new(shadow: bool) -> Self {
        Self(if shadow { SHADOW } else { 0 })
    }

    /// Sets some flags and clears others.
    pub(crate) const fn command(&mut self, set: u64, clear: u64) {
        self.0 = (self.0 | set) & !clear;
    }

    /// Shadow mode as the settings have it; commands stay.
    pub(crate) const fn configure(&mut self, shadow: bool) {
        self.command(Self::new(shadow).0, if shadow { 0 } else { SHADOW });
    }

    pub(crate) const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    /// Whether waiters get no permit.
    pub(crate) const fn is_paused(self) -> bool {
        self.has(PAUSED)
    }

    /// Whether it is switched off by an operator.
    pub(crate) const fn is_bypassed(self) -> bool {
        self.has(BYPASS)
    }

    /// Whether waiters get a permit whatever the limits are.
    pub(crate) const fn ignores_limits(self) -> bool {
        self.has(SHADOW | BYPASS) && !self.is_paused()
    }

    /// Why no call passes and none may join the queue, by command of an operator.
    pub(crate) const fn rejects(self) -> Option<Reason> {
        if self.has(DRAINING) {
            Some(Reason::Draining)
        } else if self.has(PAUSED) {
            Some(Reason::Paused)
        } else {
            None
        }
    }

    /// What is decided about a call for which the settings alone would decide `normal`.
    #[inline]
    pub(crate) const fn admission(self, normal: Admission) -> Admission {
        if self.0 == 0 {
            return normal;
        }
        self.commanded(normal)
    }

    #[cold]
    const fn commanded(self, normal: Admission) -> Admission {
        match (self.rejects(), normal) {
            (Some(reason), _) => Admission::Rejected(reason),
            (None, normal) if !self.ignores_limits() => normal,
            (None, Admission::Wait) => Admission::Shadowed(None),
            (None, Admission::Rejected(reason)) => Admission::Shadowed(Some(reason)),
            (None, normal) => normal,
        }
    }
}
