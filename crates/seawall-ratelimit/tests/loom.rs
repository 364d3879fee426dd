//! The word of a bucket under loom's model checker: every interleaving of takes, refunds and changes
//! of the rate.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-ratelimit --test loom --release`
#![cfg(seawall_loom)]

#[allow(dead_code, reason = "the model uses less of it than the layer")]
#[path = "../src/bucket.rs"]
mod bucket;
#[allow(dead_code, reason = "the model uses less of it than the layer")]
#[path = "../src/pause.rs"]
mod pause;
#[path = "../src/sync.rs"]
mod sync;

use bucket::{Bucket, Rate};
use loom::sync::Arc;
use loom::thread;

const SECOND: u64 = 1_000_000_000;

/// Grants `burst` at once, and nothing more while a model runs.
fn bucket(burst: u32) -> Arc<Bucket> {
    Arc::new(Bucket::new(Rate::new(1, SECOND, burst)))
}

/// How many of two are granted at the first instant.
fn takes(bucket: &Bucket) -> u32 {
    (0..2).filter(|_| bucket.try_take(0, 1).is_ok()).count() as u32
}

#[test]
fn two_threads_together_take_exactly_the_burst() {
    loom::model(|| {
        let bucket = bucket(3);
        let other = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || takes(&bucket))
        };
        let mine = takes(&bucket);
        assert_eq!(mine + other.join().unwrap(), 3);
    });
}

/// A take while the rate is changed takes at one of the two rates, or finds the bucket closed: with
/// three at once before and one at once after, there are never more than three, and none after two.
#[test]
fn a_change_of_the_rate_grants_nothing_that_neither_rate_grants() {
    loom::model(|| {
        let bucket = bucket(3);
        let other = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || takes(&bucket))
        };
        // The same time to fill, so that a word of one rate looks like one of the other.
        bucket.set(0, Rate::new(1, 3 * SECOND, 1));
        let taken = other.join().unwrap();
        assert!(taken <= 2);
        // What was taken before is still missing; one token of the new rate is the full bucket.
        let left = bucket.try_take(0, 1).is_ok();
        assert!(!left || taken == 0, "{taken} taken, and one more");
    });
}

#[test]
fn a_take_from_a_closed_bucket_takes_and_changes_nothing() {
    loom::model(|| {
        let bucket = bucket(1);
        let other = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || bucket.try_take(0, 1).is_ok())
        };
        let word = bucket.close();
        let taken = other.join().unwrap();
        assert_eq!(
            taken,
            word != 0,
            "the word has what was taken, and nothing is taken afterwards"
        );
        assert!(bucket.try_take(u64::MAX, 1).is_err());
    });
}

#[test]
fn a_refund_beside_a_take_is_neither_lost_nor_doubled() {
    loom::model(|| {
        let bucket = bucket(2);
        assert_eq!(takes(&bucket), 2);
        let other = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || bucket.refund(1, 0))
        };
        let mine = u32::from(bucket.try_take(0, 1).is_ok());
        other.join().unwrap();
        assert_eq!(mine + takes(&bucket), 1);
    });
}
