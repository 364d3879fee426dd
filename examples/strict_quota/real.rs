//! The same in real time: over sockets to the simulated vendors, and in the process for rules that
//! they do not support.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall::{Limit, RateLimitConfig, RateLimitLayer, WrapErrorLayer};
use seawall_sim::provider::{self, MarketData, Stats};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tower::{ServiceBuilder, ServiceExt};

use crate::load::{self, DAY, Kind, MINUTE, MS, Outcome, RULES, Run, SECOND};

/// By how much the latencies to the vendor may differ: two requests that depart a minute apart may
/// arrive closer to each other.
const MARGIN: Duration = Duration::from_millis(30);

const LIMITS: [(u32, Duration); 4] = [(1, SECOND), (5, MINUTE), (200, MINUTE), (10, SECOND)];

/// Callers at each vendor.
const CALLERS: u32 = 20;

/// All limits for so long, side by side; whether all of them held.
pub(crate) fn run(length: Duration) -> Result<bool, Box<dyn Error>> {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build()
    };
    let several = RULES
        .iter()
        .filter(|rules| rules.all.len() > 1 || rules.heaviest > 1);
    std::thread::scope(|scope| {
        let inside: Vec<_> = several
            .map(|rules| {
                let run = Run {
                    rules,
                    kind: Kind::Strict,
                    counters: Kind::Strict.counters(),
                    length,
                    seed: 1,
                    phase: Duration::ZERO,
                    margin: MARGIN,
                };
                let thread = scope.spawn(move || -> Result<Outcome, String> {
                    let runtime = runtime().map_err(|error| error.to_string())?;
                    let outcome = runtime.block_on(load::run(run));
                    outcome.map_err(|error| error.to_string())
                });
                (rules, thread)
            })
            .collect();
        let mut kept = runtime()?.block_on(all(length))?;
        crate::print(&format!("\nin the process\n\n{}", crate::heading()));
        for (rules, thread) in inside {
            let outcome = thread.join();
            let outcome = outcome.unwrap_or_else(|_panic| Err("a run has panicked".to_owned()))?;
            kept &= outcome.violated() == 0;
            crate::print(&crate::row(rules.name, Kind::Strict, &outcome));
        }
        Ok(kept)
    })
}

async fn all(length: Duration) -> Result<bool, Box<dyn Error>> {
    crate::print(&format!(
        "{length:?} of real time, strict limits with a margin of {MARGIN:?}, vendors that count \
         in sliding windows\n\n{:<12} {:>8} {:>8} {:>10} {:>7}\n",
        "limit", "received", "executed", "violations", "used"
    ));
    let mut vendors = JoinSet::new();
    for (index, (count, per)) in LIMITS.into_iter().enumerate() {
        vendors.spawn(async move {
            let stats = one(count, per, length).await;
            (index, stats.map_err(|error| error.to_string()))
        });
    }
    let mut all: Vec<_> = vendors.join_all().await;
    all.sort_by_key(|(index, _)| *index);
    let mut kept = true;
    for (index, stats) in all {
        let ((count, per), stats) = (LIMITS[index], stats?);
        let windows = (length.as_secs_f64() / per.as_secs_f64()).ceil();
        let used = stats.executed as f64 / (f64::from(count) * windows);
        // Without load nothing is shown.
        kept &= stats.violations == 0 && stats.executed > 0;
        crate::print(&format!(
            "{:<12} {:>8} {:>8} {:>10} {:>5.1} %\n",
            format!("{count} per {per:?}"),
            stats.received,
            stats.executed,
            stats.violations,
            100.0 * used
        ));
    }
    Ok(kept)
}

/// A vendor of one limit, at full load.
async fn one(
    count: u32,
    per: Duration,
    length: Duration,
) -> Result<Stats, Box<dyn Error + Send + Sync>> {
    let limit = provider::Limit::new(count, per)?;
    let vendor = MarketData::polygon().limit(limit).start().await?;
    let config = RateLimitConfig::builder()
        .limit(Limit::strict(count, per).margin(MARGIN))
        // Longer than the last of the callers waits: one that is rejected is no load.
        .max_wait(30 * DAY)
        .build()?;
    let client = ServiceBuilder::new()
        .layer(RateLimitLayer::new("vendor", config))
        .layer(WrapErrorLayer)
        .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let url = vendor.base_url() + "/v2/last/nbbo/AAPL";
    let end = Instant::now() + length;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (client, url) = (client.clone(), url.clone());
        callers.spawn(async move {
            loop {
                let Ok(request) = Request::get(&url).body(Full::default()) else {
                    return;
                };
                let call = async {
                    match client.clone().oneshot(request).await {
                        Ok(response) => drop(response.into_body().collect().await),
                        // Not in an endless loop at the same instant.
                        Err(_) => sleep(100 * MS).await,
                    }
                };
                // Calls in flight at the end are dropped.
                if timeout_at(end, call).await.is_err() {
                    return;
                }
            }
        });
    }
    callers.join_all().await;
    let stats = vendor.stats();
    vendor.shutdown().await;
    Ok(stats)
}
