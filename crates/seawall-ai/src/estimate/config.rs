//! The settings of an estimator.

use seawall_core::InvalidConfig;

/// How carefully tokens are estimated, and what is reserved while nothing is known.
///
/// ```
/// use seawall_ai::estimate::EstimateConfig;
///
/// let config = EstimateConfig::builder().deviations(3.0).default_output(8_192).build()?;
/// assert_eq!(config.deviations(), 3.0);
///
/// let invalid = EstimateConfig::builder().deviations(-1.0).build().unwrap_err();
/// assert_eq!(invalid.to_string(), "`deviations` is -1, accepted is a number from 0 to 100");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EstimateConfig {
    deviations: f64,
    default_output: u32,
    longest_output: u32,
    charges_maximum: bool,
    count_delivered: bool,
    max_models: usize,
}

impl EstimateConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> EstimateConfigBuilder {
        EstimateConfigBuilder::default()
    }

    seawall_core::getters! {
        /// How many standard deviations of the sums of calls in flight are reserved beyond their mean.
        pub const fn deviations -> f64;
        /// How much output is reserved for a request without a maximum, while nothing is learned.
        pub const fn default_output -> u32;
        /// The longest output that is believed of a request without a maximum.
        pub const fn longest_output -> u32;
        /// Whether the provider charges a limit with the maximum of the output.
        pub const fn charges_maximum -> bool;
        /// Whether the content of a stream that reports no usage counts as its output.
        pub const fn count_delivered -> bool;
        /// How many models are learned apart.
        pub const fn max_models -> usize;
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("deviations", self.deviations.to_string()),
            ("default_output", self.default_output.to_string()),
            ("longest_output", self.longest_output.to_string()),
            ("charges_maximum", self.charges_maximum.to_string()),
            ("count_delivered", self.count_delivered.to_string()),
            ("max_models", self.max_models.to_string()),
        ]
    }
}

impl Default for EstimateConfig {
    /// One and a half deviations, 4,096 tokens of output while nothing is learned, at most 128,000, and
    /// 64 models.
    ///
    /// With that and 98 % of a limit, two recorded traces of real use saw no violation, and 97 % of the
    /// limit was used: see the [module](super).
    fn default() -> Self {
        Self {
            deviations: 1.5,
            default_output: 4_096,
            longest_output: 128_000,
            charges_maximum: false,
            count_delivered: true,
            max_models: 64,
        }
    }
}

/// Collects the settings of an estimator; see [`EstimateConfig::builder`].
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct EstimateConfigBuilder {
    config: EstimateConfig,
}

impl EstimateConfigBuilder {
    seawall_core::setters! { self.config:
        /// How many standard deviations of the sums of calls in flight are reserved beyond their mean: a
        /// number from 0 to 100. More makes it less likely that calls in flight use more than is
        /// reserved for them, and leaves more of a limit unused meanwhile. Default: 1.5.
        pub const fn deviations(f64);

        /// How many tokens of output are reserved for a request that sets no maximum, while nothing is
        /// learned of its model, for each of the [choices](super::Prompt::choices): from 1, and not
        /// more than `longest_output`. Default: 4,096.
        pub const fn default_output(u32);

        /// The longest output, in tokens, that is believed of a choice of a request that sets no
        /// maximum: from 1.
        /// What is reported beyond is learned as this. Default: 128,000.
        pub const fn longest_output(u32);

        /// Whether the provider charges a limit with the maximum of the output, whatever is used, as
        /// OpenAI documents it
        /// (<https://developers.openai.com/api/docs/guides/rate-limits>). Then the maximum is
        /// reserved where a request has one. Default: no.
        pub const fn charges_maximum(bool);

        /// Whether the content of a stream that ends without reporting its usage counts as its
        /// output: a token per four bytes, and at least one per event. OpenAI's chat streams report
        /// usage only with `stream_options: {"include_usage": true}`; what a model thinks unseen is
        /// not counted otherwise. Without this, what is reserved stays reserved. Default: yes.
        pub const fn count_delivered(bool);

        /// How many models are learned apart, each with 21 kB: from 1. All further ones are learned
        /// together. A model of which nothing is learned and no call is in flight makes room for
        /// another one, so names that are no model's, whose calls fail, do not count. Default: 64.
        pub const fn max_models(usize);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `deviations` is not from 0 to 100, another number is zero, or
    /// `default_output` is more than `longest_output`.
    pub fn build(self) -> Result<EstimateConfig, InvalidConfig> {
        let config = self.config;
        if !(0.0..=100.0).contains(&config.deviations) {
            let accepted = "a number from 0 to 100";
            return Err(InvalidConfig::new(
                "deviations",
                config.deviations,
                accepted,
            ));
        }
        let whole = "a whole number from 1";
        if config.default_output == 0 {
            return Err(InvalidConfig::new("default_output", 0, whole));
        }
        if config.longest_output == 0 {
            return Err(InvalidConfig::new("longest_output", 0, whole));
        }
        if config.default_output > config.longest_output {
            let accepted = "at most `longest_output`, which is what is believed";
            return Err(InvalidConfig::new(
                "default_output",
                config.default_output,
                accepted,
            ));
        }
        if config.max_models == 0 {
            return Err(InvalidConfig::new("max_models", 0, whole));
        }
        Ok(config)
    }
}
