//! A budget that forgets: what was earned and spent in the last slices of time. Pure: the clock is
//! passed in.

use std::sync::PoisonError;

use super::sync::{AtomicU64, Mutex, Ordering};

/// Into how many slices a window is cut.
pub(super) const SLICES: usize = 10;

/// The bits of a word that count successes; the others number its slice of time.
const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// Amounts are in units of a token, times are in nanoseconds.
///
/// Successes come on every call, so they are counted without a lock: one word per slice, tagged
/// with the number of its slice, which the first success of a new slice takes over. Withdrawals
/// are rare and want all slices at once, so they take turns.
#[derive(Debug)]
pub(super) struct Window {
    per_success: u64,
    /// What may be spent in each window without any success.
    reserve: u128,
    /// How long a slice is.
    slice: u64,
    successes: [AtomicU64; SLICES],
    spent: Mutex<[Spent; SLICES]>,
}

/// What was withdrawn in one slice.
#[derive(Clone, Copy, Debug)]
struct Spent {
    slice: u64,
    amount: u128,
}

impl Window {
    pub(super) fn new(per_success: u64, reserve: u128, slice: u64) -> Self {
        Self {
            per_success,
            reserve,
            slice: slice.max(1),
            successes: std::array::from_fn(|_| AtomicU64::new(0)),
            spent: Mutex::new(
                [Spent {
                    slice: 0,
                    amount: 0,
                }; SLICES],
            ),
        }
    }

    /// Counts a success; no more than 16 million in a slice.
    #[inline]
    pub(super) fn deposit(&self, now: impl FnOnce() -> u64) {
        if self.per_success == 0 {
            return;
        }
        let slice = self.slice_of(now());
        let word = &self.successes[place(slice)];
        // Fails when a newer slice has the place, and this success is forgotten; or when it is
        // full.
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
            match (word >> COUNT_BITS).cmp(&slice) {
                std::cmp::Ordering::Less => Some(slice << COUNT_BITS | 1),
                std::cmp::Ordering::Equal if word & COUNT < COUNT => Some(word + 1),
                _ => None,
            }
        });
    }

    pub(super) fn withdraw(&self, price: u64, now: impl FnOnce() -> u64) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (slice, earned) = self.earned(now());
        let price = u128::from(price);
        // Far from overflow: a window earns at most 2^28 times 10^12, and the floor 2^72.
        if self.reserve + earned < total(&spent, slice) + price {
            return false;
        }
        let current = &mut spent[place(slice)];
        if current.slice != slice {
            *current = Spent { slice, amount: 0 };
        }
        current.amount += price;
        true
    }

    /// Takes an amount off what was spent, the oldest first: what then is left counts for as long
    /// as any of the withdrawals that it may stand for. What is forgotten cannot be given back.
    pub(super) fn refund(&self, amount: u64, now: impl FnOnce() -> u64) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let slice = self.slice_of(now());
        let mut left = u128::from(amount);
        for old in (0..SLICES as u64).rev() {
            let Some(number) = slice.checked_sub(old) else {
                continue;
            };
            let then = &mut spent[place(number)];
            if then.slice == number {
                let taken = left.min(then.amount);
                then.amount -= taken;
                left -= taken;
            }
        }
    }

    /// What may be spent now.
    pub(super) fn balance(&self, now: impl FnOnce() -> u64) -> u128 {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (slice, earned) = self.earned(now());
        (self.reserve + earned).saturating_sub(total(&spent, slice))
    }

    /// The slice that it is, and what successes have earned in the window that ends with it.
    fn earned(&self, now: u64) -> (u64, u128) {
        let words: [u64; SLICES] =
            std::array::from_fn(|i| self.successes[i].load(Ordering::Acquire));
        // A success of a later slice may have been counted since the clock was read, in the place
        // of one that is forgotten now: then it is as late as that.
        let tags = words.iter().map(|word| word >> COUNT_BITS);
        let slice = tags.fold(self.slice_of(now), u64::max);
        let count = words
            .iter()
            .filter(|word| is_within(**word >> COUNT_BITS, slice))
            .map(|word| word & COUNT)
            .sum::<u64>();
        (slice, u128::from(count) * u128::from(self.per_success))
    }

    fn slice_of(&self, now: u64) -> u64 {
        // Slices of 10 ms fill 40 bits in 348 years.
        (now / self.slice).min(u64::MAX >> COUNT_BITS)
    }
}

/// Whether a slice is in the window that ends with `newest`.
const fn is_within(slice: u64, newest: u64) -> bool {
    slice <= newest && newest - slice < SLICES as u64
}

/// What was withdrawn in the window that ends with `newest`.
fn total(spent: &[Spent; SLICES], newest: u64) -> u128 {
    spent
        .iter()
        .filter(|then| is_within(then.slice, newest))
        .map(|then| then.amount)
        .sum()
}

fn place(slice: u64) -> usize {
    (slice % SLICES as u64) as usize
}
