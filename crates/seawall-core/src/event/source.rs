//! Where events come from.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

use super::{EventKind, Events, Misconfiguration};
use crate::rejection::pattern_bits;
use crate::{
    ErrorIsFailure, InstanceName, Operated, Policy, Reason, Rejection, SharedReadings, commander,
    trace,
};

/// Where the events of a layer instance come from: its pattern, its name, and the [`Events`] it is
/// attached to, if any.
#[derive(Debug)]
pub struct EventSource {
    pattern: &'static str,
    /// The pattern as a rejection holds it.
    pattern_bits: u8,
    name: InstanceName,
    /// What is misconfigured, and four bits higher what of it was emitted; and [`DEFAULT_CLASSIFIER`]. One
    /// byte, since the memory of a breaker has a bound, and it has two sources.
    marks: AtomicU8,
    /// How often an operator has commanded what may pass.
    operated: AtomicU16,
    events: OnceLock<Events>,
}

/// How much higher the bits of what was emitted are.
const EMITTED: u32 = 4;

/// The mark of an instance that has made a service without a classifier: a bit of no misconfiguration.
const DEFAULT_CLASSIFIER: u8 = 1 << 3;
const _: () = assert!(Misconfiguration::ALL.len() < EMITTED as usize);

/// What the type of a service has in its name that reports failures inside of `Ok`.
const BY_STATUS: [&str; 5] = ["http::response::", "hyper", "reqwest", "tonic::", "axum::"];

impl EventSource {
    /// The source of the instance `name` of a `pattern`, attached to no events yet.
    ///
    /// Without a name, it is [misconfigured](Misconfiguration::Unnamed).
    pub fn new(pattern: &'static str, name: impl Into<InstanceName>) -> Self {
        let name = name.into();
        let source = Self::beside(pattern, name);
        if name.is_unnamed() {
            source.misconfigure(Misconfiguration::Unnamed);
        }
        source
    }

    /// A further source of an instance, under another pattern. The first one says what is
    /// misconfigured.
    pub fn beside(pattern: &'static str, name: InstanceName) -> Self {
        Self {
            pattern,
            pattern_bits: pattern_bits(pattern),
            name,
            marks: AtomicU8::new(0),
            operated: AtomicU16::new(0),
            events: OnceLock::new(),
        }
    }

    /// Attaches the instance to `events`; `false` when it is attached already.
    pub fn attach(&self, events: &Events) -> bool {
        let attached = self.events.set(events.clone()).is_ok();
        if attached {
            self.publish_misconfigured();
        }
        attached
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

    /// Emits a change: it is kept, and delivered where it is asked for. Call it outside of every lock.
    ///
    /// What happens to a call is emitted by [`emit_call`](Self::emit_call).
    #[inline]
    pub fn emit(&self, kind: impl FnOnce() -> EventKind) {
        if self.events.get().is_some() || trace::enabled() {
            self.deliver(kind());
        }
    }

    /// Emits what happened to a call, if anything asks for such. Call it outside of every lock.
    #[inline]
    pub fn emit_call(&self, kind: impl FnOnce() -> EventKind) {
        if self.events.get().is_some_and(Events::wants_calls) || trace::enabled_for_calls() {
            self.deliver(kind());
        }
    }

    /// Emits that an operator has given a command, by the words of
    /// [`EventKind::Commanded`]. Every method of a handle that changes something calls it when that
    /// is done, outside of every lock. Within [`as_recovery`](crate::as_recovery), the word is that of the
    /// recovery.
    #[cold]
    pub fn commanded(&self, command: &'static str) {
        let by_recovery = commander::recovery();
        if by_recovery.is_none() && commander::decides(command) {
            self.operated.fetch_add(1, Ordering::Relaxed);
        }
        let command = by_recovery.unwrap_or(command);
        commander::as_operator(|| self.emit(|| EventKind::Commanded { command }));
    }

    /// Which instance this is, and how often an operator has commanded what may pass it. Of a source that
    /// stays where it is, as the state of a layer does.
    pub fn operated(&self) -> Operated {
        Operated {
            instance: std::ptr::from_ref(self).addr(),
            commands: self.operated.load(Ordering::Relaxed),
        }
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
        SharedReadings::apart(|| {
            trace::transition(self.pattern, self.name, [from, to, reason], detail);
            let kind = EventKind::Transition { from, to, reason };
            commander::as_operator(|| self.publish(kind));
        });
    }

    /// Notes a mistake in how the instance is set up: once, it is logged as a `tracing` warning, and
    /// emitted. Call it outside of every lock.
    #[inline]
    pub fn misconfigure(&self, what: Misconfiguration) {
        if self.marks.load(Ordering::Relaxed) & what.bit() == 0 {
            self.misconfigure_once(what);
        }
    }

    #[cold]
    fn misconfigure_once(&self, what: Misconfiguration) {
        let before = self.marks.fetch_or(what.bit(), Ordering::AcqRel);
        if before & what.bit() == 0 {
            SharedReadings::apart(|| {
                trace::event(self.pattern, self.name, &EventKind::Misconfigured(what));
                self.publish_misconfigured();
            });
        }
    }

    /// What was found to be misconfigured so far.
    pub fn misconfigured(&self) -> Vec<Misconfiguration> {
        Misconfiguration::of(self.marks.load(Ordering::Acquire)).collect()
    }

    /// Publishes each once, by whichever of two threads comes first: one that attaches the instance, or
    /// one that finds it.
    fn publish_misconfigured(&self) {
        if self.events.get().is_none() {
            return;
        }
        for what in self.misconfigured() {
            let emitted = what.bit() << EMITTED;
            if self.marks.fetch_or(emitted, Ordering::AcqRel) & emitted == 0 {
                self.publish(EventKind::Misconfigured(what));
            }
        }
    }

    /// Notes, once per instance, a policy `X` without a classifier around a service `S` that is one of
    /// HTTP or gRPC by its type's name: it reports failures inside of `Ok`, and every one would count
    /// as a success. To be called where a layer makes a service.
    pub fn check_classifier<S, X>(&self) {
        let default = std::any::type_name::<ErrorIsFailure>();
        let (policy, service) = (std::any::type_name::<X>(), std::any::type_name::<S>());
        // Parameters that are all defaults are not part of the name.
        let is_default = policy == std::any::type_name::<Policy>() || policy.contains(default);
        if is_default {
            self.marks.fetch_or(DEFAULT_CLASSIFIER, Ordering::Relaxed);
        }
        if is_default && BY_STATUS.iter().any(|part| service.contains(part)) {
            self.misconfigure(Misconfiguration::Unclassified);
        }
    }

    /// That there is no classifier, as a setting: field and value. Of a type of the user's own nobody
    /// knows whether its responses report failures, so this is all that is known.
    pub fn classifier_setting(&self) -> Option<(&'static str, String)> {
        let is_default = self.marks.load(Ordering::Relaxed) & DEFAULT_CLASSIFIER != 0;
        is_default.then(|| ("classifier", "none: every Ok is a success".to_owned()))
    }

    #[cold]
    fn deliver(&self, kind: EventKind) {
        SharedReadings::apart(|| {
            trace::event(self.pattern, self.name, &kind);
            self.publish(kind);
        });
    }

    fn publish(&self, kind: EventKind) {
        if let Some(events) = self.events.get() {
            events.publish(self.pattern, self.name, kind);
        }
    }
}
