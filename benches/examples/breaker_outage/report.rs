//! The tables.

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;

use crate::BoxError;
use crate::outage::{Outage, Score};

type Tables<'a> = [(&'a Outage, Vec<Score>)];

pub(crate) fn text(tables: &Tables<'_>) -> String {
    let mut out = String::new();
    for (outage, rows) in tables {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "\n{}: {} (from 2 s to 6 s)", outage.name, outage.what);
        let _ = writeln!(
            out,
            "  {:<44} {:>12} {:>12} {:>15} {:>14}",
            "", "opened after", "let through", "responds again", "rejected until"
        );
        for row in rows {
            let name = format!("{}, {}", row.guard.library, row.guard.rule);
            let early = match row.rejected_before {
                0 => String::new(),
                n => format!("  ({n} rejected before)"),
            };
            let _ = writeln!(
                out,
                "  {name:<44} {:>12} {:>12} {:>15} {:>14}{early}",
                ms(row.opened_after),
                row.sent,
                ms(row.recovered_after),
                ms(row.rejected_until),
            );
        }
    }
    out
}

pub(crate) fn json(tables: &Tables<'_>) -> Result<String, BoxError> {
    let millis = |time: Option<Duration>| time.map(|t| t.as_millis());
    let rows: Vec<_> = tables
        .iter()
        .flat_map(|(outage, rows)| rows.iter().map(move |row| (outage, row)))
        .map(|(outage, row)| {
            json!({
                "outage": outage.name,
                "library": row.guard.library,
                "rule": row.guard.rule,
                "opened_after_ms": millis(row.opened_after),
                "let_through": row.sent,
                "recovered_after_ms": millis(row.recovered_after),
                "rejected_until_ms": millis(row.rejected_until),
                "rejected_before": row.rejected_before,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows)?)
}

fn ms(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{} ms", time.as_millis()))
}
