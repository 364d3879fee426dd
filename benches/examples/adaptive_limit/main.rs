//! Limits that adapt, beside the best limits that do not.
//!
//! `cargo run -p seawall-benches --example adaptive_limit -- [--seed N] [--svg FILE]`
//!
//! An upstream serves 40 concurrent calls, 20 ms each; then 40 ms each; then 10 concurrent calls; then as
//! at first, 30 s each. It queues 50 calls and rejects the others. Demand is above its capacity:
//! 200 callers that call again immediately (closed), or calls at random times at one and a half times
//! its capacity (open). For each phase, from its first second, the table has the responses per
//! second as a share of those of the best fixed limit of that phase, and the 99th percentile of
//! the latency as a multiple of its, and how many calls the upstream rejected.
//!
//! Everything runs in virtual time. The algorithms of tower-resilience are driven directly, call
//! by call as its layer does, since that layer reads the clock of the machine.

mod contenders;
mod picture;
// The very upstream that the tests of the crate converge on.
#[path = "../../../crates/seawall-adaptive/src/sim.rs"]
mod sim;

use std::process::ExitCode;

use crate::contenders::CONTENDERS;
use crate::sim::{Fared, Load, Run, SCENARIO};

const HELP: &str = "\
Limits that adapt, beside the best limits that do not.

Options:
  --seed N    another series of random numbers, a whole number; 7 unless given
  --svg FILE  draws the limits over time, under the closed load
  --help      this text
";

struct Options {
    seed: u64,
    svg: Option<String>,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { seed: 7, svg: None };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" => return Ok(None),
            "--svg" => options.svg = Some(args.next().ok_or("--svg needs a file")?),
            "--seed" => {
                let seed = args.next().ok_or("--seed needs a number")?;
                options.seed = seed
                    .parse()
                    .map_err(|e| format!("`--seed` is {seed}, accepted is a whole number: {e}"))?;
            }
            other => return Err(format!("unknown option `{other}`; see --help")),
        }
    }
    Ok(Some(options))
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let options = match options(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Err(wrong) => {
            eprintln!("{wrong}");
            return Ok(ExitCode::from(2));
        }
    };
    let fixed: Vec<u32> = (6..=60).step_by(2).collect();
    let mut kept = true;
    for load in [Load::Closed, Load::Open] {
        let best = sim::best_fixed(&SCENARIO, load, options.seed, &fixed);
        println!("{}", head(load, &best));
        let mut drawn = Vec::new();
        for contender in &CONTENDERS {
            let mut limit = (contender.make)()?;
            let run = sim::run(&SCENARIO, load, options.seed, limit.as_mut());
            println!("{}", row(contender.name, &run, &best));
            if contender.held_to_the_bar {
                kept &= keeps(&run, &best);
            }
            if contender.drawn {
                drawn.push((contender.name, run));
            }
        }
        println!();
        if let (Load::Closed, Some(file)) = (load, &options.svg) {
            std::fs::write(file, picture::svg(&drawn, &best))?;
        }
    }
    if !kept {
        eprintln!("the default missed the bar: 90 % of the throughput, less than twice the p99");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn head(load: Load, best: &[(u32, Fared)]) -> String {
    let mut out = format!("{:<34}", format!("{load:?} load"));
    for phase in &SCENARIO {
        out += &format!(" | {:^21}", phase.name);
    }
    out += &format!("\n{:<34}", "best fixed limit: responses, p99");
    for (limit, fared) in best {
        let p99 = fared.p99 as f64 / sim::MS as f64;
        out += &format!(" | {limit:>3}: {:>5.0}/s {p99:>5.1} ms", fared.throughput);
    }
    out
}

fn row(name: &str, run: &Run, best: &[(u32, Fared)]) -> String {
    let mut out = format!("{name:<34}");
    for (throughput, p99, drops) in beside(run, best) {
        out += &format!(" | {:>4.0}% {p99:>5.2}x {drops:>8}", 100.0 * throughput);
    }
    out
}

fn beside<'a>(
    run: &'a Run,
    best: &'a [(u32, Fared)],
) -> impl Iterator<Item = (f64, f64, u64)> + 'a {
    run.phases.iter().zip(best).map(|(fared, (_, best))| {
        (
            fared.throughput / best.throughput,
            fared.p99 as f64 / best.p99 as f64,
            fared.drops,
        )
    })
}

fn keeps(run: &Run, best: &[(u32, Fared)]) -> bool {
    beside(run, best).all(|(throughput, p99, _)| throughput > 0.9 && p99 < 2.0)
}
