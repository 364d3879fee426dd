//! A game day of the trading desk: experiments in a file, one after the other, while the desk trades behind
//! Seawall against simulated providers, and what each has shown.
//!
//! All hold but for one: the last outage is tried on a desk whose circuits never open, which its hypothesis
//! does not survive; its report says what was missing. One is refused, since the market is open.
//!
//! ```text
//! cargo run --release --example game_day
//! ```

#[path = "../trading_desk/client.rs"]
#[allow(dead_code, reason = "of the bare client")]
mod client;
#[path = "../trading_desk/desk.rs"]
mod desk;
#[path = "../trading_desk/guarded.rs"]
#[allow(dead_code, reason = "of the server")]
mod guarded;
#[path = "../trading_desk/plan.rs"]
mod plan;
#[path = "../trading_desk/recorder.rs"]
#[allow(dead_code, reason = "of the score")]
mod recorder;
mod upstream;
#[path = "../trading_desk/world.rs"]
#[allow(dead_code, reason = "of the score")]
mod world;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall::Registry;
use seawall::orders::switch::KillSwitch;
use seawall_chaos::ChaosHandle;
use seawall_examples::command_line::{ended, print};
use seawall_experiments::{Environment, Experiment, ExperimentSet, Outcome, Report, Runner};
use seawall_sim::incident::{Incidents, ProviderKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use guarded::Guarded;
use world::World;

const EXPERIMENTS: &str = include_str!("experiments.toml");
/// Sunday 2026-11-29 at noon in New York, and Monday.
const SUNDAY: u64 = 1_795_971_600;
const MONDAY: u64 = SUNDAY + 24 * 3_600;
/// The desk's plan is drawn day by day, and a day is short here.
const DAY: Duration = Duration::from_secs(12);
/// A desk whose circuits never open.
const WITHOUT_BREAKER: (&str, &str) = ("SEAWALL__BREAKER__ENABLED", "false");

#[tokio::main]
async fn main() -> ExitCode {
    ended("game_day", game_day().await)
}

/// Whether everything ended as it should.
async fn game_day() -> Result<bool, Box<dyn Error>> {
    let set = ExperimentSet::from_toml(EXPERIMENTS)?;
    let (all, outage) = (set.experiments(), set.experiments().last());
    let outage = std::slice::from_ref(outage.ok_or("the file has no experiment")?);
    let mut reports = on_a_desk(&[], SUNDAY, all).await?;
    reports.extend(on_a_desk(&[WITHOUT_BREAKER], SUNDAY, outage).await?);
    reports.extend(on_a_desk(&[], MONDAY, outage).await?);
    let refuted = &reports[all.len()];
    print(&format!("{}\n", refuted.to_markdown()));
    for report in &reports {
        print(&format!(
            "{}: {}: {}\n",
            report.outcome.as_str(),
            report.name,
            report.words
        ));
    }
    let expected = vec![Outcome::Held; all.len()].into_iter();
    let expected = expected.chain([Outcome::Refuted, Outcome::Refused]);
    Ok(reports.iter().map(|report| report.outcome).eq(expected))
}

/// Runs experiments while a desk trades that has variables put over its file, at a moment.
async fn on_a_desk(
    variables: &[(&str, &str)],
    moment: u64,
    experiments: &[Experiment],
) -> Result<Vec<Report>, Box<dyn Error>> {
    let incidents = Incidents::from_toml("")?;
    let world = Arc::new(World::start(&incidents).await?);
    let start = Instant::now();
    world.start_clock_at(start);
    let meter = client::Meter::new(incidents, start);

    let (mut clients, mut targets) = (BTreeMap::new(), Vec::new());
    for provider in [
        ProviderKind::Broker,
        ProviderKind::MarketData,
        ProviderKind::AiApi,
    ] {
        let (client, chaos) = upstream::faulty(provider, &meter)?;
        clients.insert(upstream::name(provider), client);
        targets.push(chaos);
    }
    let registry = Registry::new("desk");
    let client = |provider| clients[upstream::name(provider)].clone();
    let desk = Guarded::registered(client, &registry, KillSwitch::in_memory(), variables)?;
    let runner = runner(targets, registry, &world, moment)?;
    let stop = runner.stop();

    let mut reports = Vec::new();
    let all = async {
        for experiment in experiments {
            reports.push(runner.run(experiment).await?);
        }
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::select! {
        all = all => all?,
        () = trade(desk, &world) => {}
        stopped = stop.on_signal() => stopped?,
    }
    Ok(reports)
}

fn runner(
    targets: Vec<ChaosHandle>,
    registry: Registry,
    world: &Arc<World>,
    moment: u64,
) -> Result<Runner, Box<dyn Error>> {
    let (start, broker) = (Instant::now(), Arc::clone(world));
    let of_vendor = targets
        .iter()
        .find(|target| target.name().as_str() == "market-data");
    let vendor = of_vendor.ok_or("there is no vendor")?.clone();
    let last = std::sync::Mutex::new((start, 0));
    let builder = Runner::builder("desk", Environment::Test)
        .registry(registry)
        .clock(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(moment) + (Instant::now() - start)
        })
        .metric("orders_executed_twice", move || {
            let executions = broker.broker.executions_by_id();
            Some(executions.values().filter(|times| **times > 1).count() as f64)
        });
    // Attempts at a vendor that is down, since the sample before.
    let builder = builder.metric("wasted_attempts_per_second", move || {
        let (now, wasted) = (Instant::now(), vendor.counts().injected());
        let mut last = last.lock().ok()?;
        let (at, before) = std::mem::replace(&mut *last, (now, wasted));
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        (seconds > 0.1).then(|| (wasted - before) as f64 / seconds)
    });
    let builder = targets
        .into_iter()
        .fold(builder, seawall_experiments::RunnerBuilder::target);
    Ok(builder.build()?)
}

/// Trades a day after the other, until it is dropped.
async fn trade(desk: Guarded, world: &World) {
    let mut days = JoinSet::new();
    for seed in 1.. {
        let zero = Instant::now();
        let (desk, addresses) = (desk.clone(), desk::Addresses::of(world));
        let plan = plan::plan(seed, DAY);
        days.spawn(async move {
            let recorder = Arc::new(recorder::Recorder::default());
            desk::trade(desk, addresses, (seed, &plan), zero, &recorder).await;
        });
        sleep_until(zero + DAY).await;
        while days.try_join_next().is_some() {}
    }
}
