//! governor 0.10: GCRA in one word, without a service around it.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::MonotonicClock;
use governor::{Quota, RateLimiter};

use super::Subject;

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        // By default the clock is the processor's time stamp counter.
        Subject::function("governor/ratelimit/granted", || {
            let limiter = Arc::new(RateLimiter::direct(plenty()));
            move |_| limiter.check().is_ok()
        }),
        Subject::function("governor/ratelimit/granted-std-clock", || {
            let limiter = Arc::new(RateLimiter::direct_with_clock(plenty(), MonotonicClock));
            move |_| limiter.check().is_ok()
        }),
        Subject::function("governor/ratelimit/refused", || {
            let limiter = Arc::new(RateLimiter::direct(spent()));
            limiter.check().expect("the only token of this hour");
            move |_| limiter.check().is_ok()
        })
        .refusing(),
        Subject::function("governor/ratelimit/refused-std-clock", || {
            let limiter = Arc::new(RateLimiter::direct_with_clock(spent(), MonotonicClock));
            limiter.check().expect("the only token of this hour");
            move |_| limiter.check().is_ok()
        })
        .refusing(),
    ]
}

fn plenty() -> Quota {
    Quota::per_second(NonZeroU32::MAX)
}

fn spent() -> Quota {
    Quota::per_hour(NonZeroU32::MIN)
}
