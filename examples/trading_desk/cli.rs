//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use seawall_examples::command_line::{Arguments, Command, Misuse};

pub(crate) const HELP: &str = "\
A trading desk on simulated providers, on a bad day: first with a bare client, then with Seawall.

Usage: cargo run --release --example trading_desk -- [OPTIONS]

Options:
  --seed N          seed of the desk and of the incidents, a whole number from 0
                    [default: that of the incident file, or 1]
  --seconds N       how long each of the two sides trades, 3 to 600 [default: 13]; with --serve
                    how long a day is [default: 120]
  --incidents FILE  a timeline of incidents in TOML [default: a bad day; see
                    the module `incident` of seawall-sim for the format]
  --json            ends with one line of JSON: the figures under `bare` and `seawall`
  --serve ADDRESS   trades behind Seawall alone, day after day with the same incidents, until
                    Ctrl-C, and serves a dashboard at that address and port. Who may use it is in
                    SEAWALL_ADMIN_TOKENS, `role name token` separated by `;`, roles are viewer,
                    operator and admin; where it is not set, a token is made and printed
  -h, --help        shows this and ends

Exit code: 0; 1 when Seawall's side broke an invariant (a duplicate, a lost order, an order
executed though reported as not placed, a violated limit, a ban), or the run failed; 2 for a bad
option or incident file.
";

/// How long a day is where the two sides are compared, and where one of them is watched.
const COMPARED: Duration = Duration::from_secs(13);
const SERVED: Duration = Duration::from_secs(120);

/// The options of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seed: Option<u64>,
    pub(crate) length: Duration,
    pub(crate) incidents: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) serve: Option<SocketAddr>,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Command<Options>, Misuse> {
    let mut options = Options {
        seed: None,
        length: Duration::ZERO,
        incidents: None,
        json: false,
        serve: None,
    };
    let mut length = None;
    let mut arguments = Arguments::new(arguments);
    while let Some(name) = arguments.next_option() {
        match &*name {
            "--seed" => options.seed = Some(arguments.number(0..=u64::MAX)?),
            "--seconds" => length = Some(Duration::from_secs(arguments.number(3..=600)?)),
            "--incidents" => options.incidents = Some(arguments.text("a file")?.into()),
            "--serve" => {
                let accepted = "an address and a port: 127.0.0.1:9090";
                options.serve = Some(arguments.value(accepted, |text| text.parse().ok())?);
            }
            "--json" if arguments.is_flag() => options.json = true,
            "-h" | "--help" if arguments.is_flag() => return Ok(Command::Help),
            _ => {
                let options = "--seed, --seconds, --incidents, --json, --serve or --help";
                return Err(arguments.unknown(options));
            }
        }
    }
    let default = if options.serve.is_some() {
        SERVED
    } else {
        COMPARED
    };
    options.length = length.unwrap_or(default);
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
        let both = [
            "--seed 7 --seconds 20 --incidents day.toml --json",
            "--seed=7 --seconds=20 --incidents=day.toml --json",
        ];
        for line in both {
            let expected = Options {
                seed: Some(7),
                length: Duration::from_secs(20),
                incidents: Some("day.toml".into()),
                json: true,
                serve: None,
            };
            assert_eq!(parsed(line), Ok(Command::Run(expected)));
        }
        assert_eq!(parsed("--json --help"), Ok(Command::Help));
        let Ok(Command::Run(default)) = parsed("") else {
            panic!("no arguments are fine");
        };
        assert_eq!((default.seed, default.json), (None, false));
        assert_eq!((default.serve, default.length), (None, COMPARED));
        let Ok(Command::Run(served)) = parsed("--serve 127.0.0.1:0") else {
            panic!("an address is fine");
        };
        let address = "127.0.0.1:0".parse().ok();
        assert_eq!((served.serve, served.length), (address, SERVED));
    }

    #[test]
    fn a_mistake_is_one_line_that_says_what_is_accepted() {
        for (line, expected) in [
            (
                "--seed",
                "--seed has no value: expected a whole number from 0",
            ),
            (
                "--seed -1",
                "--seed is \"-1\": expected a whole number from 0",
            ),
            (
                "--seconds 2",
                "--seconds is \"2\": expected a whole number from 3 to 600",
            ),
            (
                "--seconds soon",
                "--seconds is \"soon\": expected a whole number from 3 to 600",
            ),
            (
                "--serve localhost",
                "--serve is \"localhost\": expected an address and a port: 127.0.0.1:9090",
            ),
            ("--incidents", "--incidents has no value: expected a file"),
            (
                "--json=yes",
                "unknown option \"--json=yes\": expected --seed, --seconds, --incidents, --json, \
                 --serve or --help",
            ),
        ] {
            assert_eq!(parsed(line), Err(expected.to_owned()));
        }
        assert!(parsed("fast").is_err());
    }
}
