//! Which call a fault hits, from a seed and numbers alone: no clock, and no random number generator
//! that others use too.

/// The draws of one fault at one call. The same three numbers give the same draws, in every process.
#[derive(Clone, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// The draws of the fault at place `fault` of its set, at the call of that number.
    pub(crate) const fn new(seed: u64, fault: u64, call: u64) -> Self {
        // Each number is mixed before the next one is added: neighbours in one of them, or in two at
        // once, have nothing in common.
        Self(mix(mix(mix(seed) ^ fault) ^ call))
    }

    /// The next 64 bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// The next number from 0 to below 1.
    pub(crate) const fn unit(&mut self) -> f64 {
        // A double has 53 bits.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of that probability happens. Always at 1, never at 0.
    pub(crate) const fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number of the standard normal distribution, by Box and Muller (1958).
    pub(crate) fn normal(&mut self) -> f64 {
        // From above 0 to 1, since zero has no logarithm.
        let distance = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        distance * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// The increment of `SplitMix64` (Steele, Lea, Flood 2014).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of `SplitMix64`: each bit of the input changes half of the output's.
pub(crate) const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_same_numbers_give_the_same_draws(seed: u64, fault in 0_u64..64, call: u64) {
            let draw = || {
                let mut draws = Draws::new(seed, fault, call);
                (draws.bits(), draws.unit().to_bits(), draws.normal().to_bits())
            };
            prop_assert_eq!(draw(), draw());
        }

        #[test]
        fn a_share_of_the_calls_is_hit_that_is_the_intensity(seed: u64, share in 0.0..=1.0) {
            const CALLS: u32 = 4_000;
            let hits = |call: &u32| Draws::new(seed, 0, u64::from(*call)).happens(share);
            let hit = (0..CALLS).filter(hits).count() as f64 / f64::from(CALLS);
            // Six standard deviations, of which there are two in a thousand million.
            prop_assert!((hit - share).abs() <= 6.0 * 0.5 / f64::from(CALLS).sqrt());
        }

        #[test]
        fn units_are_from_zero_to_below_one(seed: u64) {
            let mut draws = Draws::new(seed, 0, 0);
            for _ in 0..100 {
                prop_assert!((0.0..1.0).contains(&draws.unit()));
                prop_assert!(draws.normal().is_finite());
            }
        }
    }

    #[test]
    fn the_ends_of_intensity_are_certain() {
        for call in 0..10_000 {
            assert!(Draws::new(7, 0, call).happens(1.0));
            assert!(!Draws::new(7, 0, call).happens(0.0));
        }
    }

    #[test]
    fn faults_of_one_set_are_drawn_independently() {
        let both = |call: &u64| (0..2).all(|fault| Draws::new(1, fault, *call).happens(0.5));
        let hit = (0..10_000).filter(both).count();
        assert!((2_200..2_800).contains(&hit), "{hit} of about 2500");
    }

    #[test]
    fn normal_numbers_have_their_mean_and_their_deviation() {
        let numbers: Vec<f64> = (0..20_000)
            .map(|call| Draws::new(3, 0, call).normal())
            .collect();
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let square = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        assert!(
            mean.abs() < 0.03 && (square - 1.0).abs() < 0.05,
            "{mean} {square}"
        );
    }
}
