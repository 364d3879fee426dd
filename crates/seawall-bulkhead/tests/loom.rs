//! The places under loom's model checker: every interleaving of give back, join, leave.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-bulkhead --test loom --release`
#![cfg(seawall_loom)]

#[allow(dead_code, reason = "the model uses less of it than the layer")]
#[path = "../src/places.rs"]
mod places;
#[allow(unused_imports, reason = "see above")]
#[path = "../src/sync.rs"]
mod sync;

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use places::{Places, Turn};

/// Waits for a place like the layer's future does, with a service that is always ready.
fn acquire(places: &Places) {
    if places.try_take().is_ok() {
        return;
    }
    let mut ticket = None;
    block_on(poll_fn(|cx| {
        let ticket = *ticket.get_or_insert_with(|| places.join(cx.waker()).expect("room"));
        let go = places.turn(ticket, false, cx.waker()) == Turn::Go;
        if go && places.take(ticket, false, cx.waker()) {
            return Poll::Ready(());
        }
        Poll::Pending
    }));
}

#[test]
fn a_place_that_is_given_back_wakes_who_joins_meanwhile() {
    loom::model(|| {
        let places = Arc::new(Places::new(1, 8));
        assert!(places.try_take().is_ok());
        let other = Arc::clone(&places);
        let waiter = thread::spawn(move || {
            acquire(&other);
            other.release();
        });
        places.release();
        waiter.join().unwrap();
        assert_eq!((places.free(), places.waiting()), (1, 0));
    });
}

#[test]
fn two_who_want_one_place_both_get_it() {
    loom::model(|| {
        let places = Arc::new(Places::new(1, 8));
        let other = Arc::clone(&places);
        let waiter = thread::spawn(move || {
            acquire(&other);
            other.release();
        });
        acquire(&places);
        places.release();
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
        let places = Arc::new(Places::new(1, 8));
        assert!(places.try_take().is_ok());
        // First in line, and about to leave.
        let first = places.join(Waker::noop()).expect("room");
        let patient = Arc::clone(&places);
        let patient = thread::spawn(move || {
            acquire(&patient);
            patient.release();
        });
        let giver = Arc::clone(&places);
        let giver = thread::spawn(move || giver.release());
        places.leave(first);
        giver.join().unwrap();
        patient.join().unwrap();
        assert_eq!((places.free(), places.waiting()), (1, 0));
    });
}

#[test]
fn a_waiter_that_stands_aside_while_it_is_called_passes_the_call_on() {
    three_threads(|| {
        let places = Arc::new(Places::new(1, 8));
        assert!(places.try_take().is_ok());
        let first = places.join(Waker::noop()).expect("room");
        let patient = Arc::clone(&places);
        let patient = thread::spawn(move || {
            acquire(&patient);
            patient.release();
        });
        let giver = Arc::clone(&places);
        let giver = thread::spawn(move || giver.release());
        places.stand_aside(first);
        giver.join().unwrap();
        patient.join().unwrap();
        // Its service has recovered: it takes the place that is free now.
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(places.turn(first, false, cx.waker()), Turn::Go);
        assert!(places.take(first, false, cx.waker()));
        places.release();
        assert_eq!((places.free(), places.waiting()), (1, 0));
    });
}

/// The first in line is called and never polled. The second, whose patience is over at any moment
/// of this, has the place or leaves it free; and whoever comes then is not held up by either.
#[test]
fn a_late_waiter_takes_a_free_place_past_one_that_is_not_polled() {
    three_threads(|| {
        let places = Arc::new(Places::new(1, 8));
        assert!(places.try_take().is_ok());
        let first = places.join(Waker::noop()).expect("room");
        let second = places.join(Waker::noop()).expect("room");
        let giver = Arc::clone(&places);
        let giver = thread::spawn(move || giver.release());
        let late = Arc::clone(&places);
        let late = thread::spawn(move || {
            let go = late.turn(second, true, Waker::noop()) == Turn::Go;
            if go && late.take(second, true, Waker::noop()) {
                late.release();
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
