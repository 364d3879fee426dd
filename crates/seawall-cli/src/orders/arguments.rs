//! What is asked for of a journal.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use seawall_orders::journal::State;

use super::text;

pub(crate) const USAGE: &str = "\
Shows and settles the orders of a journal, while the program that writes it does not run.

  seawall orders list JOURNAL [--open | --all | --state STATE] [--since 2h] [--limit N] [--json]
      the open orders, or all; the last 100 unless set; exit code 3 if one of them is exhausted
  seawall orders show JOURNAL ID | --number N [--json]
      one order: every step, the request, and what to do
  seawall orders resolve JOURNAL ID confirmed|not-executed|abandoned --because TEXT
      [--broker-id ID] [--yes]
      settles an open order by hand; asks first, and without a terminal needs --yes
  seawall orders kill-switch PATH [--engage REASON | --release]
      whether new orders are stopped, and why; a change counts from the program's next start on

Exit codes: 0 fine; 2 wrong arguments, or a journal that cannot be read; 3 see `list`.";

#[derive(Debug, PartialEq)]
pub(crate) enum OrdersCommand {
    Help,
    List(List),
    Show(Show),
    Resolve(Resolve),
    KillSwitch(KillSwitch),
}

#[derive(Debug, PartialEq)]
pub(crate) struct List {
    pub(crate) journal: PathBuf,
    pub(crate) states: Vec<State>,
    pub(crate) since: Option<Duration>,
    pub(crate) limit: usize,
    pub(crate) json: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Show {
    pub(crate) journal: PathBuf,
    pub(crate) order: Order,
    pub(crate) json: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) struct KillSwitch {
    pub(crate) path: PathBuf,
    /// The reason to engage it, if it is to be.
    pub(crate) engage: Option<String>,
    pub(crate) release: bool,
}

/// How an order is named.
#[derive(Debug, PartialEq)]
pub(crate) enum Order {
    Id(String),
    Number(u64),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Resolve {
    pub(crate) journal: PathBuf,
    pub(crate) id: String,
    pub(crate) outcome: Outcome,
    pub(crate) because: String,
    pub(crate) broker_id: String,
    pub(crate) yes: bool,
}

/// What a person has found out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    Confirmed,
    NotExecuted,
    Abandoned,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn wrong<T>(what: &str) -> Result<T> {
    Err(format!("{what}\n\n{USAGE}").into())
}

/// Words and options, as they came.
#[derive(Default)]
struct Given {
    words: Vec<OsString>,
    options: Vec<(String, Option<String>)>,
}

const WITH_VALUE: [&str; 7] = [
    "--engage",
    "--state",
    "--since",
    "--limit",
    "--number",
    "--because",
    "--broker-id",
];
const WITHOUT: [&str; 7] = [
    "--release",
    "--open",
    "--all",
    "--json",
    "--yes",
    "--help",
    "-h",
];

impl Given {
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut given = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let text = match argument.to_str() {
                Some("--") => {
                    given.words.extend(arguments);
                    break;
                }
                Some(text) if text.starts_with('-') && text.len() > 1 => text,
                _ => {
                    given.words.push(argument);
                    continue;
                }
            };
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text, None),
            };
            if WITHOUT.contains(&name) && value.is_none() {
                given.options.push((name.to_owned(), None));
            } else if WITH_VALUE.contains(&name) {
                let next = || arguments.next().and_then(|next| next.into_string().ok());
                let Some(value) = value.or_else(next) else {
                    return wrong(&format!("`{name}` needs a value"));
                };
                given.options.push((name.to_owned(), Some(value)));
            } else {
                return wrong(&format!(
                    "there is no option `{}`",
                    text::escape(text.as_bytes())
                ));
            }
        }
        Ok(given)
    }

    /// Whether the option is there, which is then used up.
    fn take(&mut self, name: &str) -> Result<Option<String>> {
        let Some(index) = self.options.iter().position(|(given, _)| given == name) else {
            return Ok(None);
        };
        let (_, value) = self.options.remove(index);
        if self.options.iter().any(|(given, _)| given == name) {
            return wrong(&format!("`{name}` is there twice"));
        }
        Ok(Some(value.unwrap_or_default()))
    }

    fn word(&mut self, what: &str) -> Result<OsString> {
        if self.words.is_empty() {
            return wrong(&format!("{what} is missing"));
        }
        Ok(self.words.remove(0))
    }

    fn text(&mut self, what: &str) -> Result<String> {
        match self.word(what)?.into_string() {
            Ok(text) => Ok(text),
            Err(_) => wrong(&format!("{what} is no UTF-8")),
        }
    }

    /// Nothing may be left.
    fn end(self) -> Result<()> {
        if let Some(word) = self.words.first() {
            let word = word.to_string_lossy();
            return wrong(&format!("`{word}` is one argument too many"));
        }
        match self.options.first() {
            Some((name, _)) => wrong(&format!("`{name}` has no effect here")),
            None => Ok(()),
        }
    }
}

impl OrdersCommand {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut given = Given::read(arguments)?;
        if given.take("--help")?.is_some() || given.take("-h")?.is_some() {
            return Ok(Self::Help);
        }
        let command = given.text("a command of `orders`")?;
        let journal = match command.as_str() {
            "list" | "show" | "resolve" => given.word("a JOURNAL")?.into(),
            "kill-switch" => given.word("a PATH")?.into(),
            other => return wrong(&format!("there is no command `orders {other}`")),
        };
        let command = match command.as_str() {
            "list" => Self::List(list(journal, &mut given)?),
            "show" => Self::Show(show(journal, &mut given)?),
            "kill-switch" => Self::KillSwitch(kill_switch(journal, &mut given)?),
            _ => Self::Resolve(resolve(journal, &mut given)?),
        };
        given.end()?;
        Ok(command)
    }
}

fn list(journal: PathBuf, given: &mut Given) -> Result<List> {
    let open = given.take("--open")?.is_some();
    let all = given.take("--all")?.is_some();
    let state = given.take("--state")?;
    let states = match (open, all, state) {
        (_, false, None) => State::ALL
            .into_iter()
            .filter(|state| state.is_open())
            .collect(),
        (false, true, None) => State::ALL.to_vec(),
        (false, false, Some(word)) => {
            let Some(state) = State::ALL.into_iter().find(|state| state.as_str() == word) else {
                let known: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
                let known = known.join(", ");
                return wrong(&format!(
                    "`--state` is {word:?}, accepted is one of {known}"
                ));
            };
            vec![state]
        }
        _ => return wrong("`--open`, `--all` and `--state` exclude each other"),
    };
    let since = match given.take("--since")? {
        None => None,
        Some(text) => match text::parse_age(&text) {
            Some(age) => Some(age),
            None => {
                let form = "a length of time such as 90s, 15m, 2h or 3d";
                return wrong(&format!("`--since` is {text:?}, accepted is {form}"));
            }
        },
    };
    let limit = match given.take("--limit")? {
        None => 100,
        Some(text) => match text.parse() {
            Ok(limit) if limit >= 1 => limit,
            _ => return wrong(&format!("`--limit` is {text:?}, accepted is at least 1")),
        },
    };
    let json = given.take("--json")?.is_some();
    Ok(List {
        journal,
        states,
        since,
        limit,
        json,
    })
}

fn show(journal: PathBuf, given: &mut Given) -> Result<Show> {
    let order = match given.take("--number")? {
        None => Order::Id(given.text("an ID")?),
        Some(text) => match text.parse() {
            Ok(number) => Order::Number(number),
            Err(_) => return wrong(&format!("`--number` is {text:?}, accepted is a number")),
        },
    };
    let json = given.take("--json")?.is_some();
    Ok(Show {
        journal,
        order,
        json,
    })
}

fn kill_switch(path: PathBuf, given: &mut Given) -> Result<KillSwitch> {
    let engage = given.take("--engage")?;
    let release = given.take("--release")?.is_some();
    match &engage {
        Some(_) if release => wrong("`--engage` and `--release` exclude each other"),
        Some(reason) if reason.trim().is_empty() => wrong("`--engage` needs a reason"),
        _ => Ok(KillSwitch {
            path,
            engage,
            release,
        }),
    }
}

fn resolve(journal: PathBuf, given: &mut Given) -> Result<Resolve> {
    let id = given.text("an ID")?;
    let outcome = match given.text("an outcome")?.as_str() {
        "confirmed" => Outcome::Confirmed,
        "not-executed" => Outcome::NotExecuted,
        "abandoned" => Outcome::Abandoned,
        other => {
            let known = "confirmed, not-executed and abandoned";
            return wrong(&format!("the outcome is {other:?}, accepted are {known}"));
        }
    };
    let because = given.take("--because")?.unwrap_or_default();
    if because.trim().is_empty() {
        return wrong("`--because` is missing: the journal keeps why an order was settled by hand");
    }
    let broker_id = given.take("--broker-id")?;
    if broker_id.is_some() && outcome != Outcome::Confirmed {
        return wrong("`--broker-id` has an effect with `confirmed` alone");
    }
    Ok(Resolve {
        journal,
        id,
        outcome,
        because,
        broker_id: broker_id.unwrap_or_default(),
        yes: given.take("--yes")?.is_some(),
    })
}
