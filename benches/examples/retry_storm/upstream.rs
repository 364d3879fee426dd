//! An upstream in virtual time: well, down, well again.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The seconds in which it is down.
pub(crate) const OUTAGE: Range<u64> = 10..40;
/// How long all goes on, in seconds.
pub(crate) const END: u64 = 60;
/// What it bears, in requests per tenth of a second: twice the calls.
const CAPACITY: u32 = 40;
/// How long an answer takes, of whatever kind.
const LATENCY: Duration = Duration::from_millis(20);
/// One request of so many fails by accident.
const ACCIDENT: u64 = 100;

/// What it answers when it does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Down;

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream is down")
    }
}

impl std::error::Error for Down {}

#[derive(Clone)]
pub(crate) struct Upstream {
    zero: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    arrived: u64,
    per_second: Vec<u32>,
    tenth: u64,
    in_tenth: u32,
}

impl Upstream {
    pub(crate) fn start(zero: Instant) -> Self {
        Self {
            zero,
            state: Arc::default(),
        }
    }

    /// Answers one request.
    pub(crate) async fn ask(self, request: u64) -> Result<u64, Down> {
        let well = self.arrive();
        sleep(LATENCY).await;
        if well { Ok(request) } else { Err(Down) }
    }

    fn arrive(&self) -> bool {
        let at = Instant::now() - self.zero;
        let second = at.as_secs();
        let tenth = (at.as_millis() / 100) as u64;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let place = second as usize;
        if state.per_second.len() <= place {
            state.per_second.resize(place + 1, 0);
        }
        state.per_second[place] += 1;
        if state.tenth != tenth {
            (state.tenth, state.in_tenth) = (tenth, 0);
        }
        state.in_tenth += 1;
        state.arrived += 1;
        let accident = scatter(state.arrived).is_multiple_of(ACCIDENT);
        !OUTAGE.contains(&second) && state.in_tenth <= CAPACITY && !accident
    }

    /// How many requests arrived in each second.
    pub(crate) fn per_second(&self) -> Vec<u32> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.per_second.clone()
    }
}

/// A number that looks like chance and is the same in every run (the mixer of `SplitMix64`).
fn scatter(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
