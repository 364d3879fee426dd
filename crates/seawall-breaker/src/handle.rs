//! The circuit from outside: read and control.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::{Command, Events, InstanceHandle, InstanceName, Samples, Unsupported, ns};

use crate::call::Door;
use crate::cause::{Explanation, Transition};
use crate::circuits::Circuits;
use crate::config::BreakerConfig;
use crate::control::Control;
use crate::counts::CircuitSnapshot;
use crate::observe;
use crate::parking::Parked;
use crate::shared::Root;
use crate::word::{State, Word};

/// Reads and controls one circuit, from any thread, without async. Clones share.
///
/// What an operator commands holds until it is taken back, whatever the rules say. The circuit
/// can also be [called through](Self::call) without a service.
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
    pub(crate) root: Root,
}

impl BreakerHandle {
    pub(crate) const fn new(root: Root) -> Self {
        Self { root }
    }

    /// The name of the circuit.
    pub fn name(&self) -> InstanceName {
        self.root.common().setup.observer.name()
    }

    /// The state. An open circuit whose time is over stays open until a call comes to probe.
    pub fn state(&self) -> State {
        self.root.common().word().state()
    }

    /// State, windows, calls under way that are slow already, the last transitions with their
    /// reasons, and counters, all of one moment.
    pub fn snapshot(&self) -> CircuitSnapshot {
        self.root.snapshot()
    }

    /// Why the circuit is in its state, with the figures that decided, and until when; for people
    /// to read.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerLayer};
    ///
    /// let handle = BreakerLayer::new("explained", BreakerConfig::default()).handle();
    /// handle.force_open();
    /// assert_eq!(handle.explain().to_string(), "forced_open: an operator said so");
    /// ```
    pub fn explain(&self) -> Explanation {
        self.root.explain()
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<BreakerConfig> {
        self.root.config()
    }

    /// Takes other settings. State, counters, the windows as far as the new settings hold them,
    /// the end of an open time and calls under way all go on.
    ///
    /// A window of calls that shrinks keeps the newest. Calls that are under way when
    /// `slow_after` changes are slow if they are when they end, and are not counted before.
    pub fn configure(&self, config: BreakerConfig) {
        self.root.configure(Arc::new(config));
    }

    /// Rejects every call until [`automatic`](Self::automatic), [`reset`](Self::reset) or
    /// [`force_closed`](Self::force_closed). Tasks that wait for an unready service are woken and rejected.
    pub fn force_open(&self) {
        self.root
            .command(false, |circuit, _, now| circuit.force_open(now));
    }

    /// Rejects every call for `time`, and then probes; or until it is taken back before. What the
    /// rules or the upstream had said of the time to come back is forgotten.
    pub fn force_open_for(&self, time: Duration) {
        self.root.command(false, |circuit, _, now| {
            circuit.force_open_until(now.saturating_add(ns(time)), now)
        });
    }

    /// Lets every call pass until [`automatic`](Self::automatic), [`reset`](Self::reset) or
    /// [`force_open`](Self::force_open); outcomes are still counted.
    pub fn force_closed(&self) {
        self.root
            .command(true, |circuit, _, now| circuit.force_closed(now));
    }

    /// Gives a forced or disabled circuit back to its rules: one that was forced open probes, one
    /// that was disabled is closed and keeps what it has counted. Of no effect on others.
    pub fn automatic(&self) {
        self.root
            .command(true, |circuit, _, now| circuit.automatic(now));
    }

    /// Closes the circuit, forgets its windows and the growth of its open time, and lets the
    /// rules work again. Calls under way no longer vote.
    pub fn reset(&self) {
        self.root
            .command(false, |circuit, _, now| Some(circuit.reset(now)));
    }

    /// Makes the circuit a shadow, which rejects nothing and only counts and tells what it would
    /// have rejected, or a real one, with all it has learnt.
    pub fn set_shadow(&self, on: bool) {
        self.root.command(true, |circuit, _, _| {
            circuit.set_shadow(on);
            None
        });
    }

    /// Waits for the next change of the state, counted from this call. If more than one happens
    /// before it is polled, the last is told.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerLayer, State};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let handle = BreakerLayer::new("watched", BreakerConfig::default()).handle();
    /// let changed = handle.state_change();
    /// handle.force_open();
    /// assert_eq!(changed.await.to, State::ForcedOpen);
    /// # }
    /// ```
    pub fn state_change(&self) -> StateChange {
        StateChange::new(self.clone())
    }
}

/// Waits for a change of a circuit's state; see [`BreakerHandle::state_change`]. It can be dropped at
/// any time.
#[must_use = "futures do nothing unless polled"]
pub struct StateChange<D = BreakerHandle> {
    door: D,
    word: Word,
    parked: Parked,
}

#[allow(
    private_bounds,
    reason = "sealed: only the handles of this crate are doors"
)]
impl<D: Door> StateChange<D> {
    pub(crate) fn new(door: D) -> Self {
        Self {
            word: door.held().common().word(),
            door,
            parked: Parked::new(),
        }
    }
}

#[allow(
    private_bounds,
    reason = "sealed: only the handles of this crate are doors"
)]
impl<D: Door + Unpin> Future for StateChange<D> {
    type Output = Transition;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Transition> {
        let this = &mut *self;
        let held = this.door.held();
        let common = held.common();
        // Parked first: a change between the look and the parking would wake nobody here.
        this.parked.park(common.parking(), cx.waker());
        let word = common.word();
        // Settings make a new generation too, in the same state.
        let changed = word.state() != this.word.state()
            || (word != this.word && held.since() > this.word.generation());
        if !changed {
            return Poll::Pending;
        }
        match held.last_transition() {
            Some(transition) => {
                this.word = word;
                this.parked.leave();
                Poll::Ready(transition)
            }
            None => Poll::Pending,
        }
    }
}

impl<D> fmt::Debug for StateChange<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed")
            .field("from", &self.word.state())
            .finish_non_exhaustive()
    }
}

impl InstanceHandle for BreakerHandle {
    fn pattern(&self) -> &'static str {
        self.root.common().setup.observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    fn state(&self) -> &'static str {
        Self::state(self).as_str()
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        observe::samples(&self.root.snapshot(), &self.root.transitions(), sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        observe::settings(&self.config())
    }

    fn attach(&self, events: &Events) {
        let setup = &self.root.common().setup;
        setup.observer.attach(events);
        setup.gate_observer.attach(events);
    }

    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match command {
            Command::Block => self.force_open(),
            Command::Bypass => self.force_closed(),
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
