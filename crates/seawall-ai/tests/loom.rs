//! Cool-downs and their trials under loom's model checker.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-ai --test loom --release`
#![cfg(seawall_loom)]

#[allow(dead_code, reason = "the model uses less of it than the router")]
#[path = "../src/route/cool_down.rs"]
mod cool_down;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
}

use cool_down::{CoolDown, Standing};
use loom::sync::Arc;
use loom::thread;
use seawall_ai::ErrorClass;

const OVER: u64 = 1_600;

/// One whose time is over at `OVER`.
fn cooled() -> Arc<CoolDown> {
    let one = CoolDown::default();
    assert!(one.cool(0, OVER, ErrorClass::Overload));
    Arc::new(one)
}

#[test]
fn of_several_calls_one_makes_the_trial() {
    loom::model(|| {
        let one = cooled();
        let claims: Vec<_> = (0..2)
            .map(|_| {
                let one = Arc::clone(&one);
                thread::spawn(move || one.claim_trial(OVER, 160).is_some())
            })
            .collect();
        let own = one.claim_trial(OVER, 160).is_some();
        let others = claims.into_iter().map(|claim| claim.join().unwrap());
        let trials = others.chain([own]).filter(|claimed| *claimed).count();
        assert_eq!(trials, 1);
    });
}

#[test]
fn a_recovery_never_ends_a_later_cool_down() {
    loom::model(|| {
        let one = cooled();
        let failed = Arc::clone(&one);
        let late = thread::spawn(move || failed.cool(OVER, 2 * OVER, ErrorClass::Overload));
        let recovered = one.recover(OVER);
        assert!(late.join().unwrap(), "it was over before");
        let until = one.cooling(OVER).map(|(until, _)| until);
        assert_eq!(until, Some(2 * OVER), "recovered before: {recovered}");
    });
}

#[test]
fn the_later_of_two_ends_counts_and_one_call_begins_it() {
    loom::model(|| {
        let one = Arc::new(CoolDown::default());
        let other = Arc::clone(&one);
        let longer = thread::spawn(move || other.cool(0, 2 * OVER, ErrorClass::RateLimit));
        let first = one.cool(0, OVER, ErrorClass::RateLimit);
        assert!(first != longer.join().unwrap(), "one of both is the first");
        assert_eq!(one.cooling(0).map(|(until, _)| until), Some(2 * OVER));
    });
}

#[test]
fn a_trial_that_ends_while_another_is_claimed_loses_neither_slot_nor_state() {
    loom::model(|| {
        let one = cooled();
        let trial = one.claim_trial(OVER, 160).unwrap();
        let other = Arc::clone(&one);
        let claim = thread::spawn(move || {
            let claimed = other.claim_trial(OVER + 16, 160);
            // Only where the first one had shown nothing yet.
            if let Some(trial) = claimed {
                other.release(trial);
            }
        });
        assert!(one.recover(OVER + 16));
        one.release(trial);
        claim.join().unwrap();
        assert_eq!(one.standing(OVER + 16), Standing::Available);
        // Nobody holds the slot of the next one.
        one.cool(OVER + 16, 2 * OVER, ErrorClass::Overload);
        assert_eq!(one.standing(2 * OVER), Standing::NeedsTrial);
        assert!(one.claim_trial(2 * OVER, 160).is_some());
    });
}
