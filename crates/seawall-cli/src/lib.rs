//! The program `seawall`: it checks a file of services, shows the settings in force and where each
//! comes from, and lists the providers of the catalogue.
//!
//! ```
//! let (mut out, mut errors) = (Vec::new(), Vec::new());
//! assert!(seawall_cli::run(["providers".into()], &mut out, &mut errors));
//! assert!(String::from_utf8(out)?.contains("alpaca"));
//! # Ok::<(), std::string::FromUtf8Error>(())
//! ```

mod command;
mod show;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};

use seawall::catalog::Catalog;
use seawall::config::{Config, ConfigError, Mistake, json_schema};

use command::{Command, USAGE};

/// Runs the program with these arguments, without its name: whether there was nothing to complain
/// about. What was asked for goes to `out`, what is wrong to `errors`.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> bool {
    let done = Command::parse(arguments).and_then(|command| carry_out(&command, out, errors));
    match done {
        Ok(fine) => fine,
        // The reader has read enough.
        Err(error) if is_broken_pipe(&*error) => true,
        Err(error) => {
            let _ = writeln!(errors, "seawall: {error}");
            false
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
) -> Result<bool, Box<dyn Error>> {
    match command {
        Command::Help => writeln!(out, "{USAGE}")?,
        Command::Version => writeln!(out, "seawall {}", env!("CARGO_PKG_VERSION"))?,
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
    Ok(true)
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

fn complain(mistakes: &[Mistake], errors: &mut dyn Write) -> Result<bool, Box<dyn Error>> {
    for mistake in mistakes {
        writeln!(errors, "{mistake}")?;
    }
    let count = mistakes.len();
    writeln!(
        errors,
        "{count} {}",
        if count == 1 { "mistake" } else { "mistakes" }
    )?;
    Ok(false)
}

fn fail(error: &ConfigError, errors: &mut dyn Write) -> Result<bool, Box<dyn Error>> {
    match error.mistakes() {
        [] => {
            writeln!(errors, "seawall: {error}")?;
            Ok(false)
        }
        mistakes => complain(mistakes, errors),
    }
}
