//! `tracing` events, where the feature is on: transitions at `debug`, what happens per request at
//! `trace`, and nothing louder.

use crate::{Name, event::What};

#[cfg(feature = "tracing")]
pub(crate) fn enabled() -> bool {
    tracing::level_filters::LevelFilter::current() >= tracing::Level::DEBUG
}

#[cfg(feature = "tracing")]
pub(crate) fn event(pattern: &'static str, name: Name, what: &What) {
    let name = name.as_str();
    match what {
        What::Transition { from, to, reason } => {
            tracing::debug!(target: "seawall", pattern, name, from, to, reason, "transition");
        }
        What::Refused(rejection) => {
            let reason = rejection.reason().as_str();
            tracing::trace!(target: "seawall", pattern, name, reason, "refused");
        }
        What::Shadowed(rejection) => {
            let reason = rejection.reason().as_str();
            tracing::trace!(target: "seawall", pattern, name, reason, "would have been refused");
        }
        What::Retry { attempt, delay } => {
            tracing::trace!(target: "seawall", pattern, name, attempt, ?delay, "retry");
        }
        What::Hedged { attempt, delay } => {
            tracing::trace!(target: "seawall", pattern, name, attempt, ?delay, "hedged");
        }
        What::BudgetExhausted => {
            tracing::trace!(target: "seawall", pattern, name, "budget exhausted");
        }
        What::Abandoned => {
            tracing::trace!(target: "seawall", pattern, name, "abandoned");
        }
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn enabled() -> bool {
    false
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn event(_: &'static str, _: Name, _: &What) {}
