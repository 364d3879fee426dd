//! The lock-free parts under loom's model checker: every interleaving of a budget's successes and
//! withdrawals, and of a clock's readers.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-core --test loom --release`
#![cfg(seawall_loom)]

#[allow(dead_code, reason = "the model uses less of it than the budget")]
#[path = "../src/budget/bucket.rs"]
mod bucket;
#[allow(dead_code, reason = "see above")]
#[path = "../src/budget/window.rs"]
mod window;

#[path = "../src/clock/counter/segment.rs"]
mod segment;
#[path = "../src/clock/counter/segments.rs"]
mod segments;

mod sync {
    pub(super) use loom::hint::spin_loop;
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
}

use bucket::Bucket;
use loom::sync::Arc;
use loom::thread;
use segments::{Segments, Source};
use sync::{AtomicU64, Ordering};
use window::Window;

/// Every interleaving with up to three preemptions: ten slices have too many for all of them.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_bucket_pays_its_floor_once_and_loses_no_success() {
    check(|| {
        // In units of a tenth: a success earns 4, the floor 6 by the first second.
        let bucket = Arc::new(Bucket::new(4, 6, 10));
        assert!(bucket.withdraw(10, || 0));
        let other = Arc::clone(&bucket);
        let second = thread::spawn(move || {
            other.deposit();
            other.withdraw(10, || 1_000_000_000)
        });
        let first = bucket.withdraw(10, || 1_000_000_000);
        let second = second.join().unwrap();
        assert!(first != second, "ten were earned, for one of the two");
        assert_eq!(bucket.balance(|| 1_000_000_000), 0);
    });
}

#[test]
fn a_full_bucket_gets_no_more_than_its_capacity() {
    check(|| {
        let bucket = Arc::new(Bucket::new(10, 10, 10));
        let other = Arc::clone(&bucket);
        let second = thread::spawn(move || other.withdraw(10, || 1_000_000_000));
        let first = bucket.withdraw(10, || 1_000_000_000);
        // What a full bucket earned in that second is lost, whichever comes first.
        assert!(first != second.join().unwrap());
    });
}

#[test]
fn what_is_earned_after_a_withdrawal_is_not_lost_on_the_bucket_before_it() {
    check(|| {
        let bucket = Arc::new(Bucket::new(0, 10, 10));
        let other = Arc::clone(&bucket);
        let late = thread::spawn(move || other.withdraw(10, || 1_000_000_000));
        let early = bucket.withdraw(10, || 0);
        // If the early one is served, it is served first: the late one has a second's earnings.
        let late = late.join().unwrap();
        assert!(late, "early: {early}");
    });
}

#[test]
fn a_success_of_the_next_window_frees_no_more_than_it_earns() {
    check(|| {
        // Slices of 1: nine is the last one of the first window, ten the first without slice 0.
        let window = Arc::new(Window::new(1, 1, 1));
        window.deposit(|| 0);
        assert!(window.withdraw(1, || 9) && window.withdraw(1, || 9));
        let clock = Arc::new(AtomicU64::new(9));
        let (other, ticking) = (Arc::clone(&window), Arc::clone(&clock));
        let success = thread::spawn(move || {
            ticking.store(10, Ordering::SeqCst);
            other.deposit(|| 10);
        });
        // One in reserve and one success at most, for the two of slice 9.
        assert!(!window.withdraw(1, || clock.load(Ordering::SeqCst)));
        success.join().unwrap();
        assert_eq!(window.balance(|| 10), 0);
    });
}

#[test]
fn two_who_withdraw_share_what_is_there() {
    check(|| {
        let window = Arc::new(Window::new(1, 0, 1));
        let other = Arc::clone(&window);
        let second = thread::spawn(move || {
            other.deposit(|| 3);
            other.withdraw(1, || 3)
        });
        let first = window.withdraw(1, || 3);
        let second = second.join().unwrap();
        assert!(first != second, "one success pays for one");
        assert_eq!(window.balance(|| 3), 0);
    });
}

/// A counter of a tick per nanosecond, and an operating system's clock that is ahead of it. Who
/// reads one of them makes it go on.
struct Ticking {
    ns: AtomicU64,
    step: AtomicU64,
}

impl Source for Ticking {
    fn counter(&self) -> u64 {
        self.ns
            .fetch_add(self.step.load(Ordering::Relaxed), Ordering::SeqCst)
    }

    fn ns(&self) -> u64 {
        self.counter() + 1_000_000
    }
}

/// Readings follow a segment that has just ended, or is about to.
fn clock(left: u64) -> Arc<(Segments, Ticking)> {
    let source = Ticking {
        ns: AtomicU64::new(0),
        step: AtomicU64::new(1),
    };
    let segments = Segments::new();
    for _ in 0..3 {
        segments.read(&source);
        let now = source.ns.load(Ordering::Relaxed);
        source.ns.store(now + 900_000, Ordering::Relaxed);
    }
    segments.read(&source);
    let now = source.ns.load(Ordering::Relaxed);
    source.ns.store(now + 799_990 - left, Ordering::Relaxed);
    Arc::new((segments, source))
}

/// No thread sees time go backwards, nor anything that was never the time, whichever of them
/// writes the next segment, and however often it is written while another one reads it.
#[test]
fn readings_never_go_backwards_and_are_never_torn() {
    for step in [2, 850_000] {
        check(move || {
            let clock = clock(4);
            clock.1.step.store(step, Ordering::Relaxed);
            let latest = Arc::new(AtomicU64::new(0));
            let run = |clock: Arc<(Segments, Ticking)>, latest: Arc<AtomicU64>, times| {
                move || {
                    for _ in 0..times {
                        let seen = latest.load(Ordering::SeqCst);
                        let from = clock.1.ns.load(Ordering::SeqCst) + 1_000_000;
                        let reading = clock.0.read(&clock.1);
                        let to = clock.1.ns.load(Ordering::SeqCst) + 1_000_000;
                        assert!(reading >= seen, "{reading} after {seen}");
                        assert!(
                            reading + 20 >= from && reading <= to + 20,
                            "{from} {reading} {to}"
                        );
                        latest.fetch_max(reading, Ordering::SeqCst);
                    }
                }
            };
            let second = thread::spawn(run(Arc::clone(&clock), Arc::clone(&latest), 2));
            run(clock, latest, 1)();
            second.join().unwrap();
        });
    }
}
