//! Replays outages of a simulated vendor against circuit breakers, side by side.
//!
//! `cargo run --release -p seawall-benches --example breaker_outage -- [--calls N] [--json]`
//!
//! Every breaker has a vendor and a client of its own, calls at the same pace, and meets the same
//! outage: errors, half of the calls failing, responses that turn slow, no responses at all, a ban.
//! The table shows when each opened, how many calls it let through while the vendor was down, and
//! how soon calls got through again.

mod client;
mod guards;
mod outage;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use crate::outage::{OUTAGES, run};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
Replays outages of a simulated vendor against circuit breakers, side by side.

Options:
  --calls N   calls per second of each breaker, 1 to 200 [40]
  --json      a JSON array instead of the tables
  --help      this text
";

struct Options {
    calls: u32,
    json: bool,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        calls: 40,
        json: false,
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" => return Ok(None),
            "--json" => options.json = true,
            "--calls" => {
                let value = args.next().unwrap_or_default();
                options.calls = match value.parse() {
                    Ok(calls @ 1..=200) => calls,
                    _ => return Err(format!("--calls is `{value}`, accepted is 1 to 200")),
                };
            }
            other => return Err(format!("unknown option `{other}`; see --help")),
        }
    }
    Ok(Some(options))
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
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
    let pace = Duration::from_secs(1) / options.calls;
    let mut tables = Vec::new();
    for outage in &OUTAGES {
        eprintln!("{} ...", outage.name);
        tables.push((outage, run(outage, pace).await?));
    }
    if options.json {
        println!("{}", report::json(&tables)?);
    } else {
        print!("{}", report::text(&tables));
    }
    Ok(ExitCode::SUCCESS)
}
