//! The hand-over of a call under loom's model checker: every interleaving of answers, drops and polls.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-cache --test loom --release`
#![cfg(seawall_loom)]

#[allow(dead_code, reason = "the model uses less of it than the layers")]
#[path = "../src/calls.rs"]
mod calls;
#[path = "../src/sync.rs"]
mod sync;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use calls::{Calls, Joined, Lead, Turn, Waiting};
use loom::thread;

type Lead8 = Lead<u8, u8>;
type Waiting8 = Waiting<u8, u8>;

fn two(calls: &Arc<Calls<u8, u8>>) -> (Lead8, Waiting8) {
    match (calls.join(1, 7, 0), calls.join(1, 7, 0)) {
        (Joined::Leads(lead), Joined::Waits(waiting)) => (lead, waiting),
        _ => panic!("the first one leads, the second one waits"),
    }
}

fn third(calls: &Arc<Calls<u8, u8>>) -> Waiting8 {
    match calls.join(1, 7, 0) {
        Joined::Waits(waiting) => waiting,
        Joined::Leads(_) => panic!("there is a call already"),
    }
}

/// Polls by a waker that unparks the thread, and parks until then.
fn wait(waiting: &Waiting8) -> Turn<u8, u8> {
    loom::future::block_on(std::future::poll_fn(|cx: &mut Context<'_>| {
        waiting.poll(cx)
    }))
}

#[test]
fn a_waiter_is_woken_by_the_answer() {
    loom::model(|| {
        let calls = Arc::new(Calls::new());
        let (lead, waiting) = two(&calls);
        let leader = thread::spawn(move || lead.answer(5));
        assert!(matches!(wait(&waiting), Turn::Answered(5)));
        leader.join().unwrap();
        assert_eq!((calls.len(), calls.waiting()), (0, 0));
    });
}

#[test]
fn a_waiter_takes_over_from_a_leader_that_is_dropped() {
    loom::model(|| {
        let calls = Arc::new(Calls::new());
        let (lead, waiting) = two(&calls);
        let leader = thread::spawn(move || drop(lead));
        match wait(&waiting) {
            Turn::Leads(lead) => lead.answer(5),
            _ => panic!("there is no answer"),
        }
        leader.join().unwrap();
        assert_eq!(calls.len(), 0);
    });
}

/// The waiter that is notified is dropped at the same time: the other one must lead.
#[test]
fn a_hand_over_to_a_waiter_that_is_dropped_goes_on() {
    loom::model(|| {
        let calls = Arc::new(Calls::new());
        let (lead, first) = two(&calls);
        let second = third(&calls);
        let leader = thread::spawn(move || drop(lead));
        let dropped = thread::spawn(move || drop(first));
        match wait(&second) {
            Turn::Leads(lead) => lead.answer(5),
            _ => panic!("there is no answer"),
        }
        leader.join().unwrap();
        dropped.join().unwrap();
        assert_eq!((calls.len(), calls.waiting()), (0, 0));
    });
}

/// A waiter that is dropped while the answer comes leaves nothing behind.
#[test]
fn an_answer_and_a_drop_leave_nothing() {
    loom::model(|| {
        let calls = Arc::new(Calls::new());
        let (lead, first) = two(&calls);
        let leader = thread::spawn(move || lead.answer(5));
        drop(first);
        leader.join().unwrap();
        assert_eq!((calls.len(), calls.waiting()), (0, 0));
    });
}

/// One waiter takes over while the leader answers: it has the lead or the answer, and nothing is left.
#[test]
fn taking_over_and_an_answer_leave_nothing() {
    loom::model(|| {
        let calls = Arc::new(Calls::new());
        let (lead, waiting) = two(&calls);
        let leader = thread::spawn(move || lead.answer(5));
        match waiting.take_over(false) {
            Some(lead) => lead.answer(6),
            None => assert!(matches!(wait(&waiting), Turn::Answered(5))),
        }
        leader.join().unwrap();
        assert_eq!((calls.len(), calls.waiting()), (0, 0));
    });
}

/// A caller that joins while the call ends without a waiter either leads or is answered.
#[test]
fn a_caller_that_joins_at_the_end_is_not_forgotten() {
    loom::model(|| {
        let calls = Arc::new(Calls::new());
        let Joined::Leads(mut lead) = calls.join(1, 7, 0) else {
            panic!("nobody leads");
        };
        let joining = Arc::clone(&calls);
        let caller = thread::spawn(move || match joining.join(1, 7, 0) {
            Joined::Leads(lead) => lead.answer(6),
            Joined::Waits(waiting) => assert!(matches!(wait(&waiting), Turn::Answered(5))),
        });
        if !lead.end_alone() {
            lead.answer(5);
        }
        caller.join().unwrap();
        assert_eq!((calls.len(), calls.waiting()), (0, 0));
    });
}

#[test]
fn a_call_of_a_later_epoch_takes_the_waiters() {
    loom::model(|| {
        let calls = Arc::new(Calls::new());
        let (early, waiting) = two(&calls);
        let Joined::Leads(late) = calls.join(1, 7, 1) else {
            panic!("a later epoch has a call of its own");
        };
        let leader = thread::spawn(move || early.answer(5));
        late.answer(6);
        leader.join().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(
            waiting.poll(&mut cx),
            Poll::Ready(Turn::Answered(6))
        ));
    });
}

#[test]
fn a_caller_of_an_earlier_epoch_waits_for_the_call_of_a_later_one() {
    loom::model(|| {
        let calls = Arc::new(Calls::new());
        let Joined::Leads(late) = calls.join(1, 7, 1) else {
            panic!("nobody leads");
        };
        let leader = thread::spawn(move || late.answer(6));
        match calls.join(1, 7, 0) {
            Joined::Waits(waiting) => assert!(matches!(wait(&waiting), Turn::Answered(6))),
            Joined::Leads(early) => early.answer(5),
        }
        leader.join().unwrap();
        assert_eq!((calls.len(), calls.waiting()), (0, 0));
    });
}
