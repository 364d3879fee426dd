//! A pause: one moment, kept once per limiter and once per table of keys.
//!
//! It is not written into buckets and meters. A limit is asked when it grants a call *from* the end
//! of the pause on, so the pause has ended everywhere as soon as the moment is forgotten.
//!
//! After a pause that ends by itself each limit starts carefully: an upstream that has asked for a
//! wait must not receive everything that was held back at once. What would have flowed into a bucket
//! during the pause has not, and a strict limit grants its count evenly over as long as the pause
//! lasted, at most over its period. So a wait of seconds does not cost the quota of a day. Windows and
//! days have their own renewal and start with what they have left.

/// The end of a pause that lasts until it is resumed.
pub(crate) const UNTIL_RESUMED: u64 = u64::MAX;

/// Nothing is granted before a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pause {
    began: u64,
    until: u64,
    /// The part that an operator has commanded: it holds in shadow mode too.
    commanded_until: u64,
}

impl Pause {
    pub(crate) const NONE: Self = Self {
        began: 0,
        until: 0,
        commanded_until: 0,
    };

    /// Until it is resumed, by command of an operator.
    pub(crate) const UNTIL_RESUMED: Self = Self {
        began: 0,
        until: UNTIL_RESUMED,
        commanded_until: UNTIL_RESUMED,
    };

    /// The end; [`UNTIL_RESUMED`] until it is resumed, and in the past when there is none.
    pub(crate) const fn until(self) -> u64 {
        self.until
    }

    /// The end of what an operator has commanded.
    pub(crate) const fn commanded_until(self) -> u64 {
        self.commanded_until
    }

    /// Lasts at least until then. One that lasts longer stays.
    pub(crate) fn extend(&mut self, now: u64, until: u64, commanded: bool) {
        let until = until.min(UNTIL_RESUMED - 1);
        if now >= self.until {
            // What is left of the careful start after an earlier one is added to that of this one.
            let rest = self.recovered_at().saturating_sub(now);
            self.began = now.saturating_sub(rest);
        }
        self.until = self.until.max(until);
        if commanded {
            self.commanded_until = self.commanded_until.max(until);
        }
    }

    /// Over how long limits start carefully when it has ended.
    pub(crate) const fn ease(self) -> u64 {
        match self.until {
            UNTIL_RESUMED => 0,
            until => until.saturating_sub(self.began),
        }
    }

    /// From when on nothing of it is left, its careful start included.
    pub(crate) const fn recovered_at(self) -> u64 {
        self.until.saturating_add(self.ease())
    }

    /// Both at once.
    pub(crate) fn and(self, other: Self) -> Self {
        let later = if self.until >= other.until {
            self
        } else {
            other
        };
        Self {
            commanded_until: self.commanded_until.max(other.commanded_until),
            ..later
        }
    }
}

/// From when on a call may depart, as far as it does not depend on what a limit has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) now: u64,
    /// Not before; at least now.
    pub(crate) at: u64,
    /// Whose careful start may hold then.
    pub(crate) pause: Pause,
}

impl Start {
    pub(crate) fn new(now: u64, pause: Pause) -> Self {
        Self {
            now,
            at: now.max(pause.until),
            pause,
        }
    }

    /// Without a pause.
    #[cfg(test)]
    pub(crate) fn now(now: u64) -> Self {
        Self::new(now, Pause::NONE)
    }

    pub(crate) fn not_before(self, at: u64) -> Self {
        Self {
            at: self.at.max(at),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(now: u64, until: u64) -> Pause {
        let mut pause = Pause::NONE;
        pause.extend(now, until, false);
        pause
    }

    #[test]
    fn the_longer_one_stays_and_is_as_long_as_both() {
        let mut one = pause(10, 30);
        one.extend(20, 25, true);
        assert_eq!(
            (one.until(), one.commanded_until(), one.ease()),
            (30, 25, 20)
        );
        one.extend(20, 50, false);
        assert_eq!((one.until(), one.ease(), one.recovered_at()), (50, 40, 90));
        // The next one begins within the careful start: 30 are left of it.
        one.extend(60, 70, false);
        assert_eq!((one.until(), one.ease()), (70, 40));
        one.extend(500, 510, false);
        assert_eq!((one.until(), one.ease()), (510, 10));
    }

    #[test]
    fn until_it_is_resumed_there_is_no_end_and_no_careful_start() {
        let mut one = Pause::UNTIL_RESUMED;
        one.extend(5, u64::MAX, true);
        assert_eq!((one.until(), one.ease()), (UNTIL_RESUMED, 0));
        assert_eq!(pause(0, u64::MAX).until(), UNTIL_RESUMED - 1);
        let both = pause(3, 9).and(Pause::UNTIL_RESUMED);
        assert_eq!(both, Pause::UNTIL_RESUMED);
        assert_eq!(Start::new(4, pause(3, 9)).at, 9);
        assert_eq!(Start::now(4).not_before(6).at, 6);
    }
}
