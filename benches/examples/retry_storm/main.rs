//! What retries add to an outage, side by side.
//!
//! `cargo run --release -p seawall-benches --example retry_storm -- [--clients N] [--seed N]
//! [--runs N] [--json] [--svg FILE]`
//!
//! Clients of one process call an upstream once per second each. It is down for 30 s, and fails
//! one request of a hundred by accident otherwise. One upstream sheds what it cannot serve, another
//! queues it and does work that no caller waits for any more, which is how an outage outlives its
//! cause. The tables show what was sent in the outage and after it, how many calls succeeded,
//! and when all was normal again. The clock is virtual, so a run takes no minutes.

mod bucket;
mod clients;
mod load;
mod options;
mod picture;
mod report;
mod upstream;

use std::io::Write;
use std::process::ExitCode;

use crate::clients::GROUPS;
use crate::options::{HELP, Options, options};
use crate::report::{Row, Scenario};
use crate::upstream::Excess;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
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
    let all = [
        scenario(Excess::Shed, &options).await?,
        scenario(Excess::Queue, &options).await?,
    ];
    let report = match options.json {
        true => report::json(&all, &options)? + "\n",
        false => report::text(&all, &options),
    };
    // A reader that has seen enough is no error.
    let _ = std::io::stdout().write_all(report.as_bytes());
    if let Some(file) = &options.svg
        && let Err(error) = std::fs::write(file, picture::svg(&all))
    {
        eprintln!("cannot write `{file}`: {error}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn scenario(excess: Excess, options: &Options) -> Result<Scenario, BoxError> {
    let mut rows = Vec::new();
    for group in &GROUPS {
        for subject in group.subjects {
            let mut runs = Vec::new();
            for n in 0..u64::from(options.runs) {
                let seed = u64::from(options.seed) + n;
                runs.push(load::run(subject, excess, options.clients, seed).await?);
            }
            rows.push(Row {
                group,
                subject,
                runs,
            });
        }
    }
    Ok(Scenario { excess, rows })
}
