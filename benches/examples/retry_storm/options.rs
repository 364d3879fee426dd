//! What the command line asks for.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

pub(crate) const HELP: &str = "\
What retries add to an outage, side by side.

Options:
  --clients N  clients that call once per second each, 50 to 2000 [200]
  --seed N     the first run's seed, 0 to 4294967295 [1]
  --runs N     runs with a seed each, 1 to 100; the table has medians of them [1]
  --json       a JSON array of all runs instead of the tables
  --svg FILE   draws the first run over time
  --help       this text
";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) clients: u32,
    pub(crate) seed: u32,
    pub(crate) runs: u32,
    pub(crate) json: bool,
    pub(crate) svg: Option<String>,
}

/// `None` asks for help.
pub(crate) fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        clients: 200,
        seed: 1,
        runs: 1,
        json: false,
        svg: None,
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" => return Ok(None),
            "--json" => options.json = true,
            "--clients" => options.clients = number("--clients", args.next(), 50..=2_000)?,
            "--seed" => options.seed = number("--seed", args.next(), 0..=u32::MAX)?,
            "--runs" => options.runs = number("--runs", args.next(), 1..=100)?,
            "--svg" => {
                let file = args.next().filter(|file| !file.is_empty());
                options.svg = Some(file.ok_or("--svg needs the name of a file")?);
            }
            other => return Err(format!("unknown option `{other}`; see --help")),
        }
    }
    Ok(Some(options))
}

fn number<T>(option: &str, value: Option<String>, accepted: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let (from, to) = (accepted.start(), accepted.end());
    let value = value.ok_or_else(|| format!("{option} needs a number from {from} to {to}"))?;
    match value.parse() {
        Ok(number) if accepted.contains(&number) => Ok(number),
        _ => Err(format!("{option} is `{value}`, accepted is {from} to {to}")),
    }
}
