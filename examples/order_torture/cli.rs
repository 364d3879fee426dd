//! The command line.

use seawall_examples::command_line::{Arguments, Command, Misuse};

use crate::contender::Name;
use crate::plan::Class;

pub(crate) const HELP: &str = "\
Orders at simulated brokers that fail in every dangerous way, sent by a process that is killed again
and again: with Seawall, with plain retries, with none, and with tower-resilience.

Usage: cargo run --release --example order_torture -- [OPTIONS]

Options:
  --orders N             how many orders are intended, 1 to 1000000 [default: 1000]
  --seed N               seed of orders, incidents and kills, a whole number from 0 [default: 1]
  --provider-class NAME  what the brokers do with a second order of one id: return-first,
                         reject-for-a-time, reject-while-open, accept; lists-only accepts it as
                         well, and has no query by that id; or all, a fifth of the orders each
                         [default: all]
  --contender NAME       seawall, plain_retry, no_retry, tower_resilience, or all [default: all]
  --standstills          the processes stand still at random moments, for up to 3 s: the one that sends,
                         and this one with its brokers, by the shell's kill -STOP
  --json                 ends with one line of JSON: an object for each contender
  -h, --help             shows this and ends

Exit code: 0; 1 when an order of Seawall's was duplicated, lost, executed though reported as not
executed, or left in doubt, or the run failed; 2 for a bad option.
";

/// The argument that makes the program one that sends orders.
pub(crate) const CHILD: &str = "send-orders";

/// The options of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) orders: u32,
    pub(crate) seed: u64,
    /// `None`: all of them.
    pub(crate) class: Option<Class>,
    pub(crate) contenders: Vec<Name>,
    pub(crate) standstills: bool,
    pub(crate) json: bool,
}

const CLASS: &str = "return-first, reject-for-a-time, reject-while-open, accept, lists-only or all";
const CONTENDER: &str = "seawall, plain_retry, no_retry, tower_resilience or all";

/// Reads the arguments after the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Command<Options>, Misuse> {
    let mut options = Options {
        orders: 1_000,
        seed: 1,
        class: None,
        contenders: Name::ALL.to_vec(),
        standstills: false,
        json: false,
    };
    let mut arguments = Arguments::new(arguments);
    while let Some(name) = arguments.next_option() {
        match &*name {
            "--orders" => options.orders = arguments.number(1..=1_000_000)?,
            "--seed" => options.seed = arguments.number(0..=u64::MAX)?,
            "--provider-class" => {
                options.class = arguments.value(CLASS, |text| match text {
                    "all" => Some(None),
                    _ => Class::ALL
                        .into_iter()
                        .find(|class| class.name() == text)
                        .map(Some),
                })?;
            }
            "--contender" => {
                options.contenders = arguments.value(CONTENDER, |text| match text {
                    "all" => Some(Name::ALL.to_vec()),
                    _ => Name::ALL
                        .into_iter()
                        .find(|name| name.as_str() == text)
                        .map(|name| vec![name]),
                })?;
            }
            "--standstills" if arguments.is_flag() => options.standstills = true,
            "--json" if arguments.is_flag() => options.json = true,
            "-h" | "--help" if arguments.is_flag() => return Ok(Command::Help),
            _ => {
                let options = "--orders, --seed, --provider-class, --contender, --standstills, --json or --help";
                return Err(arguments.unknown(options));
            }
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
            "--orders 300 --seed 7 --provider-class accept --contender no_retry --json",
            "--orders=300 --seed=7 --provider-class=accept --contender=no_retry --json",
        ] {
            let expected = Options {
                orders: 300,
                seed: 7,
                class: Some(Class::Accept),
                contenders: vec![Name::NoRetry],
                standstills: false,
                json: true,
            };
            assert_eq!(parsed(line), Ok(Command::Run(expected)));
        }
        let Ok(Command::Run(default)) = parsed("--provider-class all --contender all") else {
            panic!("these are the defaults");
        };
        assert_eq!((default.class, default.contenders.len()), (None, 4));
        assert_eq!(parsed("--json --help"), Ok(Command::Help));
    }

    #[test]
    fn a_mistake_is_one_line_that_says_what_is_accepted() {
        for (line, expected) in [
            (
                "--orders 0",
                "--orders is \"0\": expected a whole number from 1 to 1000000",
            ),
            (
                "--orders",
                "--orders has no value: expected a whole number from 1 to 1000000",
            ),
            (
                "--seed -1",
                "--seed is \"-1\": expected a whole number from 0",
            ),
            (
                "--provider-class some",
                "--provider-class is \"some\": expected return-first, reject-for-a-time, \
                 reject-while-open, accept, lists-only or all",
            ),
            (
                "--contender tower",
                "--contender is \"tower\": expected seawall, plain_retry, no_retry, \
                 tower_resilience or all",
            ),
        ] {
            assert_eq!(parsed(line), Err(expected.to_owned()));
        }
        assert!(parsed("--json=yes").is_err() && parsed("fast").is_err());
    }
}
