//! Reads the instances of all registries, and finds what is new in each service.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// What an instance had counted when it was read last.
#[derive(Debug)]
struct Instance {
    counts: Counts,
    round: u64,
}

/// Reads the instances of all registries. No lock that a handle could ask for is held meanwhile.
#[derive(Debug)]
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
                self.read_one(index, &*handle, counting, &mut readings);
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
        handle: &dyn InstanceHandle,
        counting: bool,
        readings: &mut BTreeMap<ServiceKey, Reading>,
    ) {
        let (pattern, name) = (handle.pattern(), handle.name());
        let Some(service) = service_of(pattern, name) else {
            return;
        };
        let reading = readings.entry((index, service)).or_default();
        let mut counts = Counts::default();
        let standing = &mut reading.standing;
        // A handle may be anybody's: one that panics must not end the monitor.
        let state = catch_unwind(AssertUnwindSafe(|| read(handle, &mut counts, standing)));
        let Ok(state) = state else {
            self.panics.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if !counting {
            return;
        }
        let key = (index, pattern, name);
        let round = self.round;
        match self.instances.get_mut(&key) {
            Some(known) => {
                let new = counts.since(&known.counts);
                *known = Instance { counts, round };
                reading.take(new, source_rank(pattern, state));
            }
            // What it has counted before it was seen first belongs to no period.
            None => {
                self.instances.insert(key, Instance { counts, round });
                reading.take(Counts::default(), source_rank(pattern, state));
            }
        }
    }
}

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
