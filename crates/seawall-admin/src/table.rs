//! An overview as text, for terminals.

use std::fmt::Write;

use seawall_monitor::{AlertState, AlertView, LimitView, Overview, ServiceOverview, SilenceView};

/// What is not known.
const UNKNOWN: &str = "-";

/// An overview as text: whether one can trade, a line for each service, those with most trouble first, the
/// alerts that are firing, and the silences.
pub(crate) fn of(overview: &Overview, now_unix_ms: u64) -> String {
    let mut text = String::new();
    let verdict = &overview.verdict;
    let _ = writeln!(
        text,
        "{}: can I trade? {}",
        clean(overview.program),
        clean(&verdict.words)
    );
    if let Some(score) = &overview.score {
        let (score, least) = (score.score, score.threshold);
        let _ = writeln!(text, "health score {score:.0} of 100, low below {least:.0}");
    }
    if let Some(orders) = &overview.orders {
        let switch = if orders.kill_switch {
            ", the kill switch is engaged"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "orders: mode {}, {} in doubt, {} exhausted{switch}",
            orders.mode, orders.in_doubt, orders.exhausted
        );
    }
    let age = now_unix_ms.saturating_sub(overview.at_unix_ms) as f64 / 1_000.0;
    let stopped = if overview.monitor.is_running {
        ""
    } else {
        ": the monitor does not run"
    };
    let _ = writeln!(text, "read {age:.1} s ago{stopped}\n");
    let mut rows = vec![
        [
            "SERVICE", "STATE", "CALLS/S", "ERRORS", "P99", "IN USE", "LIMITS", "VERDICT",
        ]
        .map(str::to_owned),
    ];
    rows.extend(overview.services.iter().map(row));
    write_rows(&mut text, &rows);
    write_alerts(&mut text, overview, now_unix_ms);
    if !overview.silences.is_empty() {
        text.push('\n');
        let mut rows = vec![["SILENCE", "SERVICE", "FOR", "BY", "REASON"].map(str::to_owned)];
        let silences = overview.silences.iter();
        rows.extend(silences.map(|silence| silence_row(silence, now_unix_ms)));
        write_rows(&mut text, &rows);
    }
    text
}

fn write_alerts(text: &mut String, overview: &Overview, now_unix_ms: u64) {
    let firing = overview.alerts.iter();
    let firing: Vec<_> = firing
        .filter(|alert| alert.state == AlertState::Firing)
        .collect();
    if firing.is_empty() {
        text.push_str("\nno alert is firing\n");
        return;
    }
    text.push('\n');
    let mut rows = vec![["ALERT", "SEVERITY", "FOR", "NOTE", "WORDS"].map(str::to_owned)];
    rows.extend(
        firing
            .into_iter()
            .map(|alert| alert_row(alert, now_unix_ms)),
    );
    write_rows(text, &rows);
}

fn row(service: &ServiceOverview) -> [String; 8] {
    let in_use = match (service.in_flight, service.max_concurrent) {
        (Some(used), Some(most)) => format!("{used:.0}/{most:.0}"),
        (Some(used), None) => format!("{used:.0}"),
        _ => UNKNOWN.to_owned(),
    };
    let limits: Vec<_> = service.limits.iter().map(limit).collect();
    [
        clean(service.name),
        clean(service.state),
        format!("{:.1}", service.calls_per_second),
        service.error_ratio.map_or_else(unknown, percent),
        service.p99_seconds.map_or_else(unknown, time),
        in_use,
        if limits.is_empty() {
            unknown()
        } else {
            limits.join(", ")
        },
        clean(&service.verdict),
    ]
}

/// What is left of a limit: `3/200 requests`.
fn limit(limit: &LimitView) -> String {
    let provider = limit
        .provider
        .and_then(|it| Some((it.remaining?, it.limit?)));
    let own = || Some((limit.available?, limit.capacity?));
    let left = match provider.or_else(own) {
        Some((left, of)) => format!("{:.0}/{of:.0}", left.floor()),
        None => unknown(),
    };
    format!("{left} {}", clean(limit.unit))
}

fn alert_row(alert: &AlertView, now_unix_ms: u64) -> [String; 5] {
    let ms = now_unix_ms.saturating_sub(alert.raised_at_unix_ms);
    let note = match (&alert.silenced, &alert.acknowledged) {
        (Some(by), _) => format!("silenced by {}", by.by),
        (None, Some(by)) => format!("known to {}", by.by),
        (None, None) => String::new(),
    };
    [
        alert.name.to_owned(),
        alert.severity.as_str().to_owned(),
        format!("{} s", ms / 1_000),
        clean(&note),
        clean(&alert.words),
    ]
}

/// Which alerts are not sent, and for how long still.
fn silence_row(silence: &SilenceView, now_unix_ms: u64) -> [String; 5] {
    let ms = silence.silenced.until_unix_ms.saturating_sub(now_unix_ms);
    [
        silence.rule.unwrap_or("every alert").to_owned(),
        silence.service.map_or_else(unknown, clean),
        format!("{} s", ms / 1_000),
        clean(&silence.silenced.by),
        clean(&silence.silenced.reason),
    ]
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1_000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// A text without what commands a terminal: messages may be those of an upstream.
fn clean(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "?")
}

/// Rows in columns; the last one ends where it ends.
fn write_rows<const N: usize>(text: &mut String, rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_commands_a_terminal() {
        assert_eq!(clean("a\u{1b}[2J\nb"), "a?[2J?b");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["A", "B"], ["longer", ""], ["é", "x"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let mut text = String::new();
        write_rows(&mut text, &rows);
        assert_eq!(text, "A       B\nlonger\né       x\n");
    }
}
