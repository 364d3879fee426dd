//! The marks among the last N calls, exactly: a ring of bits that really slides.

/// A ring of the last `capacity` calls, one bit each, with the marked ones among them counted.
/// The owner decides what the mark means: failed or slow.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Bits at and after `next` mean nothing until the ring is full: so clearing is free.
    bits: Box<[u64]>,
    capacity: u32,
    /// Where the next call goes.
    next: u32,
    /// Calls in the ring, at most `capacity`.
    len: u32,
    marks: u32,
}

impl Ring {
    pub(crate) fn new(capacity: u32) -> Self {
        let capacity = capacity.max(1);
        Self {
            bits: vec![0; capacity.div_ceil(64) as usize].into_boxed_slice(),
            capacity,
            next: 0,
            len: 0,
            marks: 0,
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap(&self) -> usize {
        size_of_val(&*self.bits)
    }

    /// Forgets all calls, at a constant cost for any capacity.
    pub(crate) fn clear(&mut self) {
        (self.next, self.len, self.marks) = (0, 0, 0);
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn marks(&self) -> u32 {
        self.marks
    }

    /// Forgets the oldest calls but `keep`.
    pub(crate) fn keep_newest(&mut self, keep: u64) {
        let keep = u32::try_from(keep).unwrap_or(u32::MAX);
        if keep >= self.len {
            return;
        }
        for (from, count) in self.straight(self.len, self.len - keep) {
            self.marks -= self.marks_among(from, count);
        }
        self.len = keep;
    }

    /// The marks of `count` calls from index `from` on, which do not wrap.
    fn marks_among(&self, from: u32, count: u32) -> u32 {
        let (mut at, end, mut marks) = (from, from + count, 0);
        while at < end {
            let (word, bit) = (at as usize / 64, at % 64);
            let step = (64 - bit).min(end - at);
            let mask = (u64::MAX >> (64 - step)) << bit;
            marks += (self.bits[word] & mask).count_ones();
            at += step;
        }
        marks
    }

    /// Where `count` calls lie, of which the oldest is `ago` calls before `next`: two pieces that do
    /// not wrap.
    fn straight(&self, ago: u32, count: u32) -> [(u32, u32); 2] {
        let start = if self.next >= ago {
            self.next - ago
        } else {
            self.capacity - (ago - self.next)
        };
        let first = count.min(self.capacity - start);
        [(start, first), (0, count - first)]
    }

    pub(crate) fn push(&mut self, marked: bool) {
        self.overwrite(1);
        if marked {
            let (word, bit) = (self.next as usize / 64, self.next % 64);
            self.bits[word] |= 1 << bit;
            self.marks += 1;
        }
        self.advance(1);
    }

    /// Enters `count` calls without a mark, in steps of a machine word: a constant cost per call
    /// for any length of the ring.
    pub(crate) fn push_unmarked(&mut self, count: u64) {
        let mut left = match u32::try_from(count) {
            Ok(count) if count < self.capacity => count,
            _ => {
                self.bits.fill(0);
                (self.next, self.len, self.marks) = (0, self.capacity, 0);
                return;
            }
        };
        while left > 0 {
            // Not past the oldest call, whose bit would not be counted out: full from there on.
            let free = match self.capacity - self.len {
                0 => 64,
                free => free,
            };
            let step = (64 - self.next % 64)
                .min(self.capacity - self.next)
                .min(free)
                .min(left);
            self.overwrite(step);
            self.advance(step);
            left -= step;
        }
    }

    /// The same calls in a ring of another capacity; a smaller one keeps the newest.
    pub(crate) fn resized(&self, capacity: u32) -> Self {
        let mut ring = Self::new(capacity);
        let keep = self.len.min(ring.capacity);
        for (from, count) in self.straight(keep, keep) {
            self.copy(from, count, &mut ring);
        }
        ring
    }

    /// Enters the `count` calls from index `from` on, which do not wrap, into `ring`.
    fn copy(&self, mut from: u32, count: u32, ring: &mut Self) {
        let end = from + count;
        let mut unmarked = 0;
        while from < end {
            let (word, bit) = (from as usize / 64, from % 64);
            let zeros = (self.bits[word] >> bit).trailing_zeros().min(64 - bit);
            let zeros = zeros.min(end - from);
            unmarked += u64::from(zeros);
            from += zeros;
            if from < end && !from.is_multiple_of(64) || zeros == 0 {
                ring.push_unmarked(unmarked);
                ring.push(true);
                unmarked = 0;
                from += 1;
            }
        }
        ring.push_unmarked(unmarked);
    }

    /// Clears the bits of `count` calls within the word at `next`.
    fn overwrite(&mut self, count: u32) {
        let (word, bit) = (self.next as usize / 64, self.next % 64);
        let mask = if count == 64 {
            u64::MAX
        } else {
            ((1 << count) - 1) << bit
        };
        if self.len == self.capacity {
            self.marks -= (self.bits[word] & mask).count_ones();
        }
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
        Push(bool),
        Unmarked(u64),
        Clear,
        Resize(u32),
        Keep(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => any::<bool>().prop_map(Step::Push),
            4 => (0_u64..200).prop_map(Step::Unmarked),
            1 => Just(Step::Unmarked(u64::MAX)),
            1 => Just(Step::Clear),
            2 => (1_u32..200).prop_map(Step::Resize),
            2 => (0_u64..200).prop_map(Step::Keep),
        ];
        proptest::collection::vec(step, 0..150)
    }

    proptest! {
        #[test]
        fn the_ring_is_the_last_n_calls(capacity in 1_u32..200, steps in steps()) {
            let mut capacity = capacity;
            let mut ring = Ring::new(capacity);
            let mut model: VecDeque<bool> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Push(marked) => {
                        ring.push(marked);
                        model.push_back(marked);
                    }
                    Step::Unmarked(count) => {
                        ring.push_unmarked(count);
                        // More of them than the capacity change nothing.
                        for _ in 0..count.min(u64::from(capacity)) {
                            model.push_back(false);
                        }
                    }
                    Step::Clear => {
                        ring.clear();
                        model.clear();
                    }
                    Step::Keep(keep) => {
                        ring.keep_newest(keep);
                        while model.len() as u64 > keep {
                            model.pop_front();
                        }
                    }
                    Step::Resize(to) => {
                        ring = ring.resized(to);
                        capacity = to;
                    }
                }
                while model.len() > capacity as usize {
                    model.pop_front();
                }
                prop_assert_eq!(ring.len() as usize, model.len());
                prop_assert_eq!(ring.marks() as usize, model.iter().filter(|m| **m).count());
            }
        }
    }
}
