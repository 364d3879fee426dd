//! The command line.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(crate) const HELP: &str = "\
How close to a provider's limit a client can go without ever being over it.

Usage: cargo run --release --example strict_quota -- [OPTIONS]

Options:
  --hours N       hours of virtual time per run, 1 to 24 [default: 1]
  --days N        days of virtual time where a limit counts by the day, 1 to 30
                  [default: 2]
  --seed N        seed of weights and of which callers give up, a whole number from 0
                  [default: 1]
  --real SECONDS  in real time instead, over sockets to simulated vendors, 1 to 3600
  -h, --help      shows this and ends

Exit code: 0; 1 when a provider counted a violation of a limit that should hold, or the run
failed; 2 for a bad option.
";

/// The options of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) hours: u32,
    pub(crate) days: u32,
    pub(crate) seed: u64,
    pub(crate) real: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Run(Options),
}

/// One line: what is wrong, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, Misuse> {
    let mut options = Options {
        hours: 1,
        days: 2,
        seed: 1,
        real: None,
    };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, glued) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut number = |accepted: RangeInclusive<u64>| {
            let accepted_range = match (*accepted.start(), *accepted.end()) {
                (first, u64::MAX) => format!("a whole number from {first}"),
                (first, last) => format!("a whole number from {first} to {last}"),
            };
            let Some(text) = glued.clone().or_else(|| arguments.next()) else {
                return Err(Misuse(format!(
                    "{name} has no value: expected {accepted_range}"
                )));
            };
            let number = text.parse().ok().filter(|number| accepted.contains(number));
            number.ok_or_else(|| Misuse(format!("{name} is {text:?}: expected {accepted_range}")))
        };
        // The ranges fit.
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        match name {
            "--hours" => options.hours = short(number(1..=24)?),
            "--days" => options.days = short(number(1..=30)?),
            "--seed" => options.seed = number(0..=u64::MAX)?,
            "--real" => options.real = Some(Duration::from_secs(number(1..=3_600)?)),
            "-h" | "--help" if glued.is_none() => return Ok(Command::Help),
            _ => {
                return Err(Misuse(format!(
                    "unknown option {argument:?}: expected --hours, --days, --seed, --real or \
                     --help"
                )));
            }
        }
    }
    Ok(Command::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned)).map_err(|misuse| misuse.to_string())
    }

    #[test]
    fn options_are_read_in_both_forms() {
        for line in [
            "--hours 2 --days 4 --seed 9 --real 60",
            "--hours=2 --days=4 --seed=9 --real=60",
        ] {
            let options = Options {
                hours: 2,
                days: 4,
                seed: 9,
                real: Some(Duration::from_secs(60)),
            };
            assert_eq!(parsed(line), Ok(Command::Run(options)));
        }
        assert_eq!(parsed("--hours 3 -h"), Ok(Command::Help));
    }

    #[test]
    fn a_mistake_is_one_line_that_says_what_is_accepted() {
        for (line, expected) in [
            (
                "--hours 0",
                "--hours is \"0\": expected a whole number from 1 to 24",
            ),
            (
                "--days",
                "--days has no value: expected a whole number from 1 to 30",
            ),
            (
                "--seed -1",
                "--seed is \"-1\": expected a whole number from 0",
            ),
            (
                "--real=soon",
                "--real is \"soon\": expected a whole number from 1 to 3600",
            ),
            (
                "--help=me",
                "unknown option \"--help=me\": expected --hours, --days, --seed, --real or --help",
            ),
        ] {
            assert_eq!(parsed(line), Err(expected.to_owned()));
        }
    }
}
