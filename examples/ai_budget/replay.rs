//! A trace through the limits of a client, in virtual time, against the provider's counters.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use seawall::{
    Error, InvalidConfig, Limit, QuotaSignal, RateLimitConfig, RateLimitLayer, Rejectable, Replay,
    RequestMeta, TokenCount, Unit, WrapErrorLayer,
};
use seawall_sim::provider::{Rejected, SimulatedQuota, SimulatedQuotaStats, Usage};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::tiers::Tier;
use crate::trace::Arrival;

const MINUTE: Duration = Duration::from_secs(60);

/// How long a response takes: a constant, and a time per token.
const FIRST_TOKEN: Duration = Duration::from_millis(500);
const PER_TOKEN: Duration = Duration::from_millis(20);

/// What callers set `max_tokens` to: they know the length of a response up to a factor of four.
const MAX_TOKENS: [u32; 5] = [64, 256, 1_024, 4_096, 16_384];

/// A call.
#[derive(Debug, Clone, Copy)]
struct Ask {
    input: u32,
    /// The maximum of the output.
    max_tokens: u32,
    /// What it will have; the caller does not know.
    output: u32,
    came: Instant,
}

impl Ask {
    fn new(arrival: &Arrival, max_tokens: Option<u32>) -> Self {
        let fitting = || {
            MAX_TOKENS
                .into_iter()
                .find(|max_tokens| *max_tokens >= arrival.output)
        };
        let max_tokens = max_tokens.or_else(fitting).unwrap_or(u32::MAX);
        Self {
            input: arrival.input,
            max_tokens,
            output: arrival.output.min(max_tokens),
            came: Instant::now(),
        }
    }

    /// What the provider charges.
    fn usage(&self, tier: &Tier) -> Usage {
        let output = if tier.charges_max_tokens {
            self.max_tokens
        } else {
            self.output
        };
        Usage::tokens(self.input, output)
    }
}

/// A response that reports its usage.
#[derive(Debug)]
struct Completion {
    /// Tokens of output, where they are not charged by `max_tokens`.
    charged: Option<u32>,
}

/// A call that has reached the provider.
#[derive(Debug, Clone, Copy)]
struct Departed {
    came: Duration,
    left: Duration,
    usage: Usage,
}

/// The provider: it counts immediately, and responds later.
#[derive(Clone)]
struct Model {
    tier: Tier,
    counters: SimulatedQuota,
    zero: Instant,
    log: Arc<Mutex<Vec<Departed>>>,
}

impl Service<Ask> for Model {
    type Response = Completion;
    type Error = Rejected;
    type Future = Pin<Box<dyn Future<Output = Result<Completion, Rejected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        let usage = ask.usage(&self.tier);
        let departed = Departed {
            came: ask.came - self.zero,
            left: Instant::now() - self.zero,
            usage,
        };
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(departed);
        drop(log);
        let counted = self.counters.call(usage);
        let charged = (!self.tier.charges_max_tokens).then_some(ask.output);
        Box::pin(async move {
            counted.await?;
            sleep(FIRST_TOKEN + PER_TOKEN * ask.output).await;
            Ok(Completion { charged })
        })
    }
}

/// The result of a trace.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) arrivals: usize,
    pub(crate) granted: usize,
    pub(crate) rejected: usize,
    pub(crate) violations: u64,
    /// Minutes at whose end calls waited: there was more demand than the limits allow.
    pub(crate) full: usize,
    /// What was used in those of the limit that was used most: all of them, and the worst.
    pub(crate) share: f64,
    pub(crate) worst: f64,
    /// How long calls waited, in order.
    waits: Vec<Duration>,
    /// When the last one departed.
    pub(crate) done: Duration,
}

impl Outcome {
    /// How long this share of the calls waited at most.
    pub(crate) fn wait(&self, share: f64) -> Duration {
        let last = self.waits.len().saturating_sub(1);
        let index = (last as f64 * share).ceil() as usize;
        self.waits.get(index).copied().unwrap_or_default()
    }
}

/// Replays the arrivals, each of them `load` times, through `limits`.
///
/// # Errors
///
/// The limits are none.
pub(crate) async fn replay(
    tier: &Tier,
    limits: Vec<Limit>,
    arrivals: &[Arrival],
    load: u32,
    max_tokens: Option<u32>,
) -> Result<Outcome, InvalidConfig> {
    let zero = Instant::now();
    let model = Model {
        tier: *tier,
        counters: tier.provider(),
        zero,
        log: Arc::default(),
    };
    let builder = RateLimitConfig::builder()
        .max_wait(30 * 24 * 60 * MINUTE)
        .max_waiting(1 << 24);
    let config = limits
        .into_iter()
        .fold(builder, seawall::ratelimit::RateLimitConfigBuilder::limit)
        .build()?;
    // The input is known, the output is estimated at its maximum until it is known.
    let layer = RateLimitLayer::new(tier.name, config).describe(|ask: &Ask| {
        RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(ask.input, ask.max_tokens))
    });
    let usage = |result: Result<&Completion, &Error<Rejected>>,
                 report: &mut dyn FnMut(QuotaSignal)| {
        if let Ok(Completion {
            charged: Some(amount),
        }) = result
        {
            report(QuotaSignal::Used {
                unit: Unit::OutputTokens,
                amount: u64::from(*amount),
            });
        }
    };
    let client = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(layer.feedback(usage))
        .layer(WrapErrorLayer)
        .service(model.clone());

    let mut calls = JoinSet::new();
    for arrival in arrivals {
        sleep_until(zero + arrival.at).await;
        for _ in 0..load {
            calls.spawn(client.clone().oneshot(Ask::new(arrival, max_tokens)));
        }
    }
    let mut rejected = 0;
    while let Some(result) = calls.join_next().await {
        let result = result.expect("no call panics");
        rejected += usize::from(result.is_err_and(|error| error.rejection().is_some()));
    }
    let log = model.log.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(outcome(tier, &log, rejected, &model.counters.stats()))
}

fn outcome(tier: &Tier, log: &[Departed], rejected: usize, stats: &SimulatedQuotaStats) -> Outcome {
    let mut waits: Vec<_> = log.iter().map(|call| call.left - call.came).collect();
    waits.sort_unstable();
    let done = log.iter().map(|call| call.left).max().unwrap_or_default();
    let minutes = done.as_secs() / 60;
    let minute_of = |at: Duration| at.as_secs() / 60;
    let mut waiting = vec![0_u64; minutes as usize + 1];
    let mut used = vec![vec![0_u64; tier.limits.len()]; minutes as usize + 1];
    for call in log {
        for minute in minute_of(call.came)..minute_of(call.left) {
            waiting[minute as usize] += 1;
        }
        let used = &mut used[minute_of(call.left) as usize];
        for (used, (measure, _)) in used.iter_mut().zip(tier.limits) {
            *used += call.usage.of(*measure);
        }
    }
    let shares = waiting
        .iter()
        .zip(&used)
        .filter(|(waiting, _)| **waiting > 0);
    let shares: Vec<f64> = shares
        .map(|(_, used)| {
            let shares = used.iter().zip(tier.limits);
            shares.fold(0.0, |most: f64, (used, (_, count))| {
                most.max(*used as f64 / f64::from(*count))
            })
        })
        .collect();
    Outcome {
        arrivals: log.len() + rejected,
        granted: log.len(),
        rejected,
        violations: stats.rejected,
        full: shares.len(),
        share: shares.iter().sum::<f64>() / shares.len() as f64,
        worst: shares.iter().copied().fold(f64::NAN, f64::min),
        waits,
        done,
    }
}

/// In how many minutes of the trace more arrives than one of the limits allows.
pub(crate) fn beyond(
    tier: &Tier,
    arrivals: &[Arrival],
    load: u32,
    max_tokens: Option<u32>,
) -> usize {
    let mut minutes: Vec<Vec<u64>> = Vec::new();
    for arrival in arrivals {
        let minute = (arrival.at.as_secs() / 60) as usize;
        if minutes.len() <= minute {
            minutes.resize(minute + 1, vec![0; tier.limits.len()]);
        }
        let usage = Ask::new(arrival, max_tokens).usage(tier);
        for (asked, (measure, _)) in minutes[minute].iter_mut().zip(tier.limits) {
            *asked += usage.of(*measure) * u64::from(load);
        }
    }
    let over = |asked: &&Vec<u64>| {
        let mut limits = asked.iter().zip(tier.limits);
        limits.any(|(asked, (_, count))| *asked > u64::from(*count))
    };
    minutes.iter().filter(over).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiers::TIERS;
    use crate::trace;

    /// The first load, in doublings, at which the made-up trace is too much for the tier.
    fn generated(tier: &Tier, longest: u32) -> (Vec<Arrival>, u32) {
        let generated = trace::synthetic(1, longest);
        let arrivals = trace::read(&generated).expect("it is of the format");
        let load = crate::heavy(tier, &arrivals, None).expect("it grows");
        (arrivals, load)
    }

    #[tokio::test(start_paused = true)]
    async fn no_tier_sees_a_violation_and_what_it_allows_is_used() {
        for tier in &TIERS {
            let (arrivals, load) = generated(tier, 600);
            let outcome = replay(tier, tier.client(), &arrivals, load, None).await;
            let outcome = outcome.expect("valid limits");
            assert_eq!(outcome.violations, 0, "{}: {outcome:?}", tier.name);
            assert_eq!(outcome.rejected, 0, "{}", tier.name);
            assert_eq!(outcome.granted, arrivals.len() * load as usize);
            assert!(outcome.full >= 5, "{}: {}", tier.name, outcome.full);
            let (share, worst) = (outcome.share, outcome.worst);
            assert!(share >= 0.95, "{}: {share}, at worst {worst}", tier.name);
            assert!(share <= 1.0, "{}: {share}", tier.name);
        }
    }

    /// Long responses at a tier that charges the actual output: calls in flight hold what they may
    /// use, and part of that is idle until they complete. Without the correction, the share would be
    /// that of the responses in their `max_tokens`, about 0.4.
    #[tokio::test(start_paused = true)]
    async fn where_the_output_binds_what_is_under_way_is_held_and_settled() {
        let tier = &TIERS[1];
        let (arrivals, load) = generated(tier, 2_000);
        let outcome = replay(tier, tier.client(), &arrivals, load, None).await;
        let outcome = outcome.expect("valid limits");
        assert_eq!(outcome.violations, 0, "{outcome:?}");
        let share = outcome.share;
        assert!((0.6..0.95).contains(&share), "{share}");
    }

    /// What the tests above see when the limits are too high.
    #[tokio::test(start_paused = true)]
    async fn the_provider_sees_limits_that_are_not_its_own() {
        for tier in &TIERS {
            let (arrivals, load) = generated(tier, 600);
            let limits = tier.client().into_iter();
            let higher = limits.map(|limit| {
                Limit::strict(limit.count() / 10 * 11, MINUTE)
                    .with_unit(limit.unit())
                    .into()
            });
            let outcome = replay(tier, higher.collect(), &arrivals, load, None).await;
            let outcome = outcome.expect("valid limits");
            assert!(outcome.violations > 0, "{}: {outcome:?}", tier.name);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_half_of_what_is_allowed_shows_as_half_used() {
        let tier = &TIERS[0];
        let (arrivals, load) = generated(tier, 600);
        let limits = tier.client().into_iter();
        let half = limits.map(|limit| {
            Limit::strict(limit.count() / 2, MINUTE)
                .with_unit(limit.unit())
                .into()
        });
        let outcome = replay(tier, half.collect(), &arrivals, load, None).await;
        let share = outcome.expect("valid limits").share;
        assert!((0.45..0.55).contains(&share), "{share}");
    }
}
