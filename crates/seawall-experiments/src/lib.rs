//! Chaos experiments: a hypothesis, faults, a schedule, guards, an emergency stop, and a report.
//!
//! Whether a stack does what it was configured for shows when its upstream fails, and that had better be on a quiet
//! day and on purpose. An [`Experiment`] says what should stay as it is while which faults are on; a [`Runner`] checks that it
//! holds before, starts the faults, samples, ends them at once where a guard trips or somebody
//! [stops](Stop) it, and waits until the hypothesis holds again. The [`Report`] has what happened, what the layers
//! counted, and which setting that points to.
//!
//! The example of [`Runner`] is a whole program, that of [`ExperimentSet`] a file; [`docs::file`] has everything that a
//! file may have.
//!
//! # How a run goes
//!
//! 1. What may not run here and now is [refused](Refusal).
//! 2. *Before*: the hypothesis must hold, in at least half of the samples that there should be, and every guard. Otherwise no fault is started.
//! 3. *During*: the faults are on. The hypothesis is sampled; a guard that does not hold ends them at once. Where
//!    somebody has ended them at a chaos layer instead, the run is stopped at the next sample.
//! 4. *After*: the hypothesis must hold again for a while, within a bound.
//!
//! Faults never outlive their run: they end when the run is dropped, when it is stopped, and by themselves a
//! sample after their time, where nothing polls it any more.
//!
//! # Outcomes
//!
//! | outcome | when |
//! |---|---|
//! | `held` | the hypothesis held during and after, and a fault had an effect |
//! | `refuted` | it did not hold during |
//! | `not_recovered` | it held during, and not in time after |
//! | `guard_tripped`, `stopped` | a guard or somebody ended the faults, here or at a chaos layer |
//! | `inconclusive` | no fault had an effect, or less than half of the samples during had a figure |
//! | `not_steady` | it did not hold before: nothing was started |
//! | `refused` | it may not run here and now |
//!
//! # Features
//!
//! `signal`: [`Stop::on_signal`](Stop#method.on_signal); `test-util`: tokio's clock in optimized builds, too.

#![cfg_attr(docsrs, feature(doc_cfg))]

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
mod hours;
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
mod shared;
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
pub use runner::{Runner, RunnerBuilder};
pub use schedule::Schedule;
pub use seawall_core::InvalidConfig;
pub use set::ExperimentSet;
pub use shared::Environment;
pub use times::rfc3339;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
