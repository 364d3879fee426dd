//! The last N outcomes, exactly: a ring of bits that really slides.

/// A ring of the last `capacity` outcomes, one bit each, with the failures among them counted.
#[derive(Debug)]
pub(crate) struct Ring {
    bits: Box<[u64]>,
    capacity: u32,
    /// Where the next outcome goes.
    next: u32,
    /// Outcomes in the ring, at most `capacity`.
    len: u32,
    failures: u32,
}

impl Ring {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            bits: vec![0; capacity.div_ceil(64) as usize].into_boxed_slice(),
            capacity,
            next: 0,
            len: 0,
            failures: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bits.fill(0);
        (self.next, self.len, self.failures) = (0, 0, 0);
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn push_failure(&mut self) {
        self.forget(1);
        let (word, bit) = (self.next as usize / 64, self.next % 64);
        self.bits[word] |= 1 << bit;
        self.failures += 1;
        self.advance(1);
    }

    /// Enters `count` successes, in steps of a machine word: a constant cost per success however
    /// long the ring.
    pub(crate) fn push_successes(&mut self, count: u64) {
        let mut left = match u32::try_from(count) {
            Ok(count) if count < self.capacity => count,
            _ => {
                self.clear();
                self.len = self.capacity;
                return;
            }
        };
        while left > 0 {
            let room = (64 - self.next % 64).min(self.capacity - self.next);
            let step = left.min(room);
            self.forget(step);
            self.advance(step);
            left -= step;
        }
    }

    /// Makes room for `count` outcomes within the word at `next`.
    fn forget(&mut self, count: u32) {
        let (word, bit) = (self.next as usize / 64, self.next % 64);
        let mask = if count == 64 {
            u64::MAX
        } else {
            ((1 << count) - 1) << bit
        };
        self.failures -= (self.bits[word] & mask).count_ones();
        self.bits[word] &= !mask;
    }

    fn advance(&mut self, count: u32) {
        self.next += count;
        if self.next == self.capacity {
            self.next = 0;
        }
        self.len = (self.len + count).min(self.capacity);
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Failure,
        Successes(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => Just(Step::Failure),
            2 => (0_u64..40).prop_map(Step::Successes),
            1 => (0_u64..400).prop_map(Step::Successes),
            1 => Just(Step::Successes(u64::MAX)),
        ];
        proptest::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn the_ring_is_the_last_n_outcomes(capacity in 1_u32..200, steps in steps()) {
            let mut ring = Ring::new(capacity);
            let mut model: VecDeque<bool> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Failure => {
                        ring.push_failure();
                        model.push_back(true);
                    }
                    Step::Successes(count) => {
                        ring.push_successes(count);
                        // More of them than the ring has places change nothing.
                        for _ in 0..count.min(u64::from(capacity)) {
                            model.push_back(false);
                        }
                    }
                }
                while model.len() > capacity as usize {
                    model.pop_front();
                }
                prop_assert_eq!(ring.len() as usize, model.len());
                prop_assert_eq!(ring.failures() as usize, model.iter().filter(|f| **f).count());
            }
        }
    }
}
