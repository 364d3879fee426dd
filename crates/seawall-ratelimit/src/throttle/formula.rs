//! How likely a call is to be rejected, and what an answer has to do with it: pure.

use seawall_core::{Classify, FailureKind, Outcome, Priority, Rejectable};

/// How many classes of priority there are.
pub(crate) const CLASSES: usize = 4;

/// The classes that a throttle keeps apart, from the first to go to the last.
///
/// A [`Priority`] belongs to the class whose first one it has reached:
///
/// ```
/// use seawall_core::Priority;
/// use seawall_ratelimit::PriorityClass;
///
/// assert_eq!(PriorityClass::of(Priority(63)), PriorityClass::Lowest);
/// assert_eq!(PriorityClass::of(Priority::LOW), PriorityClass::Low);
/// assert_eq!(PriorityClass::of(Priority::NORMAL), PriorityClass::Normal);
/// assert_eq!(PriorityClass::of(Priority(255)), PriorityClass::High);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriorityClass {
    /// Below [`Priority::LOW`].
    Lowest,
    /// From [`Priority::LOW`].
    Low,
    /// From [`Priority::NORMAL`].
    Normal,
    /// From [`Priority::HIGH`].
    High,
}

impl PriorityClass {
    /// Every class, the first to go first.
    pub const ALL: [Self; CLASSES] = [Self::Lowest, Self::Low, Self::Normal, Self::High];

    /// The class of a priority.
    #[inline]
    pub const fn of(priority: Priority) -> Self {
        match priority {
            Priority(192..) => Self::High,
            Priority(128..) => Self::Normal,
            Priority(64..) => Self::Low,
            Priority(_) => Self::Lowest,
        }
    }

    /// The class as a label value of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lowest => "lowest",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// Steps above the normal class, or below it.
    pub(crate) const fn steps(self) -> i32 {
        self as i32 - Self::Normal as i32
    }
}

/// What was counted of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) accepts: u64,
}

impl Tally {
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            accepts: self.accepts.saturating_sub(earlier.accepts),
        }
    }
}

/// The share of requests that is more than `accept_multiplier` times what the upstream accepts, after "Site
/// Reliability Engineering", chapter "Handling Overload", equation 21-1. From 0 to below 1.
pub(crate) fn excess(tally: Tally, accept_multiplier: f64) -> f64 {
    let (requests, accepts) = (tally.requests as f64, tally.accepts as f64);
    ((requests - accept_multiplier * accepts) / (requests + 1.0)).max(0.0)
}

/// The probabilities of all classes in one word, so that a call reads one: in parts of 2^16,
/// rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Odds(pub(crate) u64);

const PART_BITS: u32 = 16;
const PART: u64 = (1 << PART_BITS) - 1;

impl Odds {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn new(probabilities: [f64; CLASSES]) -> Self {
        let part = |p: f64| ((p * (PART + 1) as f64) as u64).min(PART);
        let parts = probabilities.into_iter().rev();
        Self(parts.fold(0, |word, p| (word << PART_BITS) | part(p)))
    }

    /// Whether a call of `class` that drew these random bits is rejected.
    pub(crate) const fn reject(self, class: PriorityClass, random: u64) -> bool {
        let part = (self.0 >> (class as u32 * PART_BITS)) & PART;
        random >> (u64::BITS - PART_BITS) < part
    }
}

/// What an answer is to the throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The upstream took the request on.
    Accepted,
    /// It did not, or nobody knows that it did.
    NotAccepted,
    /// The request never came to the upstream.
    Silent,
}

impl Verdict {
    pub(crate) const fn of(outcome: Outcome, count_failures: bool) -> Self {
        match outcome {
            Outcome::Success | Outcome::Ignored => Self::Accepted,
            // It did the work and failed at it: well or not, it is not rejecting.
            Outcome::Failure(FailureKind::Server | FailureKind::Timeout | FailureKind::Body)
                if !count_failures =>
            {
                Self::Accepted
            }
            _ => Self::NotAccepted,
        }
    }

    /// Judges an answer. What a layer below has rejected says nothing of the upstream, save where
    /// the fate of the request is unknown.
    #[inline]
    pub(crate) fn judge<C, Res, Err>(
        classify: &C,
        answer: &Result<Res, Err>,
        count_failures: bool,
    ) -> Self
    where
        C: Classify<Res, Err>,
        Err: Rejectable,
    {
        let outcome = match answer {
            Ok(response) => classify.classify(Ok(response)),
            Err(error) => match error.rejection() {
                Some(rejected) if rejected.outcome() == Outcome::Ignored => return Self::Silent,
                Some(rejected) => rejected.outcome(),
                None => classify.classify(Err(error)),
            },
        };
        Self::of(outcome, count_failures)
    }
}

/// The next of a sequence of random bits (SplitMix64, Steele et al., 2014), from its position.
pub(crate) const fn mix(position: u64) -> u64 {
    let z = (position ^ (position >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// From one position of the sequence to the next.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seawall_core::{Error, Reason, Rejection, Scope, Sent};

    fn p(requests: u64, accepts: u64, accept_multiplier: f64) -> f64 {
        excess(Tally { requests, accepts }, accept_multiplier)
    }

    #[test]
    fn the_formula_gives_the_numbers_of_the_book() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 5e-4, "{a} is not {b}");
        near(p(100, 100, 2.0), 0.0);
        near(p(100, 40, 2.0), 0.198);
        near(p(1_000, 0, 2.0), 0.999);
        near(p(100, 60, 1.1), 0.337);
        assert_eq!(p(0, 0, 2.0), 0.0);
    }

    #[test]
    fn the_outcomes_count_as_documented() {
        use Verdict::{Accepted, NotAccepted};
        let throttled = Outcome::Throttled {
            retry_after: None,
            scope: Scope::Upstream,
        };
        let failure = Outcome::Failure;
        let table = [
            (Outcome::Success, Accepted, Accepted),
            (Outcome::Ignored, Accepted, Accepted),
            (failure(FailureKind::Server), Accepted, NotAccepted),
            (failure(FailureKind::Timeout), Accepted, NotAccepted),
            (failure(FailureKind::Body), Accepted, NotAccepted),
            (failure(FailureKind::Overloaded), NotAccepted, NotAccepted),
            (failure(FailureKind::NotSent), NotAccepted, NotAccepted),
            (failure(FailureKind::Other), NotAccepted, NotAccepted),
            (Outcome::Unknown, NotAccepted, NotAccepted),
            (throttled, NotAccepted, NotAccepted),
            (Outcome::Banned { lasts: None }, NotAccepted, NotAccepted),
            (
                Outcome::QuotaExhausted { renews_in: None },
                NotAccepted,
                NotAccepted,
            ),
        ];
        for (outcome, plain, strict) in table {
            assert_eq!(Verdict::of(outcome, false), plain, "{outcome:?}");
            assert_eq!(Verdict::of(outcome, true), strict, "{outcome:?}");
        }
    }

    #[test]
    fn a_rejection_of_a_layer_below_is_silent_and_an_unknown_fate_is_not() {
        let judge = |rejected: Rejection| {
            let nobody = |_: Result<&(), &Error<()>>| -> Outcome { panic!("asked") };
            Verdict::judge(&nobody, &Err(Error::from(rejected)), true)
        };
        for reason in Reason::ALL {
            let expected = match reason {
                Reason::AttemptTimeout | Reason::OutcomeUnknown | Reason::BodyTimeout => {
                    Verdict::NotAccepted
                }
                _ => Verdict::Silent,
            };
            assert_eq!(
                judge(Rejection::new(reason, "below")),
                expected,
                "{reason:?}"
            );
        }
        let panicked = Rejection::new(Reason::Panicked, "below").with_sent(Sent::Maybe);
        assert_eq!(judge(panicked), Verdict::NotAccepted);
    }

    #[test]
    fn each_class_finds_its_own_odds() {
        let odds = Odds::new([1.0, 0.5, 0.25, 0.0]);
        let lowest_random = 0;
        let half = 1 << 63;
        let quarter = 1 << 62;
        assert!(odds.reject(PriorityClass::Lowest, lowest_random));
        assert!(!odds.reject(PriorityClass::Lowest, u64::MAX), "never all");
        assert!(odds.reject(PriorityClass::Low, half - 1));
        assert!(!odds.reject(PriorityClass::Low, half));
        assert!(odds.reject(PriorityClass::Normal, quarter - 1));
        assert!(!odds.reject(PriorityClass::Normal, quarter));
        assert!(!odds.reject(PriorityClass::High, lowest_random));
        assert_eq!(Odds::new([0.0; CLASSES]), Odds::NONE);
    }

    #[test]
    fn the_draws_are_spread_evenly() {
        let odds = Odds::new([0.0, 0.0, 0.3, 0.0]);
        let rejected = (0..100_000_u64)
            .filter(|n| odds.reject(PriorityClass::Normal, mix(n.wrapping_mul(STEP))))
            .count();
        assert!((29_500..30_500).contains(&rejected), "{rejected}");
    }

    proptest! {
        #[test]
        fn the_excess_is_a_share_that_falls_with_accepts_and_with_k(
            requests in any::<u64>(), accepts in any::<u64>(), accept_multiplier in 1.0..=f64::MAX,
        ) {
            let share = p(requests, accepts, accept_multiplier);
            prop_assert!((0.0..=1.0).contains(&share), "{}", share);
            prop_assert!(p(requests, accepts / 2, accept_multiplier) >= share);
            prop_assert!(p(requests, accepts, 1.0) >= share);
        }
    }
}
