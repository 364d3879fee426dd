//! The places under loom's model checker: every interleaving of give back, join, leave.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-bulkhead --test loom --release`
#![cfg(seawall_loom)]

#[allow(dead_code, reason = "the model uses less of it than the layer")]
#[path = "../src/line.rs"]
mod line;
#[allow(dead_code, reason = "see above")]
#[path = "../src/pace.rs"]
mod pace;
#[allow(dead_code, reason = "see above")]
#[path = "../src/places.rs"]
mod places;
#[allow(unused_imports, reason = "see above")]
#[path = "../src/sync.rs"]
mod sync;
#[allow(dead_code, reason = "see above")]
#[path = "../src/word.rs"]
mod word;

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use line::Rules;
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use places::{Entry, Places, Turn, Wish};
use seawall_core::Priority;
use seawall_core::queue::Ticket;
use word::{PAUSED, WATCHED};

fn places(limit: u32) -> Places {
    let rules = Rules {
        max_waiting: 8,
        patience_ns: 1,
        step_ns: 1,
        lifo_threshold: None,
        reject_doomed: false,
    };
    Places::new(limit, rules, false)
}

/// What the models ask of the places, with a clock that stands.
trait Plain {
    fn try_take(&self) -> Result<(), Entry>;
    fn give_back(&self);
    fn queue(&self, waker: &Waker) -> Option<Ticket>;
    fn free(&self) -> u32;
    fn waiting(&self) -> usize;
}

impl Plain for Places {
    fn try_take(&self) -> Result<(), Entry> {
        match self.enter() {
            Entry::Taken => Ok(()),
            other => Err(other),
        }
    }

    fn give_back(&self) {
        self.release(|| 0);
    }

    fn queue(&self, waker: &Waker) -> Option<Ticket> {
        let wish = Wish {
            priority: Priority::NORMAL,
            deadline_ns: u64::MAX,
            reserves: false,
        };
        self.join(0, &wish, waker).ok().map(|joined| joined.ticket)
    }

    fn free(&self) -> u32 {
        self.reading().free()
    }

    fn waiting(&self) -> usize {
        self.reading().waiting
    }
}

/// Waits for a place like the layer's future does, with a service that is always ready.
fn acquire(places: &Places) {
    if places.try_take().is_ok() {
        return;
    }
    let mut ticket = None;
    block_on(poll_fn(|cx| {
        let ticket = *ticket.get_or_insert_with(|| places.queue(cx.waker()).expect("room"));
        let go = places.turn(ticket, false, cx.waker()) == Turn::Go;
        if go && places.take(ticket, false, cx.waker(), || ()).is_some() {
            return Poll::Ready(());
        }
        Poll::Pending
    }));
}

#[test]
fn a_place_that_is_given_back_wakes_who_joins_meanwhile() {
    loom::model(|| {
        let places = Arc::new(places(1));
        assert!(places.try_take().is_ok());
        let other = Arc::clone(&places);
        let waiter = thread::spawn(move || {
            acquire(&other);
            other.give_back();
        });
        places.give_back();
        waiter.join().unwrap();
        assert_eq!((places.free(), places.waiting()), (1, 0));
    });
}

#[test]
fn two_who_want_one_place_both_get_it() {
    loom::model(|| {
        let places = Arc::new(places(1));
        let other = Arc::clone(&places);
        let waiter = thread::spawn(move || {
            acquire(&other);
            other.give_back();
        });
        acquire(&places);
        places.give_back();
        waiter.join().unwrap();
        assert_eq!((places.free(), places.waiting()), (1, 0));
    });
}

/// Every interleaving with up to three preemptions: three threads have too many for all of them.
fn three_threads(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_waiter_that_leaves_while_it_is_called_passes_the_call_on() {
    three_threads(|| {
        let places = Arc::new(places(1));
        assert!(places.try_take().is_ok());
        // First in line, and about to leave.
        let first = places.queue(Waker::noop()).expect("room");
        let patient = Arc::clone(&places);
        let patient = thread::spawn(move || {
            acquire(&patient);
            patient.give_back();
        });
        let giver = Arc::clone(&places);
        let giver = thread::spawn(move || giver.give_back());
        places.leave(first);
        giver.join().unwrap();
        patient.join().unwrap();
        assert_eq!((places.free(), places.waiting()), (1, 0));
    });
}

#[test]
fn a_waiter_that_stands_aside_while_it_is_called_passes_the_call_on() {
    three_threads(|| {
        let places = Arc::new(places(1));
        assert!(places.try_take().is_ok());
        let first = places.queue(Waker::noop()).expect("room");
        let patient = Arc::clone(&places);
        let patient = thread::spawn(move || {
            acquire(&patient);
            patient.give_back();
        });
        let giver = Arc::clone(&places);
        let giver = thread::spawn(move || giver.give_back());
        places.stand_aside(first);
        giver.join().unwrap();
        patient.join().unwrap();
        // Its service has recovered: it takes the place that is free now.
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(places.turn(first, false, cx.waker()), Turn::Go);
        assert!(places.take(first, false, cx.waker(), || ()).is_some());
        places.give_back();
        assert_eq!((places.free(), places.waiting()), (1, 0));
    });
}

/// The first in line is called and never polled. The second, whose patience is over at any moment
/// of this, has the place or leaves it free; and whoever comes then is not held up by either.
#[test]
fn a_late_waiter_takes_a_free_place_past_one_that_is_not_polled() {
    three_threads(|| {
        let places = Arc::new(places(1));
        assert!(places.try_take().is_ok());
        let first = places.queue(Waker::noop()).expect("room");
        let second = places.queue(Waker::noop()).expect("room");
        let giver = Arc::clone(&places);
        let giver = thread::spawn(move || giver.give_back());
        let late = Arc::clone(&places);
        let late = thread::spawn(move || {
            let go = late.turn(second, true, Waker::noop()) == Turn::Go;
            if go && late.take(second, true, Waker::noop(), || ()).is_some() {
                late.give_back();
            } else {
                late.leave(second);
            }
        });
        giver.join().unwrap();
        late.join().unwrap();
        assert_eq!((places.free(), places.waiting()), (1, 1));
        places.leave(first);
        assert!(places.try_take().is_ok());
    });
}

/// A place that is made while somebody is about to sleep for want of one.
#[test]
fn a_place_that_is_added_wakes_who_joins_meanwhile() {
    loom::model(|| {
        let places = Arc::new(places(1));
        assert!(places.try_take().is_ok());
        let other = Arc::clone(&places);
        let waiter = thread::spawn(move || {
            acquire(&other);
            other.give_back();
        });
        places.set_limit(2);
        waiter.join().unwrap();
        places.give_back();
        assert_eq!((places.free(), places.waiting()), (2, 0));
    });
}

/// One place is taken away while both are given back and somebody waits: it is served, and one
/// place is left.
#[test]
fn a_limit_that_is_lowered_loses_no_wake_up_and_no_place() {
    three_threads(|| {
        let places = Arc::new(places(2));
        assert!(places.try_take().is_ok() && places.try_take().is_ok());
        let patient = Arc::clone(&places);
        let patient = thread::spawn(move || {
            acquire(&patient);
            patient.give_back();
        });
        let giver = Arc::clone(&places);
        let giver = thread::spawn(move || {
            giver.give_back();
            giver.give_back();
        });
        places.set_limit(1);
        giver.join().unwrap();
        patient.join().unwrap();
        assert_eq!((places.free(), places.waiting()), (1, 0));
        assert!(places.try_take().is_ok() && places.try_take().is_err());
    });
}

/// A place is given back while the layer is paused: who waits for it sleeps, and the end of the
/// pause wakes it.
#[test]
fn the_end_of_a_pause_wakes_who_waits() {
    three_threads(|| {
        let places = Arc::new(places(1));
        assert!(places.try_take().is_ok());
        let ticket = places.queue(Waker::noop()).expect("room");
        places.command(PAUSED, 0);
        assert!(places.try_take().is_err());
        let patient = Arc::clone(&places);
        let patient = thread::spawn(move || {
            block_on(poll_fn(|cx| {
                let go = patient.turn(ticket, false, cx.waker()) == Turn::Go;
                if go && patient.take(ticket, false, cx.waker(), || ()).is_some() {
                    return Poll::Ready(());
                }
                Poll::Pending
            }));
            patient.give_back();
        });
        let giver = Arc::clone(&places);
        let giver = thread::spawn(move || giver.give_back());
        places.command(0, PAUSED);
        giver.join().unwrap();
        patient.join().unwrap();
        assert_eq!((places.free(), places.waiting()), (1, 0));
    });
}

/// Who waits for all places to be free is woken by whoever is the last to give one back.
#[test]
fn the_last_place_that_is_given_back_wakes_who_drains() {
    three_threads(|| {
        let places = Arc::new(places(2));
        assert!(places.try_take().is_ok() && places.try_take().is_ok());
        let givers = [0, 1].map(|_| {
            let giver = Arc::clone(&places);
            thread::spawn(move || giver.give_back())
        });
        let mut id = None;
        block_on(poll_fn(|cx| {
            if places.watch(&mut id, cx.waker()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        assert_eq!((places.free(), places.waiting()), (2, 0));
        givers.into_iter().for_each(|giver| giver.join().unwrap());
        assert!(!places.has(WATCHED), "the short way is open again");
    });
}
