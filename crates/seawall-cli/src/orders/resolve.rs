//! Settling an order by hand.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use seawall_orders::journal::durable::{DurableConfig, DurableJournal};
use seawall_orders::journal::{Entry, Journal as _, JournalError, Mark, State};
use serde_json::json;

use super::arguments::{Order, Outcome, Resolve};
use super::error::{Done, explained};
use super::{show, text};

/// Asks a person, and gives the answer; `None` where there is nobody to ask.
type Ask<'a> = &'a mut dyn FnMut(&str, &mut dyn Write) -> io::Result<Option<String>>;

pub(crate) fn run(
    resolve: &Resolve,
    out: &mut dyn Write,
    errors: &mut dyn Write,
    ask: Ask<'_>,
) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    // How long ended orders are kept is up to the program.
    let config = DurableConfig::default().retention(Duration::MAX)?;
    // It stays locked until all is done: what was asked about is what is settled.
    let journal = runtime
        .block_on(DurableJournal::open_existing(&resolve.journal, config))
        .map_err(explained)?;
    let settled = runtime.block_on(settle(resolve, &journal, out, errors, ask));
    let closed = runtime.block_on(journal.close()).map_err(explained);
    let done = settled?;
    closed?;
    Ok(done)
}

async fn settle(
    resolve: &Resolve,
    journal: &DurableJournal,
    out: &mut dyn Write,
    errors: &mut dyn Write,
    ask: Ask<'_>,
) -> Done {
    let id = text::escape(resolve.id.as_bytes());
    let entry = journal.entry(&resolve.id).await.map_err(explained)?;
    let Some(entry) = entry else {
        let order = Order::Id(resolve.id.clone());
        return Err(show::missing(&order, &resolve.journal.display().to_string()).into());
    };
    let before = entry.state();
    if !before.is_open() {
        return Err(ended(&entry).into());
    }
    let to = outcome_state(resolve.outcome);
    if !resolve.yes {
        show::print(&entry, SystemTime::now(), errors)?;
        let question = format!("\nMark `{id}` as {to}? Type yes: ");
        match ask(&question, errors)? {
            None => return Err("without a terminal to ask at, `--yes` is needed".into()),
            Some(answer) if answer.trim() == "yes" => {}
            Some(_) => return Err("nothing was changed".into()),
        }
    }
    for mark in marks(resolve, &entry, SystemTime::now()) {
        let marked: Result<State, JournalError> = journal.mark(&resolve.id, mark).await;
        marked.map_err(explained)?;
    }
    writeln!(
        out,
        "{id}: {before} before, {to} now; the program reads it when it starts"
    )?;
    Ok(0)
}

fn ended(entry: &Entry) -> String {
    let changed = text::utc(entry.changed_at());
    let id = text::escape(entry.intent().id().as_bytes());
    let state = entry.state();
    format!(
        "`{id}` is {state} since {changed}: only open orders can be settled; nothing was changed"
    )
}

fn outcome_state(outcome: Outcome) -> State {
    match outcome {
        Outcome::Confirmed => State::Confirmed,
        Outcome::NotExecuted => State::Absent,
        Outcome::Abandoned => State::Abandoned,
    }
}

/// What is written, in order.
fn marks(resolve: &Resolve, entry: &Entry, at: SystemTime) -> Vec<Mark> {
    let details = json!({
        "by": user(),
        "because": resolve.because,
        "with": "seawall orders resolve",
    })
    .to_string();
    let mark = match resolve.outcome {
        Outcome::Confirmed => Mark::confirmed(at, resolve.broker_id.clone(), details),
        Outcome::NotExecuted => Mark::absent(at).details(details),
        Outcome::Abandoned => Mark::abandoned(at, details),
    };
    let mut marks = vec![mark];
    if !entry.state().allows(outcome_state(resolve.outcome)) {
        // It is only written down. As at a start of the program, it may have left before a crash.
        let attempt = entry.attempts().saturating_add(1);
        marks.insert(0, Mark::sent(at, attempt));
    }
    marks
}

/// Who settles it, as far as the environment says so.
pub(crate) fn user() -> String {
    let of = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    let user = of("USER")
        .or_else(|| of("LOGNAME"))
        .or_else(|| of("USERNAME"));
    match (user, of("SUDO_USER")) {
        (Some(user), Some(real)) if user != real => format!("{user} for {real}"),
        (Some(user), _) => user,
        (None, Some(real)) => real,
        (None, None) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests;
