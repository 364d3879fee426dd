//! What is spent and reserved of one budget: a pure core, whose clock is an argument.

use super::config::SpendConfig;
use super::money::Money;
use super::period::SpendPeriod;

/// One budget.
#[derive(Debug)]
pub(crate) struct Account {
    config: SpendConfig,
    /// What was spent in the current hour, day and month, with or without a limit.
    spent: [Money; 3],
    /// When these end, in nanoseconds after 1970 UTC.
    ends: [i128; 3],
    /// What is reserved for calls that are not over. When a period ends, it goes on in the next: that is
    /// where it will be spent.
    reserved: Money,
}

/// Why an amount cannot be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// More than the limit of a period as a whole.
    Never { limit: Money },
    /// More than is left until then.
    Until { unix_ns: i128 },
    /// More than is left while calls are under way, which may give some of it back.
    Held,
}

impl Account {
    pub(crate) fn new(config: SpendConfig, unix_ns: i128) -> Self {
        let mut account = Self {
            config,
            spent: [Money::ZERO; 3],
            ends: [i128::MIN; 3],
            reserved: Money::ZERO,
        };
        account.advance(unix_ns);
        account
    }

    pub(crate) const fn config(&self) -> &SpendConfig {
        &self.config
    }

    /// Begins the periods that have come.
    pub(crate) fn advance(&mut self, unix_ns: i128) {
        let periods = SpendPeriod::ALL.into_iter();
        for ((period, spent), end) in periods.zip(&mut self.spent).zip(&mut self.ends) {
            if unix_ns >= *end {
                *spent = Money::ZERO;
                *end = period.end(unix_ns, self.config.utc_offset());
            }
        }
    }

    /// What is spent and reserved keeps; periods end by the new offset.
    pub(crate) fn configure(&mut self, config: SpendConfig, unix_ns: i128) {
        self.advance(unix_ns);
        self.config = config;
        self.set_clock(unix_ns);
    }

    /// Periods that have begun end by a clock that was set to this; none is renewed by that.
    pub(crate) fn set_clock(&mut self, unix_ns: i128) {
        for (period, end) in SpendPeriod::ALL.into_iter().zip(&mut self.ends) {
            *end = period.end(unix_ns, self.config.utc_offset());
        }
    }

    /// Each period with its limit, if it has one, what is spent of it, and when it ends.
    pub(crate) fn periods(
        &self,
    ) -> impl Iterator<Item = (SpendPeriod, Option<Money>, Money, i128)> + '_ {
        let periods = SpendPeriod::ALL.into_iter().zip(self.spent).zip(self.ends);
        periods.map(|((period, spent), end)| (period, self.config.limit(period), spent, end))
    }

    pub(crate) const fn reserved(&self) -> Money {
        self.reserved
    }

    /// Whether so much can be reserved beside what is spent and reserved.
    ///
    /// Of several periods that are short, the one that ends last counts: until then it stays so.
    pub(crate) fn check(&self, amount: Money) -> Result<(), Short> {
        let (mut short, mut is_held) = (None, false);
        for (_, limit, spent, end) in self.periods() {
            let Some(limit) = limit else { continue };
            if amount > limit {
                return Err(Short::Never { limit });
            }
            if spent.plus(amount) > limit {
                short = short.max(Some(end));
            } else if spent.plus(self.reserved).plus(amount) > limit {
                is_held = true;
            }
        }
        match short {
            Some(unix_ns) => Err(Short::Until { unix_ns }),
            None if is_held => Err(Short::Held),
            None => Ok(()),
        }
    }

    pub(crate) fn reserve(&mut self, amount: Money) {
        self.reserved = self.reserved.plus(amount);
    }

    /// Gives back what was reserved, and books what it has cost.
    pub(crate) fn settle(&mut self, reserved: Money, cost: Money) {
        self.reserved = self.reserved.less(reserved);
        for spent in &mut self.spent {
            *spent = spent.plus(cost);
        }
    }

    /// So much was spent of one period elsewhere, or before the start.
    pub(crate) fn already_spent(&mut self, period: SpendPeriod, amount: Money) {
        if let Some(spent) = self.spent.get_mut(period as usize) {
            *spent = spent.plus(amount);
        }
    }

    pub(crate) fn forget(&mut self) {
        self.spent = [Money::ZERO; 3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i128 = 3_600_000_000_000;

    #[derive(Clone, Debug)]
    enum Step {
        Reserve(u64),
        /// Settles one of the calls under way, at so many percent of its reservation.
        Settle(prop::sample::Index, u64),
        Pass(i128),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u64..40).prop_map(Step::Reserve),
            4 => (any::<prop::sample::Index>(), 0_u64..=100).prop_map(|(which, part)| Step::Settle(which, part)),
            1 => (0..30 * HOUR).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// Against a list of all that was spent, with its time.
        #[test]
        fn a_budget_is_what_a_list_of_all_costs_says(steps in steps()) {
            let config = SpendConfig::builder()
                .per_hour(Money::whole(50))
                .per_day(Money::whole(120))
                .per_month(Money::whole(300));
            let config = config.build().unwrap();
            let mut now = 1_700_000_000_000_000_000_i128;
            let mut account = Account::new(config.clone(), now);
            let mut costs: Vec<(i128, Money)> = Vec::new();
            let mut under_way: Vec<Money> = Vec::new();
            for step in steps {
                match step {
                    Step::Pass(time) => {
                        now += time;
                        account.advance(now);
                    }
                    Step::Settle(which, part) => {
                        if !under_way.is_empty() {
                            let reserved = under_way.swap_remove(which.index(under_way.len()));
                            let cost = Money::whole(reserved.hundredths() as u64 / 100 * part / 100);
                            account.settle(reserved, cost);
                            costs.push((now, cost));
                        }
                    }
                    Step::Reserve(amount) => {
                        let amount = Money::whole(amount);
                        let reserved: Money = under_way.iter().copied().sum();
                        let mut fits = true;
                        for period in SpendPeriod::ALL {
                            let end = period.end(now, 0);
                            let spent: Money = costs
                                .iter()
                                .filter(|(at, _)| period.end(*at, 0) == end)
                                .map(|(_, cost)| *cost)
                                .sum();
                            let total = spent.plus(reserved).plus(amount);
                            fits &= total <= config.limit(period).unwrap();
                        }
                        prop_assert_eq!(account.check(amount).is_ok(), fits);
                        if fits {
                            account.reserve(amount);
                            under_way.push(amount);
                        }
                    }
                }
                for (_, limit, spent, _) in account.periods() {
                    prop_assert!(spent.plus(account.reserved()) <= limit.unwrap());
                }
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_renews_nothing_and_stops_nothing() {
        let config = SpendConfig::builder().per_hour(Money::whole(10));
        let mut account = Account::new(config.build().unwrap(), 90 * 24 * HOUR);
        account.settle(Money::ZERO, Money::whole(9));
        for now in [24 * HOUR, 400 * 24 * HOUR + HOUR / 2] {
            account.set_clock(now);
            account.advance(now);
            let end = (now / HOUR + 1) * HOUR;
            assert_eq!(
                account.check(Money::whole(2)),
                Err(Short::Until { unix_ns: end })
            );
        }
        account.advance(400 * 24 * HOUR + HOUR);
        assert_eq!(account.check(Money::whole(2)), Ok(()));
    }

    #[test]
    fn the_period_that_is_short_for_longest_says_when() {
        let config = SpendConfig::builder()
            .per_hour(Money::whole(10))
            .per_day(Money::whole(15));
        let mut account = Account::new(config.build().unwrap(), 0);
        assert_eq!(
            account.check(Money::whole(11)),
            Err(Short::Never {
                limit: Money::whole(10)
            })
        );
        account.settle(Money::ZERO, Money::whole(9));
        assert_eq!(
            account.check(Money::whole(2)),
            Err(Short::Until { unix_ns: HOUR })
        );
        assert_eq!(
            account.check(Money::whole(7)),
            Err(Short::Until { unix_ns: 24 * HOUR })
        );
        account.advance(HOUR);
        assert_eq!(account.check(Money::whole(6)), Ok(()));
        account.reserve(Money::whole(6));
        account.advance(24 * HOUR);
        // What is reserved is so in the next day, too.
        assert_eq!(account.check(Money::whole(5)), Err(Short::Held));
    }
}
