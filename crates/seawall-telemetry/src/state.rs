//! What the services of one layer share, and how their futures find it without a reference count.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use seawall_core::{Clock, EventSource, InstanceName};

use crate::TelemetryConfig;
use crate::stripe::{Settings, Stripe};

/// What a service and a future carry in place of a reference: a reference count would cost more than
/// all that is counted of a call. From the lowest bit on: whether the clock is the fast one, where the
/// instance lies in the table, and its number among those that have lain there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

impl Id {
    /// How many bits it has.
    pub(crate) const BITS: u32 = GENERATION_SHIFT + GENERATION_BITS;

    const fn new(index: usize, generation: u32, is_fast: bool) -> Self {
        let generation = (generation & ((1 << GENERATION_BITS) - 1)) as u64;
        Self(generation << GENERATION_SHIFT | (index as u64) << 1 | is_fast as u64)
    }

    /// From a word that has other bits above.
    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn clock(self) -> Clock {
        Clock::of_source(self.0 & 1 != 0)
    }

    #[inline]
    const fn index(self) -> usize {
        (self.0 >> 1) as usize & (INSTANCES - 1)
    }
}

/// More instances at once are not measured.
const INSTANCES: usize = 1 << 19;
const GENERATION_SHIFT: u32 = INSTANCES.ilog2() + 1;
const GENERATION_BITS: u32 = 24;

/// A layer value and its clones.
///
/// Each thread counts into a stripe of its own. That of a thread which has ended goes to the next one that comes,
/// so there are as many as there were threads at once.
#[derive(Debug)]
pub(crate) struct Instance {
    id: Id,
    index: usize,
    pub(crate) source: EventSource,
    pub(crate) settings: Arc<Settings>,
    config: Mutex<TelemetryConfig>,
    is_bypassed: AtomicBool,
    stripes: Mutex<Vec<Arc<Stripe>>>,
}

impl Instance {
    pub(crate) fn new(name: InstanceName, config: TelemetryConfig) -> Arc<Self> {
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        let index = table.free.pop().unwrap_or(table.entries.len());
        if index == table.entries.len() {
            table.entries.push((0, Weak::new()));
        }
        let generation = table.entries[index].0;
        let instance = Arc::new(Self {
            // What lies beyond the last place is taken for another one and found to be none.
            id: Id::new(index, generation, Clock::start().is_fast()),
            index,
            source: EventSource::new("telemetry", name),
            settings: Arc::new(Settings::new(
                #[cfg(feature = "tracing")]
                name,
            )),
            config: Mutex::new(config),
            is_bypassed: AtomicBool::new(false),
            stripes: Mutex::default(),
        });
        table.entries[index].1 = Arc::downgrade(&instance);
        drop(table);
        instance.configure(config);
        instance
    }

    pub(crate) const fn id(&self) -> Id {
        self.id
    }

    pub(crate) fn clock(&self) -> Clock {
        self.id.clock()
    }

    pub(crate) fn config(&self) -> TelemetryConfig {
        *lock(&self.config)
    }

    pub(crate) fn configure(&self, config: TelemetryConfig) {
        let mut current = lock(&self.config);
        *current = config;
        // Under the lock, so that calls read the settings that were set last.
        self.settings.set(config, self.would_be_on(config));
    }

    pub(crate) fn set_bypassed(&self, on: bool) {
        let current = lock(&self.config);
        self.is_bypassed.store(on, Ordering::Relaxed);
        self.settings.set(*current, self.would_be_on(*current));
    }

    pub(crate) fn is_bypassed(&self) -> bool {
        self.is_bypassed.load(Ordering::Relaxed)
    }

    fn would_be_on(&self, config: TelemetryConfig) -> bool {
        config.enabled() && !self.is_bypassed()
    }

    /// Every stripe.
    pub(crate) fn stripes(&self) -> Vec<Arc<Stripe>> {
        lock(&self.stripes).iter().map(Arc::clone).collect()
    }

    /// A stripe that no thread has.
    fn stripe(&self) -> Arc<Stripe> {
        let mut stripes = lock(&self.stripes);
        // The thread that had it has given it back, and what it wrote is seen here.
        let free = stripes
            .iter_mut()
            .position(|stripe| Arc::get_mut(stripe).is_some());
        let index = free.unwrap_or_else(|| {
            stripes.push(Arc::new(Stripe::new(Arc::clone(&self.settings))));
            stripes.len() - 1
        });
        Arc::clone(&stripes[index])
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        #[cfg(feature = "tracing")]
        self.settings.set_spans(false);
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        let (generation, instance) = &mut table.entries[self.index];
        *generation = generation.wrapping_add(1);
        *instance = Weak::new();
        table.free.push(self.index);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Table {
    /// How many instances have lain there before, and the one that does.
    entries: Vec<(u32, Weak<Instance>)>,
    free: Vec<usize>,
}

/// Every instance that is alive. Read once per thread and instance.
static TABLE: RwLock<Table> = RwLock::new(Table {
    entries: Vec::new(),
    free: Vec::new(),
});

/// What a thread has of an instance.
struct Entry {
    id: Option<Id>,
    /// `None` when the instance is gone: nobody is left who reads.
    stripe: Option<Arc<Stripe>>,
}

thread_local! {
    static OWN: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// Counts into the stripe that the running thread has of the instance. Nothing is counted when the
/// layer and its handles are gone, and while the thread's locals are destroyed.
///
/// `count` must not make a call of a service.
#[inline]
pub(crate) fn here<T>(id: Id, count: impl FnOnce(&Stripe) -> T) -> Option<T> {
    let counted = OWN.try_with(|own| {
        if let Ok(own) = own.try_borrow()
            && let Some(entry) = own.get(id.index())
            && entry.id == Some(id)
        {
            return entry.stripe.as_deref().map(count);
        }
        find(own, id).as_deref().map(count)
    });
    counted.ok().flatten()
}

#[cold]
#[inline(never)]
fn find(own: &RefCell<Vec<Entry>>, id: Id) -> Option<Arc<Stripe>> {
    let found = {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        let entry = table.entries.get(id.index());
        entry.and_then(|(_, instance)| instance.upgrade())
    };
    // Not under the lock: this may be the last reference by now, and an instance that ends takes it.
    let instance = found.filter(|instance| instance.id == id && instance.index == id.index());
    let stripe = instance.map(|instance| instance.stripe());
    let mut own = own.try_borrow_mut().ok()?;
    if own.len() <= id.index() {
        own.resize_with(id.index() + 1, || Entry {
            id: None,
            stripe: None,
        });
    }
    own[id.index()] = Entry {
        id: Some(id),
        stripe: stripe.as_ref().map(Arc::clone),
    };
    stripe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::End;
    use crate::stripe::Ended;
    use seawall_core::Operation;

    fn instance() -> Arc<Instance> {
        Instance::new(InstanceName::new("x"), TelemetryConfig::default())
    }

    fn count(id: Id) -> Option<()> {
        let ended = Ended {
            is_attempt: false,
            operation: Operation::OTHER,
            end: End::Success,
            took_ns: 0,
        };
        here(id, |stripe| stripe.count(ended))
    }

    fn counted(instance: &Instance) -> u64 {
        let histograms = instance.stripes().into_iter().map(|stripe| {
            let of = stripe.at(0).expect("it is always there");
            let latency = of.calls[0].get().expect("it has counted");
            seawall_core::HistogramSnapshot::of([&**latency]).count()
        });
        histograms.sum()
    }

    #[test]
    fn threads_that_come_and_go_use_the_same_stripes_and_lose_nothing() {
        let instance = instance();
        let id = instance.id();
        for _ in 0..20 {
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| (0..1_000).for_each(|_| assert!(count(id).is_some())));
                }
            });
        }
        assert_eq!(counted(&instance), 60_000);
        let stripes = instance.stripes().len();
        assert!(stripes <= 6, "{stripes} stripes of three threads at a time");
    }

    #[test]
    fn nothing_is_counted_of_what_is_gone_nor_for_what_lies_there_then() {
        let first = instance();
        let id = first.id();
        assert!(count(id).is_some());
        let witness = Arc::downgrade(&first);
        drop(first);
        assert!(witness.upgrade().is_none(), "no thread keeps it alive");
        // Where it has not counted, the number alone must not be enough.
        let next = instance();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(count(id).is_none()));
        });
        assert!(count(next.id()).is_some());
        assert_eq!(counted(&next), 1);
    }

    #[test]
    fn one_that_ends_while_another_one_is_looked_for_ends() {
        // What lay before where those lie that come and go below.
        let gone = [(); 2].map(|()| instance().id());
        let (done, is_done) = std::sync::mpsc::channel();
        let looks = done.clone();
        std::thread::spawn(move || {
            // Neither is remembered for long, so each is looked for in the table.
            (0..1_000_000).for_each(|round| assert!(count(gone[round % 2]).is_none()));
            looks.send(())
        });
        std::thread::spawn(move || {
            (0..1_000_000).for_each(|_| drop(instance()));
            done.send(())
        });
        for _ in 0..2 {
            let ended = is_done.recv_timeout(std::time::Duration::from_secs(60));
            assert!(ended.is_ok(), "they wait for each other");
        }
    }
}
