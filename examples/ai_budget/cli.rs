//! The command line.

use std::fmt;
use std::path::PathBuf;

use crate::tiers::TIERS;

pub(crate) const HELP: &str = "\
Real arrivals through the request and token limits of an AI API, in virtual time.

Usage: cargo run --release --example ai_budget -- [OPTIONS]

Options:
  --trace FILE    a CSV with the columns TIMESTAMP,ContextTokens,GeneratedTokens
                  [default: a bursty half hour, generated from the seed]
  --tier NAME     openai-tier-1 or anthropic-start [default: both]
  --max-tokens N  what every call sets max_tokens to, 1 to 1000000; longer
                  responses are cut there [default: the least of 64, 256, 1024,
                  4096 and 16384 that the response fits in]
  --seed N        seed of the generated trace, a whole number from 0 [default: 1]
  -h, --help      shows this and ends

Exit code: 0; 1 when a provider counted a violation, or the run failed; 2 for a bad option or
trace.
";

/// The options of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) trace: Option<PathBuf>,
    pub(crate) tier: Option<&'static str>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) seed: u64,
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
        trace: None,
        tier: None,
        max_tokens: None,
        seed: 1,
    };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, glued) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = |accepted: &str| {
            let value = glued.clone().or_else(|| arguments.next());
            value.ok_or_else(|| Misuse(format!("{name} has no value: expected {accepted}")))
        };
        let unaccepted =
            |text: &str, accepted: &str| Misuse(format!("{name} is {text:?}: expected {accepted}"));
        match name {
            "--trace" => options.trace = Some(value("a file")?.into()),
            "--tier" => {
                let accepted = TIERS.map(|tier| tier.name).join(" or ");
                let text = value(&accepted)?;
                let tier = TIERS.iter().find(|tier| tier.name == text);
                let tier = tier.ok_or_else(|| unaccepted(&text, &accepted))?;
                options.tier = Some(tier.name);
            }
            "--max-tokens" => {
                let accepted = "a whole number from 1 to 1000000";
                let text = value(accepted)?;
                let most = text.parse().ok();
                let most = most.filter(|most| (1..=1_000_000).contains(most));
                options.max_tokens = Some(most.ok_or_else(|| unaccepted(&text, accepted))?);
            }
            "--seed" => {
                let accepted = "a whole number from 0";
                let text = value(accepted)?;
                let seed = text.parse().ok();
                options.seed = seed.ok_or_else(|| unaccepted(&text, accepted))?;
            }
            "-h" | "--help" if glued.is_none() => return Ok(Command::Help),
            _ => {
                return Err(Misuse(format!(
                    "unknown option {argument:?}: expected --trace, --tier, --max-tokens, --seed \
                     or --help"
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
            "--trace day.csv --tier openai-tier-1 --max-tokens 500 --seed 9",
            "--trace=day.csv --tier=openai-tier-1 --max-tokens=500 --seed=9",
        ] {
            let options = Options {
                trace: Some("day.csv".into()),
                tier: Some("openai-tier-1"),
                max_tokens: Some(500),
                seed: 9,
            };
            assert_eq!(parsed(line), Ok(Command::Run(options)));
        }
        assert_eq!(parsed("--seed 3 -h"), Ok(Command::Help));
    }

    #[test]
    fn a_mistake_is_one_line_that_says_what_is_accepted() {
        for (line, expected) in [
            ("--trace", "--trace has no value: expected a file"),
            (
                "--tier free",
                "--tier is \"free\": expected openai-tier-1 or anthropic-start",
            ),
            (
                "--max-tokens 0",
                "--max-tokens is \"0\": expected a whole number from 1 to 1000000",
            ),
            (
                "--seed=one",
                "--seed is \"one\": expected a whole number from 0",
            ),
            (
                "day.csv",
                "unknown option \"day.csv\": expected --trace, --tier, --max-tokens, --seed or \
                 --help",
            ),
        ] {
            assert_eq!(parsed(line), Err(expected.to_owned()));
        }
    }
}
