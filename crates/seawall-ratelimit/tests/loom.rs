//! The word of a bucket under loom's model checker: every interleaving of those who take, give back
//! and change the rate.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-ratelimit --test loom --release`
#![cfg(seawall_loom)]

#[allow(dead_code, reason = "the model uses less of it than the layer")]
#[path = "../src/bucket.rs"]
mod bucket;
#[path = "../src/sync.rs"]
mod sync;

use bucket::{Bucket, Rate};
use loom::sync::Arc;
use loom::thread;

const SECOND: u64 = 1_000_000_000;

/// So many at once, and nothing more while a model runs.
fn bucket(burst: u32) -> Arc<Bucket> {
    Arc::new(Bucket::new(Rate::new(1, SECOND, burst)))
}

/// How many of two are had at the first instant.
fn takes(bucket: &Bucket) -> u32 {
    (0..2).filter(|_| bucket.try_take(0, 1).is_ok()).count() as u32
}

#[test]
fn two_who_take_have_no_more_than_the_burst_together_and_no_less() {
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

/// Whoever takes while the rate is changed takes at one of the two, or finds the bucket shut: with
/// three at once before and one at once after, no more than three ever, and none after two.
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
        // What was taken before is missing still; one token of the new rate is the whole bucket.
        let left = bucket.try_take(0, 1).is_ok();
        assert!(!left || taken == 0, "{taken} taken, and one more");
    });
}

#[test]
fn who_finds_the_bucket_shut_takes_nothing_and_breaks_nothing() {
    loom::model(|| {
        let bucket = bucket(1);
        let other = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || bucket.try_take(0, 1).is_ok())
        };
        let word = bucket.shut();
        let taken = other.join().unwrap();
        assert_eq!(
            taken,
            word != 0,
            "the word has what was taken, and nothing is taken after"
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
            thread::spawn(move || bucket.refund(1))
        };
        let mine = u32::from(bucket.try_take(0, 1).is_ok());
        other.join().unwrap();
        assert_eq!(mine + takes(&bucket), 1);
    });
}
