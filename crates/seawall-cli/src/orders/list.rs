//! The orders of a journal as a table.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::SystemTime;

use seawall_orders::journal::durable::JournalSnapshot;
use seawall_orders::journal::{Entry, Filter, JournalError, State};
use serde_json::json;

use super::arguments::List;
use super::error::{Done, explained};
use super::{show, text};

/// The exit code where an order is exhausted: nobody but a person looks after it.
const EXHAUSTED: u8 = 3;

/// The last ones that match, and how many there are before them.
struct Found {
    shown: VecDeque<Entry>,
    total: usize,
    exhausted: usize,
}

pub(crate) fn run(list: &List, out: &mut dyn Write) -> Done {
    let now = SystemTime::now();
    let mut journal = JournalSnapshot::read(&list.journal).map_err(explained)?;
    let found = find(list, &mut journal, now).map_err(explained)?;
    if list.json {
        print_json(list, &found, now, out)?;
    } else {
        print(list, &found, now, out)?;
    }
    Ok(if found.exhausted > 0 { EXHAUSTED } else { 0 })
}

fn find(
    list: &List,
    journal: &mut JournalSnapshot,
    now: SystemTime,
) -> Result<Found, JournalError> {
    let mut filter = Filter::all().states(list.states.iter().copied());
    if let Some(from) = list.since.and_then(|since| now.checked_sub(since)) {
        filter = filter.from(from);
    }
    let mut found = Found {
        shown: VecDeque::new(),
        total: 0,
        exhausted: 0,
    };
    loop {
        let page = journal.list(&filter)?;
        for entry in page.entries {
            found.total += 1;
            found.exhausted += usize::from(entry.state() == State::Exhausted);
            if found.shown.len() == list.limit {
                found.shown.pop_front();
            }
            found.shown.push_back(entry);
        }
        match page.next {
            Some(seq) => filter = filter.after(seq),
            None => return Ok(found),
        }
    }
}

fn print_json(list: &List, found: &Found, now: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    let entries: Vec<_> = found
        .shown
        .iter()
        .map(|entry| show::short(entry, now))
        .collect();
    let all = json!({
        "journal": list.journal.display().to_string(),
        "entries": entries,
        "not_shown": found.total - found.shown.len(),
        "exhausted": found.exhausted,
    });
    writeln!(out, "{all:#}")
}

fn print(list: &List, found: &Found, now: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![
        [
            "number",
            "id",
            "account",
            "operation",
            "state",
            "attempts",
            "age",
            "broker id",
        ]
        .map(str::to_owned),
    ];
    rows.extend(found.shown.iter().map(|entry| {
        let intent = entry.intent();
        [
            entry.seq().to_string(),
            text::escape(intent.id().as_bytes()),
            text::escape(intent.account_name().as_bytes()),
            intent.kind().as_str().to_owned(),
            entry.state().to_string(),
            entry.attempts().to_string(),
            text::age(text::since(intent.at(), now)),
            text::escape(entry.broker_id()),
        ]
    }));
    if !found.shown.is_empty() {
        let widths: [usize; 8] = std::array::from_fn(|column| {
            let width = |row: &[String; 8]| row[column].chars().count();
            rows.iter().map(width).max().unwrap_or_default()
        });
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    let words: Vec<_> = list.states.iter().map(|state| state.as_str()).collect();
    let kind = match (words.len(), words.as_slice()) {
        (1, [word]) => format!(
            " that {} {word}",
            if found.total == 1 { "is" } else { "are" }
        ),
        (len, _) if len == State::ALL.len() => String::new(),
        _ => format!(" that {} open", if found.total == 1 { "is" } else { "are" }),
    };
    let entries = if found.total == 1 { "order" } else { "orders" };
    write!(out, "{} {entries}{kind}", found.total)?;
    let hidden = found.total - found.shown.len();
    if hidden > 0 {
        write!(
            out,
            ", {hidden} earlier not shown (--limit {})",
            found.total
        )?;
    }
    if found.exhausted > 0 {
        write!(
            out,
            "; {} exhausted: nobody looks after them",
            found.exhausted
        )?;
    }
    writeln!(out)
}
