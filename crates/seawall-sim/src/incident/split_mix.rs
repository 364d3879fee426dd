//! Repeatable random numbers: a hash of what is drawn for, never a shared generator.

/// A short stream of random numbers that depends on nothing but the words it was made from.
///
/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). A
/// shared generator would make one route's draws depend on how many requests another route had
/// seen, and no run would repeat.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64 {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl SplitMix64 {
    pub(crate) fn new(words: &[u64]) -> Self {
        let state = words.iter().fold(GOLDEN, |state, word| {
            mix(state ^ mix(word.wrapping_add(GOLDEN)))
        });
        Self { state }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number from 0 (included) to 1 (excluded).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A standard normal deviate (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        // 1 - unit is never 0, so the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    #[test]
    fn the_same_words_draw_the_same_numbers() {
        let take = |words: &[u64]| {
            let mut draw = SplitMix64::new(words);
            [draw.next_u64(), draw.next_u64(), draw.next_u64()]
        };
        assert_eq!(take(&[1, 2, 3]), take(&[1, 2, 3]));
        assert_ne!(take(&[1, 2, 3]), take(&[1, 3, 2]));
        assert_ne!(take(&[0]), take(&[0, 0]));
    }

    #[test]
    fn units_are_spread_over_the_interval() {
        let mean = (0..10_000)
            .map(|n| SplitMix64::new(&[7, n]).unit())
            .sum::<f64>()
            / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "mean {mean}");
    }
}
