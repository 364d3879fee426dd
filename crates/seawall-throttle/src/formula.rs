//! How likely a call is to be rejected: pure.

use crate::PriorityClass;

pub(crate) const CLASSES: usize = PriorityClass::ALL.len();

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

/// The share of the requests above `accept_multiplier` times the accepts, from 0 to below 1: "Site
/// Reliability Engineering", chapter "Handling Overload", equation 21-1.
pub(crate) fn excess(tally: Tally, accept_multiplier: f64) -> f64 {
    let (requests, accepts) = (tally.requests as f64, tally.accepts as f64);
    ((requests - accept_multiplier * accepts) / (requests + 1.0)).max(0.0)
}

/// The probabilities of all classes in one word, so that a call reads only one: each in units of
/// 2^-16, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probabilities(pub(crate) u64);

const PART_BITS: u32 = 16;
const PART: u64 = (1 << PART_BITS) - 1;

impl Probabilities {
    pub(crate) const ZERO: Self = Self(0);

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
    fn each_class_reads_its_own_probability() {
        let probabilities = Probabilities::new([1.0, 0.5, 0.25, 0.0]);
        let lowest_random = 0;
        let half = 1 << 63;
        let quarter = 1 << 62;
        assert!(probabilities.reject(PriorityClass::Lowest, lowest_random));
        assert!(
            !probabilities.reject(PriorityClass::Lowest, u64::MAX),
            "never all calls"
        );
        assert!(probabilities.reject(PriorityClass::Low, half - 1));
        assert!(!probabilities.reject(PriorityClass::Low, half));
        assert!(probabilities.reject(PriorityClass::Normal, quarter - 1));
        assert!(!probabilities.reject(PriorityClass::Normal, quarter));
        assert!(!probabilities.reject(PriorityClass::High, lowest_random));
        assert_eq!(Probabilities::new([0.0; CLASSES]), Probabilities::ZERO);
    }

    #[test]
    fn the_draws_are_spread_evenly() {
        let probabilities = Probabilities::new([0.0, 0.0, 0.3, 0.0]);
        let rejected = (0..100_000_u64)
            .filter(|n| probabilities.reject(PriorityClass::Normal, mix(n.wrapping_mul(STEP))))
            .count();
        assert!((29_500..30_500).contains(&rejected), "{rejected}");
    }

    proptest! {
        #[test]
        fn the_excess_falls_with_accepts_and_with_the_multiplier(
            requests in any::<u64>(), accepts in any::<u64>(), accept_multiplier in 1.0..=f64::MAX,
        ) {
            let share = p(requests, accepts, accept_multiplier);
            prop_assert!((0.0..=1.0).contains(&share), "{}", share);
            prop_assert!(p(requests, accepts / 2, accept_multiplier) >= share);
            prop_assert!(p(requests, accepts, 1.0) >= share);
        }
    }
}
