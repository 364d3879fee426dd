//! A trading desk on a bad day, first with a bare client, then with Seawall.
//!
//! In one process: a simulated broker, market-data vendor and AI API on loopback, a desk that
//! polls quotes, asks for opinions and places orders, and a timeline of incidents. Both sides have
//! the same plan, seed, incidents, limits and timeouts; only the client differs. At the end what
//! was reported to the desk is compared with what the providers saw.
//!
//! ```text
//! cargo run --release --example trading_desk -- --help
//! cargo run --release --example trading_desk -- --serve 127.0.0.1:9090
//! ```

mod bare;
mod cli;
mod client;
mod desk;
mod guarded;
mod plan;
mod progress;
mod recorder;
mod report;
mod score;
mod serve;
mod upstream;
mod world;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use seawall::Registry;
use seawall::orders::switch::KillSwitch;
use seawall_examples::command_line::{self, print};
use seawall_sim::incident::{IncidentError, Incidents};
use tokio::time::Instant;

use cli::Options;
use client::{Caller, Meter};
use report::Report;
use score::Score;

/// What its messages begin with.
const PROGRAM: &str = "trading_desk";

#[tokio::main]
async fn main() -> ExitCode {
    let parsed = cli::parse(command_line::arguments());
    let options = match command_line::options(PROGRAM, cli::HELP, parsed) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let incidents = match incidents(&options) {
        Ok(incidents) => incidents,
        Err(error) => return command_line::misused(PROGRAM, &error),
    };
    if let Some(address) = options.serve {
        let served = serve::serve(address, incidents).await;
        return command_line::ended(PROGRAM, served.map(|()| true));
    }
    let report = run(&options, &incidents).await;
    command_line::ended(PROGRAM, report.map(|report| report.broken.is_empty()))
}

/// The script of the run: percentages in it refer to the run's length.
fn incidents(options: &Options) -> Result<Incidents, IncidentError> {
    let incidents = match &options.incidents {
        Some(file) => Incidents::from_file(file)?,
        None => Incidents::default_scenario().with_seed(1),
    };
    let seed = options.seed.unwrap_or(incidents.seed());
    Ok(incidents.with_seed(seed).scaled(options.length))
}

async fn run(options: &Options, incidents: &Incidents) -> Result<Report, Box<dyn Error>> {
    let length = options.length;
    let bare = side("bare", incidents, |meter| Ok(bare::Bare::new(meter))).await?;
    let guarded = |meter: &_| {
        let registry = Registry::new("trading-desk");
        let switch = KillSwitch::in_memory();
        guarded::Guarded::registered(upstream::upstream(meter), &registry, switch, &[])
    };
    let seawall = side("Seawall", incidents, guarded).await?;
    let report = Report::new(incidents.seed(), length, bare, seawall);
    print(&report.table());
    if options.json {
        print(&format!("{}\n", serde_json::to_string(&report)?));
    }
    Ok(report)
}

/// One side's run, from starting the providers to the score.
async fn side<C: Caller>(
    name: &'static str,
    incidents: &Incidents,
    client: impl FnOnce(&Arc<Meter>) -> Result<C, Box<dyn Error>>,
) -> Result<Score, Box<dyn Error>> {
    let world = world::World::start(incidents).await?;
    let zero = Instant::now();
    world.start_clock_at(zero);
    let meter = Meter::new(incidents.clone(), zero);
    let client = client(&meter)?;
    let recorder = Arc::new(recorder::Recorder::default());

    let plan = plan::plan(incidents.seed(), incidents.length());
    let progress = progress::Progress::start(name, zero, incidents, &recorder);
    let day = (incidents.seed(), plan.as_slice());
    let addresses = desk::Addresses::of(&world);
    desk::trade(client, addresses, day, zero, &recorder).await;
    world.wait_until_idle().await;
    progress.finish();

    let executions = world.broker.executions_by_id();
    let score = Score::new(recorder.record(), &executions, &world.stats(), &meter);
    world.shutdown().await;
    Ok(score)
}
