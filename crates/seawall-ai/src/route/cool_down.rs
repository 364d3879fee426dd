//! The time for which a deployment or a provider is left alone, and the trial at its end.
//!
//! Two atomic words, so that a choice reads them without a lock. `now` is an argument.

use super::sync::{AtomicU64, Ordering};
use crate::ErrorClass;

/// Until when, and why. Times are nanoseconds of one clock.
#[derive(Debug, Default)]
pub(crate) struct CoolDown {
    /// The end, and the class in the low bits; 0 when there is none. It stays after its end until
    /// a call has shown that the reason is gone.
    word: AtomicU64,
    /// Until when a trial holds the only slot; 0 when it is free. A trial that is not polled any more
    /// loses it by that.
    trial_until: AtomicU64,
    /// When the last cool-down was found to be over, or was ended.
    recovered_at: AtomicU64,
}

/// Ends are rounded up to this, which leaves the bits of the class.
pub(super) const GRAIN: u64 = 16;

/// What a choice can do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is known against it.
    Available,
    /// The time is over, and one call may show whether the reason is gone.
    NeedsTrial,
    /// It is left alone, or a trial is under way: until then, or until the trial is over.
    Unavailable { until: u64, on_trial: bool },
}

/// The slot of a trial that was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trial(u64);

impl CoolDown {
    /// What a choice at `now` can do with it.
    pub(crate) fn standing(&self, now: u64) -> Standing {
        let word = self.word.load(Ordering::Acquire);
        if word == 0 {
            return Standing::Available;
        }
        let until = until_of(word);
        if now < until {
            return Standing::Unavailable {
                until,
                on_trial: false,
            };
        }
        if !needs_trial(class_of(word)) {
            return Standing::Available;
        }
        match self.trial_until.load(Ordering::Acquire) {
            until if now < until => Standing::Unavailable {
                until,
                on_trial: true,
            },
            _ => Standing::NeedsTrial,
        }
    }

    /// Leaves it alone until then, for that reason. The later of two ends counts. Whether it was not
    /// left alone before.
    pub(crate) fn cool(&self, now: u64, until: u64, class: ErrorClass) -> bool {
        let end = until.min(u64::MAX - GRAIN).next_multiple_of(GRAIN);
        if end <= now {
            return false;
        }
        let before = self.word.fetch_max(end | bits_of(class), Ordering::AcqRel);
        until_of(before) <= now
    }

    /// Until when it is left alone, and why.
    pub(crate) fn cooling(&self, now: u64) -> Option<(u64, ErrorClass)> {
        self.reason().filter(|(until, _)| now < *until)
    }

    /// The last reason, until a call has shown that it is gone.
    pub(crate) fn reason(&self) -> Option<(u64, ErrorClass)> {
        let word = self.word.load(Ordering::Acquire);
        (word != 0).then(|| (until_of(word), class_of(word)))
    }

    /// Takes the slot of the trial for at most `timeout`; `None` when another call has it, or when
    /// there is nothing to try any more.
    pub(crate) fn claim_trial(&self, now: u64, timeout: u64) -> Option<Trial> {
        let held = self.trial_until.load(Ordering::Acquire);
        if now < held {
            return None;
        }
        let until = now.saturating_add(timeout.max(1));
        let claimed =
            self.trial_until
                .compare_exchange(held, until, Ordering::AcqRel, Ordering::Acquire);
        claimed.ok()?;
        // Another trial may have ended between the choice and the claim.
        let trial = Trial(until);
        if self.standing_of_word(now) {
            return Some(trial);
        }
        self.release(trial);
        None
    }

    /// Whether the time of a cool-down that needs a trial is over.
    fn standing_of_word(&self, now: u64) -> bool {
        let reason = self.reason();
        reason.is_some_and(|(until, class)| until <= now && needs_trial(class))
    }

    /// Frees the slot, unless it was claimed again meanwhile.
    pub(crate) fn release(&self, trial: Trial) {
        let _ = self
            .trial_until
            .compare_exchange(trial.0, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The reason is gone: a call has shown it. Not when a later failure has extended the time. Whether
    /// this call was the first to notice.
    pub(crate) fn recover(&self, now: u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        if word == 0 || now < until_of(word) {
            return false;
        }
        let exchanged = self
            .word
            .compare_exchange(word, 0, Ordering::AcqRel, Ordering::Acquire);
        if exchanged.is_ok() {
            self.recovered_at.fetch_max(now, Ordering::AcqRel);
        }
        exchanged.is_ok()
    }

    /// Ends it at once. Whether there was one.
    pub(crate) fn end(&self, now: u64) -> bool {
        self.recovered_at.fetch_max(now, Ordering::AcqRel);
        self.trial_until.store(0, Ordering::Release);
        self.word.swap(0, Ordering::AcqRel) != 0
    }

    /// Whether a failure of a call that began then is news: one that began before the last recovery
    /// speaks of what is over.
    pub(crate) fn is_news(&self, began: u64) -> bool {
        began >= self.recovered_at.load(Ordering::Acquire)
    }
}

/// Whether one call must show that the reason is gone before all pass.
///
/// Not after a rate limit, which names its end: the limits of the deployment know how much passes then.
pub(crate) const fn needs_trial(class: ErrorClass) -> bool {
    !matches!(class, ErrorClass::RateLimit)
}

const fn until_of(word: u64) -> u64 {
    word & !(GRAIN - 1)
}

pub(super) fn bits_of(class: ErrorClass) -> u64 {
    let index = ErrorClass::ALL.iter().position(|other| *other == class);
    // From 1, so that no word with a reason is 0.
    index.unwrap_or_default() as u64 + 1
}

fn class_of(word: u64) -> ErrorClass {
    let index = (word & (GRAIN - 1)) as usize;
    // Only `cool` writes these bits.
    let class = ErrorClass::ALL.get(index.wrapping_sub(1));
    *class.unwrap_or(&ErrorClass::Server)
}

const _: () = assert!(ErrorClass::ALL.len() < GRAIN as usize);
