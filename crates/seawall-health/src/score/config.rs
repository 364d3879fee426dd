//! The settings of a score.

use seawall_core::InvalidConfig;

use super::part::Part;

/// How a score is made of its parts, and when it is low.
///
/// | setting | default |
/// |---|---|
/// | weight of resilience | 40 |
/// | weight of the system | 30 |
/// | weight of services | 20 |
/// | weight of trading | 10 |
/// | threshold | 80 |
///
/// Weights are shares of their sum, whatever that is. A part of weight 0 does not count.
///
/// ```
/// use seawall_health::{Part, ScoreConfig};
///
/// let config = ScoreConfig::builder().weight(Part::Trading, 0.0).threshold(90.0).build()?;
/// assert_eq!(config.weight(Part::Resilience), 40.0);
/// let rejected = ScoreConfig::builder().threshold(101.0).build().unwrap_err();
/// assert_eq!(rejected.field(), "threshold");
/// # Ok::<(), seawall_health::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreConfig {
    weights: [f64; Part::ALL.len()],
    threshold: f64,
}

impl ScoreConfig {
    /// The defaults, to be changed.
    pub const fn builder() -> ScoreConfigBuilder {
        ScoreConfigBuilder { config: DEFAULT }
    }

    /// What a part weighs, beside the others.
    pub const fn weight(&self, part: Part) -> f64 {
        self.weights[part as usize]
    }

    /// Below which score it is low; from 0 to 100.
    pub const fn threshold(&self) -> f64 {
        self.threshold
    }
}

const DEFAULT: ScoreConfig = ScoreConfig {
    weights: [40.0, 30.0, 20.0, 10.0],
    threshold: 80.0,
};

impl Default for ScoreConfig {
    fn default() -> Self {
        DEFAULT
    }
}

/// Builds a [`ScoreConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ScoreConfigBuilder {
    config: ScoreConfig,
}

impl ScoreConfigBuilder {
    /// Sets what a part weighs: 0 or more, and at least one of them more.
    pub const fn weight(mut self, part: Part, weight: f64) -> Self {
        self.config.weights[part as usize] = weight;
        self
    }

    /// Sets below which score it is low; from 0 to 100.
    pub const fn threshold(mut self, threshold: f64) -> Self {
        self.config.threshold = threshold;
        self
    }

    /// The settings, if they make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a weight is negative or no number, all of them are 0, or the threshold is
    /// not a number from 0 to 100.
    pub fn build(self) -> Result<ScoreConfig, InvalidConfig> {
        let config = self.config;
        for (part, weight) in Part::ALL.into_iter().zip(config.weights) {
            if !(0.0..=1e9).contains(&weight) {
                let field = format!("weights.{}", part.as_str());
                return Err(InvalidConfig::new(
                    field,
                    weight,
                    "a number from 0 to 1000000000",
                ));
            }
        }
        if config.weights.iter().all(|weight| *weight == 0.0) {
            return Err(InvalidConfig::new(
                "weights",
                "0 for all parts",
                "one above 0",
            ));
        }
        if !(0.0..=100.0).contains(&config.threshold) {
            let accepted = "a number from 0 to 100";
            return Err(InvalidConfig::new("threshold", config.threshold, accepted));
        }
        Ok(config)
    }
}
