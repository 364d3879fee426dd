//! Chaos experiments: a hypothesis, faults, a schedule, guards, an emergency stop, and a report.

/// Longer matters, one page each.
pub mod docs {
    #[doc = include_str!("../docs/file.md")]
    pub mod file {}
}

mod calendar;
mod condition;
mod control;
mod cron;
mod error;
mod evidence;
mod experiment;
mod fault_table;
mod markdown;
mod nyse;
mod outcome;
mod plot;
mod raw;
mod recommend;
mod report;
mod run;
mod runner;
mod save;
mod schedule;
mod scheduled;
mod set;
mod times;

pub use calendar::MarketCalendar;
pub use condition::Bound;
pub use control::Stop;
pub use error::InvalidExperiment;
pub use evidence::LayerCount;
pub use experiment::Experiment;
pub use outcome::{Outcome, Phase, Refusal};
pub use recommend::Recommendation;
pub use report::{FaultReport, GuardReport, Hypothesis, PhaseReport, Point, Report};
pub use runner::{Environment, Runner, RunnerBuilder};
pub use schedule::Schedule;
pub use seawall_core::InvalidConfig;
pub use set::ExperimentSet;
