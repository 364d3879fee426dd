//! The command line.

use std::fmt;

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
                         reject-for-a-time, reject-while-open, accept, or all, a quarter of the
                         orders each [default: all]
  --contender NAME       seawall, plain_retry, no_retry, tower_resilience, or all [default: all]
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
    pub(crate) json: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Run(Options),
    Child,
}

/// One line: what is wrong, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const ORDERS: &str = "a whole number from 1 to 1000000";
const SEED: &str = "a whole number from 0";
const CLASS: &str = "return-first, reject-for-a-time, reject-while-open, accept or all";
const CONTENDER: &str = "seawall, plain_retry, no_retry, tower_resilience or all";

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, Misuse> {
    let mut options = Options {
        orders: 1_000,
        seed: 1,
        class: None,
        contenders: Name::ALL.to_vec(),
        json: false,
    };
    let mut arguments = arguments.into_iter().peekable();
    if arguments.next_if(|first| first == CHILD).is_some() {
        return Ok(Command::Child);
    }
    while let Some(argument) = arguments.next() {
        let (name, glued) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = |accepted: &str| {
            let value = glued.clone().or_else(|| arguments.next());
            value.ok_or_else(|| Misuse(format!("{name} has no value: expected {accepted}")))
        };
        match name {
            "--orders" => {
                let text = value(ORDERS)?;
                let orders = text.parse().ok();
                let orders = orders.filter(|orders| (1..=1_000_000).contains(orders));
                options.orders = orders.ok_or_else(|| unaccepted(name, &text, ORDERS))?;
            }
            "--seed" => {
                let text = value(SEED)?;
                let seed = text.parse().ok();
                options.seed = seed.ok_or_else(|| unaccepted(name, &text, SEED))?;
            }
            "--provider-class" => {
                let text = value(CLASS)?;
                let class = Class::ALL.into_iter().find(|class| class.name() == text);
                if class.is_none() && text != "all" {
                    return Err(unaccepted(name, &text, CLASS));
                }
                options.class = class;
            }
            "--contender" => {
                let text = value(CONTENDER)?;
                let contender = Name::ALL.into_iter().find(|name| name.as_str() == text);
                options.contenders = match contender {
                    Some(contender) => vec![contender],
                    None if text == "all" => Name::ALL.to_vec(),
                    None => return Err(unaccepted(name, &text, CONTENDER)),
                };
            }
            "--json" if glued.is_none() => options.json = true,
            "-h" | "--help" if glued.is_none() => return Ok(Command::Help),
            _ => {
                return Err(Misuse(format!(
                    "unknown option {argument:?}: expected --orders, --seed, --provider-class, \
                     --contender, --json or --help"
                )));
            }
        }
    }
    Ok(Command::Run(options))
}

fn unaccepted(name: &str, text: &str, accepted: &str) -> Misuse {
    Misuse(format!("{name} is {text:?}: expected {accepted}"))
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
            "--orders 300 --seed 7 --provider-class accept --contender no_retry --json",
            "--orders=300 --seed=7 --provider-class=accept --contender=no_retry --json",
        ] {
            let expected = Options {
                orders: 300,
                seed: 7,
                class: Some(Class::Accept),
                contenders: vec![Name::NoRetry],
                json: true,
            };
            assert_eq!(parsed(line), Ok(Command::Run(expected)));
        }
        let Ok(Command::Run(default)) = parsed("--provider-class all --contender all") else {
            panic!("these are the defaults");
        };
        assert_eq!((default.class, default.contenders.len()), (None, 4));
        assert_eq!(parsed("--json --help"), Ok(Command::Help));
        assert_eq!(parsed(CHILD), Ok(Command::Child));
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
                 reject-while-open, accept or all",
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
