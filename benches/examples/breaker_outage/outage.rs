//! One outage against every breaker side by side, each with a vendor of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_sim::incident::Incidents;
use seawall_sim::provider::MarketData;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::BoxError;
use crate::client::{TIMEOUT, Vendor};
use crate::guards::{Call, CallResult, GUARDS, Guard};

/// The vendor is healthy until here,
const FROM: Duration = Duration::from_secs(2);
/// down until here,
const TO: Duration = Duration::from_secs(6);
/// and healthy again until here.
const END: Duration = Duration::from_secs(10);

/// One way to fail.
pub(crate) struct Outage {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    fault: &'static str,
}

pub(crate) const OUTAGES: [Outage; 5] = [
    Outage {
        name: "errors",
        what: "every call gets a 500",
        fault: "fault = \"status\"\ncode = 500",
    },
    Outage {
        name: "brown-out",
        what: "six of ten calls, by chance, get a 500",
        fault: "fault = \"status\"\ncode = 500\nprobability = 0.6",
    },
    Outage {
        name: "slow",
        what: "every response takes 600 ms, and none is an error",
        fault: "fault = \"latency\"\ndistribution = \"constant\"\ndelay = \"600ms\"",
    },
    Outage {
        name: "hang",
        what: "no response; callers give up after 1 s",
        fault: "fault = \"stall\"",
    },
    Outage {
        name: "ban",
        what: "the caller is banned with 403 all the time",
        fault: "fault = \"ban\"\nstatus = 403",
    },
];

/// How one breaker score.
pub(crate) struct Score {
    pub(crate) guard: &'static Guard,
    /// From the beginning of the outage to the first rejection.
    pub(crate) opened_after: Option<Duration>,
    /// Calls that were sent while the vendor was down.
    pub(crate) sent: usize,
    /// From the end of the outage to the first response after it.
    pub(crate) recovered_after: Option<Duration>,
    /// From the end of the outage to the last rejection.
    pub(crate) rejected_until: Option<Duration>,
    /// Calls that were rejected while the vendor was healthy, before the outage.
    pub(crate) rejected_before: usize,
}

/// Runs one outage against every breaker.
pub(crate) async fn run(outage: &Outage, pace: Duration) -> Result<Vec<Score>, BoxError> {
    let mut all = JoinSet::new();
    for (index, guard) in GUARDS.iter().enumerate() {
        let script = format!(
            "length = \"10s\"\n[[incident]]\nprovider = \"market_data\"\nfrom = \"{}s\"\nto = \"{}s\"\n{}\n",
            FROM.as_secs(),
            TO.as_secs(),
            outage.fault
        );
        let incidents = Incidents::from_toml(&script)?.with_seed(7);
        all.spawn(async move {
            one(guard, incidents, pace)
                .await
                .map(|score| (index, score))
        });
    }
    let mut score = Vec::new();
    while let Some(done) = all.join_next().await {
        score.push(done??);
    }
    score.sort_by_key(|(index, _)| *index);
    Ok(score.into_iter().map(|(_, score)| score).collect())
}

async fn one(
    guard: &'static Guard,
    incidents: Incidents,
    pace: Duration,
) -> Result<Score, BoxError> {
    let server = MarketData::alpaca()
        .unlimited()
        .incidents(incidents)
        .hold_clock()
        .start()
        .await?;
    let vendor = Vendor::new(&server.base_url())?;
    let call = (guard.make)(vendor.clone())?;
    let zero = Instant::now() + Duration::from_millis(100);
    server.start_clock_at(zero);
    let results = load(call, zero, pace).await;
    let score = judge(guard, &vendor.sent(), &results, zero);
    server.shutdown().await;
    Ok(score)
}

/// When a call was made, and its result and time.
type Calls = Vec<(Instant, Instant, CallResult)>;

/// Makes calls at a steady pace, whether earlier ones have completed or not.
async fn load(call: Call, zero: Instant, pace: Duration) -> Calls {
    let calls: Arc<Mutex<Calls>> = Arc::default();
    let mut ticks = interval_at(zero, pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_flight = JoinSet::new();
    while Instant::now() < zero + END {
        ticks.tick().await;
        let (made, response, calls) = (Instant::now(), call(), Arc::clone(&calls));
        in_flight.spawn(async move {
            let result = response.await;
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push((made, Instant::now(), result));
        });
    }
    sleep_until(zero + END + TIMEOUT).await;
    in_flight.abort_all();
    let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut calls)
}

fn judge(guard: &'static Guard, sent: &[Instant], calls: &Calls, zero: Instant) -> Score {
    let (from, to) = (zero + FROM, zero + TO);
    let rejected = |(_, at, result): &&(Instant, Instant, CallResult)| {
        matches!(result, CallResult::Rejected).then_some(*at)
    };
    let rejections: Vec<Instant> = calls.iter().filter_map(|call| rejected(&call)).collect();
    let succeeded = calls
        .iter()
        .filter(|(made, _, result)| matches!(result, CallResult::Succeeded) && *made >= to)
        .map(|(_, at, _)| *at);
    Score {
        guard,
        opened_after: rejections
            .iter()
            .filter(|at| **at >= from)
            .min()
            .map(|at| *at - from),
        sent: sent.iter().filter(|at| (from..to).contains(at)).count(),
        recovered_after: succeeded.min().map(|at| at - to),
        rejected_until: rejections
            .iter()
            .filter(|at| **at >= to)
            .max()
            .map(|at| *at - to),
        rejected_before: rejections.iter().filter(|at| **at < from).count(),
    }
}
