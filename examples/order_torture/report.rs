//! The contenders beside each other: a table, and the same as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::contender::Name;
use crate::score::Score;

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    scores: BTreeMap<Name, (Score, Duration)>,
}

type Row = (&'static str, fn(&Score) -> usize);

const ROWS: [Row; 8] = [
    ("intended", |score| score.intended),
    ("executed once", |score| score.executed_once),
    ("DUPLICATED: executed more than once", |score| {
        score.duplicated
    }),
    ("LOST: reported executed, and is not", |score| score.lost),
    ("PHANTOM: reported not executed, and is", |score| {
        score.phantom
    }),
    ("IN DOUBT: never settled", |score| score.in_doubt),
    ("reported as not executed", |score| {
        score.reported_not_executed
    }),
    ("kills", |score| score.kills),
];

const LABEL: usize = 42;
const CELL: usize = 18;

impl Report {
    pub(crate) fn add(&mut self, name: Name, score: Score, took: Duration) {
        self.scores.insert(name, (score, took));
    }

    /// What of Seawall's must not be.
    pub(crate) fn broken(&self) -> Vec<String> {
        let seawall = self.scores.get(&Name::Seawall);
        seawall.map_or_else(Vec::new, |(score, _)| score.broken())
    }

    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, cells: &mut dyn Iterator<Item = String>| {
            // Writing to a string does not fail.
            let _ = write!(text, "{label:<LABEL$}");
            for cell in cells {
                let _ = write!(text, "{cell:>CELL$}");
            }
            text.push('\n');
        };
        line("", &mut self.scores.keys().map(|name| name.as_str().into()));
        for (label, figure) in ROWS {
            let scores = self.scores.values();
            line(
                label,
                &mut scores.map(|(score, _)| figure(score).to_string()),
            );
        }
        let seconds = self.scores.values();
        let mut seconds = seconds.map(|(_, took)| format!("{:.1}", took.as_secs_f64()));
        line("seconds", &mut seconds);
        text
    }

    /// One object with one object for each contender.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        let scores = self.scores.iter();
        let scores: BTreeMap<_, _> = scores
            .map(|(name, (score, _))| (name.as_str(), score))
            .collect();
        serde_json::to_string(&scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        let bad = Score {
            intended: 5,
            duplicated: 3,
            ..Score::default()
        };
        report.add(Name::NoRetry, bad, Duration::from_secs(2));
        report.add(Name::Seawall, Score::default(), Duration::from_secs(1));
        report
    }

    #[test]
    fn every_row_has_every_contender_aligned() {
        let table = report().table();
        for line in table.lines() {
            assert_eq!(line.chars().count(), LABEL + 2 * CELL, "{line:?}");
        }
        let first = table.lines().next().expect("a title");
        assert!(first.find("seawall") < first.find("no_retry"));
        assert!(table.contains("DUPLICATED"));
    }

    #[test]
    fn json_has_an_object_for_each_contender() {
        let json: serde_json::Value =
            serde_json::from_str(&report().json().expect("plain data")).expect("JSON");
        assert_eq!(json["no_retry"]["duplicated"], 3);
        assert_eq!(json["seawall"]["in_doubt"], 0);
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(2));
    }

    #[test]
    fn only_what_is_seawalls_breaks_the_run() {
        assert!(report().broken().is_empty());
        let mut report = report();
        let bad = Score {
            lost: 1,
            ..Score::default()
        };
        report.add(Name::Seawall, bad, Duration::ZERO);
        assert_eq!(report.broken(), ["1 reported as executed, and lost"]);
    }
}
