//! The circuit from outside: read and control.

use std::time::Duration;

use seawall_core::{Command, Component, Events, Name, Sample, Unsupported};
use tokio::time::Instant;

use crate::circuit::Cause;
use crate::config::BreakerConfig;
use crate::observe;
use crate::shared::{Circuits, Counts, Root};
use crate::word::State;

/// Reads and controls one circuit, from any thread, without async. Clones share.
///
/// What an operator commands holds until [`reset`](Self::reset), whatever the rules say.
///
/// ```
/// use seawall_breaker::{BreakerConfig, BreakerLayer, State};
///
/// let handle = BreakerLayer::new("orders", BreakerConfig::default()).handle();
/// handle.force_open();
/// assert_eq!(handle.state(), State::ForcedOpen);
/// handle.reset();
/// assert_eq!(handle.state(), State::Closed);
/// ```
#[derive(Clone, Debug)]
pub struct BreakerHandle {
    root: Root,
}

/// What a circuit is doing and why.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitSnapshot {
    /// The state.
    pub state: State,
    /// When an open circuit will probe, from now; `None` in the other states.
    pub probes_in: Option<Duration>,
    /// The last transition, if there was one.
    pub last: Option<Transition>,
    /// Counters and window.
    pub counts: Counts,
}

/// One transition of a circuit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// When, on tokio's clock.
    pub at: Instant,
}

impl BreakerHandle {
    pub(crate) const fn new(root: Root) -> Self {
        Self { root }
    }

    /// The name of the circuit.
    pub fn name(&self) -> Name {
        self.root.common().observer.name()
    }

    /// The state. An open circuit whose time is over stays open until a call comes to probe.
    pub fn state(&self) -> State {
        self.root.common().word().state()
    }

    /// State, last transition, window and counters.
    pub fn snapshot(&self) -> CircuitSnapshot {
        let common = self.root.common();
        let (state, last, counts) = self.root.look();
        let wait = common.open_until().saturating_sub(common.clock.now());
        CircuitSnapshot {
            state,
            probes_in: (state == State::Open).then(|| Duration::from_nanos(wait)),
            last: last.map(|change| Transition {
                from: change.from,
                to: change.to,
                cause: change.cause,
                at: common.clock.instant(change.at),
            }),
            counts,
        }
    }

    /// The settings.
    pub fn config(&self) -> &BreakerConfig {
        &self.root.common().config
    }

    /// Refuses every call until [`reset`](Self::reset) or [`force_close`](Self::force_close).
    /// Tasks that wait for an unready service are woken and refused.
    pub fn force_open(&self) {
        self.root.force(State::ForcedOpen);
    }

    /// Lets every call pass until [`reset`](Self::reset) or [`force_open`](Self::force_open);
    /// outcomes are still counted.
    pub fn force_close(&self) {
        self.root.force(State::ForcedClosed);
    }

    /// Closes the circuit, forgets its window and lets the rules work again. Calls under way no
    /// longer vote.
    pub fn reset(&self) {
        self.root.force(State::Closed);
    }
}

impl Component for BreakerHandle {
    fn pattern(&self) -> &'static str {
        self.root.common().observer.pattern()
    }

    fn name(&self) -> Name {
        Self::name(self)
    }

    fn state(&self) -> &'static str {
        Self::state(self).as_str()
    }

    fn samples(&self, sink: &mut dyn FnMut(Sample<'_>)) {
        let (state, _, counts) = self.root.look();
        observe::samples(state, &counts, sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        observe::settings(self.config())
    }

    fn attach(&self, events: &Events) {
        let common = self.root.common();
        common.observer.attach(events);
        common.gate_observer.attach(events);
    }

    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match command {
            Command::ForceOpen => self.force_open(),
            Command::ForceClose => self.force_close(),
            Command::Reset => self.reset(),
            _ => {
                return Err(Unsupported {
                    pattern: self.pattern(),
                    command,
                });
            }
        }
        Ok(())
    }
}
