//! What is printed.

use std::fmt::Write;

use crate::BoxError;
use crate::clients::{GROUPS, Group, Subject, WAITS};
use crate::load::{AFTER, BEFORE, Score};
use crate::options::Options;
use crate::upstream::{END, Excess, OUTAGE};

/// Every library's runs with one upstream, in the order of [`GROUPS`].
pub(crate) struct Scenario {
    pub(crate) excess: Excess,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) group: &'static Group,
    pub(crate) subject: &'static Subject,
    pub(crate) runs: Vec<Score>,
}

pub(crate) fn text(all: &[Scenario], options: &Options) -> String {
    let (clients, runs) = (options.clients, options.runs);
    let mut out = format!(
        "{clients} clients of one process call an upstream once per second each for {END} s. It is \
         down from\n{} s to {} s, and otherwise fails one of a hundred requests by accident.\n{WAITS}",
        OUTAGE.start, OUTAGE.end,
    );
    let last = u64::from(options.seed) + u64::from(runs) - 1;
    let _ = match runs {
        1 => writeln!(out, "One run, seed {last}."),
        _ => writeln!(
            out,
            "{runs} runs, seeds {} to {last}: medians, and what lies between the least and the most.",
            options.seed,
        ),
    };
    for scenario in all {
        let _ = writeln!(out, "\n{}", upstream(scenario.excess, clients));
        table(&mut out, scenario, clients);
    }
    out.push_str("\nBudgets:\n");
    for subject in GROUPS.iter().flat_map(|group| group.subjects) {
        let _ = writeln!(out, "  {:<32}{}", subject.name, subject.budget);
    }
    out
}

fn upstream(excess: Excess, clients: u32) -> String {
    match excess {
        Excess::Shed => format!(
            "An upstream that fails immediately what exceeds {} requests per second, and \
             everything while it is down:",
            2 * clients
        ),
        Excess::Queue => format!(
            "An upstream that serves {} requests per second one after the other, whether the \
             caller still\nwaits or not, and fails them immediately with a backlog of 2 s. While \
             it is down it does no work:",
            3 * clients / 2
        ),
    }
}

// Writing into a string cannot fail.
fn table(out: &mut String, scenario: &Scenario, clients: u32) {
    let calls = |seconds: std::ops::Range<u64>| (seconds.end - seconds.start) * u64::from(clients);
    let _ = writeln!(
        out,
        "{:<32}{:<43}{:<27}back to\n{:<32}{:<25}{:>6}{:>9}{:>9}{:>9}{:>9}   normal after",
        "",
        "   requests",
        "   calls succeeded",
        "",
        "   in the outage",
        "peak/s",
        "after",
        "before",
        "in",
        "after",
    );
    let _ = writeln!(
        out,
        "{:<32}   {:<22}{:>6}{:>9}{:>9}{:>9}{:>9}",
        "  of calls",
        calls(OUTAGE),
        clients,
        calls(AFTER),
        calls(BEFORE),
        calls(OUTAGE),
        calls(AFTER),
    );
    let mut group = "";
    for row in &scenario.rows {
        if group != row.group.title {
            group = row.group.title;
            let _ = writeln!(out, "{group}");
        }
        let median = |of: fn(&Score) -> u64| spread(&row.runs, of)[1];
        let [least, mid, most] = spread(&row.runs, |score| score.sent_in(OUTAGE));
        let in_outage = match least == most {
            true => mid.to_string(),
            false => format!("{mid} ({least} to {most})"),
        };
        let _ = writeln!(
            out,
            "  {:<30}   {in_outage:<22}{:>6}{:>9}{:>9}{:>9}{:>9}   {}",
            row.subject.name,
            median(Score::peak),
            median(|score| score.sent_in(AFTER)),
            median(|score| score.succeeded_in(BEFORE)),
            median(|score| score.succeeded_in(OUTAGE)),
            median(|score| score.succeeded_in(AFTER)),
            normal(&row.runs),
        );
    }
}

/// Least, median (the greater of the two middle ones) and most.
fn spread(runs: &[Score], of: fn(&Score) -> u64) -> [u64; 3] {
    let mut all: Vec<_> = runs.iter().map(of).collect();
    all.sort_unstable();
    [all[0], all[all.len() / 2], all[all.len() - 1]]
}

fn normal(runs: &[Score]) -> String {
    let [least, _, most] = spread(runs, |score| score.normal_after().unwrap_or(u64::MAX));
    let text = |seconds| match seconds {
        u64::MAX => format!("not in {} s", END - OUTAGE.end),
        seconds => format!("{seconds} s"),
    };
    match least == most {
        true => text(least),
        false => format!("{} to {}", text(least), text(most)),
    }
}

pub(crate) fn json(all: &[Scenario], options: &Options) -> Result<String, BoxError> {
    let mut rows = Vec::new();
    for scenario in all {
        for row in &scenario.rows {
            for (seed, score) in (u64::from(options.seed)..).zip(&row.runs) {
                rows.push(serde_json::json!({
                    "upstream": match scenario.excess {
                        Excess::Shed => "sheds",
                        Excess::Queue => "queues",
                    },
                    "group": row.group.title,
                    "name": row.subject.name,
                    "budget": row.subject.budget,
                    "clients": options.clients,
                    "seed": seed,
                    "sent_before": score.sent_in(BEFORE),
                    "sent_in_outage": score.sent_in(OUTAGE),
                    "sent_after": score.sent_in(AFTER),
                    "peak_in_outage": score.peak(),
                    "succeeded_before": score.succeeded_in(BEFORE),
                    "succeeded_in_outage": score.succeeded_in(OUTAGE),
                    "succeeded_after": score.succeeded_in(AFTER),
                    "normal_after_seconds": score.normal_after(),
                    "sent_per_second": score.sent,
                    "succeeded_per_second": score.succeeded,
                }));
            }
        }
    }
    Ok(serde_json::to_string_pretty(&rows)?)
}
