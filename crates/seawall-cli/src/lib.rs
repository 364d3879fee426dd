//! The program `seawall`: it checks a file of services, shows the settings in force and where each
//! comes from, lists the providers of the catalogue, checks a file of experiments, and shows and settles the orders
//! of a journal.
//!
//! ```
//! let (mut out, mut errors) = (Vec::new(), Vec::new());
//! assert_eq!(seawall_cli::run(["providers".into()], &mut out, &mut errors), 0);
//! assert!(String::from_utf8(out)?.contains("alpaca"));
//! # Ok::<(), std::string::FromUtf8Error>(())
//! ```
//!
#![doc = include_str!("../docs/orders.md")]

mod command;
mod experiments;
mod orders;
mod show;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};

use seawall::catalog::Catalog;
use seawall::config::{Config, ConfigError, Mistake, json_schema};

use command::{Command, USAGE};

/// The exit code where something is wrong with what was asked for.
const WRONG: u8 = 2;

/// Runs the program with these arguments, without its name, and gives its exit code: 0 where there was
/// nothing to complain about, 2 for wrong arguments and for files that are wrong or cannot be read, and 3
/// where a list of orders has exhausted ones. What was asked for goes to `out`, what is wrong to `errors`.
///
/// Where a person has to confirm, it is asked for on the terminal of the process.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> u8 {
    let done = Command::parse(arguments).and_then(|command| carry_out(&command, out, errors));
    match done {
        Ok(code) => code,
        // The reader has read enough.
        Err(error) if is_broken_pipe(&*error) => 0,
        Err(error) => {
            let _ = writeln!(errors, "seawall: {error}");
            WRONG
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn carry_out(
    command: &Command,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<u8, Box<dyn Error>> {
    match command {
        Command::Help => writeln!(out, "{USAGE}")?,
        Command::Version => writeln!(out, "seawall {}", env!("CARGO_PKG_VERSION"))?,
        Command::Orders(orders) => return orders::carry_out(orders, out, errors),
        Command::Experiments(path) => return experiments::check(path, out, errors),
        Command::Schema => write!(out, "{}", json_schema())?,
        Command::Providers(None) => show::providers(Catalog::embedded()?, out)?,
        Command::Providers(Some(name)) => {
            let provider = Catalog::embedded()?.provider(name)?;
            writeln!(out, "{}", provider.to_markdown().trim())?;
        }
        Command::Check(source) => match source.load() {
            Ok(config) if config.mistakes().is_empty() => {
                let count = config.services().len();
                let services = if count == 1 { "service" } else { "services" };
                writeln!(
                    out,
                    "{}: {count} {services}, no mistake",
                    source.path.display()
                )?;
            }
            Ok(config) => return complain(config.mistakes(), errors),
            Err(error) => return fail(&error, errors),
        },
        Command::Show(source, service) => match source.load() {
            Ok(config) => {
                show_services(&config, service.as_deref(), out)?;
                if !config.mistakes().is_empty() {
                    return complain(config.mistakes(), errors);
                }
            }
            Err(error) => return fail(&error, errors),
        },
    }
    Ok(0)
}

fn show_services(
    config: &Config,
    service: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    match service {
        Some(name) => show::service(config.service(name)?, out)?,
        None => {
            for service in config.services() {
                show::service(service, out)?;
            }
        }
    }
    Ok(())
}

fn complain(mistakes: &[Mistake], errors: &mut dyn Write) -> Result<u8, Box<dyn Error>> {
    for mistake in mistakes {
        writeln!(errors, "{mistake}")?;
    }
    let count = mistakes.len();
    writeln!(
        errors,
        "{count} {}",
        if count == 1 { "mistake" } else { "mistakes" }
    )?;
    Ok(WRONG)
}

fn fail(error: &ConfigError, errors: &mut dyn Write) -> Result<u8, Box<dyn Error>> {
    match error.mistakes() {
        [] => {
            writeln!(errors, "seawall: {error}")?;
            Ok(WRONG)
        }
        mistakes => complain(mistakes, errors),
    }
}
