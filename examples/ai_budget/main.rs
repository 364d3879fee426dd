//! Real arrivals through the request and token limits of an AI API.
//!
//! A trace of arrivals and token counts is replayed in virtual time, through the documented limits
//! of two tiers, against the counters of the simulated AI API. What a call takes of the limits is
//! estimated before it departs, by what calls before it have used, and corrected when the response
//! reports the usage. The client uses 98 % of the token limits: the rest is for what calls in flight
//! use beyond what is reserved for them. Where a provider charges `max_tokens` itself, that is reserved.
//! `--estimate maximum` reserves it at every tier, and shows how much of a limit that leaves unused.
//!
//! The public Azure traces of LLM inference of 2023 (`AzureLLMInferenceTrace_code.csv`, `_conv.csv`) are in
//! this format; without a file, a bursty half hour is generated.
//!
//! ```text
//! cargo run --release --example ai_budget -- --trace FILE
//! ```

mod ask;
mod cli;
mod replay;
mod tiers;
mod trace;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use ask::MaxTokens;
use seawall_examples::command_line::{self, print};

use cli::Options;
use replay::Outcome;
use tiers::{TIERS, Tier};
use trace::Arrival;

/// What its messages begin with.
const PROGRAM: &str = "ai_budget";

fn main() -> ExitCode {
    let parsed = cli::parse(command_line::arguments());
    let options = match command_line::options(PROGRAM, cli::HELP, parsed) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match arrivals(&options) {
        Ok(arrivals) => command_line::ended(PROGRAM, run(&options, &arrivals)),
        Err(misuse) => command_line::misused(PROGRAM, &misuse),
    }
}

fn arrivals(options: &Options) -> Result<Vec<Arrival>, String> {
    let Some(file) = &options.trace else {
        let generated = trace::synthetic(options.seed, 600);
        return trace::read(&generated).map_err(|error| error.to_string());
    };
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{name}: {error}: expected a CSV file, {}", trace::HEADER))?;
    trace::read(&text).map_err(|error| format!("{name}, {error}"))
}

/// The lowest load, in doublings, at which five minutes demand more than the tier allows.
fn heavy(tier: &Tier, arrivals: &[Arrival], max_tokens: MaxTokens) -> Option<u32> {
    let mut loads = (0..10).map(|doublings| 1 << doublings);
    loads.find(|load| replay::beyond(tier, arrivals, *load, max_tokens) >= 5)
}

/// Whether no tier saw a violation.
fn run(options: &Options, arrivals: &[Arrival]) -> Result<bool, Box<dyn Error>> {
    let length = arrivals.last().map_or(Duration::ZERO, |last| last.at);
    let input: u64 = arrivals
        .iter()
        .map(|arrival| u64::from(arrival.input))
        .sum();
    let output: u64 = arrivals
        .iter()
        .map(|arrival| u64::from(arrival.output))
        .sum();
    let minutes = (length.as_secs_f64() / 60.0).max(1.0);
    print(&format!(
        "{} requests in {:.1} minutes; per minute {:.0} requests, {:.0} tokens of input, {:.0} of \
         output\n",
        arrivals.len(),
        length.as_secs_f64() / 60.0,
        arrivals.len() as f64 / minutes,
        input as f64 / minutes,
        output as f64 / minutes,
    ));
    let (plan, mut kept) = (options.plan, true);
    for tier in TIERS {
        if options.tier.is_some_and(|name| name != tier.name) {
            continue;
        }
        print(&format!("\n{}: {}\n\n{}", tier.name, tier.source, HEADING));
        let mut loads = vec![1];
        loads.extend(heavy(&tier, arrivals, plan.max_tokens).filter(|load| *load > 1));
        for load in loads {
            // Each run has a clock of its own, which starts again.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()?;
            let replayed = replay::replay(&tier, tier.client(plan.share), arrivals, load, plan);
            let outcome = runtime.block_on(replayed)?;
            let beyond = replay::beyond(&tier, arrivals, load, plan.max_tokens);
            kept &= outcome.violations == 0;
            print(&row(load, beyond, &outcome));
        }
    }
    print(LEGEND);
    Ok(kept)
}

const HEADING: &str = "  load  arrivals  granted  rejected  violations  beyond  full    used   \
                       worst  reserved   output   wait p50      p99       most   done after\n";

const LEGEND: &str = "
load: each arrival so many times. beyond: minutes that demand more than the tier allows. full:
minutes at whose end calls wait. used, worst: the use of the most used limit in those minutes,
the mean and the worst. violations: of a bucket or of a sliding window. reserved: by how much more is
reserved for a call than it is charged, in the median; output: the same of the output alone.
";

fn row(load: u32, beyond: usize, outcome: &Outcome) -> String {
    let share = |share: f64| {
        if outcome.full == 0 {
            return "-".to_owned();
        }
        format!("{:.1} %", 100.0 * share)
    };
    let [reserved, output] = outcome
        .reservation_errors()
        .map(|error| format!("{:+.1} %", 100.0 * error));
    let wait = |share: f64| format!("{:.1} s", outcome.wait(share).as_secs_f64());
    format!(
        "{load:>6} {:>9} {:>8} {:>8} {:>11} {beyond:>7} {:>5} {:>7} {:>7} {reserved:>9} \
         {output:>8} {:>10} {:>8} {:>10} {:>8.1} min\n",
        outcome.arrivals,
        outcome.granted,
        outcome.rejected,
        outcome.violations,
        outcome.full,
        share(outcome.share),
        share(outcome.worst),
        wait(0.5),
        wait(0.99),
        wait(1.0),
        outcome.done.as_secs_f64() / 60.0,
    )
}
