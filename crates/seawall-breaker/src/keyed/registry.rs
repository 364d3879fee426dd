//! Circuits by key from outside, and as named breakers without Tower.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use seawall_core::striped::{Anchor, Shared, Stripes};
use seawall_core::{
    ErrorIsFailure, EventSource, InstanceHandle, InstanceName, InvalidConfig, Samples,
};

use super::circuit::{Keyed, Totals};
use super::state::KeyedState;
use crate::call::GuardedFuture;
use crate::config::{BreakerConfig, settings};
use crate::control::Control;
use crate::counts::{self, CircuitCounts};
use crate::handle::CircuitHandle;
use crate::state_word::CircuitState;
use crate::transition::Transition;

/// From how many keys on idle ones are evicted: some 6 MB.
const MAX_KEYS: usize = 10_000;

/// Circuits by key, made when they are first used. Clones share.
///
/// It is the handle of a [`KeyedBreakerLayer`](crate::KeyedBreakerLayer), or is used by itself, as
/// named breakers for any async function:
///
/// ```
/// use seawall_breaker::{BreakerConfig, BreakerRegistry, CircuitState};
///
/// async fn fetch(symbol: &str) -> Result<u32, std::io::Error> {
///     if symbol == "AAPL" { Ok(230) } else { Err(std::io::Error::other("no quotes")) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = BreakerConfig::builder().consecutive_failures(1).build()?;
/// let quotes: BreakerRegistry = BreakerRegistry::new("quotes", config);
///
/// assert_eq!(quotes.call("AAPL", fetch("AAPL")).await?, 230);
/// let _ = quotes.call("MSFT", fetch("MSFT")).await;
/// assert_eq!(quotes.circuit("MSFT").state(), CircuitState::Open);
/// assert_eq!(quotes.circuit("AAPL").state(), CircuitState::Closed);
///
/// quotes.reset();
/// assert!(quotes.open_keys().is_empty());
/// # Ok(()) }
/// ```
///
/// # What it costs
///
/// A call of a known key hashes the key, takes the read lock of one of 64 shards for as long as
/// it takes to find a hash, and counts a reference: 30 ns more than a call of one breaker with a
/// hot key, and 60 ns with ten thousand keys in turn, on a machine where an uncontended atomic
/// write takes 8 and std's hasher, which withstands chosen keys, 12 for the name of a host. It
/// allocates nothing. Where only you choose the keys, a simpler hasher
/// ([`with_hasher`](Self::with_hasher)) saves most of the 12. A new key allocates. Threads that
/// call the same key at once share its counters: one key of one thread at a time is the fast case.
///
/// # Bounded memory
///
/// A key takes some 640 bytes, one whose circuit was ever open some 600 more
/// ([`memory`](BreakerRegistrySnapshot::memory)), a bit per call in a count window of more than a
/// hundred, and what the key itself keeps on the heap. A new key beyond
/// [`set_max_keys`](Self::set_max_keys) evicts one that is idle: its circuit is closed, no call is
/// in flight, nothing holds its [`CircuitHandle`], and it was not used recently. Circuits that
/// remember neither failures nor openings are evicted first. An open or half-open circuit is evicted
/// if no call has come for as long as its open time and [`open_for`](BreakerConfig::open_for) once
/// more: its key does not return. One that is forced by a command to its key alone stays until that is
/// taken back or its time is over. When none can be evicted, the bound is exceeded
/// ([`over_capacity`](Self::over_capacity)). What evicted circuits counted stays in the counts.
pub struct BreakerRegistry<K: ToOwned + ?Sized = str, B = RandomState> {
    state: Shared<KeyedState<K, B>, ()>,
}

/// Everything that a [`BreakerRegistry`] knows of its circuits together at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BreakerRegistrySnapshot {
    /// The name of the layer instance.
    pub name: InstanceName,
    /// That of the worst circuit: open, half-open or closed.
    pub state: CircuitState,
    /// How many keys have a circuit.
    pub keys: usize,
    /// Circuits that are closed or forced closed.
    pub closed: usize,
    /// Circuits that are half-open.
    pub half_open: usize,
    /// Circuits that are open or forced open.
    pub open: usize,
    /// From how many keys on a new key evicts an idle one.
    pub max_keys: usize,
    /// How many circuits were evicted so far.
    pub evicted: u64,
    /// How often a listener of [`BreakerRegistry::on_transition`] panicked.
    pub listener_panics: u64,
    /// An estimate of the memory of the circuits, in bytes, without what keys and custom rules keep
    /// elsewhere.
    pub memory: usize,
    /// What all circuits counted, the evicted ones included.
    pub counts: CircuitCounts,
}

impl<K: ToOwned + ?Sized> BreakerRegistry<K> {
    /// Circuits with the settings `config`, none of them made yet.
    pub fn new(name: impl Into<InstanceName>, config: BreakerConfig) -> Self {
        Self::with_hasher(name, config, RandomState::new())
    }
}

impl<K: ToOwned + ?Sized, B> BreakerRegistry<K, B> {
    /// As [`new`](BreakerRegistry::new), with a hasher of your own: std's withstands keys that were
    /// chosen to collide, and costs 12 ns for a host's name; a simpler one is for keys that only you
    /// choose. With any hasher, each key has its own circuit.
    pub fn with_hasher(name: impl Into<InstanceName>, config: BreakerConfig, hasher: B) -> Self {
        let state = KeyedState::new(name.into(), config, MAX_KEYS, hasher);
        Self {
            state: Shared::new(state, Stripes::auto(), || ()),
        }
    }

    pub(super) fn state(&self) -> &KeyedState<K, B> {
        self.state.common()
    }

    fn events(&self) -> &EventSource {
        &self.state().setup.breaker_events
    }

    pub(super) fn anchor(&self) -> Anchor<KeyedState<K, B>, ()> {
        self.state.anchor()
    }

    /// The name of all circuits together.
    pub fn name(&self) -> InstanceName {
        self.state().setup.name()
    }

    /// The settings of every circuit, present and future.
    pub fn config(&self) -> BreakerConfig {
        Arc::unwrap_or_clone(self.state().config())
    }

    /// Applies other settings to every circuit, present and future; see
    /// [`BreakerHandle::configure`](crate::BreakerHandle::configure) for what stays.
    ///
    /// # Errors
    ///
    /// None: every [`BreakerConfig`] fits every breaker.
    pub fn configure(&self, config: BreakerConfig) -> Result<(), InvalidConfig> {
        self.state().configure(config);
        self.events().commanded("configure");
        Ok(())
    }

    /// The state of the circuits together, and their counters.
    pub fn snapshot(&self) -> BreakerRegistrySnapshot {
        let totals = self.state().map.totals();
        BreakerRegistrySnapshot {
            name: self.name(),
            state: worst(&totals),
            keys: self.len(),
            closed: totals.closed,
            half_open: totals.half_open,
            open: totals.open,
            max_keys: self.max_keys(),
            evicted: self.state().map.evicted(),
            listener_panics: self.state().shared.listeners.panics(),
            memory: self.state().map.bytes().saturating_add(totals.heap),
            counts: totals.counts,
        }
    }

    /// What the circuits of all keys counted, the evicted ones included.
    pub fn counts(&self) -> CircuitCounts {
        self.state().map.totals().counts
    }

    /// Rejects every call of every key, also of future ones, until
    /// [`automatic`](Self::automatic), [`reset`](Self::reset) or [`force_closed`](Self::force_closed).
    pub fn force_open(&self) {
        let forced = Some(CircuitState::ForcedOpen);
        self.state().command(forced, Control::force_open);
        self.events().commanded("force_open");
    }

    /// Lets every call of every key pass, also of future ones, until
    /// [`automatic`](Self::automatic), [`reset`](Self::reset) or [`force_open`](Self::force_open).
    pub fn force_closed(&self) {
        let forced = Some(CircuitState::ForcedClosed);
        self.state().command(forced, Control::force_closed);
        self.events().commanded("force_closed");
    }

    /// Returns every forced circuit to its rules; see [`CircuitHandle::automatic`].
    pub fn automatic(&self) {
        self.state().command(None, Control::automatic);
        self.events().commanded("automatic");
    }

    /// Closes every circuit, forgets what they have learned, and returns them to their rules.
    /// Counters, settings and the keys stay.
    pub fn reset(&self) {
        self.state().command(None, Control::reset);
        self.events().commanded("reset");
    }

    /// How many keys have a circuit now.
    pub fn len(&self) -> usize {
        self.state().map.len()
    }

    /// Whether no key has a circuit yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From how many keys on a new key evicts an idle one.
    pub fn max_keys(&self) -> usize {
        self.state().map.max()
    }

    /// Changes the bound; 0 counts as 1. A lower bound is reached as new keys come, each of which
    /// evicts up to two.
    pub fn set_max_keys(&self, max: usize) {
        self.state().map.set_max(max);
        self.events().commanded("set_max_keys");
    }

    /// How many keys there are beyond the bound, since none could be evicted.
    pub fn over_capacity(&self) -> usize {
        self.len().saturating_sub(self.max_keys())
    }

    /// Calls `listener` at each transition with the key whose circuit it was, for as long as the
    /// circuits live. It is called outside of every lock; a panic in it is caught and counted
    /// ([`listener_panics`](BreakerRegistrySnapshot::listener_panics)).
    ///
    /// [Events](seawall_core::Event) report the same transitions with the name of the layer alone:
    /// a name is kept for the life of the process, and keys come and go.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerRegistry, CircuitState};
    ///
    /// let hosts: BreakerRegistry = BreakerRegistry::new("crawler", BreakerConfig::default());
    /// hosts.on_transition(|host, transition| {
    ///     if transition.to == CircuitState::Open {
    ///         println!("{host}: {:?}", transition.cause);
    ///     }
    /// });
    /// ```
    pub fn on_transition(&self, listener: impl Fn(&K, &Transition) + Send + Sync + 'static) {
        self.state().shared.listeners.add(Arc::new(listener));
    }

    /// Every key that has a circuit now, in no order.
    pub fn keys(&self) -> Vec<K::Owned> {
        let mut keys = Vec::with_capacity(self.len());
        self.state()
            .for_each(|circuit| keys.push(circuit.key().to_owned()));
        keys
    }

    /// Every key whose calls do not all pass, with the state of its circuit, in no order.
    pub fn open_keys(&self) -> Vec<(K::Owned, CircuitState)> {
        self.state().open_keys()
    }
}

impl<K: ToOwned + Hash + Eq + ?Sized, B: BuildHasher> BreakerRegistry<K, B> {
    /// The circuit of `key`, made if there is none.
    pub fn circuit(&self, key: &K) -> CircuitHandle<Keyed<K>> {
        CircuitHandle::new(self.state().circuit(Cow::Borrowed(key)))
    }

    /// The circuit of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<CircuitHandle<Keyed<K>>> {
        let entry = self.state().map.get(key)?;
        Some(CircuitHandle::new(Keyed(entry)))
    }

    /// Guards a future by the circuit of `key`, in one line; see [`CircuitHandle::call`].
    ///
    /// The circuit is looked up, or made, now; the future is admitted when it is polled.
    pub fn call<F, T, E>(&self, key: &K, future: F) -> GuardedFuture<F, ErrorIsFailure, Keyed<K>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.circuit(key).call(future)
    }
}

impl<K: ToOwned + ?Sized> CircuitHandle<Keyed<K>> {
    /// The key.
    pub fn key(&self) -> &K {
        self.circuit.key()
    }
}

fn worst(totals: &Totals) -> CircuitState {
    match (totals.open, totals.half_open) {
        (0, 0) => CircuitState::Closed,
        (0, _) => CircuitState::HalfOpen,
        _ => CircuitState::Open,
    }
}

impl<K: ToOwned + ?Sized, B> Clone for BreakerRegistry<K, B> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
        }
    }
}

impl<K: ToOwned + ?Sized, B> fmt::Debug for BreakerRegistry<K, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerRegistry")
            .field("name", &self.name())
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}

impl<K, B> InstanceHandle for BreakerRegistry<K, B>
where
    K: ToOwned + ?Sized,
    K::Owned: Send + Sync,
    B: Send + Sync,
{
    // The state is that of the worst circuit, and commands are for every key, present and future.
    seawall_core::handle_methods! { |this|
        pattern: this.events().pattern(),
        state: worst(&this.state().map.totals()).as_str(),
        attach: this.events(),
        commands: [Block => force_open, Bypass => force_closed, Reset => reset, Resume => automatic],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let map = &self.state.common().map;
        let totals = map.totals();
        counts::totals(&totals.counts, &totals.transitions, sink);
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let gauge = |count: usize| count as f64;
        for (state, keys) in [
            (CircuitState::Closed, totals.closed),
            (CircuitState::HalfOpen, totals.half_open),
            (CircuitState::Open, totals.open),
        ] {
            let labels = [("state", state.as_str())];
            sink.gauge("seawall_breaker_keys", &labels, gauge(keys));
        }
        let excess = self.over_capacity();
        sink.gauge("seawall_breaker_keys_over_capacity", &[], gauge(excess));
        let bytes = map.bytes().saturating_add(totals.heap);
        sink.gauge("seawall_breaker_keys_bytes", &[], gauge(bytes));
        sink.counter("seawall_breaker_keys_evicted_total", &[], map.evicted());
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = settings(&self.state.common().config());
        settings.push(("max_keys", self.max_keys().to_string()));
        settings.extend(self.events().classifier_setting());
        settings
    }
}
