//! Both sides beside each other: a table, and the same as JSON.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::recorder::{Counts, Kind};
use crate::score::{Score, Times};

/// The results of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    pub(crate) bare: Score,
    pub(crate) seawall: Score,
    /// Invariants of Seawall that did not hold.
    pub(crate) broken: Vec<String>,
}

impl Report {
    pub(crate) fn new(seed: u64, length: Duration, bare: Score, seawall: Score) -> Self {
        let broken = seawall.broken();
        Self {
            seed,
            seconds: length.as_secs(),
            bare,
            seawall,
            broken,
        }
    }

    pub(crate) fn table(&self) -> String {
        let mut table = Table::new(&self.bare, &self.seawall);
        table.calls();
        table.latency();
        table.orders();
        table.providers();
        let (seed, seconds) = (self.seed, self.seconds);
        let mut text = format!("\nseed {seed}, {seconds} s per side\n\n{}", table.text);
        text.push('\n');
        if self.broken.is_empty() {
            text.push_str(
                "Seawall: no duplicate, no lost order, none in doubt, no limit violation, no ban.\n",
            );
        } else {
            let _ = writeln!(text, "Seawall BROKE: {}", self.broken.join(", "));
        }
        text
    }
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Quotes, "quotes"),
    (Kind::Opinions, "opinions"),
    (Kind::Positions, "positions"),
    (Kind::Orders, "orders"),
];

const LABEL: usize = 44;
const CELL: usize = 20;

struct Table<'a> {
    bare: &'a Score,
    seawall: &'a Score,
    text: String,
}

impl<'a> Table<'a> {
    fn new(bare: &'a Score, seawall: &'a Score) -> Self {
        let text = String::new();
        Self {
            bare,
            seawall,
            text,
        }
    }

    fn line(&mut self, label: &str, bare: &str, seawall: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{label:<LABEL$}{bare:>CELL$}{seawall:>CELL$}");
    }

    fn title(&mut self, label: &str, unit: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!(" ({unit})")
        };
        self.line(&format!("{label}{unit}"), "bare", "Seawall");
        let rule = "-".repeat(LABEL + 2 * CELL);
        let _ = writeln!(self.text, "{rule}");
    }

    fn row<T: ToString>(&mut self, label: &str, cell: impl Fn(&Score) -> T) {
        let (bare, seawall) = (cell(self.bare).to_string(), cell(self.seawall).to_string());
        self.line(&format!("  {label}"), &bare, &seawall);
    }

    fn calls(&mut self) {
        self.title("calls", "ok / degraded / failed / rejected");
        self.row("all", |score| outcomes(&score.calls.total));
        for (kind, label) in KINDS {
            self.row(label, |score| {
                let counts = score.calls.by_kind.get(&kind);
                outcomes(counts.unwrap_or(&Counts::default()))
            });
        }
        for (kind, label) in [
            (Kind::Quotes, "degraded quotes: share / oldest"),
            (Kind::Opinions, "degraded opinions: share / oldest"),
        ] {
            self.row(label, |score| degraded(score.calls.by_kind.get(&kind)));
        }
        let (bare, seawall) = (self.bare, self.seawall);
        let both = |of: fn(&Score) -> Vec<&str>| -> BTreeSet<&'a str> {
            of(bare).into_iter().chain(of(seawall)).collect()
        };
        let failures = both(|score| score.calls.failures.keys().map(String::as_str).collect());
        let rejections = both(|score| score.calls.rejections.keys().copied().collect());
        for why in failures {
            self.row(&format!("failed, {why}"), |score| {
                score.calls.failures.get(why).copied().unwrap_or_default()
            });
        }
        for why in rejections {
            self.row(&format!("rejected by {why}"), |score| {
                score.calls.rejections.get(why).copied().unwrap_or_default()
            });
        }
    }

    fn latency(&mut self) {
        self.title("latency", "p50 / p99 in ms");
        self.row("all", |score| pair(score.latency_ms.all));
        for (kind, label) in KINDS {
            self.row(label, |score| {
                let times = score.latency_ms.by_kind.get(&kind).copied();
                pair(times.unwrap_or_default())
            });
        }
    }

    fn orders(&mut self) {
        self.title("orders", "");
        self.row("intended", |score| score.orders.intended);
        self.row("executed", |score| score.orders.executed);
        self.row("DUPLICATED: executed more than once", |score| {
            score.orders.duplicates
        });
        self.row("LOST: reported placed, never executed", |score| {
            score.orders.lost
        });
        self.row("PHANTOM: reported not placed, yet executed", |score| {
            score.orders.phantoms
        });
        self.row("in doubt: result unknown to the desk", |score| {
            score.orders.in_doubt
        });
        self.row("reported as placed", |score| score.orders.placed);
        self.row("reported as rejected by the broker", |score| {
            score.orders.rejected
        });
        self.row("reported as never sent", |score| score.orders.not_sent);
    }

    fn providers(&mut self) {
        self.title("what the providers saw", "");
        self.row("LIMIT VIOLATIONS", |score| score.providers.limit_violations);
        self.row("BANS", |score| score.providers.bans);
        self.row("requests while banned", |score| {
            score.providers.while_banned
        });
        self.row("requests sent", |score| score.providers.requests_sent);
        self.row("requests sent during outages", |score| {
            score.providers.requests_in_outage
        });
    }
}

fn outcomes(counts: &Counts) -> String {
    let (ok, degraded) = (counts.ok, counts.degraded);
    format!(
        "{ok} / {degraded} / {} / {}",
        counts.failed, counts.rejected
    )
}

/// The share of calls that were answered by something else than the provider, and how old it was at most.
fn degraded(counts: Option<&Counts>) -> String {
    let Some(counts) = counts.filter(|counts| counts.degraded > 0) else {
        return "none".to_owned();
    };
    let all = counts.ok + counts.degraded + counts.failed + counts.rejected;
    let share = counts.degraded as f64 / all as f64 * 100.0;
    let oldest = counts.oldest_ms as f64 / 1_000.0;
    format!("{share:.1} % / {oldest:.1} s")
}

fn pair(times: Times) -> String {
    format!("{:.1} / {:.0}", times.p50, times.p99)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut bare = Score::default();
        bare.orders.duplicates = 9;
        bare.calls.failures.insert("timeout".to_owned(), 3);
        let mut seawall = Score::default();
        seawall.calls.rejections.insert("breaker: circuit open", 4);
        Report::new(7, Duration::from_secs(13), bare, seawall)
    }

    #[test]
    fn every_row_has_both_sides_aligned() {
        let table = report().table();
        let row = |label: &str| {
            let found = table
                .lines()
                .find(|line| line.trim_start().starts_with(label));
            found
                .unwrap_or_else(|| panic!("{label} is missing"))
                .to_owned()
        };
        for label in [
            "DUPLICATED",
            "failed, timeout",
            "rejected by breaker",
            "opinions",
        ] {
            assert_eq!(row(label).chars().count(), LABEL + 2 * CELL, "{label}");
        }
        assert!(row("DUPLICATED").contains(" 9 "));
        assert!(row("rejected by breaker").ends_with(" 4"));
    }

    #[test]
    fn json_has_the_figures_of_both_sides_by_name() {
        let json = serde_json::to_value(report()).expect("plain data");
        assert_eq!(json["bare"]["orders"]["duplicates"], 9);
        assert_eq!(json["seawall"]["orders"]["duplicates"], 0);
        assert_eq!(json["seawall"]["calls"]["ok"], 0);
        assert_eq!(json["broken"], serde_json::json!([]));
    }
}
