//! `tracing` events, where the feature is on: transitions at `debug`, what happens per request at
//! `trace`, and nothing louder.

use crate::{InstanceName, event::EventKind};

#[cfg(feature = "tracing")]
pub(crate) fn enabled() -> bool {
    tracing::level_filters::LevelFilter::current() >= tracing::Level::DEBUG
}

#[cfg(feature = "tracing")]
pub(crate) fn event(pattern: &'static str, name: InstanceName, what: &EventKind) {
    let name = name.as_str();
    match what {
        EventKind::Transition { from, to, reason } => {
            tracing::debug!(target: "seawall", pattern, name, from, to, reason, "transition");
        }
        EventKind::Rejected(rejection) => {
            let reason = rejection.reason().as_str();
            tracing::trace!(target: "seawall", pattern, name, reason, "rejected");
        }
        EventKind::Shadowed(rejection) => {
            let reason = rejection.reason().as_str();
            tracing::trace!(target: "seawall", pattern, name, reason, "would have been rejected");
        }
        EventKind::Retry { attempt, delay } => {
            tracing::trace!(target: "seawall", pattern, name, attempt, ?delay, "retry");
        }
        EventKind::Hedged { attempt, delay } => {
            tracing::trace!(target: "seawall", pattern, name, attempt, ?delay, "hedged");
        }
        EventKind::BudgetExhausted => {
            tracing::trace!(target: "seawall", pattern, name, "budget exhausted");
        }
        EventKind::Abandoned => {
            tracing::trace!(target: "seawall", pattern, name, "abandoned");
        }
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn enabled() -> bool {
    false
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn event(_: &'static str, _: InstanceName, _: &EventKind) {}
