//! Reads and controls an estimator from outside.

use std::sync::PoisonError;

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples};

use super::config::EstimateConfig;
use super::counts::EstimateCounts;
use super::estimator::TokenEstimator;

/// Reads and controls an estimator from any thread.
///
/// ```
/// use seawall_ai::estimate::{EstimateConfig, TokenEstimator};
///
/// let handle = TokenEstimator::new("model", EstimateConfig::default()).handle();
/// handle.configure(EstimateConfig::builder().deviations(3.0).build()?)?;
/// assert_eq!(handle.config().deviations(), 3.0);
/// assert!(handle.snapshot().models.is_empty());
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct EstimateHandle {
    estimator: TokenEstimator,
}

/// What an estimator has learned at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct EstimateSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What is known of each model that was called, in the order of their names; that of all further
    /// models comes last, without a name.
    pub models: Vec<ModelSnapshot>,
    /// What became of the estimates.
    pub counts: EstimateCounts,
}

/// What is known of one model.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ModelSnapshot {
    /// The model; empty for all further ones.
    pub model: String,
    /// How many responses were learned from.
    pub responses: u64,
    /// How many calls are in flight.
    pub in_flight: u32,
    /// How many tokens of input a token of the tokenizer is; `None` while that is not known.
    pub input_ratio: Option<f64>,
    /// By what the expected input is multiplied, for what calls in flight use together.
    pub input_factor: Option<f64>,
    /// By what the mean output is multiplied, for what calls in flight use together.
    pub output_factor: Option<f64>,
}

impl TokenEstimator {
    /// A handle to read and to control the estimator from outside.
    pub fn handle(&self) -> EstimateHandle {
        EstimateHandle {
            estimator: self.clone(),
        }
    }
}

impl EstimateHandle {
    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.estimator.shared.events.name()
    }

    /// The settings in force.
    pub fn config(&self) -> EstimateConfig {
        self.estimator.shared.config().clone()
    }

    /// Changes the settings from the next estimate on. What was learned is kept; so are models beyond
    /// a lower `max_models`.
    ///
    /// # Errors
    ///
    /// None at present: every [`EstimateConfig`] is accepted.
    pub fn configure(&self, config: EstimateConfig) -> Result<(), InvalidConfig> {
        let shared = &self.estimator.shared;
        *shared
            .config
            .write()
            .unwrap_or_else(PoisonError::into_inner) = config;
        shared.events.commanded("configure");
        Ok(())
    }

    /// What became of the estimates so far.
    pub fn counts(&self) -> EstimateCounts {
        EstimateCounts::sum([&self.estimator.shared.counters])
    }

    /// Everything at once.
    pub fn snapshot(&self) -> EstimateSnapshot {
        let config = self.config();
        let mut models = Vec::new();
        self.estimator.shared.each(|name, learned| {
            let [input_factor, output_factor] = learned.factors(&config);
            if !name.is_empty() || learned.responses() > 0 {
                models.push(ModelSnapshot {
                    model: name.to_owned(),
                    responses: learned.responses(),
                    in_flight: learned.in_flight(),
                    input_ratio: learned.input_ratio(),
                    input_factor,
                    output_factor,
                });
            }
        });
        EstimateSnapshot {
            name: self.name(),
            models,
            counts: self.counts(),
        }
    }

    /// Forgets what was learned: the maximum is reserved again, until enough calls have ended.
    /// [`counts`](Self::counts) stay.
    pub fn reset(&self) {
        self.estimator.shared.forget();
        self.estimator.shared.events.commanded("reset");
    }
}

/// There is nothing to [`Block`](seawall_core::Command::Block): an estimator rejects no call.
impl InstanceHandle for EstimateHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.estimator.shared.events.pattern(),
        state: "ok",
        attach: this.estimator.shared.events,
        commands: [Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.config().settings()
    }
}

seawall_core::impl_debug!(EstimateHandle: |this| name = this.name());
