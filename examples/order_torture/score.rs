//! The score: what was reported of each order, beside what the brokers executed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::contender::OrderResult;

/// What is wrong with an order, by what was reported of it and how often it was executed.
pub(crate) fn wrong(result: Option<OrderResult>, executions: usize) -> Option<&'static str> {
    match (result, executions) {
        (_, 2..) => Some("DUPLICATED"),
        (Some(OrderResult::Executed), 0) => Some("LOST"),
        (Some(OrderResult::Rejected | OrderResult::NotExecuted), 1) => Some("PHANTOM"),
        (Some(OrderResult::InDoubt) | None, _) => Some("IN DOUBT"),
        _ => None,
    }
}

/// The figures of one contender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Score {
    pub(crate) intended: usize,
    /// The broker had it exactly once, cancelled or not, whatever was reported.
    pub(crate) executed_once: usize,
    /// The broker had it more than once.
    pub(crate) duplicated: usize,
    /// Reported as executed, and it is not.
    pub(crate) lost: usize,
    /// Reported as rejected or not executed, and it is executed.
    pub(crate) phantom: usize,
    /// Never settled.
    pub(crate) in_doubt: usize,
    /// Reported as rejected or not executed.
    pub(crate) reported_not_executed: usize,
    /// How often the process was killed.
    pub(crate) kills: usize,
}

impl Score {
    /// An order without a result is in doubt.
    pub(crate) fn new(
        orders: impl Iterator<Item = (String, Option<OrderResult>)>,
        executions: &BTreeMap<String, usize>,
        kills: usize,
    ) -> Self {
        let mut score = Self {
            kills,
            ..Self::default()
        };
        for (id, result) in orders {
            let executions = executions.get(&id).copied().unwrap_or_default();
            score.intended += 1;
            score.executed_once += usize::from(executions == 1);
            score.duplicated += usize::from(executions > 1);
            match result {
                Some(OrderResult::Executed) => score.lost += usize::from(executions == 0),
                Some(OrderResult::Rejected | OrderResult::NotExecuted) => {
                    score.reported_not_executed += 1;
                    score.phantom += usize::from(executions > 0);
                }
                Some(OrderResult::InDoubt) | None => score.in_doubt += 1,
            }
        }
        score
    }

    /// What must not be, in words.
    pub(crate) fn broken(&self) -> Vec<String> {
        let counts = [
            (self.duplicated, "executed more than once"),
            (self.lost, "reported as executed, and lost"),
            (self.phantom, "executed though reported as not executed"),
            (self.in_doubt, "in doubt at the end"),
        ];
        let broken = counts.into_iter().filter(|(count, _)| *count > 0);
        broken
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(orders: &[(Option<OrderResult>, usize)]) -> Score {
        let id = |number| format!("o-{number}");
        let results = orders.iter().enumerate();
        let results = results.map(|(number, (result, _))| (id(number), *result));
        let executions = orders.iter().enumerate();
        let executions = executions.filter(|(_, (_, count))| *count > 0);
        let executions = executions.map(|(number, (_, count))| (id(number), *count));
        Score::new(results, &executions.collect(), 3)
    }

    #[test]
    fn each_report_is_compared_with_what_was_executed() {
        use OrderResult::{Executed, InDoubt, NotExecuted, Rejected};
        let all = score(&[
            (Some(Executed), 1),
            (Some(Executed), 2),
            (Some(Executed), 0),
            (Some(Rejected), 0),
            (Some(Rejected), 1),
            (Some(NotExecuted), 0),
            (Some(NotExecuted), 3),
            (Some(InDoubt), 1),
            (None, 0),
        ]);
        let expected = Score {
            intended: 9,
            executed_once: 3,
            duplicated: 2,
            lost: 1,
            phantom: 2,
            in_doubt: 2,
            reported_not_executed: 4,
            kills: 3,
        };
        assert_eq!(all, expected);
        assert_eq!(all.broken().len(), 4);
    }

    #[test]
    fn nothing_is_broken_where_every_order_is_known_and_true() {
        use OrderResult::{Executed, NotExecuted, Rejected};
        let good = score(&[
            (Some(Executed), 1),
            (Some(Rejected), 0),
            (Some(NotExecuted), 0),
        ]);
        assert_eq!(
            good.executed_once + good.reported_not_executed,
            good.intended
        );
        assert!(good.broken().is_empty());
        for good in [(Some(Executed), 1), (Some(Rejected), 0)] {
            assert_eq!(wrong(good.0, good.1), None, "{good:?}");
        }
        for (bad, word) in [
            ((Some(Executed), 0), "LOST"),
            ((Some(Executed), 2), "DUPLICATED"),
            ((Some(NotExecuted), 1), "PHANTOM"),
            ((Some(Rejected), 1), "PHANTOM"),
            ((None, 0), "IN DOUBT"),
        ] {
            assert_eq!(score(&[bad]).broken().len(), 1, "{bad:?}");
            assert_eq!(wrong(bad.0, bad.1), Some(word));
        }
    }

    #[test]
    fn the_fields_are_those_of_the_report() {
        let json = serde_json::to_value(Score::default()).expect("plain data");
        let fields: Vec<_> = json.as_object().expect("an object").keys().collect();
        let expected = [
            "duplicated",
            "executed_once",
            "in_doubt",
            "intended",
            "kills",
            "lost",
            "phantom",
            "reported_not_executed",
        ];
        let mut fields: Vec<_> = fields.into_iter().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, expected);
    }
}
