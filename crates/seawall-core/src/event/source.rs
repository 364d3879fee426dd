//! Where events come from.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::{Event, EventKind, Events};
use crate::rejection::pattern_bits;
use crate::{ErrorIsFailure, InstanceName, Policy, Reason, Rejection, trace};

/// Where the events of a layer instance come from: its pattern, its name, and the [`Events`] it is
/// attached to, if any.
#[derive(Debug)]
pub struct EventSource {
    pattern: &'static str,
    /// The pattern as a rejection holds it.
    pattern_bits: u8,
    name: InstanceName,
    /// Whether it has warned of a missing classifier.
    warned: AtomicBool,
    events: OnceLock<Events>,
}

/// What the type of a service has in its name that reports failures inside of `Ok`.
const BY_STATUS: [&str; 5] = ["http::response::", "hyper", "reqwest", "tonic::", "axum::"];

impl EventSource {
    /// The source of the instance `name` of a `pattern`, attached to no events yet.
    pub fn new(pattern: &'static str, name: impl Into<InstanceName>) -> Self {
        Self {
            pattern,
            pattern_bits: pattern_bits(pattern),
            name: name.into(),
            warned: AtomicBool::new(false),
            events: OnceLock::new(),
        }
    }

    /// Attaches the instance to `events`; `false` when it is attached already.
    pub fn attach(&self, events: &Events) -> bool {
        self.events.set(events.clone()).is_ok()
    }

    /// The pattern.
    pub const fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// The name of the instance.
    pub const fn name(&self) -> InstanceName {
        self.name
    }

    /// A rejection by this instance, of a request that was not sent.
    #[inline]
    pub const fn rejection(&self, reason: Reason) -> Rejection {
        Rejection::of(reason, self.name, self.pattern_bits)
    }

    /// Emits what happened, if anything listens. Call it outside of every lock.
    #[inline]
    pub fn emit(&self, kind: impl FnOnce() -> EventKind) {
        if self.events.get().is_some_and(Events::is_listening) || trace::enabled() {
            self.deliver(kind());
        }
    }

    /// Emits that an operator has given a command, by the words of
    /// [`EventKind::Commanded`]. Every method of a handle that changes something calls it when that
    /// is done, outside of every lock.
    #[cold]
    pub fn commanded(&self, command: &'static str) {
        self.emit(|| EventKind::Commanded { command });
    }

    /// Emits that an operator has turned shadow mode on or off.
    #[cold]
    pub fn commanded_shadow(&self, on: bool) {
        self.commanded(if on { "shadow_on" } else { "shadow_off" });
    }

    /// Emits a transition whose `tracing` event also has `detail`, the figures that decided. Call
    /// it outside of every lock.
    ///
    /// Transitions of a breaker are logged at `warn` when the circuit opens and at `info` when it
    /// closes; every other transition is logged at `debug`.
    #[cold]
    pub fn emit_transition(
        &self,
        from: &'static str,
        to: &'static str,
        reason: &'static str,
        detail: &dyn fmt::Display,
    ) {
        trace::transition(self.pattern, self.name, [from, to, reason], detail);
        if self.events.get().is_some_and(Events::is_listening) {
            self.publish(EventKind::Transition { from, to, reason });
        }
    }

    /// Logs a mistake in how the instance is set up as a `tracing` warning, where the feature is
    /// on. To be called once per instance.
    #[cold]
    pub fn warn(&self, message: &'static str) {
        trace::warn(self.pattern, self.name, message);
    }

    /// Warns, once per instance and where the feature `tracing` is on, of a policy `X` without a
    /// classifier around a service `S` that is one of HTTP or gRPC by its type's name: it reports
    /// failures inside of `Ok`, and every one would count as a success. To be called where a layer
    /// makes a service.
    pub fn warn_unclassified<S, X>(&self) {
        let default = std::any::type_name::<ErrorIsFailure>();
        let (policy, service) = (std::any::type_name::<X>(), std::any::type_name::<S>());
        // Parameters that are all defaults are not part of the name.
        let is_default = policy == std::any::type_name::<Policy>() || policy.contains(default);
        if is_default
            && BY_STATUS.iter().any(|part| service.contains(part))
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            self.warn(
                "no classifier is set, so every response is a success, also one that reports a \
                 failure: set one with `classify`, for HTTP an `HttpClassifier`",
            );
        }
    }

    #[cold]
    fn deliver(&self, kind: EventKind) {
        trace::event(self.pattern, self.name, &kind);
        self.publish(kind);
    }

    fn publish(&self, kind: EventKind) {
        if let Some(events) = self.events.get() {
            events.emit(&Event {
                at: Instant::now(),
                pattern: self.pattern,
                name: self.name,
                kind,
            });
        }
    }
}
