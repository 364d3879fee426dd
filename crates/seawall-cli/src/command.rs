//! What is asked for.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

use seawall::config::{Config, ConfigError};

use crate::orders::OrdersCommand;

pub(crate) const USAGE: &str = "\
Checks and shows the configuration of services, a file of experiments, and the orders of a journal.

  seawall check FILE [--no-env]            all mistakes; exit code 2 if there are some
  seawall show FILE [SERVICE] [--no-env]   the settings in force, and where each comes from
  seawall providers [NAME]                 the providers of the catalogue, or what is known of one
  seawall schema                           the JSON Schema of a file
  seawall experiments check FILE           the experiments of a file, and when each is due next
  seawall orders list | show | resolve ..  the orders of a journal: `seawall orders --help`
  seawall --help | --version

The environment of the process is put over the file; --no-env leaves it out.";

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Version,
    Schema,
    Providers(Option<String>),
    Check(Source),
    Show(Source, Option<String>),
    Experiments(PathBuf),
    Orders(OrdersCommand),
}

/// A file, and whether the environment is put over it.
#[derive(Debug, PartialEq)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    has_env: bool,
}

impl Source {
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let loader = Config::loader().file(&self.path);
        let loader = if self.has_env {
            loader.from_env()
        } else {
            loader
        };
        loader.load()
    }
}

impl Command {
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut arguments = arguments.into_iter().peekable();
        if arguments.next_if(|first| first == "orders").is_some() {
            return Ok(Self::Orders(OrdersCommand::parse(arguments)?));
        }
        let mut has_env = true;
        let mut words = Vec::new();
        for argument in arguments {
            match argument.to_str() {
                Some("-h" | "--help") => return Ok(Self::Help),
                Some("-V" | "--version") => return Ok(Self::Version),
                Some("--no-env") => has_env = false,
                Some(option) if option.starts_with('-') && option.len() > 1 => {
                    return Err(format!("there is no option `{option}`\n\n{USAGE}").into());
                }
                _ => words.push(argument),
            }
        }
        let mut words = words.into_iter();
        let text = |word: OsString| word.to_string_lossy().into_owned();
        let source = |word: Option<OsString>| -> Result<Source, Box<dyn Error>> {
            let path = word
                .ok_or_else(|| format!("a FILE is missing\n\n{USAGE}"))?
                .into();
            Ok(Source { path, has_env })
        };
        let command = match words.next().map(text).as_deref() {
            Some("check") => Self::Check(source(words.next())?),
            Some("show") => Self::Show(source(words.next())?, words.next().map(text)),
            Some("providers") => Self::Providers(words.next().map(text)),
            Some("schema") => Self::Schema,
            Some("experiments") => match words.next().map(text).as_deref() {
                Some("check") => Self::Experiments(source(words.next())?.path),
                _ => return Err(format!("`experiments` has the command `check`\n\n{USAGE}").into()),
            },
            Some(other) => return Err(format!("there is no command `{other}`\n\n{USAGE}").into()),
            None => return Err(format!("a command is missing\n\n{USAGE}").into()),
        };
        match words.next().map(text) {
            Some(word) => Err(format!("`{word}` is one argument too many\n\n{USAGE}").into()),
            None => Ok(command),
        }
    }
}
