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
    pub(crate) note: Note,
}

/// Where a call is counted while it is in flight, and until when it asks to stay away if it fails. In
/// one word, since nearly no call asks, and every call carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note(u64);

/// The bits of a [`StartBucket`].
const BUCKET_BITS: u32 = 41;
const BUCKET_MASK: u64 = (1 << BUCKET_BITS) - 1;
/// An end is in 64ths of a second: 23 bits go round in a day and a half, and no end that is accepted
/// lies more than a day ahead.
const TICKS: u128 = 64;
const TICK_MASK: u64 = (1 << (64 - BUCKET_BITS)) - 1;
const DAY_IN_TICKS: u64 = 24 * 3600 * TICKS as u64;
const SECOND: u128 = 1_000_000_000;

impl Note {
    #[inline]
    pub(crate) const fn of(bucket: StartBucket) -> Self {
        Self(bucket.0)
    }

    #[inline]
    pub(crate) const fn bucket(self) -> StartBucket {
        StartBucket(self.0 & BUCKET_MASK)
    }

    /// The same call, counted in this bucket.
    pub(crate) const fn counted_in(self, bucket: StartBucket) -> Self {
        Self((self.0 & !BUCKET_MASK) | bucket.0)
    }

    /// The same call, which asks to stay away until then, at most a day from now; rounded up.
    pub(crate) fn asking(self, until: u64) -> Self {
        let ticks = (u128::from(until) * TICKS).div_ceil(SECOND);
        // 0 is for calls that do not ask.
        let tick = (ticks as u64 & TICK_MASK).max(1);
        Self((self.0 & BUCKET_MASK) | (tick << BUCKET_BITS))
    }

    /// Until when the call asks to stay away; 0 if it does not, or if that is over.
    pub(crate) fn asked_until(self, now: u64) -> u64 {
        let tick = self.0 >> BUCKET_BITS;
        if tick == 0 {
            return 0;
        }
        let present = (u128::from(now) * TICKS / SECOND) as u64;
        let ahead = tick.wrapping_sub(present) & TICK_MASK;
        if ahead > DAY_IN_TICKS + 2 {
            return 0;
        }
        let until = (u128::from(present) + u128::from(ahead)) * SECOND / TICKS;
        u64::try_from(until).unwrap_or(u64::MAX)
    }
}

impl AdmissionRecord {
    /// Of a call that passes under `word` and has started.
    #[inline]
    pub(crate) const fn new(word: StateWord, start: u64) -> Self {
        Self {
            word,
            start,
            note: Note::of(StartBucket::NOT_YET),
        }
    }

    /// Of no admission.
    pub(crate) const NONE: Self = Self {
        word: StateWord::FIRST,
        start: UNMEASURED,
        note: Note::of(StartBucket::NONE),
    };

    /// How long the call took, if it was measured.
    pub(crate) fn took(&self, now: u64) -> Option<u64> {
        (self.start != UNMEASURED).then(|| now.saturating_sub(self.start))
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600 * SECOND as u64;

    proptest! {
        #[test]
        fn an_end_within_a_day_is_kept_to_a_64th_of_a_second_beside_the_bucket(
            now in 0..1_000_000 * HOUR,
            wait in 0..=24 * HOUR,
            later in 0..10 * HOUR,
            watch in any::<u64>(),
            epoch in any::<u64>(),
        ) {
            let counted = StartBucket::new(watch, epoch);
            for bucket in [StartBucket::NONE, StartBucket::NOT_YET, counted] {
                let note = Note::of(bucket);
                prop_assert_eq!((note.bucket(), note.asked_until(now)), (bucket, 0));
                prop_assert_eq!(bucket.is_watched(), bucket == counted);
                let asking = note.asking(now + wait);
                prop_assert_eq!(asking.bucket(), bucket);
                prop_assert_eq!(note.counted_in(counted).asking(now + wait), asking.counted_in(counted));
                let until = asking.asked_until(now);
                // A multiple that is stored as 0 becomes the next one.
                prop_assert!((now + wait..=now + wait + 2 * SECOND as u64 / 64).contains(&until));
                let seen = asking.asked_until(now + later);
                let over = now + later > until + SECOND as u64 / 64;
                prop_assert!(seen == until || (over && seen == 0), "{} {}", seen, until);
            }
        }
    }
}
