//! What is set, put over a base: what fits, and what of the rest is wrong.

use std::collections::BTreeMap;

use seawall_core::InvalidConfig;

use super::apply::apply;
use super::numbers::Numbers;
use super::set::{Id, Set};
use super::setting::Table;
use super::value::Value;

type Values<'a> = BTreeMap<Id, &'a Value>;

/// What is wrong, and which setting it is about, if one that is set.
pub(super) type Wrong = (InvalidConfig, Option<Id>);

/// Settings that an error about another name may be about.
const RELATED: &[(&str, &[&str])] = &[
    ("failure_rate", &["calls"]),
    ("failure_rate_over", &["failure_rate", "period"]),
    ("slow_rate", &["calls", "slow_after"]),
    ("slow_rate_over", &["slow_rate", "period", "slow_after"]),
    ("slow_after", &["slow_rate"]),
    ("min_calls", &["calls", "period", "failure_rate"]),
    ("open_growth", &["open_factor", "longest_open", "open_for"]),
    ("longest_open", &["open_factor"]),
    ("open_factor", &["longest_open"]),
    ("open_decay", &["open_factor"]),
    ("half_open_policy", &["probe_wait"]),
    ("abandoned_policy", &["abandoned_after"]),
    ("ramp", &["ramp_steps", "ramp_step"]),
    ("close_rate", &["close_calls", "successes_to_close"]),
    ("max_age", &["consecutive_failures", "failure_rate"]),
    ("probe_timeout", &["open_for"]),
    ("rules", &["consecutive_failures", "failure_rate"]),
    ("first_wait", &["longest_wait", "backoff"]),
    ("longest_wait", &["first_wait", "backoff"]),
    ("throttled_first_wait", &["throttled_longest_wait"]),
    ("throttled_longest_wait", &["throttled_first_wait"]),
    (
        "throttled_backoff",
        &["throttled_first_wait", "throttled_longest_wait"],
    ),
    ("base", &["first_wait"]),
    ("cap", &["longest_wait"]),
    ("factor", &["backoff"]),
    ("overall_timeout", &["overall_timeout"]),
    ("lifo_threshold", &["max_waiting"]),
    ("max_waiting", &["max_wait"]),
    ("default_pause", &["max_pause"]),
    ("idle", &["total"]),
    ("utilization", &["limit"]),
    ("longest", &["longest_wait"]),
    ("rate", &["rate", "limit", "burst"]),
    ("burst", &["rate", "limit"]),
    ("limits", &["quotas"]),
    ("quotas", &["rate"]),
];

/// Settings of which one says little without the other.
const PAIRS: [(&str, &str); 16] = [
    ("first_wait", "longest_wait"),
    ("throttled_first_wait", "throttled_longest_wait"),
    ("backoff", "first_wait"),
    ("backoff", "factor"),
    ("limit", "burst"),
    ("failure_rate", "calls"),
    ("failure_rate", "period"),
    ("failure_rate", "min_calls"),
    ("slow_rate", "slow_after"),
    ("open_factor", "longest_open"),
    ("close_rate", "close_calls"),
    ("ramp_steps", "ramp_step"),
    ("stale_while_revalidate", "max_refreshes"),
    ("stale_while_revalidate", "max_wait"),
    ("body", "content_type"),
    ("body", "status"),
];

/// Whether a setting can be judged no longer where another one is wrong.
pub(super) fn depends((table, key): Id, (of, wrong): Id) -> bool {
    let pair =
        |&(one, other): &(&str, &str)| (one, other) == (key, wrong) || (other, one) == (key, wrong);
    table == of && PAIRS.iter().any(pair)
}

/// Puts `defaults` and then `own` over `numbers`, in one table.
///
/// Together, if that goes: a service may complete or correct what the defaults say. Otherwise one
/// after the other: what is without effect because of the service is no mistake of the defaults.
pub(super) fn put(
    numbers: &mut Numbers,
    table: Table,
    defaults: &Values<'_>,
    own: &Values<'_>,
) -> Vec<Wrong> {
    let of_table = |values: &Values<'_>| -> bool { values.keys().any(|(of, _)| *of == table) };
    if !of_table(own) && !of_table(defaults) {
        return Vec::new();
    }
    let mut together = defaults.clone();
    together.extend(own.iter().map(|(id, value)| (*id, *value)));
    let mut trial = numbers.clone();
    let set = Set {
        table,
        values: &together,
    };
    if apply(&mut trial, &set).is_ok() {
        *numbers = trial;
        return Vec::new();
    }
    let mut wrong = put_all(numbers, table, defaults.clone());
    wrong.extend(put_all(numbers, table, own.clone()));
    wrong
}

/// Puts `values` over `numbers`, without those that do not fit: all of these are listed.
fn put_all(numbers: &mut Numbers, table: Table, mut values: Values<'_>) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    loop {
        let mut trial = numbers.clone();
        let set = Set {
            table,
            values: &values,
        };
        let Err(error) = apply(&mut trial, &set) else {
            *numbers = trial;
            return wrong;
        };
        let id = about(&error, table, &values);
        wrong.push((error, id));
        let Some(id) = id else { return wrong };
        values.retain(|other, _| *other != id && !depends(*other, id));
    }
}

/// The setting that an error is about.
fn about(error: &InvalidConfig, table: Table, values: &Values<'_>) -> Option<Id> {
    let field = error.field();
    let related = RELATED.iter().find(|(name, _)| *name == field);
    let names = related.map_or(&[][..], |(_, related)| *related);
    let candidates = std::iter::once(field).chain(names.iter().copied());
    let mut found = candidates.filter_map(|name| {
        let mut ids = values.keys();
        ids.find(|(of, key)| *of == table && *key == name).copied()
    });
    found.next()
}
