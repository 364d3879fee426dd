//! What is wrong in a file or in a variable, and where.

use std::fmt;
use std::sync::Arc;

/// A mistake in a file or in a variable of the environment.
///
/// ```
/// use seawall::config::{Config, Place};
///
/// let text = "[resilience.broker.retry]\nattempts = 0\n";
/// let error = Config::loader().text("seawall.toml", text).load().unwrap_err();
/// let mistake = &error.mistakes()[0];
/// assert_eq!(mistake.key, "broker.retry.attempts");
/// assert!(matches!(mistake.place, Place::Position { line: 2, column: 12, .. }));
/// assert_eq!(
///     mistake.to_string(),
///     "seawall.toml:2:12: `broker.retry.attempts` is 0, accepted is a whole number from 1",
/// );
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// The key, with the tables that it is in: `broker.retry.attempts`. Empty where it is about
    /// more than one, or where `problem` has it.
    pub key: String,
    /// The value, and what is accepted in its place.
    pub problem: String,
}

/// Where something is written.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file.
    Position {
        /// The file.
        file: Arc<str>,
        /// From 1 on.
        line: usize,
        /// In characters, from 1 on.
        column: usize,
    },
    /// In a variable of the environment, by its name.
    Variable(Arc<str>),
}

/// A text, to find the lines of its parts.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    file: Arc<str>,
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(file: &str, text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file: file.into(),
            text,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// Where the byte at `offset` is; the end of the text where there is none.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        Place::Position {
            file: Arc::clone(&self.file),
            line,
            column: before.chars().count() + 1,
        }
    }

    pub(crate) fn mistake(&self, offset: usize, problem: String) -> Mistake {
        Mistake {
            place: self.place(offset),
            key: String::new(),
            problem,
        }
    }
}

/// The known names that `name` may have been meant for: those that are like it, and if there is
/// none, all of them.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let folded = name.to_lowercase();
    let mut known: Vec<_> = known
        .map(|known| (strsim::jaro_winkler(&folded, known), known))
        .collect();
    known.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let near = known
        .iter()
        .filter(|(likeness, _)| *likeness >= NEAR)
        .count();
    let count = if near == 0 { known.len() } else { near.min(3) };
    let names = known.iter().take(count);
    names.map(|(_, known)| (*known).to_owned()).collect()
}

/// Jaro-Winkler similarity, from 0 to 1: a letter wrong, two swapped or some missing are above.
const NEAR: f64 = 0.8;

/// Whether `name` may have been meant for `known`.
#[cfg(feature = "config")]
pub(crate) fn is_near(name: &str, known: &str) -> bool {
    strsim::jaro_winkler(&name.to_lowercase(), known) >= NEAR
}

/// Names in a sentence: `` `a`, `b` and `c` ``.
pub(crate) struct Names<'a>(pub(crate) &'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let between = match at {
                0 => "",
                _ if at + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(f, "{between}`{name}`")?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

/// All of them, a line each.
pub(crate) fn write_all(f: &mut fmt::Formatter<'_>, mistakes: &[Mistake]) -> fmt::Result {
    for (at, mistake) in mistakes.iter().enumerate() {
        let end = if at == 0 { "" } else { "\n" };
        write!(f, "{end}{mistake}")?;
    }
    Ok(())
}
