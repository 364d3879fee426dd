//! The rows, for people and for programs.

use std::fmt::Write;

use crate::crowd::Batches;
use crate::harness::Row;

/// A table of all rows, grouped by pattern so that ours stands beside its peers.
pub(crate) fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut rows: Vec<&Row> = rows.iter().collect();
    // Stable: within a pattern the crates keep their order.
    rows.sort_by_key(|row| rank(pattern(row.subject)));
    let width = rows.iter().map(|row| row.subject.len()).max().unwrap_or(0);
    let mut table = format!(
        "{:width$} {:>10} {:>10} {:>7} {:>8} {:>8} {:>8} {:>9}\n",
        "subject", "ns median", "ns min", "allocs", "bytes", "service", "future", "2 threads"
    );
    let mut last = "";
    for row in rows {
        if pattern(row.subject) != last {
            last = pattern(row.subject);
            table.push('\n');
        }
        let pair = row
            .two_threads
            .map_or("-".to_owned(), |r| format!("{r:.2}"));
        // Writing into a String cannot fail.
        let _ = writeln!(
            table,
            "{:width$} {:>10.1} {:>10.1} {:>7} {:>8} {:>8} {:>8} {pair:>9}",
            row.subject,
            row.ns_median,
            row.ns_min,
            row.allocs,
            row.bytes,
            row.service_bytes,
            row.future_bytes,
        );
    }
    table
}

/// A table of what many tasks at once did, the durations in microseconds; nothing without any.
pub(crate) fn crowds(crowds: &[Batches]) -> String {
    if crowds.is_empty() {
        return String::new();
    }
    let width = crowds.iter().map(|crowd| crowd.name.len()).max();
    let width = width.unwrap_or(0);
    let mut table = format!(
        "{:width$} {:>12} {:>10} {:>10}\n",
        "many tasks", "calls per ms", "us median", "us p99"
    );
    for crowd in crowds {
        let [calls, median, p99] = [
            crowd.median(|batch| batch.calls_per_ms),
            crowd.median(|batch| batch.median_us),
            crowd.median(|batch| batch.p99_us),
        ];
        // Writing into a String cannot fail.
        let _ = writeln!(
            table,
            "{:width$} {calls:>12.1} {median:>10.1} {p99:>10.1}",
            crowd.name
        );
    }
    table.push('\n');
    table
}

/// An array with one object per row.
pub(crate) fn json(rows: &[Row]) -> Result<String, String> {
    let rows: Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
    let rows = rows.map_err(|e| format!("a row does not fit into JSON: {e}"))?;
    Ok(format!("[\n{}\n]", rows.join(",\n")))
}

fn pattern(subject: &str) -> &str {
    match subject.split('/').collect::<Vec<_>>()[..] {
        ["raw", ..] => "raw",
        [_, pattern, _] => pattern,
        _ => "",
    }
}

const PATTERNS: [&str; 12] = [
    "raw",
    "lift",
    "breaker",
    "gate",
    "ratelimit",
    "bulkhead",
    "timeout",
    "retry",
    "hedge",
    "fallback",
    "cache",
    "coalesce",
];

fn rank(pattern: &str) -> usize {
    let known = PATTERNS.iter().position(|&p| p == pattern);
    known.unwrap_or(match pattern {
        "stack" => PATTERNS.len() + 1,
        "http" => PATTERNS.len() + 2,
        _ => PATTERNS.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subject: &'static str) -> Row {
        Row {
            subject,
            ns_median: 12.25,
            ns_min: 11.0,
            allocs: 0.0,
            bytes: 0.0,
            service_bytes: 8,
            future_bytes: 16,
            two_threads: None,
            together: Some(3.0),
            disturbed: false,
        }
    }

    #[test]
    fn a_row_of_json_has_the_agreed_keys_and_no_more() {
        let json = json(&[row("seawall/breaker/closed-count")]).expect("json");
        let row = r#"{"subject":"seawall/breaker/closed-count","ns_median":12.25,"ns_min":11.0,"allocs":0.0,"bytes":0.0,"service_bytes":8,"future_bytes":16,"two_threads":null}"#;
        assert_eq!(json, format!("[\n{row}\n]"));
    }

    #[test]
    fn the_table_puts_ours_beside_its_peers() {
        let table = table(&[row("a/retry/x"), row("a/breaker/x"), row("b/retry/x")]);
        let names: Vec<_> = table
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(names, ["a/breaker/x", "a/retry/x", "b/retry/x"]);
    }
}
