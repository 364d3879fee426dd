//! What retries add to an outage, side by side.
//!
//! `cargo run -p seawall-benches --example retry_storm -- [--json] [--svg FILE]`
//!
//! Two hundred clients of one process call an upstream once per second each. It is down for 30 s,
//! bears twice their load, and fails one request of a hundred by accident. Every library has
//! three attempts and waits from 1 s, doubled. The table says what was sent in the outage and
//! after it, and how many calls succeeded. The clock is virtual, so a run takes no minute.

mod clients;
mod load;
mod picture;
mod upstream;

use std::process::ExitCode;

use crate::clients::CLIENTS;
use crate::load::{Fared, run};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
What retries add to an outage, side by side.

Options:
  --json      a JSON array instead of the table
  --svg FILE  draws the requests per second over time
  --help      this text
";

#[derive(Default)]
struct Options {
    json: bool,
    svg: Option<String>,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" => return Ok(None),
            "--json" => options.json = true,
            "--svg" => options.svg = Some(args.next().ok_or("--svg needs a file")?),
            other => return Err(format!("unknown option `{other}`; see --help")),
        }
    }
    Ok(Some(options))
}

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
    let mut all = Vec::new();
    for client in &CLIENTS {
        all.push(run(client).await?);
    }
    if options.json {
        println!("{}", json(&all)?);
    } else {
        print!("{}", table(&all));
    }
    if let Some(file) = options.svg {
        std::fs::write(file, picture::svg(&all))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(all: &[Fared]) -> String {
    let mut out = format!(
        "{:<38} {:>8} {:>10} {:>10} {:>9} {:>9}\n",
        "", "sent", "in outage", "per call", "peak /s", "well, ok"
    );
    for fared in all {
        out += &format!(
            "{:<38} {:>8} {:>10} {:>10.2} {:>9} {:>8.2}%\n",
            fared.name,
            fared.sent(),
            fared.sent_in_outage(),
            fared.per_call_in_outage(),
            fared.peak_in_outage(),
            fared.success() * 100.0,
        );
    }
    out
}

fn json(all: &[Fared]) -> Result<String, BoxError> {
    let rows: Vec<_> = all
        .iter()
        .map(|fared| {
            serde_json::json!({
                "name": fared.name,
                "sent": fared.sent(),
                "sent_in_outage": fared.sent_in_outage(),
                "per_call_in_outage": fared.per_call_in_outage(),
                "peak_in_outage": fared.peak_in_outage(),
                "success_when_well": fared.success(),
                "per_second": fared.per_second,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows)?)
}
