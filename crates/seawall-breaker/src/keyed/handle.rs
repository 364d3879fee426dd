//! Circuits by key from outside, and as named breakers without Tower.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use seawall_core::striped::{Anchor, Shared, Stripes};
use seawall_core::{
    Command, CompleteOnResponse, ErrorIsFailure, Events, InstanceHandle, InstanceName, Samples,
    Unsupported,
};

use super::key::CircuitHandle;
use super::layer::KeyedBreakerLayer;
use super::single::{Held, Keys};
use super::ticket::CircuitPermit;
use crate::call::GuardedFuture;
use crate::cause::Transition;
use crate::circuits::Circuits;
use crate::config::BreakerConfig;
use crate::control::Control;
use crate::counts::Counts;
use crate::observe;
use crate::word::State;

/// From how many keys on idle ones are evicted: some 7 MB.
const MAX_KEYS: usize = 10_000;

/// Circuits by key, made when they are first asked for. Clones share.
///
/// Made beside [`BreakerLayer::per_key`](crate::BreakerLayer::per_key), whose circuits it reads
/// and controls, or by itself, as named breakers for any async function:
///
/// ```
/// use seawall_breaker::{BreakerConfig, BreakerRegistry, State};
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
/// assert_eq!(quotes.circuit("MSFT").state(), State::Open);
/// assert_eq!(quotes.circuit("AAPL").state(), State::Closed);
///
/// quotes.reset_all();
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
/// allocates nothing. Where nobody else chooses the keys, a simpler hasher
/// ([`with_hasher`](Self::with_hasher)) saves most of the 12. A new key allocates. Threads that
/// call the same key at once share its counters: one key of one thread at a time is the fast case.
///
/// # Bounded memory
///
/// A key takes some 700 bytes ([`memory`](Self::memory)), a bit more per call in a count window of
/// more than a hundred, and what the key itself keeps on the heap. A new key beyond
/// [`set_max_keys`](Self::set_max_keys) evicts one that is idle: its circuit is closed, no call is
/// under way, nobody holds its [`CircuitHandle`], and it was not used lately. Circuits that remember
/// no failure go first. A circuit that is open, half-open or under manual control is never
/// evicted; when nothing can go, the bound is exceeded ([`over_capacity`](Self::over_capacity)).
/// That of a key that never comes again stays open, until [`reset_all`](Self::reset_all).
/// What evicted circuits counted stays in the totals.
pub struct BreakerRegistry<K: ToOwned + ?Sized = str, B = RandomState> {
    keys: Shared<Keys<K, B>, ()>,
}

impl<K: ToOwned + ?Sized> BreakerRegistry<K> {
    /// Circuits with the settings `config`, none of them made yet.
    pub fn new(name: impl Into<InstanceName>, config: BreakerConfig) -> Self {
        Self::with_hasher(name, config, RandomState::new())
    }
}

impl<K: ToOwned + ?Sized, B> BreakerRegistry<K, B> {
    /// As [`new`](BreakerRegistry::new), with a hasher of your own: std's withstands keys that were
    /// chosen to collide, and costs 12 ns for a host's name; a simpler one is for keys that nobody
    /// else chooses. With any hasher, each key has its own circuit.
    pub fn with_hasher(name: impl Into<InstanceName>, config: BreakerConfig, hasher: B) -> Self {
        let keys = Keys::new(name.into(), config, MAX_KEYS, hasher);
        Self {
            keys: Shared::new(keys, Stripes::auto(), || ()),
        }
    }

    /// Puts these circuits around a service; see [`KeyedBreakerLayer`].
    pub fn layer<Req, X>(
        &self,
        extract: X,
    ) -> KeyedBreakerLayer<K, X, ErrorIsFailure, CompleteOnResponse, B>
    where
        X: for<'a> Fn(&'a Req) -> Cow<'a, K>,
    {
        KeyedBreakerLayer::new(self.clone(), extract)
    }

    pub(crate) fn anchor(&self) -> Anchor<Keys<K, B>, ()> {
        self.keys.anchor()
    }

    /// The name of all circuits together.
    pub fn name(&self) -> InstanceName {
        self.keys.common().setup.observer.name()
    }

    /// The settings of every circuit, and of those to come.
    pub fn config(&self) -> Arc<BreakerConfig> {
        self.keys.common().config()
    }

    /// Gives every circuit other settings, and those to come; see
    /// [`BreakerHandle::configure`](crate::BreakerHandle::configure) for what stays.
    pub fn configure(&self, config: BreakerConfig) {
        self.keys.common().configure(config);
    }

    /// How many keys have a circuit now.
    pub fn len(&self) -> usize {
        self.keys.common().map.len()
    }

    /// Whether no key has a circuit yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From how many keys on a new key evicts an idle one.
    pub fn max_keys(&self) -> usize {
        self.keys.common().map.max()
    }

    /// Changes the bound; 0 counts as 1. A lower bound is reached as new keys come, each of which
    /// evicts up to two.
    pub fn set_max_keys(&self, max: usize) {
        self.keys.common().map.set_max(max);
    }

    /// How many keys there are beyond the bound, since none could go.
    pub fn over_capacity(&self) -> usize {
        self.len().saturating_sub(self.max_keys())
    }

    /// How many circuits were evicted so far.
    pub fn evicted(&self) -> u64 {
        self.keys.common().map.evicted()
    }

    /// An estimate of the memory of the circuits, in bytes: what keys and own rules keep
    /// elsewhere is not in it.
    pub fn memory(&self) -> usize {
        let map = &self.keys.common().map;
        map.bytes().saturating_add(map.totals().heap)
    }

    /// What the circuits of all keys counted, those included that were evicted.
    pub fn totals(&self) -> Counts {
        self.keys.common().map.totals().counts
    }

    /// Calls `listener` at each transition with the key whose circuit it was, for as long as the
    /// circuits live. It is called outside of every lock; a panic in it is caught and counted
    /// ([`listener_panics`](Self::listener_panics)).
    ///
    /// [Events](seawall_core::Event) tell the same transitions with the name of the layer alone:
    /// a name is kept for the life of the process, and keys come and go.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerRegistry, State};
    ///
    /// let hosts: BreakerRegistry = BreakerRegistry::new("crawler", BreakerConfig::default());
    /// hosts.on_transition(|host, transition| {
    ///     if transition.to == State::Open {
    ///         println!("{host}: {:?}", transition.cause);
    ///     }
    /// });
    /// ```
    pub fn on_transition(&self, listener: impl Fn(&K, &Transition) + Send + Sync + 'static) {
        self.keys.common().listeners.add(Arc::new(listener));
    }

    /// How often a listener panicked.
    pub fn listener_panics(&self) -> u64 {
        self.keys.common().listeners.panics()
    }

    /// Every key that has a circuit now, in no order.
    pub fn keys(&self) -> Vec<K::Owned> {
        let mut keys = Vec::with_capacity(self.len());
        self.each(|circuit| keys.push(circuit.key().borrow().to_owned()));
        keys
    }

    /// Every key whose calls do not all pass, with the state of its circuit, in no order.
    pub fn open_keys(&self) -> Vec<(K::Owned, State)> {
        let mut keys = Vec::new();
        self.each(|circuit| {
            let word = circuit.common().word();
            if !word.is_passing() {
                keys.push((circuit.key().borrow().to_owned(), word.state()));
            }
        });
        keys
    }

    /// Closes every circuit, forgets their windows and ends manual control.
    pub fn reset_all(&self) {
        self.each(|held| held.command(false, |circuit, _, now| Some(circuit.reset(now))));
    }

    fn each(&self, each: impl FnMut(&Held<K>)) {
        self.keys.common().map.for_each(each);
    }
}

impl<K: ToOwned + Hash + Eq + ?Sized, B: BuildHasher> BreakerRegistry<K, B> {
    /// The circuit of `key`, made if there is none.
    pub fn circuit(&self, key: &K) -> CircuitHandle<K> {
        CircuitHandle::new(self.keys.common().circuit(Cow::Borrowed(key)))
    }

    /// The circuit of `key`, if there is one.
    pub fn get(&self, key: &K) -> Option<CircuitHandle<K>> {
        self.keys.common().map.get(key).map(CircuitHandle::new)
    }

    /// Guards a future by the circuit of `key`, in one line; see [`CircuitHandle::call`].
    ///
    /// The circuit is looked up, or made, now; admission is asked for when the future is polled.
    pub fn call<F, T, E>(
        &self,
        key: &K,
        future: F,
    ) -> GuardedFuture<F, ErrorIsFailure, CircuitHandle<K>, CircuitPermit<K>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.circuit(key).call(future)
    }
}

impl<K: ToOwned + ?Sized, B> Clone for BreakerRegistry<K, B> {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.clone(),
        }
    }
}

impl<K: ToOwned + ?Sized, B> fmt::Debug for BreakerRegistry<K, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers")
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
    fn pattern(&self) -> &'static str {
        self.keys.common().setup.observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// That of the worst key.
    fn state(&self) -> &'static str {
        let totals = self.keys.common().map.totals();
        match (totals.open, totals.half_open) {
            (0, 0) => State::Closed,
            (0, _) => State::HalfOpen,
            _ => State::Open,
        }
        .as_str()
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let map = &self.keys.common().map;
        let totals = map.totals();
        observe::totals(&totals.counts, &totals.transitions.0, sink);
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let gauge = |count: usize| count as f64;
        for (state, keys) in [
            (State::Closed, totals.closed),
            (State::HalfOpen, totals.half_open),
            (State::Open, totals.open),
        ] {
            let labels = [("state", state.as_str())];
            sink.gauge("seawall_breaker_keys", &labels, gauge(keys));
        }
        let excess = self.over_capacity();
        sink.gauge("seawall_breaker_keys_over_capacity", &[], gauge(excess));
        sink.gauge(
            "seawall_breaker_keys_bytes",
            &[],
            gauge(map.bytes() + totals.heap),
        );
        sink.counter("seawall_breaker_keys_evicted_total", &[], map.evicted());
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = observe::settings(&self.config());
        settings.push(("max_keys", self.max_keys().to_string()));
        settings
    }

    fn attach(&self, events: &Events) {
        self.keys.common().setup.observer.attach(events);
    }

    /// [`Reset`](Command::Reset) resets all; the other commands are for single keys, by
    /// [`circuit`](BreakerRegistry::circuit).
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        if command != Command::Reset {
            return Err(Unsupported {
                pattern: self.pattern(),
                command,
            });
        }
        self.reset_all();
        Ok(())
    }
}
