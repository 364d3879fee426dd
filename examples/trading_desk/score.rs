//! The score: what was reported to the desk, beside what the providers saw.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_sim::provider::Stats;
use serde::Serialize;

use crate::client::Meter;
use crate::recorder::{Calls, Kind, OrderResult, Record};

/// Of calls from beginning to end, with all waits and attempts, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Times {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Latency {
    #[serde(flatten)]
    pub(crate) all: Times,
    pub(crate) by_kind: BTreeMap<Kind, Times>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Orders {
    pub(crate) intended: usize,
    /// CallResult as placed.
    pub(crate) placed: usize,
    /// CallResult as rejected by the broker.
    pub(crate) rejected: usize,
    /// CallResult as never sent.
    pub(crate) not_sent: usize,
    /// Result unknown to the desk.
    pub(crate) in_doubt: usize,

    /// Executed at least once.
    pub(crate) executed: usize,
    /// Executed more than once.
    pub(crate) duplicates: usize,
    /// CallResult as placed, never executed.
    pub(crate) lost: usize,
    /// CallResult as not placed, yet executed.
    pub(crate) phantoms: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Providers {
    pub(crate) limit_violations: u64,
    pub(crate) bans: u64,
    pub(crate) while_banned: u64,
    pub(crate) requests_sent: u64,
    pub(crate) requests_in_outage: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Score {
    pub(crate) calls: Calls,
    pub(crate) latency_ms: Latency,
    pub(crate) orders: Orders,
    pub(crate) providers: Providers,
}

impl Score {
    pub(crate) fn new(
        record: Record,
        executions: &BTreeMap<String, usize>,
        stats: &[Stats],
        meter: &Meter,
    ) -> Self {
        let sum = |count: fn(&Stats) -> u64| stats.iter().map(count).sum();
        Self {
            latency_ms: latency(&record.times),
            orders: reconcile(&record.order_results, executions),
            calls: record.calls,
            providers: Providers {
                limit_violations: sum(|stats| stats.violations),
                bans: sum(|stats| stats.bans),
                while_banned: sum(|stats| stats.while_banned),
                requests_sent: meter.sent(),
                requests_in_outage: meter.in_outage(),
            },
        }
    }

    /// Calls of a kind for which there was neither a response nor a degraded answer.
    fn unanswered(&self, kind: Kind) -> u64 {
        let counts = self.calls.by_kind.get(&kind);
        counts.map_or(0, |counts| counts.failed + counts.rejected)
    }

    /// Invariants of Seawall that did not hold in this run.
    pub(crate) fn broken(&self) -> Vec<String> {
        let counts = [
            (
                "orders executed more than once",
                self.orders.duplicates as u64,
            ),
            ("orders lost", self.orders.lost as u64),
            (
                "orders executed though reported as not placed",
                self.orders.phantoms as u64,
            ),
            ("orders in doubt at the end", self.orders.in_doubt as u64),
            ("quotes without an answer", self.unanswered(Kind::Quotes)),
            (
                "opinions without an answer",
                self.unanswered(Kind::Opinions),
            ),
            ("limit violations", self.providers.limit_violations),
            ("bans", self.providers.bans),
        ];
        let broken = counts.iter().filter(|(_, count)| *count > 0);
        broken
            .map(|(what, count)| format!("{what}: {count}"))
            .collect()
    }
}

/// Compares what the desk was reported with what the broker did.
fn reconcile(
    order_results: &[(String, OrderResult)],
    executions: &BTreeMap<String, usize>,
) -> Orders {
    let mut orders = Orders {
        intended: order_results.len(),
        ..Orders::default()
    };
    for (id, order_result) in order_results {
        let times = executions.get(id).copied().unwrap_or_default();
        let executed = usize::from(times > 0);
        orders.executed += executed;
        orders.duplicates += usize::from(times > 1);
        match order_result {
            OrderResult::Placed => {
                orders.placed += 1;
                orders.lost += 1 - executed;
            }
            OrderResult::Rejected => {
                orders.rejected += 1;
                orders.phantoms += executed;
            }
            OrderResult::NotSent => {
                orders.not_sent += 1;
                orders.phantoms += executed;
            }
            OrderResult::InDoubt => {
                orders.in_doubt += 1;
            }
        }
    }
    orders
}

fn latency(taken: &[(Kind, Duration)]) -> Latency {
    let mut by_kind = BTreeMap::<Kind, Vec<Duration>>::new();
    for (kind, took) in taken {
        by_kind.entry(*kind).or_default().push(*took);
    }
    let by_kind = by_kind.into_iter();
    Latency {
        all: times(taken.iter().map(|(_, took)| *took).collect()),
        by_kind: by_kind.map(|(kind, took)| (kind, times(took))).collect(),
    }
}

fn times(mut taken: Vec<Duration>) -> Times {
    taken.sort_unstable();
    Times {
        p50: percentile(&taken, 50),
        p99: percentile(&taken, 99),
    }
}

/// The smallest value that `percent` of the sorted values do not exceed, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    let value = sorted.get(rank - 1).copied().unwrap_or_default();
    (value.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_compared_with_executions() {
        use OrderResult::{InDoubt, NotSent, Placed, Rejected};
        let reported = [
            ("good", Placed, 1),
            ("twice", Placed, 2),
            ("lost", Placed, 0),
            ("no", Rejected, 0),
            ("ghost", NotSent, 1),
            ("doubt", InDoubt, 1),
            ("doubt, not done", InDoubt, 0),
        ];
        let order_results = reported.map(|(id, order_result, _)| (id.to_owned(), order_result));
        let executions = reported.map(|(id, _, times)| (id.to_owned(), times)).into();
        let orders = Orders {
            intended: 7,
            placed: 3,
            rejected: 1,
            not_sent: 1,
            in_doubt: 2,
            executed: 4,
            duplicates: 1,
            lost: 1,
            phantoms: 1,
        };
        assert_eq!(reconcile(&order_results, &executions), orders);
        let score = Score {
            orders,
            ..Score::default()
        };
        assert_eq!(score.broken().len(), 4);
        assert!(Score::default().broken().is_empty());
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(
            (percentile(&sorted, 50), percentile(&sorted, 99)),
            (100.0, 198.0)
        );
        assert_eq!(percentile(&sorted[..1], 99), 1.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }
}
