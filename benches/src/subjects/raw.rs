//! What the machine asks for the parts that layers are made of, and the leaf without a layer.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::Clock;
use tokio::time::Instant;

use super::Subject;
use crate::leaf::Leaf;

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        Subject::function("raw/clock/read", || {
            |_| {
                black_box(Instant::now());
                true
            }
        }),
        Subject::function("raw/clock/fast", || {
            let clock = Clock::start();
            move |_| {
                black_box(clock.now());
                true
            }
        }),
        Subject::function("raw/atomic/add", || {
            let word = Arc::new(AtomicU64::new(0));
            move |_| word.fetch_add(1, Ordering::Relaxed) != u64::MAX
        }),
        Subject::function("raw/arc/clone", || {
            let shared = Arc::new(0_u64);
            move |_| {
                black_box(Arc::clone(&shared));
                true
            }
        }),
        Subject::function("raw/box/256-bytes", || {
            |i| {
                black_box(Box::new([i; 32]));
                true
            }
        }),
        Subject::service("raw/leaf/ready", || Leaf),
    ]
}
