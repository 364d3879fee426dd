//! One order with all that is known of it.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use seawall_orders::journal::durable::JournalSnapshot;
use seawall_orders::journal::{Entry, Filter, State};
use serde_json::{Value, json};

use super::arguments::{Order, Show};
use super::error::{Done, explained};
use super::text;

/// The most bytes of a body that are printed; `--json` has all.
const MAX_BODY: usize = 4096;

pub(crate) fn run(show: &Show, out: &mut dyn Write) -> Done {
    let now = SystemTime::now();
    let mut journal = JournalSnapshot::read(&show.journal).map_err(explained)?;
    let found = match &show.order {
        Order::Id(id) => journal.entry(id),
        Order::Number(number) => by_number(&mut journal, *number),
    };
    let Some(entry) = found.map_err(explained)? else {
        return Err(missing(&show.order, &show.journal.display().to_string()).into());
    };
    if show.json {
        writeln!(out, "{:#}", full(&entry, now))?;
    } else {
        print(&entry, now, out)?;
    }
    Ok(0)
}

fn by_number(
    journal: &mut JournalSnapshot,
    number: u64,
) -> Result<Option<Entry>, seawall_orders::journal::JournalError> {
    let filter = Filter::all().limit(1);
    let filter = match number.checked_sub(1) {
        Some(before) => filter.after(before),
        None => filter,
    };
    let found = journal.list(&filter)?.entries.pop();
    Ok(found.filter(|entry| entry.seq() == number))
}

/// The error of an order that the journal does not have.
pub(crate) fn missing(order: &Order, journal: &str) -> String {
    let name = match order {
        Order::Id(id) => format!("client order id `{}`", text::escape(id.as_bytes())),
        Order::Number(number) => format!("number {number}"),
    };
    format!(
        "no order in {journal} has the {name}: it was never written, or is settled for longer than \
         the program keeps it"
    )
}

/// An order for a list.
pub(crate) fn short(entry: &Entry, now: SystemTime) -> Value {
    let intent = entry.intent();
    json!({
        "number": entry.seq(),
        "id": intent.id(),
        "account": intent.account_name(),
        "operation": intent.kind().as_str(),
        "state": entry.state().as_str(),
        "open": entry.state().is_open(),
        "attempts": entry.attempts(),
        "at_ms": millis(intent.at()),
        "changed_at_ms": millis(entry.changed_at()),
        "age_seconds": text::since(intent.at(), now).as_secs_f64(),
        "broker_id": bytes(entry.broker_id()),
    })
}

fn full(entry: &Entry, now: SystemTime) -> Value {
    let intent = entry.intent();
    let request = intent.saved_request();
    let headers: Vec<_> = request
        .headers()
        .map(|(name, value)| json!([name, bytes(value)]))
        .collect();
    let steps: Vec<_> = entry
        .steps()
        .iter()
        .map(|step| {
            json!({
                "state": step.state().as_str(),
                "at_ms": millis(step.at()),
                "at": text::utc(step.at()),
                "attempt": step.attempt(),
            })
        })
        .collect();
    let mut all = short(entry, now);
    all["run"] = json!(intent.run_name());
    all["details"] = bytes(entry.details());
    all["hook"] = bytes(intent.hook_data());
    all["steps"] = steps.into();
    all["steps_total"] = entry.steps_total().into();
    all["request"] = json!({
        "method": bytes(request.method()),
        "target": bytes(request.target()),
        "headers": headers,
        "body": bytes(&request.body_bytes()),
    });
    all["advice"] = advice(entry.state()).into();
    all
}

/// Text as text, and what is no UTF-8 as `{"hex": ".."}`.
fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The order for a person.
pub(crate) fn print(entry: &Entry, now: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    let intent = entry.intent();
    let id = text::escape(intent.id().as_bytes());
    let state = entry.state();
    let age = text::age(text::since(entry.changed_at(), now));
    writeln!(out, "{id}: {state} for {age}")?;
    let operation = intent.kind().as_str().to_owned();
    for (name, value) in [
        ("number", entry.seq().to_string()),
        ("account", text::escape(intent.account_name().as_bytes())),
        ("operation", operation),
        ("attempts", entry.attempts().to_string()),
        ("broker id", text::escape(entry.broker_id())),
        ("details", text::escape(entry.details())),
        ("run", text::escape(intent.run_name().as_bytes())),
        ("own data", text::escape(intent.hook_data())),
    ] {
        if !value.is_empty() {
            writeln!(out, "  {name:10} {value}")?;
        }
    }
    print_steps(entry, now, out)?;
    print_request(entry, out)?;
    writeln!(out, "what to do")?;
    for line in advice(state).lines() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn print_steps(entry: &Entry, now: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "steps")?;
    let kept = entry.steps();
    let left_out = entry.steps_total() as usize - kept.len().min(entry.steps_total() as usize);
    if left_out > 0 {
        writeln!(out, "  ({left_out} earlier ones are not kept)")?;
    }
    for step in kept {
        let (at, state) = (text::utc(step.at()), step.state());
        let ago = text::age(text::since(step.at(), now));
        match step.attempt() {
            0 => writeln!(out, "  {at}  {state}, {ago} ago")?,
            attempt => writeln!(out, "  {at}  {state}, attempt {attempt}, {ago} ago")?,
        }
    }
    Ok(())
}

fn print_request(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    let request = entry.intent().saved_request();
    let line = [request.method(), request.target()].map(text::escape);
    writeln!(
        out,
        "request, without credentials\n  {} {}",
        line[0], line[1]
    )?;
    for (name, value) in request.headers() {
        writeln!(
            out,
            "  {}: {}",
            text::escape(name.as_bytes()),
            text::escape(value)
        )?;
    }
    let body = request.body_bytes();
    if !body.is_empty() {
        writeln!(out, "  {}", text::escape(&body[..body.len().min(MAX_BODY)]))?;
    }
    if body.len() > MAX_BODY {
        writeln!(out, "  ({} more bytes: --json)", body.len() - MAX_BODY)?;
    }
    Ok(())
}

/// What a person does about an order in this state.
fn advice(state: State) -> &'static str {
    match state {
        State::Intent => {
            "The order was written down and most likely has not left; a crash may have come in between.\n\
             The program looks it up when it starts. If it does not start again: look for the client order\n\
             id at the broker, and settle it with `seawall orders resolve`."
        }
        State::Sent => {
            "The order may be at the broker; nobody knows. Do not place it again. The program looks it up\n\
             when it starts. If that must not wait: look at the broker for the client order id among open\n\
             orders, closed ones and fills.\n\
             There: `resolve ID confirmed --broker-id X`. Not there, and the last attempt some minutes ago:\n\
             `resolve ID not-executed`."
        }
        State::Exhausted => {
            "The order may be at the broker, every look-up has failed, and nothing looks any more until the\n\
             program starts again. Do not place it again. Look at the broker, by hand and now, for the\n\
             client order id among open orders, closed ones and fills.\n\
             There: `resolve ID confirmed --broker-id X`. Not there: `resolve ID not-executed`."
        }
        State::Confirmed => "Nothing: the broker has the order.",
        State::Absent => {
            "Nothing: the broker does not have the order. Place a new one if it is still wanted."
        }
        State::Rejected => {
            "Nothing: the broker rejected the order. Correct it, and place a new one."
        }
        State::Abandoned => {
            "Nothing here: the order was given up. If it was by hand, the details have who did so and why."
        }
        _ => "A later version of this program knows this state.",
    }
}
