//! The semaphore under loom's model checker: every interleaving of release, join, leave.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-bulkhead --test loom --release`
#![cfg(seawall_loom)]

#[allow(dead_code, reason = "the model uses less of it than the layer")]
#[path = "../src/semaphore/mod.rs"]
mod semaphore;

use std::future::poll_fn;
use std::task::{Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use seawall_core::Priority;
use seawall_core::queue::{GRACE, Turn, WaiterId};
use semaphore::packed::{IDLE_AWAITED, PAUSED};
use semaphore::queue::{QueueRules, WaitRequest};
use semaphore::{Admission, Semaphore};

fn semaphore(limit: u32) -> Semaphore {
    let rules = QueueRules {
        max_waiting: 8,
        max_wait_ns: u64::MAX,
        priority_step_ns: 1,
        lifo_threshold: None,
        reject_doomed: false,
    };
    Semaphore::new(limit, rules, false)
}

/// What the models use of the semaphore, with a clock that stands still.
trait Plain {
    fn try_take(&self) -> Result<(), Admission>;
    fn put_back(&self);
    fn queue(&self, waker: &Waker) -> Option<WaiterId>;
    /// Queued by a call with this deadline.
    fn queue_until(&self, deadline_ns: u64) -> Option<WaiterId>;
    /// Polls a waiter whose service is ready.
    fn poll(&self, id: WaiterId, now: u64, waker: &Waker) -> Poll<()>;
    fn available(&self) -> u32;
    fn waiting(&self) -> usize;
}

impl Plain for Semaphore {
    fn try_take(&self) -> Result<(), Admission> {
        match self.try_acquire(|| 0) {
            Admission::Admitted => Ok(()),
            other => Err(other),
        }
    }

    fn put_back(&self) {
        self.release(|| 0);
    }

    fn queue(&self, waker: &Waker) -> Option<WaiterId> {
        let request = WaitRequest {
            priority: Priority::NORMAL,
            deadline_ns: u64::MAX,
            reserving: true,
        };
        let (joined, _, wakers) = self.join(0, &request, waker.clone()).ok()?;
        wakers.wake();
        Some(joined.id)
    }

    fn queue_until(&self, deadline_ns: u64) -> Option<WaiterId> {
        let request = WaitRequest {
            priority: Priority::NORMAL,
            deadline_ns,
            reserving: false,
        };
        let (joined, _, wakers) = self.join(0, &request, Waker::noop().clone()).ok()?;
        wakers.wake();
        Some(joined.id)
    }

    fn poll(&self, id: WaiterId, now: u64, waker: &Waker) -> Poll<()> {
        let claim = || {
            let wakers = self.take_claim(id)?;
            wakers.wake();
            Some(())
        };
        if self.is_handed(id) && self.take_handed(id) {
            return Poll::Ready(());
        }
        if self.turn(id, now, waker.clone()).0 != Turn::Go {
            return Poll::Pending;
        }
        if claim().is_some() {
            return Poll::Ready(());
        }
        let (acquired, wakers) = self.acquire(id, now, waker);
        wakers.wake();
        if acquired {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn available(&self) -> u32 {
        self.usage(0).available()
    }

    fn waiting(&self) -> usize {
        self.usage(0).queue_depth
    }
}

/// Waits for a permit like the layer's future does, with a service that is always ready.
fn acquire(semaphore: &Semaphore) {
    if semaphore.try_take().is_ok() {
        return;
    }
    let mut id = None;
    block_on(poll_fn(|cx| {
        let id = *id.get_or_insert_with(|| semaphore.queue(cx.waker()).expect("there is room"));
        semaphore.poll(id, 0, cx.waker())
    }));
}

#[test]
fn a_released_permit_wakes_a_waiter_that_joins_meanwhile() {
    loom::model(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        let other = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            acquire(&other);
            other.put_back();
        });
        semaphore.put_back();
        waiter.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
    });
}

#[test]
fn two_waiters_of_one_permit_both_get_it() {
    loom::model(|| {
        let semaphore = Arc::new(semaphore(1));
        let other = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            acquire(&other);
            other.put_back();
        });
        acquire(&semaphore);
        semaphore.put_back();
        waiter.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
    });
}

/// Every interleaving with up to three preemptions: three threads have too many for all of them.
fn three_threads(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_waiter_that_leaves_while_it_is_woken_passes_the_wake_up_on() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        // First in the queue, and about to leave.
        let first = semaphore.queue(Waker::noop()).expect("there is room");
        let waiter = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            acquire(&waiter);
            waiter.put_back();
        });
        let releaser = Arc::clone(&semaphore);
        let releaser = thread::spawn(move || releaser.put_back());
        semaphore.leave(first, 0);
        releaser.join().unwrap();
        waiter.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
    });
}

#[test]
fn a_waiter_that_is_skipped_while_it_is_woken_passes_the_wake_up_on() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        let first = semaphore.queue(Waker::noop()).expect("there is room");
        let waiter = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            acquire(&waiter);
            waiter.put_back();
        });
        let releaser = Arc::clone(&semaphore);
        let releaser = thread::spawn(move || releaser.put_back());
        let _ = semaphore.skip(first, 0);
        releaser.join().unwrap();
        waiter.join().unwrap();
        // Its service has recovered: it takes the permit that is available now.
        assert!(semaphore.poll(first, 0, Waker::noop()).is_ready());
        semaphore.put_back();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
    });
}

/// The first waiter is notified and never polled. The second, whose wait ends at any moment of
/// this, has the permit or leaves it available; and a call that comes later is not held up by either.
#[test]
fn a_waiter_whose_wait_is_over_takes_a_permit_past_one_that_is_not_polled() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        let first = semaphore.queue(Waker::noop()).expect("there is room");
        let second = semaphore.queue_until(2 * GRACE).expect("there is room");
        let releaser = Arc::clone(&semaphore);
        let releaser = thread::spawn(move || releaser.put_back());
        let late = Arc::clone(&semaphore);
        let late = thread::spawn(move || {
            if late.poll(second, 2 * GRACE, Waker::noop()).is_ready() {
                late.put_back();
            } else {
                late.leave(second, 2 * GRACE);
            }
        });
        releaser.join().unwrap();
        late.join().unwrap();
        assert_eq!(semaphore.available(), 1);
        // The first has lapsed by then.
        let newcomer = semaphore.queue_until(u64::MAX).expect("there is room");
        let served = semaphore.poll(newcomer, 4 * GRACE, Waker::noop());
        assert!(served.is_ready());
        semaphore.put_back();
        assert!(semaphore.poll(first, 4 * GRACE, Waker::noop()).is_ready());
    });
}

/// Two permits are released one after the other while two waiters sleep, the first of which is
/// never polled again: the second gets one of them, whatever the order.
#[test]
fn a_waiter_that_is_not_polled_costs_one_permit() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(2));
        assert!(semaphore.try_take().is_ok() && semaphore.try_take().is_ok());
        let stuck = semaphore.queue(Waker::noop()).expect("there is room");
        let waiter = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || acquire(&waiter));
        let releaser = Arc::clone(&semaphore);
        let releaser = thread::spawn(move || releaser.put_back());
        semaphore.put_back();
        releaser.join().unwrap();
        waiter.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 1));
        semaphore.leave(stuck, 0);
        assert!(semaphore.try_take().is_ok());
    });
}

/// One permit, whose waiter does not come: it goes to the next when the grace is over, in whatever
/// order the first is polled, the grace ends and the second goes to sleep.
#[test]
fn a_claim_that_lapses_wakes_the_next_waiter() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        let slow = semaphore.queue(Waker::noop()).expect("there is room");
        semaphore.put_back();
        let waiter = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            acquire(&waiter);
            waiter.put_back();
        });
        let late = Arc::clone(&semaphore);
        let late = thread::spawn(move || {
            let served = late.poll(slow, 2 * GRACE, Waker::noop()).is_ready();
            if served {
                late.put_back();
            } else {
                late.leave(slow, 2 * GRACE);
            }
        });
        late.join().unwrap();
        waiter.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
    });
}

/// The queue takes a permit back from a waiter that takes it at that moment: one of both has it, and the
/// next waiter the other one that there is.
#[test]
fn a_waiter_that_comes_as_it_lapses_has_its_permit_or_waits() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        let slow = semaphore.queue(Waker::noop()).expect("there is room");
        semaphore.put_back();
        let clock = Arc::clone(&semaphore);
        let clock = thread::spawn(move || clock.usage(2 * GRACE).in_flight);
        let late = Arc::clone(&semaphore);
        let late = thread::spawn(move || late.is_handed(slow) && late.take_handed(slow));
        let served = late.join().unwrap();
        assert!(clock.join().unwrap() <= u32::from(served));
        if served {
            assert_eq!((semaphore.available(), semaphore.waiting()), (0, 0));
            semaphore.put_back();
        } else {
            assert_eq!(semaphore.available(), 1);
            semaphore.leave(slow, 2 * GRACE);
        }
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
    });
}

/// A waiter that was handed a permit and is dropped while another goes to sleep.
#[test]
fn a_permit_of_a_waiter_that_leaves_goes_to_the_next() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        let first = semaphore.queue(Waker::noop()).expect("there is room");
        semaphore.put_back();
        let waiter = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            acquire(&waiter);
            waiter.put_back();
        });
        semaphore.leave(first, 0);
        waiter.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
    });
}

/// A pause, or a lower limit, while a waiter takes the permit that it was handed: it has that from
/// before, or none until the end.
#[test]
fn a_command_takes_back_what_was_handed_over_and_not_taken() {
    for pause in [true, false] {
        three_threads(move || {
            let semaphore = Arc::new(semaphore(2));
            assert!(semaphore.try_take().is_ok() && semaphore.try_take().is_ok());
            let id = semaphore.queue(Waker::noop()).expect("there is room");
            semaphore.put_back();
            let waiter = Arc::clone(&semaphore);
            let waiter = thread::spawn(move || waiter.poll(id, 0, Waker::noop()).is_ready());
            if pause {
                semaphore.command(PAUSED, 0, 0);
            } else {
                semaphore.set_limit(1, 0).wake();
            }
            let in_flight = semaphore.usage(0).in_flight;
            let served = waiter.join().unwrap();
            assert_eq!(semaphore.usage(0).in_flight, 1 + u32::from(served));
            assert_eq!(in_flight, 1 + u32::from(served), "nothing departs after it");
            if served {
                semaphore.put_back();
            } else if pause {
                semaphore.command(0, PAUSED, 0);
                assert!(semaphore.poll(id, 0, Waker::noop()).is_ready());
                semaphore.put_back();
            } else {
                semaphore.leave(id, 0);
            }
            semaphore.put_back();
            assert_eq!((semaphore.usage(0).in_flight, semaphore.waiting()), (0, 0));
        });
    }
}

/// A permit that is added while a waiter is about to sleep.
#[test]
fn an_added_permit_wakes_a_waiter_that_joins_meanwhile() {
    loom::model(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        let other = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            acquire(&other);
            other.put_back();
        });
        semaphore.set_limit(2, 0).wake();
        waiter.join().unwrap();
        semaphore.put_back();
        assert_eq!((semaphore.available(), semaphore.waiting()), (2, 0));
    });
}

/// One permit is removed while both are released and a call waits: it is served, and one permit
/// is left.
#[test]
fn a_limit_that_is_lowered_loses_no_wake_up_and_no_permit() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(2));
        assert!(semaphore.try_take().is_ok() && semaphore.try_take().is_ok());
        let waiter = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            acquire(&waiter);
            waiter.put_back();
        });
        let releaser = Arc::clone(&semaphore);
        let releaser = thread::spawn(move || {
            releaser.put_back();
            releaser.put_back();
        });
        semaphore.set_limit(1, 0).wake();
        releaser.join().unwrap();
        waiter.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
        assert!(semaphore.try_take().is_ok() && semaphore.try_take().is_err());
    });
}

/// A permit is released while the layer is paused: a waiter sleeps, and the end of the pause wakes
/// it.
#[test]
fn the_end_of_a_pause_wakes_a_waiter() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(1));
        assert!(semaphore.try_take().is_ok());
        let id = semaphore.queue(Waker::noop()).expect("there is room");
        semaphore.command(PAUSED, 0, 0);
        assert!(semaphore.try_take().is_err());
        let waiter = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || {
            block_on(poll_fn(|cx| waiter.poll(id, 0, cx.waker())));
            waiter.put_back();
        });
        let releaser = Arc::clone(&semaphore);
        let releaser = thread::spawn(move || releaser.put_back());
        semaphore.command(0, PAUSED, 0);
        releaser.join().unwrap();
        waiter.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
    });
}

/// Whatever waits until all permits are available is woken by the last release.
#[test]
fn the_last_release_ends_a_drain() {
    three_threads(|| {
        let semaphore = Arc::new(semaphore(2));
        assert!(semaphore.try_take().is_ok() && semaphore.try_take().is_ok());
        let releasers = [0, 1].map(|_| {
            let releaser = Arc::clone(&semaphore);
            thread::spawn(move || releaser.put_back())
        });
        let mut id = None;
        block_on(poll_fn(|cx| {
            if semaphore.poll_idle(&mut id, cx.waker(), 0) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        assert_eq!((semaphore.available(), semaphore.waiting()), (2, 0));
        releasers
            .into_iter()
            .for_each(|releaser| releaser.join().unwrap());
        assert!(!semaphore.has(IDLE_AWAITED), "the fast path is open again");
    });
}
