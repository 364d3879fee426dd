//! The command line.

use std::path::PathBuf;

use seawall_examples::command_line::{Arguments, Command, Misuse};

use crate::ask::MaxTokens;
use crate::replay::Plan;
use crate::tiers::TIERS;

pub(crate) const HELP: &str = "\
Real arrivals through the request and token limits of an AI API, in virtual time.

Usage: cargo run --release --example ai_budget -- [OPTIONS]

Options:
  --trace FILE    a CSV with the columns TIMESTAMP,ContextTokens,GeneratedTokens
                  [default: a bursty half hour, generated from the seed]
  --tier NAME     openai-tier-1 or anthropic-start [default: both]
  --max-tokens N  what every call sets max_tokens to, 1 to 1000000; longer
                  responses are cut there. Nx, 1x to 100x: so many times what
                  the response takes [default: the least of 64, 256, 1024, 4096
                  and 16384 that the response fits in]
  --estimate HOW  learned: input and output as calls have used them so far;
                  maximum: the exact input, and max_tokens [default: learned]
  --deviations X  how many standard deviations of what calls in flight use are
                  reserved beyond the mean, 0 to 100 [default: 1.5]
  --share N       percent of the token limits that the client uses, 1 to 200
                  [default: 98]
  --seed N        seed of the generated trace, a whole number from 0 [default: 1]
  -h, --help      shows this and ends

Exit code: 0; 1 when a provider counted a violation, or the run failed; 2 for a bad option or
trace.
";

/// The options of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(crate) trace: Option<PathBuf>,
    pub(crate) tier: Option<&'static str>,
    pub(crate) plan: Plan,
    pub(crate) seed: u64,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Command<Options>, Misuse> {
    let mut options = Options {
        trace: None,
        tier: None,
        plan: Plan {
            learned: true,
            share: 98,
            deviations: 1.5,
            max_tokens: MaxTokens::Fitting,
        },
        seed: 1,
    };
    let mut arguments = Arguments::new(arguments);
    while let Some(name) = arguments.next_option() {
        let plan = &mut options.plan;
        match &*name {
            "--trace" => options.trace = Some(arguments.text("a file")?.into()),
            "--tier" => {
                let accepted = TIERS.map(|tier| tier.name).join(" or ");
                let names = TIERS.map(|tier| tier.name);
                let known = |text: &str| names.into_iter().find(|name| *name == text);
                options.tier = Some(arguments.value(&accepted, known)?);
            }
            "--max-tokens" => {
                let accepted = "a whole number from 1 to 1000000, or 1x to 100x";
                plan.max_tokens = arguments.value(accepted, max_tokens)?;
            }
            "--estimate" => {
                plan.learned = arguments.value("learned or maximum", |text| match text {
                    "learned" => Some(true),
                    "maximum" => Some(false),
                    _ => None,
                })?;
            }
            "--deviations" => {
                let number = |text: &str| text.parse().ok().filter(|x| (0.0..=100.0).contains(x));
                plan.deviations = arguments.value("a number from 0 to 100", number)?;
            }
            "--share" => plan.share = arguments.number(1..=200)?,
            "--seed" => options.seed = arguments.number(0..=u64::MAX)?,
            "-h" | "--help" if arguments.is_flag() => return Ok(Command::Help),
            _ => {
                return Err(arguments.unknown(
                    "--trace, --tier, --max-tokens, --estimate, --deviations, --share, --seed or \
                     --help",
                ));
            }
        }
    }
    Ok(Command::Run(options))
}

fn max_tokens(text: &str) -> Option<MaxTokens> {
    let within = |text: &str, most| text.parse().ok().filter(|n| (1..=most).contains(n));
    match text.strip_suffix('x') {
        Some(times) => within(times, 100).map(MaxTokens::Times),
        None => within(text, 1_000_000).map(MaxTokens::Fixed),
    }
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
            "--trace day.csv --tier openai-tier-1 --max-tokens 500 --estimate maximum --deviations 3 --share 90 \
             --seed 9",
            "--trace=day.csv --tier=openai-tier-1 --max-tokens=500 --estimate=maximum --deviations=3 --share=90 \
             --seed=9",
        ] {
            let options = Options {
                trace: Some("day.csv".into()),
                tier: Some("openai-tier-1"),
                plan: Plan {
                    learned: false,
                    share: 90,
                    deviations: 3.0,
                    max_tokens: MaxTokens::Fixed(500),
                },
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
                "--max-tokens is \"0\": expected a whole number from 1 to 1000000, or 1x to 100x",
            ),
            (
                "--max-tokens 101x",
                "--max-tokens is \"101x\": expected a whole number from 1 to 1000000, or 1x to 100x",
            ),
            (
                "--estimate none",
                "--estimate is \"none\": expected learned or maximum",
            ),
            (
                "--share 0",
                "--share is \"0\": expected a whole number from 1 to 200",
            ),
            (
                "--seed=one",
                "--seed is \"one\": expected a whole number from 0",
            ),
            (
                "day.csv",
                "unknown option \"day.csv\": expected --trace, --tier, --max-tokens, \
                 --estimate, --deviations, --share, --seed or --help",
            ),
        ] {
            assert_eq!(parsed(line), Err(expected.to_owned()));
        }
    }
}
