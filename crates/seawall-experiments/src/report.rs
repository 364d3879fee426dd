//! What happened in a run.

use std::time::Duration;

use seawall_chaos::FaultKind;
use serde::Serialize;

use crate::condition::Bound;
use crate::evidence::LayerCount;
use crate::experiment::Experiment;
use crate::outcome::{Outcome, Phase, Refusal};
use crate::recommend::Recommendation;

/// What happened in a run: whether the hypothesis held before, during and after the faults, what they hit, what the
/// layers counted, and which setting would have helped.
///
/// It is `Serialize`; [`to_markdown`](Self::to_markdown) is for people, and [`save`](Self::save) writes both. No number
/// in it is infinite or not a number.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The experiment.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The runner.
    pub runner: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it may not run, where it may not.
    pub refusal: Option<Refusal>,
    /// How it ended, in words.
    pub words: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// How long it took.
    pub seconds: f64,
    /// What should stay as it is.
    pub hypothesis: Hypothesis,
    /// What was injected.
    pub faults: Vec<FaultReport>,
    /// What would have ended it.
    pub guards: Vec<GuardReport>,
    /// How long it took until the hypothesis held again; `None` where it did not, or was not waited for.
    pub recovered_seconds: Option<f64>,
    /// Every sample, in order.
    pub samples: Vec<Point>,
    /// What the layers have counted.
    pub layers: Vec<LayerCount>,
    /// Which settings would have helped.
    pub recommendations: Vec<Recommendation>,
}

/// What should stay as it is, and whether it did.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hypothesis {
    /// In words.
    pub words: String,
    /// The metric.
    pub metric: String,
    /// The service, where it is one of a service.
    pub service: Option<String>,
    /// Its bound.
    pub bound: Bound,
    /// The share of samples that may be outside.
    pub tolerated: f64,
    /// The phases that there were.
    pub phases: Vec<PhaseReport>,
}

/// The hypothesis in a part of a run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PhaseReport {
    /// Which part.
    pub phase: Phase,
    /// Whether it held; `None` where less than half of the samples had a figure, and those of them that were outside do
    /// not refute it alone.
    pub held: Option<bool>,
    /// Samples with a figure: those that were judged.
    pub samples: u64,
    /// Samples that there should have been, one every `run.every` for as long as it took.
    pub expected: u64,
    /// How many of them were outside of the bound.
    pub outside: u64,
    /// The mean.
    pub mean: Option<f64>,
    /// The one that was the farthest on the wrong side.
    pub worst: Option<f64>,
}

/// The faults of a service.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultReport {
    /// The service.
    pub service: String,
    /// What sorts of faults, and which share of the calls each was to hit.
    pub faults: Vec<(FaultKind, f64)>,
    /// Calls while they were on.
    pub calls: u64,
    /// Faults that had an effect.
    pub injected: u64,
    /// Faults that changed nothing.
    pub without_effect: u64,
    /// Calls that passed since they are no reads.
    pub spared: u64,
    /// The seed, by which the same calls are hit again.
    pub seed: Option<u64>,
}

/// What would have ended a run.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuardReport {
    /// In words.
    pub words: String,
    /// Why it ended the run, if it did.
    pub tripped: Option<String>,
}

/// A sample of the metric of the hypothesis.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The part of the run.
    pub phase: Phase,
    /// How long after its beginning.
    pub at_seconds: f64,
    /// The figure; `None` where there was none, as without a call.
    pub figure: Option<f64>,
}

impl Report {
    pub(crate) fn new(experiment: &Experiment, runner: &'static str, started_unix_ms: u64) -> Self {
        let condition = &experiment.hypothesis;
        Self {
            name: experiment.name.clone(),
            about: experiment.about.clone(),
            runner,
            outcome: Outcome::Inconclusive,
            refusal: None,
            words: String::new(),
            started_unix_ms,
            seconds: 0.0,
            hypothesis: Hypothesis {
                words: condition.to_string(),
                metric: condition.metric.clone(),
                service: condition.service.clone(),
                bound: condition.bound,
                tolerated: condition.tolerated,
                phases: Vec::new(),
            },
            faults: experiment
                .faults
                .iter()
                .map(|(service, faults)| FaultReport {
                    service: service.clone(),
                    faults: faults
                        .iter()
                        .map(|it| (it.kind(), it.intensity()))
                        .collect(),
                    calls: 0,
                    injected: 0,
                    without_effect: 0,
                    spared: 0,
                    seed: None,
                })
                .collect(),
            guards: Vec::new(),
            recovered_seconds: None,
            samples: Vec::new(),
            layers: Vec::new(),
            recommendations: Vec::new(),
        }
    }

    /// Ends it with an outcome, and why.
    pub(crate) fn end(&mut self, outcome: Outcome, words: impl Into<String>) {
        self.outcome = outcome;
        self.words = words.into();
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal, words: impl Into<String>) {
        self.refusal = Some(refusal);
        self.end(Outcome::Refused, words);
    }

    /// The hypothesis in a part of the run, if there was that.
    pub fn phase(&self, phase: Phase) -> Option<&PhaseReport> {
        self.hypothesis.phases.iter().find(|it| it.phase == phase)
    }

    /// Faults that had an effect.
    pub fn injected(&self) -> u64 {
        self.faults
            .iter()
            .map(|faults| faults.injected)
            .fold(0, u64::saturating_add)
    }

    /// Judges the samples of a phase that should have had so many.
    pub(crate) fn judge(&mut self, phase: Phase, expected: u64) -> Option<bool> {
        let bound = self.hypothesis.bound;
        let figures = self.samples.iter().filter(|point| point.phase == phase);
        let figures: Vec<f64> = figures.filter_map(|point| point.figure).collect();
        let outside = figures
            .iter()
            .filter(|figure| !bound.holds(**figure))
            .count();
        let tolerated = self.hypothesis.tolerated;
        let samples = figures.len() as u64;
        let expected = expected.max(samples);
        let held = if outside as f64 > tolerated * expected as f64 {
            // Whatever those would have been that are missing.
            Some(false)
        } else if samples == 0 || samples.saturating_mul(2) < expected {
            None
        } else {
            Some(outside as f64 / samples as f64 <= tolerated)
        };
        let worst = figures.iter().copied().reduce(match bound {
            Bound::AtLeast(_) => f64::min,
            Bound::AtMost(_) => f64::max,
        });
        let sum: f64 = figures.iter().sum();
        self.hypothesis.phases.push(PhaseReport {
            phase,
            held,
            samples,
            expected,
            outside: outside as u64,
            mean: Some(sum / figures.len() as f64).filter(|mean| mean.is_finite()),
            worst,
        });
        held
    }

    /// How long the run took.
    pub(crate) fn took(&mut self, took: Duration) {
        self.seconds = took.as_secs_f64();
    }
}
