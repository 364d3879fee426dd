//! governor 0.10: GCRA in one word, without a service around it.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock, DefaultClock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
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
        .rejecting(),
        Subject::function("governor/ratelimit/refused-std-clock", || {
            let limiter = Arc::new(RateLimiter::direct_with_clock(spent(), MonotonicClock));
            limiter.check().expect("the only token of this hour");
            move |_| limiter.check().is_ok()
        })
        .rejecting(),
        // A sharded map with a lock per shard is what it takes by default.
        Subject::function("governor/ratelimit/per-key-one", || {
            per_key(1, DefaultClock::default())
        }),
        Subject::function("governor/ratelimit/per-key-10k", || {
            per_key(10_000, DefaultClock::default())
        }),
        Subject::function("governor/ratelimit/per-key-1m", || {
            per_key(1_000_000, DefaultClock::default())
        }),
        Subject::function("governor/ratelimit/per-key-one-std-clock", || {
            per_key(1, MonotonicClock)
        }),
        Subject::function("governor/ratelimit/per-key-10k-std-clock", || {
            per_key(10_000, MonotonicClock)
        }),
    ]
}

fn per_key<C>(keys: u64, clock: C) -> impl FnMut(u64) -> bool + Clone + Send
where
    C: Clock + Send + Sync + 'static,
    C::Instant: Send + Sync,
{
    let states = DashMapStateStore::<u64>::default();
    let limiter = RateLimiter::<_, _, C, NoOpMiddleware<_>>::new(plenty(), states, clock);
    let limiter = Arc::new(limiter);
    for key in 0..keys {
        limiter.check_key(&key).expect("plenty");
    }
    move |i| limiter.check_key(&(i % keys)).is_ok()
}

fn plenty() -> Quota {
    Quota::per_second(NonZeroU32::MAX)
}

fn spent() -> Quota {
    Quota::per_hour(NonZeroU32::MIN)
}
