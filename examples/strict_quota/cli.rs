//! The command line.

use std::time::Duration;

use seawall_examples::command_line::{Arguments, Command, Misuse};

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

/// Reads the arguments after the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Command<Options>, Misuse> {
    let mut options = Options {
        hours: 1,
        days: 2,
        seed: 1,
        real: None,
    };
    let mut arguments = Arguments::new(arguments);
    while let Some(name) = arguments.next_option() {
        match &*name {
            "--hours" => options.hours = arguments.number(1..=24)?,
            "--days" => options.days = arguments.number(1..=30)?,
            "--seed" => options.seed = arguments.number(0..=u64::MAX)?,
            "--real" => options.real = Some(Duration::from_secs(arguments.number(1..=3_600)?)),
            "-h" | "--help" if arguments.is_flag() => return Ok(Command::Help),
            _ => return Err(arguments.unknown("--hours, --days, --seed, --real or --help")),
        }
    }
    Ok(Command::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command<Options>, String> {
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
