//! What holds for all keys at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pause::Pause;

/// A pause of all keys, a drain and a bypass: kept here alone, and asked by the limiter of each key.
#[derive(Debug, Default)]
pub(crate) struct AllKeys {
    /// Before this, keys that are words ask here first.
    slow_until: AtomicU64,
    bypass: AtomicBool,
    draining: AtomicBool,
    pause: Mutex<Pause>,
}

impl AllKeys {
    /// Whether nothing holds that concerns all keys.
    #[inline]
    pub(crate) fn is_clear(&self, now_ns: u64) -> bool {
        self.slow_until.load(Ordering::Relaxed) <= now_ns
    }

    pub(crate) fn is_bypass(&self) -> bool {
        self.bypass.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn pause(&self) -> Pause {
        *self.lock()
    }

    /// Grants nothing to any key until it is resumed.
    pub(crate) fn pause_until_resumed(&self) {
        self.change(Some(false), |pause| *pause = Pause::UNTIL_RESUMED);
    }

    /// Grants nothing to any key before; by command of an operator, or since the upstream asks for it.
    pub(crate) fn pause_until(&self, now_ns: u64, until: u64, commanded: bool) {
        let bypass = commanded.then_some(false);
        self.change(bypass, |pause| pause.extend(now_ns, until, commanded));
    }

    /// Rejects new calls of all keys until it is resumed.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.change(Some(false), |_| {});
    }

    /// Ends the pause, a drain and a bypass.
    pub(crate) fn resume(&self) {
        self.draining.store(false, Ordering::Relaxed);
        self.change(Some(false), |pause| *pause = Pause::NONE);
    }

    /// Lets calls of all keys pass, as in shadow mode, until another command.
    pub(crate) fn set_bypass(&self) {
        self.draining.store(false, Ordering::Relaxed);
        self.change(Some(true), |pause| *pause = Pause::NONE);
    }

    fn change(&self, bypass: Option<bool>, change: impl FnOnce(&mut Pause)) {
        let mut pause = self.lock();
        change(&mut pause);
        if let Some(on) = bypass {
            self.bypass.store(on, Ordering::Relaxed);
        }
        let slow_until = match self.is_bypass() || self.is_draining() {
            true => u64::MAX,
            false => pause.recovered_at(),
        };
        self.slow_until.store(slow_until, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
