//! Orders at brokers that fail in every dangerous way, sent by a process that is killed.
//!
//! This process runs simulated brokers on loopback, of every class of what a second order of one
//! client order id comes to, one of which has no query by that id. A child process sends the orders,
//! some of which are cancelled or replaced, 64 at a time, and reports each; it
//! is killed at random moments and started again. At the end what was reported is compared with
//! what the brokers executed: with Seawall, and with what is used in its place.
//!
//! ```text
//! cargo run --release --example order_torture -- --help
//! ```

mod broker;
mod child;
mod cli;
mod contender;
mod driver;
mod guarded;
mod http_client;
mod plain;
mod plan;
mod progress;
mod report;
mod resilience;
mod score;
mod standstill;
mod stops;
mod trace;
mod traced;
mod wire;
mod world;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use seawall_examples::command_line::{self, print};
use tokio::time::Instant;

use cli::Options;
use driver::Run;
use plan::Plan;
use progress::{Counts, Progress};
use report::Report;
use standstill::Standstill;
use trace::Trace;

/// What its messages begin with.
const PROGRAM: &str = "order_torture";

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = command_line::arguments().peekable();
    if arguments.next_if(|first| first == cli::CHILD).is_some() {
        return command_line::ended(PROGRAM, child::run().await.map(|()| true));
    }
    match command_line::options(PROGRAM, cli::HELP, cli::parse(arguments)) {
        Ok(options) => command_line::ended(PROGRAM, run(&options).await),
        Err(code) => code,
    }
}

/// A directory of this run, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> std::io::Result<Self> {
        let name = format!("order-torture-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left behind is in the directory for what is temporary.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether nothing of Seawall's was broken.
async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let directory = Directory::new()?;
    let mut report = Report::default();
    let (mut broken_orders, mut out_of_date) = (String::new(), 0);
    let standstill = Standstill::watch();
    for name in &options.contenders {
        let counts = Arc::new(Counts::default());
        let progress = Progress::start(*name, options.orders, &counts);
        let run = Run {
            name: *name,
            plan: Plan {
                seed: options.seed,
                class: options.class,
            },
            orders: options.orders,
            directory: &directory.0,
            trace: Arc::new(Trace::open(&directory.0)?),
            standstills: options.standstills,
            counts,
        };
        let start = Instant::now();
        let score = run.run().await;
        progress.finish();
        let run = score.map_err(|error| format!("{}: {error}", name.as_str()))?;
        report.add(*name, run.score, Instant::now() - start);
        broken_orders.push_str(&run.stories);
        out_of_date += run.out_of_date;
    }
    let broken = report.broken();
    let class = options.class.map_or("all", plan::Class::name);
    let (orders, seed) = (options.orders, options.seed);
    print(&format!(
        "\n{orders} orders, seed {seed}, provider class {class}\n\n"
    ));
    print(&report.table());
    let longest = standstill.longest();
    print(&format!(
        "longest standstill of the machine: {longest:.1?}\n"
    ));
    print(&format!(
        "orders that came to a broker too late, and were not executed: {out_of_date}\n"
    ));
    if !broken.is_empty() {
        print(&format!(
            "\nSeawall BROKE: {}\n{broken_orders}",
            broken.join(", ")
        ));
    }
    if options.json {
        print(&format!("{}\n", report.json()?));
    }
    Ok(broken.is_empty())
}
