//! One outage against every breaker at once, each with a vendor of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_sim::incident::Incidents;
use seawall_sim::provider::MarketData;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::BoxError;
use crate::client::{PATIENCE, Vendor};
use crate::guards::{Call, GUARDS, Guard, Told};

/// The vendor is well until here,
const FROM: Duration = Duration::from_secs(2);
/// away until here,
const TO: Duration = Duration::from_secs(6);
/// and well again until here.
const END: Duration = Duration::from_secs(10);

/// One way to be away.
pub(crate) struct Outage {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    fault: &'static str,
}

pub(crate) const OUTAGES: [Outage; 5] = [
    Outage {
        name: "errors",
        what: "every call is answered with 500",
        fault: "fault = \"status\"\ncode = 500",
    },
    Outage {
        name: "brown-out",
        what: "six of ten calls, by chance, are answered with 500",
        fault: "fault = \"status\"\ncode = 500\nprobability = 0.6",
    },
    Outage {
        name: "slow",
        what: "every answer takes 600 ms, and none is an error",
        fault: "fault = \"latency\"\ndistribution = \"constant\"\ndelay = \"600ms\"",
    },
    Outage {
        name: "hang",
        what: "no answer; callers give up after 1 s",
        fault: "fault = \"stall\"",
    },
    Outage {
        name: "ban",
        what: "the caller is shut out with 403 for the whole time",
        fault: "fault = \"ban\"\nstatus = 403",
    },
];

/// How one breaker fared.
pub(crate) struct Fared {
    pub(crate) guard: &'static Guard,
    /// From the beginning of the outage to the first rejection.
    pub(crate) opened_after: Option<Duration>,
    /// Calls that were sent while the vendor was away.
    pub(crate) sent: usize,
    /// From the end of the outage to the first answer after it.
    pub(crate) recovered_after: Option<Duration>,
    /// From the end of the outage to the last rejection.
    pub(crate) rejected_until: Option<Duration>,
    /// Calls that were rejected while the vendor was well, before the outage.
    pub(crate) rejected_before: usize,
}

/// Runs one outage against every breaker.
pub(crate) async fn run(outage: &Outage, pace: Duration) -> Result<Vec<Fared>, BoxError> {
    let mut all = JoinSet::new();
    for (place, guard) in GUARDS.iter().enumerate() {
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
                .map(|fared| (place, fared))
        });
    }
    let mut fared = Vec::new();
    while let Some(done) = all.join_next().await {
        fared.push(done??);
    }
    fared.sort_by_key(|(place, _)| *place);
    Ok(fared.into_iter().map(|(_, fared)| fared).collect())
}

async fn one(
    guard: &'static Guard,
    incidents: Incidents,
    pace: Duration,
) -> Result<Fared, BoxError> {
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
    let told = load(call, zero, pace).await;
    let fared = judge(guard, &vendor.sent(), &told, zero);
    server.shutdown().await;
    Ok(fared)
}

/// When a call was made, and what came of it and when.
type Calls = Vec<(Instant, Instant, Told)>;

/// Makes calls at a steady pace, whatever becomes of those before.
async fn load(call: Call, zero: Instant, pace: Duration) -> Calls {
    let calls: Arc<Mutex<Calls>> = Arc::default();
    let mut ticks = interval_at(zero, pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = JoinSet::new();
    while Instant::now() < zero + END {
        ticks.tick().await;
        let (made, answer, calls) = (Instant::now(), call(), Arc::clone(&calls));
        under_way.spawn(async move {
            let told = answer.await;
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push((made, Instant::now(), told));
        });
    }
    sleep_until(zero + END + PATIENCE).await;
    under_way.abort_all();
    let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut calls)
}

fn judge(guard: &'static Guard, sent: &[Instant], calls: &Calls, zero: Instant) -> Fared {
    let (from, to) = (zero + FROM, zero + TO);
    let rejected =
        |(_, at, told): &&(Instant, Instant, Told)| matches!(told, Told::Rejected).then_some(*at);
    let rejections: Vec<Instant> = calls.iter().filter_map(|call| rejected(&call)).collect();
    let answered = calls
        .iter()
        .filter(|(made, _, told)| matches!(told, Told::Answered) && *made >= to)
        .map(|(_, at, _)| *at);
    Fared {
        guard,
        opened_after: rejections
            .iter()
            .filter(|at| **at >= from)
            .min()
            .map(|at| *at - from),
        sent: sent.iter().filter(|at| (from..to).contains(at)).count(),
        recovered_after: answered.min().map(|at| at - to),
        rejected_until: rejections
            .iter()
            .filter(|at| **at >= to)
            .max()
            .map(|at| *at - to),
        rejected_before: rejections.iter().filter(|at| **at < from).count(),
    }
}
