//! The command lines of the larger examples: options in both forms, `--seed 7` and `--seed=7`, and
//! mistakes that are one line and say what is accepted.

use std::fmt;
use std::io::Write;
use std::ops::RangeInclusive;
use std::process::ExitCode;

/// The exit code of a run in which something did not hold, or that failed.
const BROKEN: u8 = 1;
/// The exit code of a bad option or file.
const MISUSED: u8 = 2;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<O> {
    /// To show how the program is used.
    Help,
    /// A run with these options.
    Run(O),
}

/// One line: what is wrong, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The arguments after the program's name.
#[derive(Debug)]
pub struct Arguments<I> {
    rest: I,
    /// The present one as it is written, its name, and the value behind its `=`.
    written: String,
    name: String,
    glued: Option<String>,
}

impl<I: Iterator<Item = String>> Arguments<I> {
    /// Those of the caller.
    pub fn new(arguments: impl IntoIterator<Item = String, IntoIter = I>) -> Self {
        Self {
            rest: arguments.into_iter(),
            written: String::new(),
            name: String::new(),
            glued: None,
        }
    }

    /// The name of the next option.
    pub fn next_option(&mut self) -> Option<String> {
        self.written = self.rest.next()?;
        let (name, glued) = match self.written.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (self.written.as_str(), None),
        };
        (self.name, self.glued) = (name.to_owned(), glued);
        Some(self.name.clone())
    }

    /// Whether no value is written behind it.
    pub fn is_flag(&self) -> bool {
        self.glued.is_none()
    }

    /// The value of the option.
    ///
    /// # Errors
    ///
    /// It has none.
    pub fn text(&mut self, accepted: &str) -> Result<String, Misuse> {
        let value = self.glued.take().or_else(|| self.rest.next());
        value.ok_or_else(|| Misuse(format!("{} has no value: expected {accepted}", self.name)))
    }

    /// The value of the option as `read` has it.
    ///
    /// # Errors
    ///
    /// It has none, or one that cannot be read.
    pub fn value<T>(
        &mut self,
        accepted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Misuse> {
        let text = self.text(accepted)?;
        let name = &self.name;
        read(&text).ok_or_else(|| Misuse(format!("{name} is {text:?}: expected {accepted}")))
    }

    /// The value of the option as a whole number.
    ///
    /// # Errors
    ///
    /// It has none, or none of these.
    pub fn number<T: TryFrom<u64>>(&mut self, accepted: RangeInclusive<u64>) -> Result<T, Misuse> {
        let words = match (accepted.start(), *accepted.end()) {
            (first, u64::MAX) => format!("a whole number from {first}"),
            (first, last) => format!("a whole number from {first} to {last}"),
        };
        self.value(&words, |text| {
            let number = text.parse().ok().filter(|number| accepted.contains(number));
            T::try_from(number?).ok()
        })
    }

    /// It is none of `options`.
    pub fn unknown(&self, options: &str) -> Misuse {
        Misuse(format!(
            "unknown option {:?}: expected {options}",
            self.written
        ))
    }
}

/// The arguments of this process.
pub fn arguments() -> impl Iterator<Item = String> {
    let arguments = std::env::args_os().skip(1);
    arguments.map(|argument| argument.to_string_lossy().into_owned())
}

/// The options of this process; else the code with which it ends, after the help or what is wrong.
///
/// # Errors
///
/// The help was asked for, or an option is bad.
pub fn options<O>(
    program: &str,
    help: &str,
    parsed: Result<Command<O>, Misuse>,
) -> Result<O, ExitCode> {
    match parsed {
        Ok(Command::Run(options)) => Ok(options),
        Ok(Command::Help) => {
            print(help);
            Err(ExitCode::SUCCESS)
        }
        Err(misuse) => Err(misused(program, &misuse)),
    }
}

/// The code of a run: whether everything held, or why it failed.
pub fn ended<E: fmt::Display>(program: &str, held: Result<bool, E>) -> ExitCode {
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(error) => fail(program, &error, BROKEN),
    }
}

/// The code of a bad option or file.
pub fn misused(program: &str, error: &dyn fmt::Display) -> ExitCode {
    fail(program, error, MISUSED)
}

fn fail(program: &str, error: &dyn fmt::Display, code: u8) -> ExitCode {
    eprintln!("{program}: {error}");
    ExitCode::from(code)
}

/// To stdout; a reader that has left early is no error of the run.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments<impl Iterator<Item = String> + use<>> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let mut arguments = Arguments::new(words);
        arguments.next_option();
        arguments
    }

    #[test]
    fn a_value_is_behind_its_option_or_in_it() {
        for line in ["--seed 7 --json", "--seed=7 --json"] {
            let mut arguments = arguments(line);
            assert_eq!(arguments.number(0..=u64::MAX), Ok(7_u64));
            assert_eq!(arguments.next_option().as_deref(), Some("--json"));
            assert!(arguments.is_flag());
            assert_eq!(arguments.next_option(), None);
        }
    }

    #[test]
    fn a_mistake_says_what_is_accepted() {
        let number = |line: &str| {
            arguments(line)
                .number::<u32>(1..=24)
                .map_err(|misuse| misuse.0)
        };
        let accepted = "expected a whole number from 1 to 24";
        assert_eq!(
            number("--hours"),
            Err(format!("--hours has no value: {accepted}"))
        );
        for text in ["0", "25", "-1", "soon"] {
            let wrong = Err(format!("--hours is {text:?}: {accepted}"));
            assert_eq!(number(&format!("--hours {text}")), wrong);
            assert_eq!(number(&format!("--hours={text}")), wrong);
        }
        let unknown = arguments("--fast=yes").unknown("--hours or --help");
        assert_eq!(
            unknown.0,
            "unknown option \"--fast=yes\": expected --hours or --help"
        );
    }
}
