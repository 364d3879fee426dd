//! What two providers allow one account, and how they count it.

use std::time::Duration;

use seawall::{Limit, Unit};
use seawall_sim::provider::{self, Counting, Measure, SimulatedQuota};

const MINUTE: Duration = Duration::from_secs(60);

/// An account's limits, all of them per minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    /// What it is, and where the numbers are from.
    pub(crate) source: &'static str,
    /// What is charged for the output when a request is admitted: its maximum (`max_tokens`), or
    /// the actual output.
    pub(crate) charges_max_tokens: bool,
    pub(crate) limits: &'static [(Measure, u32)],
}

/// The simulated AI API of `seawall-sim` has the same numbers, and counts in the same way.
pub(crate) const TIERS: [Tier; 2] = [
    Tier {
        name: "openai-tier-1",
        source: "OpenAI, usage tier 1, GPT-5 family: 500 requests and 500,000 tokens per minute, \
                 input + max_tokens\n  (how it counts: developers.openai.com, guide \"Rate \
                 limits\"; numbers per tier are not published there and\n  were collected from \
                 reports: read x-ratelimit-limit-* of your own account)",
        charges_max_tokens: true,
        limits: &[(Measure::Requests, 500), (Measure::Tokens, 500_000)],
    },
    Tier {
        name: "anthropic-start",
        source: "Anthropic, tier Start, per model: 1,000 requests, 2,000,000 input and 400,000 \
                 output tokens per minute,\n  output as it is used (how it counts: \
                 platform.claude.com/docs/en/api/rate-limits; numbers: reports\n  of the tiers \
                 since 2026-06-26: read anthropic-ratelimit-*-limit of your own account)",
        charges_max_tokens: false,
        limits: &[
            (Measure::Requests, 1_000),
            (Measure::InputTokens, 2_000_000),
            (Measure::OutputTokens, 400_000),
        ],
    },
];

impl Tier {
    /// The provider's counters: the bucket that both document, and a sliding window, which
    /// never allows more.
    pub(crate) fn provider(&self) -> SimulatedQuota {
        let mut provider = SimulatedQuota::new();
        for (measure, count) in self.limits {
            let limit = provider::Limit::new(*count, MINUTE).expect("no limit is zero");
            for counting in [Counting::Bucket, Counting::Sliding] {
                provider = provider.limit(*measure, limit, counting);
            }
        }
        provider
    }

    /// The client's, strict, so that they hold for any way of counting: `share` percent of the tokens,
    /// and all of the requests, of which each is known to be one.
    pub(crate) fn client(&self, share: u32) -> Vec<Limit> {
        let limits = self.limits.iter();
        limits
            .map(|(measure, count)| {
                let count = match measure {
                    Measure::Requests if share <= 100 => *count,
                    _ => (u64::from(*count) * u64::from(share) / 100) as u32,
                };
                Limit::strict(count, MINUTE)
                    .with_unit(unit(*measure))
                    .into()
            })
            .collect()
    }
}

const fn unit(measure: Measure) -> Unit {
    match measure {
        Measure::Requests => Unit::Requests,
        Measure::Weight => Unit::Cost,
        Measure::Tokens => Unit::Tokens,
        Measure::InputTokens => Unit::InputTokens,
        Measure::OutputTokens => Unit::OutputTokens,
    }
}
