//! Which key comes first.

use std::cmp::Ordering;

/// How much a key has borrowed for its weight, below zero while it has less than is guaranteed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Debt {
    /// A permit is kept available for it: it comes before all others, and no other may have it.
    pub(crate) kept: bool,
    pub(crate) borrowed: i64,
    pub(crate) weight: i64,
}

impl Ord for Debt {
    fn cmp(&self, other: &Self) -> Ordering {
        // Fractions, compared without dividing; both weights are below 2^32.
        let (left, right) = (self.borrowed, other.borrowed);
        let by_kept = other.kept.cmp(&self.kept);
        by_kept.then_with(|| {
            (i128::from(left) * i128::from(other.weight))
                .cmp(&(i128::from(right) * i128::from(self.weight)))
        })
    }
}

impl PartialOrd for Debt {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Debt {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Debt {}
