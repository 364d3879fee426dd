//! An upstream in virtual time: healthy, down, healthy again.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The seconds in which it is down.
pub(crate) const OUTAGE: Range<u64> = 10..40;
/// How long all is measured, in seconds.
pub(crate) const END: u64 = 100;
/// How long a response takes without a backlog.
const LATENCY: Duration = Duration::from_millis(20);
/// One request of so many fails in normal operation.
const ACCIDENT: u64 = 100;
/// The backlog from which on an upstream that queues takes no more.
const LONGEST: Duration = Duration::from_secs(2);

/// What it does with more than its capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Fails immediately what exceeds twice the calls, by tenths of a second, and everything while
    /// it is down.
    Shed,
    /// Serves requests one after the other, at one and a half times the calls, whether the caller
    /// still waits or not, and fails them immediately with a backlog of two seconds. While it is
    /// down it does no work.
    Queue,
}

/// Its error.
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
    excess: Excess,
    clients: u32,
    seed: u64,
    zero: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    arrived: u64,
    per_second: Vec<u32>,
    tenth: u128,
    in_tenth: u32,
    /// For how long it will have worked when its backlog is done.
    free: Duration,
}

impl Upstream {
    pub(crate) fn start(excess: Excess, clients: u32, seed: u64) -> Self {
        Self {
            excess,
            clients,
            seed,
            zero: Instant::now(),
            state: Arc::default(),
        }
    }

    /// Serves one request.
    pub(crate) async fn ask(self, request: u64) -> Result<u64, Down> {
        let (healthy, after) = self.arrive();
        sleep(after).await;
        if healthy { Ok(request) } else { Err(Down) }
    }

    /// Whether the request will succeed, and when.
    fn arrive(&self) -> (bool, Duration) {
        let at = Instant::now() - self.zero;
        let second = at.as_secs();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = second as usize;
        if state.per_second.len() <= index {
            state.per_second.resize(index + 1, 0);
        }
        state.per_second[index] += 1;
        state.arrived += 1;
        let accident = scatter(state.arrived ^ scatter(self.seed)).is_multiple_of(ACCIDENT);
        let (taken, after) = match self.excess {
            Excess::Shed => {
                let borne = state.counted(at) <= self.clients.div_ceil(5);
                (borne && !OUTAGE.contains(&second), LATENCY)
            }
            Excess::Queue => {
                let work = Duration::from_secs(2) / (3 * self.clients);
                match state.queued(at, work) {
                    Some(wait) => (true, wait + LATENCY),
                    None => (false, LATENCY),
                }
            }
        };
        (taken && !accident, after)
    }

    /// How many requests arrived in each second.
    pub(crate) fn per_second(&self) -> Vec<u32> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.per_second.clone()
    }
}

impl State {
    /// The request's number in its tenth of a second.
    fn counted(&mut self, at: Duration) -> u32 {
        let tenth = at.as_millis() / 100;
        if self.tenth != tenth {
            (self.tenth, self.in_tenth) = (tenth, 0);
        }
        self.in_tenth += 1;
        self.in_tenth
    }

    /// How long the request waits for those before it and for its own `work`.
    fn queued(&mut self, at: Duration, work: Duration) -> Option<Duration> {
        let worked = worked(at);
        let begins = self.free.max(worked);
        if begins - worked > LONGEST {
            return None;
        }
        self.free = begins + work;
        Some(worked_for(self.free) - at)
    }
}

const GOES: Duration = Duration::from_secs(OUTAGE.start);
const COMES: Duration = Duration::from_secs(OUTAGE.end);

/// How long an upstream has worked that stands still while it is down.
fn worked(at: Duration) -> Duration {
    at.min(GOES) + at.saturating_sub(COMES)
}

/// When it has worked for so long.
fn worked_for(long: Duration) -> Duration {
    match long <= GOES {
        true => long,
        false => long - GOES + COMES,
    }
}

/// A number that looks like chance and is the same in every run (the mixer of `SplitMix64`).
pub(crate) fn scatter(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
