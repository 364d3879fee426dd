//! Every interleaving of threads that count into one window, also while its length changes.
//!
//! `RUSTFLAGS="--cfg seawall_loom" cargo test -p seawall-health --test loom --release`
#![cfg(seawall_loom)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../src/periods.rs"]
#[allow(dead_code, reason = "the model needs only a part of it")]
mod periods;
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/window.rs"]
#[allow(dead_code, reason = "the model needs only a part of it")]
mod window;

use loom::sync::Arc;
use periods::Periods;
use window::{Sum, Window};

#[test]
fn two_threads_that_take_a_bucket_over_lose_no_call() {
    loom::model(|| {
        let window = Arc::new(Window::new());
        window.count(0, false, false);
        let other = Arc::clone(&window);
        let thread = loom::thread::spawn(move || other.count(10, true, false));
        window.count(10, false, false);
        thread.join().unwrap();
        let expected = Sum {
            calls: 2,
            failures: 1,
            slow: 0,
            degraded: 0,
        };
        assert_eq!(window.sum(10), expected);
    });
}

#[test]
fn a_thread_that_was_delayed_never_counts_into_the_new_period() {
    loom::model(|| {
        let window = Arc::new(Window::new());
        let other = Arc::clone(&window);
        let thread = loom::thread::spawn(move || other.count(0, false, false));
        window.count(10, false, false);
        thread.join().unwrap();
        assert_eq!(window.sum(10).calls, 1);
    });
}

/// Words of two lengths read together would be a period far in the future, which takes its bucket
/// out of the window for as long.
#[test]
fn a_period_is_always_that_of_one_length() {
    loom::model(|| {
        let periods = Arc::new(Periods::new(100));
        let other = Arc::clone(&periods);
        let thread = loom::thread::spawn(move || other.set_length(1_000, 1));
        let period = periods.at(1_005);
        // The tenth of 100 each, or five of 1 each after that.
        assert!(period == 10 || period == 15, "{period}");
        thread.join().unwrap();
        assert_eq!(periods.at(1_005), 15);
    });
}
