//! Reads the instances of all registries, and finds what is new in each service.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use seawall_core::{InstanceHandle, InstanceName, Registry};

use crate::counts::Counts;
use crate::read::{read, sees_rejections, source_rank};
use crate::service_name::service_of;
use crate::standing::Standing;

/// The registry by its number, and the name of the service.
pub(crate) type ServiceKey = (usize, &'static str);

/// What was read of one service.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) standing: Standing,
    /// What was counted since the last time.
    pub(crate) new: Counts,
    own_rejections: [u64; 3],
    rank: u8,
}

/// What an instance was when it was read last.
struct Instance {
    /// Keeps its place in memory, so that no other handle is taken for it.
    handle: Weak<dyn InstanceHandle>,
    counts: Counts,
    standing: Standing,
    rank: u8,
    round: u64,
}

impl Instance {
    fn is(&self, handle: &Arc<dyn InstanceHandle>) -> bool {
        std::ptr::addr_eq(self.handle.as_ptr(), Arc::as_ptr(handle))
    }
}

/// Reads the instances of all registries. No lock that a handle could ask for is held meanwhile.
pub(crate) struct Reader {
    registries: Vec<Registry>,
    instances: HashMap<(usize, &'static str, InstanceName), Instance>,
    round: u64,
    /// Handles that have panicked.
    panics: Arc<AtomicU64>,
}

impl Reader {
    /// Counts handles that panic in `panics`.
    pub(crate) fn new(registries: Vec<Registry>, panics: Arc<AtomicU64>) -> Self {
        Self {
            registries,
            instances: HashMap::new(),
            round: 0,
            panics,
        }
    }

    /// Reads what holds now, and where `counting` what is new since the last time.
    pub(crate) fn read(&mut self, counting: bool) -> BTreeMap<ServiceKey, Reading> {
        let mut readings = BTreeMap::<ServiceKey, Reading>::new();
        self.round += u64::from(counting);
        for index in 0..self.registries.len() {
            for handle in self.registries[index].all() {
                self.read_one(index, &handle, counting, &mut readings);
            }
        }
        if counting {
            let round = self.round;
            self.instances.retain(|_, it| it.round == round);
            readings.values_mut().for_each(Reading::complete);
        }
        readings
    }

    fn read_one(
        &mut self,
        index: usize,
        handle: &Arc<dyn InstanceHandle>,
        counting: bool,
        readings: &mut BTreeMap<ServiceKey, Reading>,
    ) {
        let (pattern, name) = (handle.pattern(), handle.name());
        let Some(service) = service_of(pattern, name) else {
            return;
        };
        let reading = readings.entry((index, service)).or_default();
        let (mut counts, mut standing) = (Counts::default(), Standing::default());
        // A handle may be anybody's: one that panics must not end the monitor.
        let state = catch_unwind(AssertUnwindSafe(|| {
            read(&**handle, &mut counts, &mut standing)
        }));
        if state.is_err() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
        let round = self.round;
        let key = (index, pattern, name);
        // One that has taken the place of another has counted for itself.
        let known = self.instances.get_mut(&key).filter(|it| it.is(handle));
        let (Ok(state), false) = (state, standing.is_wrong) else {
            // What it was holds until it can be read.
            reading.standing.unread.get_or_insert(pattern);
            if let Some(known) = known {
                known.round = round;
                reading.standing.add(&known.standing);
                if counting {
                    reading.take(Counts::default(), known.rank);
                }
            }
            return;
        };
        reading.standing.add(&standing);
        let rank = source_rank(pattern, state);
        match known {
            Some(known) => {
                known.standing = standing;
                if counting {
                    let new = counts.since(&known.counts);
                    (known.counts, known.rank, known.round) = (counts, rank, round);
                    reading.take(new, rank);
                }
            }
            // What it has counted before it was seen first belongs to no period.
            None if counting => {
                let instance = Instance {
                    handle: Arc::downgrade(handle),
                    counts,
                    standing,
                    rank,
                    round,
                };
                self.instances.insert(key, instance);
                reading.take(Counts::default(), rank);
            }
            None => {}
        }
    }
}

seawall_core::impl_debug!(Reader: |this| registries = this.registries, round = this.round);

impl Reading {
    /// Takes what is new in an instance. The calls are those of the outermost instances that know them.
    fn take(&mut self, mut new: Counts, rank: u8) {
        let rejections = [
            new.own_rejections,
            new.rate_limited,
            new.bulkhead_rejections,
        ];
        for (sum, more) in self.own_rejections.iter_mut().zip(rejections) {
            *sum = sum.saturating_add(more);
        }
        if rank == 0 || rank < self.rank {
            new = new.without_calls();
        } else if rank > self.rank {
            self.new = std::mem::take(&mut self.new).without_calls();
            self.rank = rank;
        }
        self.new.add(&new);
    }

    /// Every instance was read.
    fn complete(&mut self) {
        let [own, rate_limited, bulkhead] = self.own_rejections;
        if !sees_rejections(self.rank) {
            self.new.rejected = own;
        }
        self.new.own_rejections = own;
        self.new.rate_limited = rate_limited;
        self.new.bulkhead_rejections = bulkhead;
    }
}
