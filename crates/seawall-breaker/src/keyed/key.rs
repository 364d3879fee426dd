//! The circuit of one key from outside, and without Tower.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Classify, ErrorIsFailure, Rejection, ns};

use super::single::Held;
use super::ticket::CircuitPermit;
use crate::call::{self, Door, GuardedFuture};
use crate::cause::Explanation;
use crate::circuits::{Circuits, Stub};
use crate::config::BreakerConfig;
use crate::control::Control;
use crate::counts::CircuitSnapshot;
use crate::handle::StateChange;
use crate::word::State;

/// Reads, controls and calls through the circuit of one key, from any thread. Clones share.
///
/// The same as [`BreakerHandle`](crate::BreakerHandle) of a single breaker. As long as one lives,
/// the circuit is not evicted.
///
/// ```
/// use seawall_breaker::{BreakerConfig, BreakerRegistry, State};
///
/// let accounts: BreakerRegistry<u64> = BreakerRegistry::new("accounts", BreakerConfig::default());
/// let locked = accounts.circuit(&7);
/// locked.force_open();
/// assert_eq!(accounts.open_keys(), [(7, State::ForcedOpen)]);
/// ```
pub struct CircuitHandle<K: ToOwned + ?Sized = str> {
    held: Held<K>,
}

impl<K: ToOwned + ?Sized> CircuitHandle<K> {
    pub(crate) const fn new(held: Held<K>) -> Self {
        Self { held }
    }

    /// The key.
    pub fn key(&self) -> &K {
        self.held.key().borrow()
    }

    /// The state. An open circuit whose time is over stays open until a call comes to probe.
    pub fn state(&self) -> State {
        self.held.common().word().state()
    }

    /// State, windows, calls under way that are slow already, the last transitions with their
    /// reasons, and counters, all of one moment.
    pub fn snapshot(&self) -> CircuitSnapshot {
        self.held.snapshot()
    }

    /// Why the circuit is in its state, with the figures that decided, and until when; for people
    /// to read.
    pub fn explain(&self) -> Explanation {
        self.held.explain()
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<BreakerConfig> {
        self.held.config()
    }

    /// Rejects every call until [`automatic`](Self::automatic), [`reset`](Self::reset) or
    /// [`force_closed`](Self::force_closed).
    pub fn force_open(&self) {
        self.held
            .command(false, |circuit, _, now| circuit.force_open(now));
    }

    /// Rejects every call for `time`, and then probes; or until it is taken back before.
    pub fn force_open_for(&self, time: Duration) {
        self.held.command(false, |circuit, _, now| {
            circuit.force_open_until(now.saturating_add(ns(time)), now)
        });
    }

    /// Lets every call pass until [`automatic`](Self::automatic), [`reset`](Self::reset) or
    /// [`force_open`](Self::force_open); outcomes are still counted.
    pub fn force_closed(&self) {
        self.held
            .command(true, |circuit, _, now| circuit.force_closed(now));
    }

    /// Gives a forced or disabled circuit back to its rules: one that was forced open probes, one
    /// that was disabled is closed and keeps what it has counted. Of no effect on others.
    pub fn automatic(&self) {
        self.held
            .command(true, |circuit, _, now| circuit.automatic(now));
    }

    /// Closes the circuit, forgets its windows and the growth of its open time, and lets the
    /// rules work again. Calls under way no longer vote.
    pub fn reset(&self) {
        self.held
            .command(false, |circuit, _, now| Some(circuit.reset(now)));
    }

    /// Waits for the next change of the state, counted from this call; see
    /// [`BreakerHandle::state_change`](crate::BreakerHandle::state_change).
    pub fn state_change(&self) -> StateChange<Self> {
        StateChange::new(self.clone())
    }

    /// Guards a future, in one line: rejected while the circuit is open, and otherwise run and
    /// judged, with an error taken for a failure. The future is not polled before it is admitted.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`](seawall_core::Error::Rejected) when the circuit rejects,
    /// [`Error::Inner`](seawall_core::Error::Inner) with the future's own error.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerRegistry};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hosts: BreakerRegistry = BreakerRegistry::new("hosts", BreakerConfig::default());
    /// let host = hosts.circuit("api.example.com");
    /// let answer = host.call(async { Ok::<_, std::io::Error>("well") }).await?;
    /// assert_eq!(answer, "well");
    /// # Ok(()) }
    /// ```
    pub fn call<F, T, E>(
        &self,
        future: F,
    ) -> GuardedFuture<F, ErrorIsFailure, Self, CircuitPermit<K>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.call_with(ErrorIsFailure, future)
    }

    /// As [`call`](Self::call), with the answer judged by `classify`.
    pub fn call_with<F, C, T, E>(
        &self,
        classify: C,
        future: F,
    ) -> GuardedFuture<F, C, Self, CircuitPermit<K>>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        GuardedFuture::new(self.clone(), classify, future)
    }

    /// Guards an async function: the returned function has each of its calls
    /// [guarded](Self::call).
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerRegistry};
    ///
    /// async fn fetch(path: &'static str) -> Result<usize, std::io::Error> {
    ///     Ok(path.len())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hosts: BreakerRegistry = BreakerRegistry::new("hosts", BreakerConfig::default());
    /// let fetch = hosts.circuit("api.example.com").wrap(fetch);
    /// assert_eq!(fetch("/v1").await?, 3);
    /// # Ok(()) }
    /// ```
    pub fn wrap<A, F, Fut, T, E>(
        &self,
        function: F,
    ) -> impl Fn(A) -> GuardedFuture<Fut, ErrorIsFailure, Self, CircuitPermit<K>> + use<A, F, Fut, T, E, K>
    where
        F: Fn(A) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let handle = self.clone();
        move |argument| handle.call(function(argument))
    }

    /// Asks for an admission: settle the ticket with what the call came to. Waits where
    /// [calls wait while probes run](crate::HalfOpenPolicy::Wait).
    ///
    /// # Errors
    ///
    /// The rejection of the circuit.
    ///
    /// # Panics
    ///
    /// If it has to wait outside of a Tokio runtime with time enabled.
    pub async fn admit(&self) -> Result<CircuitPermit<K>, Rejection> {
        call::admit(self).await
    }

    /// Asks for an admission without waiting.
    ///
    /// # Errors
    ///
    /// The rejection of the circuit.
    pub fn try_admit(&self) -> Result<CircuitPermit<K>, Rejection> {
        call::try_admit(self)
    }
}

impl<K: ToOwned + ?Sized> Door for CircuitHandle<K> {
    type Held = Held<K>;
    type Permit = CircuitPermit<K>;

    fn held(&self) -> Held<K> {
        Arc::clone(&self.held)
    }

    fn ticket(held: Held<K>, stub: Stub) -> CircuitPermit<K> {
        CircuitPermit::new(held, stub)
    }
}

impl<K: ToOwned + ?Sized> Clone for CircuitHandle<K> {
    fn clone(&self) -> Self {
        Self {
            held: Arc::clone(&self.held),
        }
    }
}

impl<K: ToOwned + ?Sized> fmt::Debug for CircuitHandle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHandle")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
