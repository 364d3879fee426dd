//! `tracing` events, where the feature is on: what happens per request at `trace`, transitions at
//! `debug`, except that a circuit which opens is a warning and one which closes an `info`.

use crate::{InstanceName, event::EventKind};

#[cfg(feature = "tracing")]
pub(crate) fn enabled() -> bool {
    tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF
}

/// Nothing of a call is logged above `debug`.
#[cfg(feature = "tracing")]
pub(crate) fn enabled_for_calls() -> bool {
    tracing::level_filters::LevelFilter::current() >= tracing::Level::DEBUG
}

/// A transition with the figures that decided.
#[cfg(feature = "tracing")]
pub(crate) fn transition(
    pattern: &'static str,
    name: InstanceName,
    [from, to, reason]: [&'static str; 3],
    detail: &dyn std::fmt::Display,
) {
    // The level of an event is part of its call site, so there is one per level.
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                target: "seawall", pattern, name = name.as_str(), from, to, reason, %detail,
                "transition"
            )
        };
    }
    match (pattern, to) {
        ("breaker", "open" | "forced_open") => log!(warn),
        ("breaker", "closed" | "forced_closed") => log!(info),
        _ => log!(debug),
    }
}

#[cfg(feature = "tracing")]
pub(crate) fn event(pattern: &'static str, name: InstanceName, what: &EventKind) {
    if what.event_type().is_change() {
        change(pattern, name.as_str(), what);
    } else {
        of_call(pattern, name.as_str(), what);
    }
}

#[cfg(feature = "tracing")]
fn of_call(pattern: &'static str, name: &'static str, what: &EventKind) {
    match what {
        EventKind::Rejected(rejection) => {
            let reason = rejection.reason().as_str();
            tracing::trace!(target: "seawall", pattern, name, reason, "rejected");
        }
        EventKind::Shadowed(rejection) => {
            let reason = rejection.reason().as_str();
            tracing::trace!(target: "seawall", pattern, name, reason, "would have been rejected");
        }
        EventKind::Retry { attempt, delay } => {
            tracing::debug!(target: "seawall", pattern, name, attempt, ?delay, "retry");
        }
        EventKind::Hedged { attempt, delay } => {
            tracing::debug!(target: "seawall", pattern, name, attempt, ?delay, "hedged");
        }
        EventKind::BudgetExhausted => {
            tracing::trace!(target: "seawall", pattern, name, "budget exhausted");
        }
        EventKind::Abandoned => {
            tracing::trace!(target: "seawall", pattern, name, "abandoned");
        }
        EventKind::Throttled { wait } => {
            tracing::debug!(target: "seawall", pattern, name, ?wait, "throttled");
        }
        EventKind::Degraded {
            reason,
            source,
            age,
        } => {
            let source = source.as_str();
            tracing::debug!(target: "seawall", pattern, name, reason, source, ?age, "degraded");
        }
        EventKind::OrderSettled {
            number,
            copy,
            state,
            reason,
        } => {
            tracing::debug!(target: "seawall", pattern, name, number, copy, state, reason, "order");
        }
        EventKind::Bounded {
            what,
            reported,
            applied,
        } => {
            tracing::debug!(target: "seawall", pattern, name, what, reported, applied, "bounded");
        }
        _ => {}
    }
}

#[cfg(feature = "tracing")]
fn change(pattern: &'static str, name: &'static str, what: &EventKind) {
    match what {
        EventKind::Transition { from, to, reason } => {
            tracing::debug!(target: "seawall", pattern, name, from, to, reason, "transition");
        }
        EventKind::Commanded { command } => {
            tracing::info!(target: "seawall", pattern, name, command, "command");
        }
        EventKind::ClockJumped { by, back } => {
            tracing::warn!(target: "seawall", pattern, name, ?by, back, "clock jumped");
        }
        EventKind::Misconfigured(what) => {
            tracing::warn!(target: "seawall", pattern, name, "{what}");
        }
        EventKind::FileNotWritten => {
            tracing::warn!(target: "seawall", pattern, name, "file not written");
        }
        EventKind::JournalRecovered { marks } => {
            tracing::info!(target: "seawall", pattern, name, marks, "journal recovered");
        }
        EventKind::Order {
            number,
            copy,
            state: state @ "alert",
            reason,
        } => {
            tracing::error!(target: "seawall", pattern, name, number, copy, state, reason, "order");
        }
        EventKind::Order {
            number,
            copy,
            state,
            reason,
        } => {
            tracing::info!(target: "seawall", pattern, name, number, copy, state, reason, "order");
        }
        EventKind::OrdersDiffer { what, is_gone } => {
            tracing::warn!(target: "seawall", pattern, name, what, is_gone, "orders differ");
        }
        EventKind::CheckChanged { check, from, to } => {
            let check = check.as_str();
            tracing::info!(target: "seawall", pattern, name, check, from, to, "check changed");
        }
        EventKind::Recovery { step, attempt } => {
            tracing::info!(target: "seawall", pattern, name, step, attempt, "recovery");
        }
        // What reloads logs it with the mistakes, and what raises an alert with its figures.
        _ => {}
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn enabled() -> bool {
    false
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn enabled_for_calls() -> bool {
    false
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn transition(
    _: &'static str,
    _: InstanceName,
    _: [&'static str; 3],
    _: &dyn std::fmt::Display,
) {
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn event(_: &'static str, _: InstanceName, _: &EventKind) {}
