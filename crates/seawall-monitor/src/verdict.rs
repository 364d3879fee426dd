//! What is wrong with a service, in words, and how much trouble that is. The table is in the docs of the crate.

use std::cmp::Ordering;

use crate::overview::{Level, ServiceOverview, Verdict};
use crate::rolling::Tick;
use crate::standing::{LimitReading, Standing, mode_rank};
use crate::words::{count, percent, tokens, wait};

/// Something that is wrong.
pub(crate) struct Condition {
    pub(crate) trouble: f64,
    pub(crate) level: Level,
    pub(crate) words: String,
}

/// How many conditions the words of a verdict name.
const NAMED: usize = 3;

/// Everything that is wrong with a service, the worst first.
pub(crate) fn conditions(now: &Standing, recent: &Tick) -> Vec<Condition> {
    let mut all = Vec::new();
    let mut add = |trouble: f64, level, words: String| {
        all.push(Condition {
            trouble,
            level,
            words,
        });
    };
    orders(now, &mut add);
    circuit(now, &mut add);
    match now.health {
        Some(3) => add(90.0, Level::Down, "unhealthy".to_owned()),
        Some(2) => add(30.0, Level::Degraded, "slow or not in full".to_owned()),
        _ => {}
    }
    if let Some(pattern) = now.unread {
        let words = format!("`{pattern}` cannot be read, it is shown as it was");
        add(72.0, Level::Degraded, words);
    }
    limits(now, recent, &mut add);
    if let (Some(lasts), Some(calls)) = (now.none_ended_for, now.in_flight) {
        let verb = if calls < 2.0 { "is" } else { "are" };
        let calls = count(calls as u64, "call");
        let lasts = wait(lasts.as_secs_f64());
        let words = format!("{calls} {verb} in flight, and none has ended for {lasts}");
        add(58.0, Level::Degraded, words);
    }
    let threshold = now.error_threshold.unwrap_or(0.1);
    if let Some(failed) = recent.error_ratio()
        && failed >= threshold
        && recent.failure > 0
    {
        let words = format!("{} of the calls fail", percent(failed));
        add(55.0, Level::Degraded, words);
    }
    if let Some(rejected) = recent.rejected_ratio()
        && rejected >= 0.1
    {
        let words = format!("{} of the calls are rejected", percent(rejected));
        add(50.0, Level::Degraded, words);
    }
    if let Some(degraded) = recent.degraded_ratio()
        && degraded >= 0.1
    {
        let words = format!("{} of the answers are degraded", percent(degraded));
        add(48.0, Level::Degraded, words);
    }
    if let (Some(waiting), Some(most)) = (now.queue_depth, now.max_waiting)
        && most > 0.0
        && waiting >= most
    {
        let wait = if waiting < 2.0 { "waits" } else { "wait" };
        let calls = count(waiting as u64, "call");
        let words = format!("{calls} {wait}, the queue is full");
        add(45.0, Level::Degraded, words);
    }
    if recent.unpaid > 0 {
        let calls = count(recent.unpaid, "call");
        let verb = if recent.unpaid == 1 { "was" } else { "were" };
        let words = format!("the retry budget is used up, {calls} {verb} not tried again");
        add(35.0, Level::Degraded, words);
    } else if now.retry_share() == Some(0.0) {
        let words = "the retry budget is used up".to_owned();
        add(35.0, Level::Degraded, words);
    }
    all.sort_by(|a, b| b.trouble.total_cmp(&a.trouble));
    all
}

fn orders(now: &Standing, add: &mut impl FnMut(f64, Level, String)) {
    let Some(orders) = now.orders else { return };
    if orders.kill_switch {
        add(100.0, Level::Down, "the kill switch is engaged".to_owned());
    } else if orders.mode == "halted" {
        add(100.0, Level::Down, "trading is halted".to_owned());
    } else if mode_rank(orders.mode) > mode_rank("normal") {
        let words = match orders.mode {
            "reduce_only" => "only orders that reduce a position pass",
            _ => "only cancels and queries pass",
        };
        add(65.0, Level::Degraded, words.to_owned());
    }
    if orders.exhausted > 0 {
        let words = format!(
            "{} to be looked at by a person",
            count(orders.exhausted, "order")
        );
        add(80.0, Level::Degraded, words);
    }
    if orders.in_doubt > 0 {
        let words = format!("{} in doubt", count(orders.in_doubt, "order"));
        add(70.0, Level::Degraded, words);
    }
}

fn circuit(now: &Standing, add: &mut impl FnMut(f64, Level, String)) {
    let keys = |what: &str, some: u64| {
        if now.circuits > 1 && some < now.circuits && !now.is_main_open {
            format!("{some} of {} circuits {what}", now.circuits)
        } else {
            format!("the circuit is {what}")
        }
    };
    if now.open > 0 {
        let what = if now.state == "forced_open" {
            "forced open"
        } else {
            "open"
        };
        let mut words = keys(what, now.open);
        if let Some(seconds) = now.next_probe_seconds {
            words.push_str(&format!(", next probe in {}", wait(seconds)));
        }
        // Of many circuits, of keys or of reserved permits, some may be open.
        let (trouble, level) = if now.is_main_open || now.open == now.circuits {
            (95.0, Level::Down)
        } else {
            (60.0, Level::Degraded)
        };
        add(trouble, level, words);
    } else if now.half_open > 0 {
        add(60.0, Level::Degraded, keys("half-open", now.half_open));
    } else if now.state == "forced_closed" {
        let words = "the circuit is forced closed".to_owned();
        add(20.0, Level::Ok, words);
    }
}

fn limits(now: &Standing, recent: &Tick, add: &mut impl FnMut(f64, Level, String)) {
    let scarcest = scarcest(&now.limits);
    if now.pause_seconds > 0.0 && now.pause_seconds.is_finite() {
        let what = if recent.throttled > 0 {
            "throttled"
        } else {
            "paused"
        };
        let mut words = format!("{what}, {} left", wait(now.pause_seconds));
        if let Some(left) = scarcest.and_then(left) {
            words.push_str(&format!(", {left}"));
        }
        add(75.0, Level::Degraded, words);
        return;
    }
    if let Some(stopped) = now.stopped {
        let words = match stopped {
            "draining" => "draining, no new calls pass",
            _ => "paused until it is resumed",
        };
        add(85.0, Level::Down, words.to_owned());
    } else if recent.throttled > 0 {
        add(
            75.0,
            Level::Degraded,
            "throttled by the upstream".to_owned(),
        );
    }
    if let Some(limit) = scarcest
        && limit.used_share().is_some_and(|used| used >= 0.9)
        && let Some(left) = left(limit)
    {
        add(40.0, Level::Degraded, left);
    }
}

/// The quota of which most is used.
pub(crate) fn scarcest(limits: &[LimitReading]) -> Option<&LimitReading> {
    let quotas = limits.iter().filter(|limit| limit.is_quota());
    let used = quotas.filter_map(|limit| Some((limit.used_share()?, limit)));
    used.max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, limit)| limit)
}

/// What is left of a limit, in words: that of the upstream where it is known.
pub(crate) fn left(limit: &LimitReading) -> Option<String> {
    let theirs = limit.reported_remaining.zip(limit.reported_limit);
    let (left, all) = theirs.or(limit.available.zip(limit.capacity))?;
    let (left, all) = (tokens(left.max(0.0)), tokens(all));
    Some(match limit.unit {
        // Whatever a request costs.
        "cost" => format!("{left} of {all} left"),
        unit => format!("{left} of {all} {unit} left"),
    })
}

/// The verdict of a service, and its trouble.
pub(crate) fn of_service(now: &Standing, recent: &Tick) -> (Verdict, f64) {
    let conditions = conditions(now, recent);
    let worst = conditions.first().map_or(0.0, |worst| worst.trouble);
    let level = conditions
        .iter()
        .map(|it| it.level)
        .max()
        .unwrap_or_default();
    let words: Vec<_> = conditions.iter().map(|it| it.words.as_str()).collect();
    let words = if words.is_empty() {
        "ok".to_owned()
    } else {
        words[..words.len().min(NAMED)].join(", ")
    };
    let trouble = worst + recent.error_ratio().unwrap_or_default();
    (Verdict { level, words }, trouble)
}

/// The order of services: most trouble first.
pub(crate) fn by_trouble(a: &ServiceOverview, b: &ServiceOverview) -> Ordering {
    let busier = b.calls_per_second.total_cmp(&a.calls_per_second);
    let name = || (a.name, a.registry).cmp(&(b.name, b.registry));
    b.trouble.total_cmp(&a.trouble).then(busier).then_with(name)
}
