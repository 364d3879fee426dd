//! The part of the documentation about orders.

use std::fmt::{self, Write as _};
use std::time::Duration;

use toml::Spanned;

use super::data::{IdForm, IdsData, ListData, OrdersData, ReplyData};
use crate::catalog::figure::Mark;

/// How the page writes sources and times.
#[derive(Clone, Copy)]
pub(in crate::catalog) struct Style {
    pub(in crate::catalog) source: fn(&Spanned<String>, Mark) -> String,
    pub(in crate::catalog) time: fn(Duration) -> String,
}

struct Rows<'a> {
    page: &'a mut String,
    style: Style,
}

impl Rows<'_> {
    fn row(&mut self, what: &str, is: &str, source: &Spanned<String>, mark: Mark) -> fmt::Result {
        let source = (self.style.source)(source, mark);
        writeln!(self.page, "| {what} | {is} | {source} |")
    }
}

/// Writes what is known of the orders of a provider.
pub(in crate::catalog) fn orders(
    page: &mut String,
    orders: &OrdersData,
    style: Style,
) -> fmt::Result {
    writeln!(page, "\n| orders | | |\n|---|---|---|")?;
    let mut rows = Rows { page, style };
    ids(&mut rows, orders)?;
    look_ups(&mut rows, orders)?;
    responses(&mut rows, orders)
}

fn ids(rows: &mut Rows<'_>, orders: &OrdersData) -> fmt::Result {
    let create = &orders.create;
    let id = create.id.as_deref().unwrap_or_default();
    rows.row(
        "client order id",
        &format!("`{id}`"),
        &create.source,
        create.mark,
    )?;
    let ids = &orders.ids;
    rows.row("accepted ids", &accepted(ids), &ids.source, ids.mark)?;
    let second = orders.duplicates.as_str();
    let what = "a second order of the same id";
    rows.row(what, second, &orders.source, orders.mark)?;
    for (what, order) in [
        ("the broker's id in a response", &orders.reply),
        ("the same in a list", &orders.order),
    ] {
        let id = order.broker_id.as_deref().unwrap_or_default();
        rows.row(what, &format!("`{id}`"), &order.source, order.mark)?;
    }
    Ok(())
}

fn look_ups(rows: &mut Rows<'_>, orders: &OrdersData) -> fmt::Result {
    let (look_ups, time) = (&orders.look_ups, rows.style.time);
    let coverage = look_ups.coverage.as_str();
    let absent = format!("{coverage}, after {}", time(look_ups.window.0));
    let what = "an order is absent if it is not found";
    rows.row(what, &absent, &look_ups.source, look_ups.mark)?;
    for list in &orders.lists {
        let what = what_is_listed(list);
        let is = match list.reach {
            Some(reach) => format!("`{}`, back to {} ago", list.request, time(reach.0)),
            None => format!("`{}`", list.request),
        };
        rows.row(&what, &is, &list.source, list.mark)?;
    }
    for cancel in &orders.cancels {
        let is = format!("`{}`", cancel.request);
        rows.row("cancelled by", &is, &cancel.source, cancel.mark)?;
    }
    if let Some(positions) = &orders.positions {
        let is = format!("`{}`", positions.request);
        rows.row("positions", &is, &positions.source, positions.mark)?;
    }
    Ok(())
}

fn responses(rows: &mut Rows<'_>, orders: &OrdersData) -> fmt::Result {
    for words in &orders.states {
        let texts: Vec<_> = words.words.iter().map(|word| format!("`{word}`")).collect();
        let state = words.state.as_str();
        rows.row(&texts.join(", "), state, &words.source, words.mark)?;
    }
    if let Some(throttle) = &orders.throttle {
        let is = match throttle.rejects {
            true => "was not executed",
            false => "may have been executed",
        };
        rows.row(
            "an order that is throttled",
            is,
            &throttle.source,
            throttle.mark,
        )?;
    }
    for reply in &orders.replies {
        let means = match reply.state {
            Some(state) => state.as_str(),
            None => reply.means.as_str(),
        };
        rows.row(&looks(reply), means, &reply.source, reply.mark)?;
    }
    Ok(())
}

fn what_is_listed(list: &ListData) -> String {
    let query = list.query.as_str();
    match list.all {
        true => format!("all {query}"),
        false => format!("looked up: {query}"),
    }
}

/// Like what a response is: `422, "message" has "must be unique"`.
fn looks(reply: &ReplyData) -> String {
    let mut parts: Vec<_> = reply.statuses.iter().map(u16::to_string).collect();
    if let Some(at) = &reply.at {
        let words = |texts: &[String]| {
            let texts: Vec<_> = texts.iter().map(|text| format!("`{text}`")).collect();
            texts.join(" or ")
        };
        parts.push(match (&reply.equals[..], &reply.contains[..]) {
            ([], []) => format!("`{at}` is there"),
            (equals, []) => format!("`{at}` is {}", words(equals)),
            (_, contains) => format!("`{at}` contains {}", words(contains)),
        });
    }
    let looks = parts.join(", ");
    match reply.of {
        Some(of) => format!("to a {}: {looks}", of.as_str()),
        None => looks,
    }
}

fn accepted(ids: &IdsData) -> String {
    let mut is = format!("up to {} letters and digits", ids.max_length);
    if !ids.characters.is_empty() {
        is = format!("{is}, and `{}`", ids.characters);
    }
    if ids.or_uuid {
        is.push_str(", or a UUID");
    }
    match ids.form {
        IdForm::Text => is,
        form => format!("{is}; made are {}", form.as_str()),
    }
}
