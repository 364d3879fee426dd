//! What is wrong with a file of experiments, and where.

use std::fmt;

use seawall_core::InvalidConfig;

/// Why a file of experiments was rejected: the experiment, the line, and the field with its value and what is
/// accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidExperiment {
    experiment: Option<String>,
    line: Option<usize>,
    invalid: InvalidConfig,
}

impl InvalidExperiment {
    pub(crate) fn new(experiment: Option<&str>, line: usize, invalid: InvalidConfig) -> Self {
        Self {
            experiment: experiment.map(str::to_owned),
            line: Some(line),
            invalid,
        }
    }

    /// Of something that no line of a file has.
    pub(crate) fn of(experiment: &str, invalid: InvalidConfig) -> Self {
        Self {
            experiment: Some(experiment.to_owned()),
            line: None,
            invalid,
        }
    }

    /// The experiment, or the calendar, where it is known.
    pub fn experiment(&self) -> Option<&str> {
        self.experiment.as_deref()
    }

    /// The line of the file, from 1, at which the experiment begins, or at which TOML was not understood.
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// The field, its value and what is accepted: `fault[0].intensity`.
    pub const fn invalid(&self) -> &InvalidConfig {
        &self.invalid
    }
}

impl fmt::Display for InvalidExperiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(experiment) = &self.experiment {
            write!(f, "\"{experiment}\": ")?;
        }
        self.invalid.fmt(f)
    }
}

impl std::error::Error for InvalidExperiment {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.invalid)
    }
}
