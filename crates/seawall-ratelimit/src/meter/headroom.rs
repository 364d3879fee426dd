//! Corrections of what an upstream has counted already.

/// What was reported without a reset, and how much more that is than what is left here. It includes
/// what departed before it, so corrections of that count only below what was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Headroom(Option<(u64, i128)>);

impl Headroom {
    /// As reported now, when `known` is left here.
    pub(super) fn new(now: u64, reported: u64, known: u64) -> Self {
        Self(Some((now, i128::from(reported) - i128::from(known))))
    }

    /// How much of a refund counts.
    pub(super) fn refund(&mut self, cost: u64, taken_at: u64) -> u64 {
        self.correct(-i128::from(cost), cost, taken_at)
    }

    /// How much of a debit counts.
    pub(super) fn debit(&mut self, cost: u64, taken_at: u64) -> u64 {
        self.correct(cost.into(), cost, taken_at)
    }

    fn correct(&mut self, by: i128, cost: u64, taken_at: u64) -> u64 {
        match &mut self.0 {
            Some((at, room)) if taken_at <= *at => {
                let before = (*room).max(0);
                *room = room.saturating_add(by);
                let counts = before.abs_diff((*room).max(0));
                u64::try_from(counts).unwrap_or(cost).min(cost)
            }
            _ => cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_of_what_was_reported_already_count_below_the_report_only() {
        // 5 less than was thought.
        let mut less = Headroom::new(10, 5, 10);
        assert_eq!((less.refund(3, 10), less.refund(3, 10)), (0, 0));
        assert_eq!((less.debit(10, 10), less.debit(7, 10)), (0, 6));
        assert_eq!((less.refund(4, 11), less.debit(4, 11)), (4, 4));
        // 5 more: that much may come back.
        let mut more = Headroom::new(10, 15, 10);
        let refunds = [more.refund(3, 0), more.refund(3, 0), more.refund(3, 0)];
        assert_eq!(refunds, [3, 2, 0]);
        assert_eq!(Headroom::default().refund(3, 0), 3);
    }
}
