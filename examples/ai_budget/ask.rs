//! The calls of a trace, and what is estimated of them.

use seawall::TokenCount;
use seawall_ai::estimate::{Expected, TokenEstimator};
use seawall_sim::provider::Usage;
use tokio::time::Instant;

use crate::tiers::Tier;
use crate::trace::Arrival;

/// What callers set `max_tokens` to: they know the length of a response up to a factor of four.
const FITTING: [u32; 5] = [64, 256, 1_024, 4_096, 16_384];

/// What callers set `max_tokens` to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxTokens {
    /// The least of 64, 256, 1,024, 4,096 and 16,384 that the response fits in.
    Fitting,
    /// The same for all; longer responses are cut there.
    Fixed(u32),
    /// So many times what the response takes.
    Times(u32),
}

impl MaxTokens {
    fn of(self, output: u32) -> u32 {
        match self {
            Self::Fitting => {
                let fitting = FITTING.into_iter().find(|most| *most >= output);
                fitting.unwrap_or(u32::MAX)
            }
            Self::Fixed(most) => most,
            Self::Times(times) => output.max(1).saturating_mul(times),
        }
    }
}

/// A call.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) input: u32,
    /// The maximum of the output.
    pub(crate) max_tokens: u32,
    /// What it will have; the caller does not know.
    pub(crate) output: u32,
    pub(crate) came: Instant,
    /// What is reserved for it.
    pub(crate) reserved: TokenCount,
    /// What is learned from it; nothing where the maximum is reserved.
    pub(crate) expected: Option<Expected>,
}

impl Ask {
    /// A call whose input is known, and whose output is taken for its maximum.
    pub(crate) fn new(arrival: &Arrival, max_tokens: MaxTokens) -> Self {
        let max_tokens = max_tokens.of(arrival.output);
        Self {
            input: arrival.input,
            max_tokens,
            output: arrival.output.min(max_tokens),
            came: Instant::now(),
            reserved: TokenCount::new(arrival.input, max_tokens),
            expected: None,
        }
    }

    /// A call of which `estimator` is shown the length of the body and the maximum of the output.
    ///
    /// The trace has tokens alone, so the body is made up: from three to five bytes per token, drawn
    /// per call.
    pub(crate) fn estimated(
        arrival: &Arrival,
        max_tokens: MaxTokens,
        estimator: &TokenEstimator,
        random: &mut fastrand::Rng,
    ) -> Self {
        let bytes = f64::from(arrival.input) * (3.0 + 2.0 * random.f64());
        let counted = (bytes / 4.0).ceil() as u32;
        let ask = Self::new(arrival, max_tokens);
        let expected = estimator.estimate("model", counted, Some(ask.max_tokens));
        Self {
            reserved: expected.tokens(),
            expected: Some(expected),
            ..ask
        }
    }

    /// What the provider charges.
    pub(crate) fn usage(&self, tier: &Tier) -> Usage {
        let output = if tier.charges_max_tokens {
            self.max_tokens
        } else {
            self.output
        };
        Usage::tokens(self.input, output)
    }
}
