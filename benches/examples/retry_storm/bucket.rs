//! tower-resilience's token bucket on tokio's clock.
//!
//! Its own reads the system's clock, which stands still in a run of virtual time, so it would
//! hardly refill. Its rules are these: full at the start, so many tokens per second and one per
//! success up to the most, one token per retry, fractions kept.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use tower_resilience::retry::RetryBudget;

pub(crate) struct Bucket {
    per_second: f64,
    most: f64,
    state: Mutex<State>,
}

struct State {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn full(most: u32, per_second: u32) -> Self {
        let (most, per_second) = (f64::from(most), f64::from(per_second));
        let at = Instant::now();
        let state = Mutex::new(State { tokens: most, at });
        Self {
            per_second,
            most,
            state,
        }
    }

    fn refilled<T>(&self, then: impl FnOnce(&mut f64) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = self.per_second * (now - state.at).as_secs_f64();
        state.tokens = (state.tokens + earned).min(self.most);
        state.at = now;
        then(&mut state.tokens)
    }
}

impl RetryBudget for Bucket {
    fn try_withdraw(&self) -> bool {
        self.refilled(|tokens| {
            let granted = *tokens >= 1.0;
            *tokens -= f64::from(u8::from(granted));
            granted
        })
    }

    fn deposit(&self) {
        self.refilled(|tokens| *tokens = (*tokens + 1.0).min(self.most));
    }

    fn balance(&self) -> usize {
        self.refilled(|tokens| *tokens as usize)
    }
}
