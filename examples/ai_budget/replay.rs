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
use seawall_ai::estimate::{EstimateConfig, TokenEstimator};
use seawall_sim::provider::{Measure, Rejected, SimulatedQuota, SimulatedQuotaStats, Usage};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::ask::{Ask, MaxTokens};
use crate::tiers::Tier;
use crate::trace::Arrival;

const MINUTE: Duration = Duration::from_secs(60);

/// The seed of the lengths of the bodies.
const BODIES: u64 = 1;

/// How long a response takes: a constant, and a time per token.
const FIRST_TOKEN: Duration = Duration::from_millis(500);
const PER_TOKEN: Duration = Duration::from_millis(20);

/// How the tokens of a call are reserved, and which share of the limits is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    /// Whether what calls use is learned; the maximum is reserved otherwise.
    pub(crate) learned: bool,
    /// In percent of the token limits.
    pub(crate) share: u32,
    /// How many standard deviations of what calls in flight use are reserved beyond the mean.
    pub(crate) deviations: f64,
    pub(crate) max_tokens: MaxTokens,
}

/// A response that reports its usage.
#[derive(Debug)]
struct Completion {
    usage: Usage,
}

/// A call that has reached the provider.
#[derive(Debug, Clone, Copy)]
struct Departed {
    came: Duration,
    left: Duration,
    usage: Usage,
    reserved: TokenCount,
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
        if let Some(expected) = &ask.expected {
            expected.departed();
        }
        let departed = Departed {
            came: ask.came - self.zero,
            left: Instant::now() - self.zero,
            usage,
            reserved: ask.reserved,
        };
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(departed);
        drop(log);
        let counted = self.counters.call(usage);
        Box::pin(async move {
            counted.await?;
            sleep(FIRST_TOKEN + PER_TOKEN * ask.output).await;
            if let Some(expected) = ask.expected {
                expected.settle(TokenCount::new(ask.input, ask.output));
            }
            Ok(Completion { usage })
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
    /// What was reserved less what was charged, over what was charged, in order.
    errors: Vec<f64>,
    /// The same of the output alone.
    output_errors: Vec<f64>,
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

    /// The median of the errors of reservations, and that of the output alone.
    pub(crate) fn reservation_errors(&self) -> [f64; 2] {
        [&self.errors, &self.output_errors]
            .map(|errors| errors.get(errors.len() / 2).copied().unwrap_or(f64::NAN))
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
    plan: Plan,
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
    let layer = RateLimitLayer::new(tier.name, config)
        .describe(|ask: &Ask| RequestMeta::new(Replay::Never).with_tokens(ask.reserved));
    let usage = |result: Result<&Completion, &Error<Rejected>>,
                 report: &mut dyn FnMut(QuotaSignal)| {
        for (unit, measure) in [
            (Unit::Tokens, Measure::Tokens),
            (Unit::InputTokens, Measure::InputTokens),
            (Unit::OutputTokens, Measure::OutputTokens),
        ] {
            if let Ok(Completion { usage }) = result {
                let amount = usage.of(measure);
                report(QuotaSignal::Used { unit, amount });
            }
        }
    };
    let estimates = EstimateConfig::builder()
        .charges_maximum(tier.charges_max_tokens)
        .deviations(plan.deviations);
    let estimator = TokenEstimator::new(tier.name, estimates.build()?);
    let mut random = fastrand::Rng::with_seed(BODIES);
    let client = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(layer.feedback(usage))
        .layer(WrapErrorLayer)
        .service(model.clone());

    let mut calls = JoinSet::new();
    for arrival in arrivals {
        sleep_until(zero + arrival.at).await;
        for _ in 0..load {
            let ask = if plan.learned {
                Ask::estimated(arrival, plan.max_tokens, &estimator, &mut random)
            } else {
                Ask::new(arrival, plan.max_tokens)
            };
            calls.spawn(client.clone().oneshot(ask));
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
    let of_output = |call: &Departed| {
        let charged = call.usage.of(Measure::OutputTokens);
        error(call.reserved.output.into(), charged)
    };
    let mut errors: Vec<_> = log.iter().map(reservation_error).collect();
    let mut output_errors: Vec<_> = log.iter().map(of_output).collect();
    errors.sort_unstable_by(f64::total_cmp);
    output_errors.sort_unstable_by(f64::total_cmp);
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
        errors,
        output_errors,
        done,
    }
}

fn reservation_error(call: &Departed) -> f64 {
    error(call.reserved.total().into(), call.usage.of(Measure::Tokens))
}

/// What was reserved less what was charged, over what was charged.
fn error(reserved: u64, charged: u64) -> f64 {
    (reserved as f64 - charged as f64) / (charged.max(1) as f64)
}

/// In how many minutes of the trace more arrives than one of the limits allows.
pub(crate) fn beyond(tier: &Tier, arrivals: &[Arrival], load: u32, max_tokens: MaxTokens) -> usize {
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
        let load = crate::heavy(tier, &arrivals, MaxTokens::Fitting).expect("it grows");
        (arrivals, load)
    }

    const fn plan(learned: bool, share: u32, max_tokens: MaxTokens) -> Plan {
        Plan {
            learned,
            share,
            deviations: 1.5,
            max_tokens,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_tier_sees_a_violation_and_what_it_allows_is_used() {
        for tier in &TIERS {
            let (arrivals, load) = generated(tier, 600);
            for max_tokens in [MaxTokens::Fitting, MaxTokens::Times(4)] {
                let plan = plan(true, 98, max_tokens);
                let outcome = replay(tier, tier.client(plan.share), &arrivals, load, plan).await;
                let outcome = outcome.expect("valid limits");
                assert_eq!(outcome.violations, 0, "{}: {outcome:?}", tier.name);
                assert_eq!(outcome.rejected, 0, "{}", tier.name);
                assert_eq!(outcome.granted, arrivals.len() * load as usize);
                assert!(outcome.full >= 5, "{}: {}", tier.name, outcome.full);
                let (share, worst) = (outcome.share, outcome.worst);
                assert!(share >= 0.95, "{}: {share}, at worst {worst}", tier.name);
                assert!(share <= 1.0, "{}: {share}", tier.name);
                let [error, _] = outcome.reservation_errors();
                assert!((-0.15..=0.15).contains(&error), "{}: {error}", tier.name);
            }
        }
    }

    /// Long responses at a tier that charges the actual output: calls in flight hold what they may
    /// use, and part of that is idle until they complete.
    #[tokio::test(start_paused = true)]
    async fn where_the_output_binds_what_is_learned_leaves_less_of_it_unused() {
        let tier = &TIERS[1];
        let (arrivals, load) = generated(tier, 2_000);
        let mut shares = [0.0; 2];
        for (share, learned) in shares.iter_mut().zip([false, true]) {
            // So much of a minute is in flight that more must be reserved for what is unlike the mean.
            let plan = Plan {
                deviations: 2.5,
                ..plan(learned, 98, MaxTokens::Times(4))
            };
            let outcome = replay(tier, tier.client(plan.share), &arrivals, load, plan).await;
            let outcome = outcome.expect("valid limits");
            assert_eq!(outcome.violations, 0, "learned: {learned}");
            *share = outcome.share;
        }
        let [maximum, learned] = shares;
        assert!(maximum < 0.8, "{maximum}");
        assert!(learned > 0.9, "{learned}");
    }

    /// What the tests above see when the limits are too high.
    #[tokio::test(start_paused = true)]
    async fn the_provider_sees_limits_that_are_not_its_own() {
        for tier in &TIERS {
            let (arrivals, load) = generated(tier, 600);
            let plan = plan(true, 110, MaxTokens::Fitting);
            let outcome = replay(tier, tier.client(plan.share), &arrivals, load, plan).await;
            let outcome = outcome.expect("valid limits");
            assert!(outcome.violations > 0, "{}: {outcome:?}", tier.name);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_half_of_what_is_allowed_shows_as_half_used() {
        let tier = &TIERS[0];
        let (arrivals, load) = generated(tier, 600);
        for learned in [false, true] {
            let plan = plan(learned, 50, MaxTokens::Fitting);
            let outcome = replay(tier, tier.client(plan.share), &arrivals, load, plan).await;
            let share = outcome.expect("valid limits").share;
            assert!((0.45..0.55).contains(&share), "{share}");
        }
    }
}
