//! How close to a provider's limit one can go without ever being over it.
//!
//! A client at full load behind a rate limit, in virtual time, against the counters of the
//! simulated providers: what was granted, how much of the limit that is, and how often the
//! provider counted a violation. Callers give up at random while they wait, and 48 calls are queued
//! at all times.
//!
//! ```text
//! cargo run --release --example strict_quota -- --help
//! ```

mod cli;
mod load;
mod real;

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use seawall_examples::command_line::{self, print};
use seawall_sim::provider::Counting;

use cli::Options;
use load::{DAY, Kind, Outcome, RULES, Run};

/// What its messages begin with.
const PROGRAM: &str = "strict_quota";

fn main() -> ExitCode {
    let parsed = cli::parse(command_line::arguments());
    let options = match command_line::options(PROGRAM, cli::HELP, parsed) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let kept = match options.real {
        Some(seconds) => real::run(seconds),
        None => simulate(&options),
    };
    command_line::ended(PROGRAM, kept)
}

/// All rules and kinds in virtual time; whether every limit that should hold did.
fn simulate(options: &Options) -> Result<bool, Box<dyn Error>> {
    let hours = Duration::from_secs(3600 * u64::from(options.hours));
    let days = DAY * options.days;
    print(&format!(
        "seed {}, {} h of virtual time, {} days where a limit counts by the day\n\n{}",
        options.seed,
        options.hours,
        options.days,
        heading()
    ));
    let mut kept = true;
    for rules in &RULES {
        for kind in [Kind::Strict, Kind::Share, Kind::Window, Kind::Greedy] {
            // Each run has a clock of its own, which starts again.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()?;
            let outcome = runtime.block_on(load::run(Run {
                rules,
                kind,
                counters: kind.counters(),
                length: if rules.daily() { days } else { hours },
                seed: options.seed,
                phase: Duration::ZERO,
                margin: Duration::ZERO,
            }))?;
            kept &= kind == Kind::Greedy || outcome.violated() == 0;
            print(&row(rules.name, kind, &outcome));
        }
    }
    print(
        "\nused: of what the limit allows, or of 80 % of it and one burst. The bucket with all \
         of the limit\nas its burst is there to show that the counters detect violations.\n",
    );
    Ok(kept)
}

fn heading() -> String {
    format!(
        "{:<27} {:<21} {:<24} {:>8} {:>8} {:>8} {:>10} {:>7}\n",
        "limit", "kind", "counters", "offered", "left", "granted", "violations", "used"
    )
}

fn row(name: &str, kind: Kind, outcome: &Outcome) -> String {
    let counters = outcome.violations.iter().map(|(counting, _)| *counting);
    let counters: Vec<_> = counters.map(counter).collect();
    let mut row = format!(
        "{name:<27} {:<21} {:<24} {:>8} {:>8} {:>8} {:>10} {:>5.1} %\n",
        kind.name(),
        counters.join(", "),
        outcome.offered,
        outcome.left,
        outcome.granted,
        outcome.violated(),
        100.0 * outcome.share(),
    );
    if let Some(reason) = &outcome.reason {
        let _ = writeln!(row, "  {} were rejected: {reason}", outcome.rejected);
    }
    row
}

const fn counter(counting: Counting) -> &'static str {
    match counting {
        Counting::Fixed => "fixed",
        Counting::Sliding => "sliding",
        Counting::Bucket => "bucket",
    }
}
