//! The permits of a pool against a plain list.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;
use seawall_core::PartitionKey;
use seawall_core::queue::{GRACE, Turn, WaiterId};

use super::KeyedPermits;
use crate::pool::{PoolLimits, PoolSupply};
use crate::semaphore::Admission;

const fn limits(total: u32, per_key: Option<u32>) -> PoolLimits {
    PoolLimits {
        max_concurrent: total,
        max_per_key: per_key,
        max_waiting: 6,
        max_wait: Duration::MAX,
        shadow: false,
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Sleeper {
    id: WaiterId,
    key: PartitionKey,
    woken: Arc<Flag>,
    skipped: bool,
}

impl Sleeper {
    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    fn waker(&self) -> Waker {
        Arc::clone(&self.woken).into()
    }
}

struct Model {
    total: u32,
    per_key: Option<u32>,
    held: Vec<PartitionKey>,
    queue: Vec<Sleeper>,
}

impl Model {
    /// Whether a permit more of this key is allowed beside these.
    fn fits(&self, held: &[PartitionKey], key: PartitionKey) -> bool {
        let of_key = held.iter().filter(|k| **k == key).count();
        let below = self.per_key.is_none_or(|max| of_key < max as usize);
        held.len() < self.total as usize && below
    }

    /// What is held, and what was promised to those that were woken.
    fn promised(&self) -> Vec<PartitionKey> {
        let woken = self.queue.iter().filter(|s| !s.skipped && s.is_woken());
        let woken = woken.map(|s| s.key);
        self.held.iter().copied().chain(woken).collect()
    }
}

fn check(
    total: u32,
    per_key: Option<u32>,
    steps: Vec<(u8, u64, usize)>,
) -> Result<(), TestCaseError> {
    let permits = KeyedPermits::new(PoolSupply::new(limits(total, per_key)));
    let mut model = Model {
        total,
        per_key,
        held: Vec::new(),
        queue: Vec::new(),
    };
    for (step, key, which) in steps {
        let at = which.checked_rem(model.queue.len());
        match (step, at) {
            (0, _) => {
                let key = PartitionKey(key);
                match permits.try_acquire(key) {
                    Admission::Admitted => {
                        prop_assert!(model.fits(&model.promised(), key));
                        model.held.push(key);
                    }
                    denied => {
                        let joined = permits.join(key, 0, u64::MAX);
                        prop_assert_eq!(joined.is_ok(), model.queue.len() < 6);
                        prop_assert_eq!(denied == Admission::Wait, joined.is_ok());
                        if let Ok(joined) = joined {
                            let sleeper = Sleeper {
                                id: joined.id,
                                key,
                                woken: Arc::default(),
                                skipped: false,
                            };
                            let (turn, _) = permits.turn(key, joined.id, 0, sleeper.waker());
                            sleeper.woken.0.store(turn == Turn::Go, Ordering::Relaxed);
                            model.queue.push(sleeper);
                        }
                    }
                }
            }
            (1, _) if !model.held.is_empty() => {
                let key = model.held.remove(which % model.held.len());
                permits.release(key);
            }
            (2, Some(at)) => permits.leave(model.queue.remove(at).id),
            (3, Some(at)) => {
                model.queue[at].skipped = true;
                model.queue[at].woken.0.store(false, Ordering::Relaxed);
                let _ = permits.skip(model.queue[at].id);
            }
            (4, Some(at)) => {
                let sleeper = &model.queue[at];
                let promised = sleeper.is_woken();
                let fits = model.fits(&model.held, sleeper.key);
                let acquired = permits.acquire(sleeper.id, sleeper.waker(), || ());
                let sleeper = &mut model.queue[at];
                if acquired.is_some() {
                    prop_assert!(fits && (promised || sleeper.skipped || sleeper.is_woken()));
                    model.held.push(model.queue.remove(at).key);
                } else {
                    // A limit that was lowered takes a promise back.
                    prop_assert!(!(promised && fits));
                    sleeper.woken.0.store(false, Ordering::Relaxed);
                    sleeper.skipped = false;
                }
            }
            (5, _) => {
                model.total = 1 + which as u32 % 3;
                model.per_key = (key > 0).then_some(key as u32);
                let limits = limits(model.total, model.per_key);
                permits.update(|pool| pool.set_limits(limits));
            }
            _ => {}
        }
        let promised = model.promised();
        let sleeps = |s: &&Sleeper| !s.skipped && !s.is_woken() && model.fits(&promised, s.key);
        prop_assert!(model.queue.iter().find(sleeps).is_none(), "it sleeps");
        let usage = permits.read(PoolSupply::usage);
        prop_assert_eq!(usage.in_flight as usize, model.held.len());
        prop_assert_eq!(usage.queue_depth, model.queue.len());
        for key in (0..3).map(PartitionKey) {
            let count = model.held.iter().filter(|k| **k == key).count();
            prop_assert_eq!(permits.read(|pool| pool.in_flight_of(key)) as usize, count);
        }
    }
    for key in model.held {
        permits.release(key);
    }
    for sleeper in model.queue {
        permits.leave(sleeper.id);
    }
    prop_assert!(permits.read(PoolSupply::is_unused));
    Ok(())
}

proptest! {
    /// Never a permit too many, and no waiter sleeps while there is a permit for it that was not
    /// promised to another.
    #[test]
    fn no_waiter_sleeps_while_a_permit_is_available_for_it(
        total in 1_u32..4,
        per_key in prop::option::of(1_u32..3),
        steps in prop::collection::vec((0_u8..6, 0_u64..3, 0_usize..8), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("valid settings");
        runtime.block_on(async { check(total, per_key, steps) })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_wait_is_over_takes_what_is_available_whatever_its_rank() {
    let permits = KeyedPermits::new(PoolSupply::new(limits(1, Some(1))));
    let waker = Waker::noop().clone();
    let (one, two) = (PartitionKey(1), PartitionKey(2));
    assert_eq!(permits.try_acquire(one), Admission::Admitted);
    let first = permits.join(one, 0, u64::MAX).expect("there is room").id;
    let late = permits.join(two, 0, GRACE).expect("there is room").id;
    assert_eq!(permits.turn(two, late, 0, waker.clone()).0, Turn::Wait);
    permits.release(one);
    assert_eq!(permits.turn(two, late, 0, waker.clone()).0, Turn::Wait);
    assert_eq!(permits.turn(two, late, GRACE, waker.clone()).0, Turn::Go);
    assert!(permits.acquire(late, waker.clone(), || ()).is_some());
    assert_eq!(permits.turn(one, first, GRACE, waker).0, Turn::Wait);
}

/// A claim that cannot be used any more, since its key may have less than before, goes to another.
#[tokio::test(start_paused = true)]
async fn a_claim_that_a_lower_limit_per_key_takes_back_goes_to_another_key() {
    let permits = KeyedPermits::new(PoolSupply::new(limits(2, Some(2))));
    let [one, two, three] = [1, 2, 3].map(PartitionKey);
    assert_eq!(permits.try_acquire(one), Admission::Admitted);
    assert_eq!(permits.try_acquire(three), Admission::Admitted);
    let [first, second] = [one, two].map(|key| {
        let id = permits.join(key, 0, u64::MAX).expect("there is room").id;
        let woken = Arc::default();
        let sleeper = Sleeper {
            id,
            key,
            woken,
            skipped: false,
        };
        let (turn, _) = permits.turn(key, id, 0, sleeper.waker());
        assert_eq!(turn, Turn::Wait);
        sleeper
    });
    permits.release(three);
    assert!(first.is_woken() && !second.is_woken());
    permits.update(|pool| pool.set_limits(limits(2, Some(1))));
    let taken = permits.acquire(first.id, first.waker(), || ());
    assert!(taken.is_none() && second.is_woken());
    let taken = permits.acquire(second.id, second.waker(), || ());
    assert!(taken.is_some());
}
