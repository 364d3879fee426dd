//! What the services and the handles of one layer share.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use seawall_core::{EventSource, InstanceName, InvalidConfig, Misconfiguration, RequestMeta};
use tokio::time::Instant;

use crate::active::Active;
use crate::counts::{ChaosCounters, ChaosCounts};
use crate::decide::{Draws, mix};
use crate::effect::Effect;
use crate::store::Forget;
use crate::{ChaosConfig, ChaosState, FaultHooks, FaultKind, FaultSet};

/// Whether this build can inject at all.
pub(crate) const INJECT: bool = cfg!(feature = "inject");

#[derive(Debug)]
pub(crate) struct State {
    /// The one word that a call reads while no fault is on.
    is_on: AtomicBool,
    is_bypassed: AtomicBool,
    /// The kinds of faults that the layer's hooks make, a bit each.
    makes: AtomicU32,
    next_id: AtomicU64,
    pub(crate) config: ChaosConfig,
    pub(crate) seed: u64,
    pub(crate) source: EventSource,
    pub(crate) total: Arc<ChaosCounters>,
    active: Mutex<Vec<Arc<Active>>>,
    stores: Mutex<Stores>,
}

#[derive(Default)]
struct Stores(Vec<Weak<dyn Forget>>);

seawall_core::impl_debug!(Stores: |this| stores = this.0.len());

/// A fault that hits a call.
pub(crate) struct Drawn {
    pub(crate) effect: Effect,
    pub(crate) draws: Draws,
    pub(crate) index: usize,
}

impl State {
    pub(crate) fn new(name: InstanceName, config: ChaosConfig) -> Self {
        Self {
            is_on: AtomicBool::new(false),
            is_bypassed: AtomicBool::new(false),
            makes: AtomicU32::new(0),
            next_id: AtomicU64::new(1),
            seed: config.seed().unwrap_or_else(random),
            config,
            source: EventSource::new("chaos", name),
            total: Arc::default(),
            active: Mutex::default(),
            stores: Mutex::default(),
        }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        INJECT && self.is_on.load(Ordering::Relaxed)
    }

    pub(crate) fn set_hooks(&self, hooks: &impl FaultHooks) {
        let kinds = FaultKind::ALL.into_iter().filter(|kind| hooks.makes(*kind));
        let makes = kinds.fold(0, |bits, kind| bits | kind.bit());
        self.makes.store(makes, Ordering::Relaxed);
    }

    pub(crate) fn add_store(&self, store: Weak<dyn Forget>) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.0.retain(|store| store.strong_count() > 0);
        stores.0.push(store);
    }

    /// Starts faults.
    pub(crate) fn start(&self, set: FaultSet) -> Result<Arc<Active>, InvalidConfig> {
        self.check(&set)?;
        if self.is_bypassed() {
            return Err(bypassed());
        }
        let ends_at = set
            .ends_after()
            .map(|lasts| seawall_core::deadline(Instant::now(), lasts));
        let mut active = self.lock();
        // Under the lock: a bypass that comes at the same time ends these, too.
        if self.is_bypassed() {
            return Err(bypassed());
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let seed = set.own_seed().unwrap_or_else(|| mix(self.seed ^ mix(id)));
        let new = Arc::new(Active::new(id, set, seed, ends_at));
        let before = self.word(&active);
        active.push(Arc::clone(&new));
        self.is_on.store(true, Ordering::Relaxed);
        drop(active);
        let to = ChaosState::Injecting.as_str();
        (self.source).emit_transition(before, to, "started", &new.set.name());
        Ok(new)
    }

    /// Whether such faults can be made, bypassed or not.
    pub(crate) fn check(&self, set: &FaultSet) -> Result<(), InvalidConfig> {
        if !INJECT {
            let accepted = "a build of `seawall-chaos` with the feature `inject`";
            return Err(InvalidConfig::new("inject", "off", accepted));
        }
        let makes = self.makes.load(Ordering::Relaxed);
        for (index, fault) in set.faults().iter().enumerate() {
            let kind = fault.kind();
            if makes & kind.bit() == 0 {
                let possible = FaultKind::ALL.into_iter();
                let possible = possible.filter(|kind| makes & kind.bit() != 0);
                let words: Vec<_> = possible
                    .map(|kind| format!("`{}`", kind.as_str()))
                    .collect();
                let field = format!("faults[{index}].kind");
                let accepted = format!("what the hooks of this layer make: {}", words.join(", "));
                return Err(InvalidConfig::new(
                    field,
                    format!("`{}`", kind.as_str()),
                    accepted,
                ));
            }
        }
        Ok(())
    }

    /// Ends the faults of that start; whether they were on.
    pub(crate) fn stop(&self, id: u64) -> bool {
        self.end_those_over();
        self.end(|active| active.id == id, "stopped") > 0
    }

    /// Ends all faults.
    pub(crate) fn stop_all(&self) -> usize {
        self.end_those_over();
        self.end(|_| true, "stopped")
    }

    pub(crate) fn set_bypassed(&self, on: bool) {
        self.is_bypassed.store(on, Ordering::Relaxed);
        if on {
            self.stop_all();
        }
    }

    pub(crate) fn is_bypassed(&self) -> bool {
        self.is_bypassed.load(Ordering::Relaxed)
    }

    /// Those that are on. Whose time is over are ended.
    pub(crate) fn active(&self) -> Vec<Arc<Active>> {
        self.end_those_over();
        self.lock().clone()
    }

    fn end_those_over(&self) {
        if self.lock().iter().any(|active| active.is_over()) {
            self.end(Active::is_over, "time_over");
        }
    }

    pub(crate) fn state(&self) -> ChaosState {
        match self.active().is_empty() {
            false => ChaosState::Injecting,
            true if self.is_bypassed() => ChaosState::Bypassed,
            true => ChaosState::Off,
        }
    }

    fn end(&self, ends: impl Fn(&Active) -> bool, reason: &'static str) -> usize {
        let mut active = self.lock();
        let before = self.word(&active);
        let all = std::mem::take(&mut *active).into_iter();
        let (gone, left): (Vec<_>, Vec<_>) = all.partition(|active| ends(active));
        *active = left;
        self.is_on.store(!active.is_empty(), Ordering::Relaxed);
        let after = self.word(&active);
        drop(active);
        for ended in &gone {
            ended.stop();
            self.forget(ended.id);
            (self.source).emit_transition(before, after, reason, &ended.set.name());
        }
        gone.len()
    }

    fn forget(&self, id: u64) {
        // Out of the lock before anything is forgotten: it is the caller's types that are dropped.
        let stores = self.stores();
        stores.iter().for_each(|store| store.forget(id));
    }

    fn stores(&self) -> Vec<Arc<dyn Forget>> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.0.iter().filter_map(Weak::upgrade).collect()
    }

    fn word(&self, active: &[Arc<Active>]) -> &'static str {
        let state = match active.is_empty() {
            false => ChaosState::Injecting,
            true if self.is_bypassed() => ChaosState::Bypassed,
            true => ChaosState::Off,
        };
        state.as_str()
    }

    /// Which faults hit a call.
    pub(crate) fn draw(&self, meta: &RequestMeta, is_described: bool) -> Vec<Drawn> {
        let may_hit = meta.replay.is_read() || self.config.simulated_upstream();
        let mut all = Vec::new();
        for active in self.active() {
            let drawn = active.draw(meta);
            if !may_hit {
                if !drawn.is_empty() {
                    self.spare(&active, is_described);
                }
                continue;
            }
            all.extend(drawn.into_iter().map(|(index, draws)| {
                let kind = active.set.faults()[index].kind();
                let effect = Effect::new(Arc::clone(&self.total), Arc::clone(&active), kind);
                Drawn {
                    effect,
                    draws,
                    index,
                }
            }));
        }
        all
    }

    fn spare(&self, active: &Active, is_described: bool) {
        if !is_described {
            self.source.misconfigure(Misconfiguration::Undescribed);
        }
        for counters in [&*self.total, &active.counters] {
            counters.spared.add();
        }
    }

    pub(crate) fn counts(&self) -> ChaosCounts {
        ChaosCounts::sum([&*self.total])
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Active>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bypassed() -> InvalidConfig {
    InvalidConfig::new(
        "state",
        "bypassed",
        "a layer that is not bypassed: reset it first",
    )
}

/// Random bits without a dependency: the keys of the standard library's hash maps.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
