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

/// How long an answer takes: so long, and so long per token.
const FIRST_TOKEN: Duration = Duration::from_millis(500);
const PER_TOKEN: Duration = Duration::from_millis(20);

/// What callers set `max_tokens` to: they know how long an answer gets up to a factor of four.
const MOST: [u32; 5] = [64, 256, 1_024, 4_096, 16_384];

/// A call.
#[derive(Debug, Clone, Copy)]
struct Ask {
    input: u32,
    /// The most that the answer may have.
    most: u32,
    /// What it will have; the caller does not know.
    output: u32,
    came: Instant,
}

impl Ask {
    fn new(arrival: &Arrival, max_tokens: Option<u32>) -> Self {
        let fitting = || MOST.into_iter().find(|most| *most >= arrival.output);
        let most = max_tokens.or_else(fitting).unwrap_or(u32::MAX);
        Self {
            input: arrival.input,
            most,
            output: arrival.output.min(most),
            came: Instant::now(),
        }
    }

    /// What the provider charges.
    fn usage(&self, tier: &Tier) -> Usage {
        let output = if tier.charges_most {
            self.most
        } else {
            self.output
        };
        Usage::tokens(self.input, output)
    }
}

/// An answer with what it says of its usage.
#[derive(Debug)]
struct Answer {
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

/// The provider: it counts at once, and answers later.
#[derive(Clone)]
struct Model {
    tier: Tier,
    counters: SimulatedQuota,
    zero: Instant,
    log: Arc<Mutex<Vec<Departed>>>,
}

impl Service<Ask> for Model {
    type Response = Answer;
    type Error = Rejected;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Rejected>> + Send>>;

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
        let charged = (!self.tier.charges_most).then_some(ask.output);
        Box::pin(async move {
            counted.await?;
            sleep(FIRST_TOKEN + PER_TOKEN * ask.output).await;
            Ok(Answer { charged })
        })
    }
}

/// What came of a trace.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) arrivals: usize,
    pub(crate) granted: usize,
    pub(crate) rejected: usize,
    pub(crate) violations: u64,
    /// Minutes at whose end calls waited: more was asked for than the limits let through.
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
    // The input is known, the output is taken for the most that it may be until it is known.
    let layer = RateLimitLayer::new(tier.name, config).describe(|ask: &Ask| {
        RequestMeta::new(Replay::Never).with_tokens(TokenCount::new(ask.input, ask.most))
    });
    let spent = |answer: Result<&Answer, &Error<Rejected>>, say: &mut dyn FnMut(QuotaSignal)| {
        if let Ok(Answer {
            charged: Some(amount),
        }) = answer
        {
            say(QuotaSignal::Spent {
                unit: Unit::OutputTokens,
                amount: u64::from(*amount),
            });
        }
    };
    let client = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(layer.feedback(spent))
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
    while let Some(answer) = calls.join_next().await {
        let answer = answer.expect("no call panics");
        rejected += usize::from(answer.is_err_and(|error| error.rejection().is_some()));
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
    fn made_up(tier: &Tier, longest: u32) -> (Vec<Arrival>, u32) {
        let made_up = trace::synthetic(1, longest);
        let arrivals = trace::read(&made_up).expect("it is of the format");
        let load = crate::heavy(tier, &arrivals, None).expect("it grows");
        (arrivals, load)
    }

    #[tokio::test(start_paused = true)]
    async fn no_tier_sees_a_violation_and_what_it_allows_is_used() {
        for tier in &TIERS {
            let (arrivals, load) = made_up(tier, 600);
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

    /// Long answers at a tier that charges them as they are: calls under way hold what they may
    /// use, and part of that is idle until they are answered. Never settled, the share would be
    /// that of the answers in their `max_tokens`, about 0.4.
    #[tokio::test(start_paused = true)]
    async fn where_the_output_binds_what_is_under_way_is_held_and_settled() {
        let tier = &TIERS[1];
        let (arrivals, load) = made_up(tier, 2_000);
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
            let (arrivals, load) = made_up(tier, 600);
            let limits = tier.client().into_iter();
            let higher = limits.map(|limit| {
                Limit::strict(limit.count() / 10 * 11, MINUTE).with_unit(limit.unit())
            });
            let outcome = replay(tier, higher.collect(), &arrivals, load, None).await;
            let outcome = outcome.expect("valid limits");
            assert!(outcome.violations > 0, "{}: {outcome:?}", tier.name);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_half_of_what_is_allowed_shows_as_half_used() {
        let tier = &TIERS[0];
        let (arrivals, load) = made_up(tier, 600);
        let limits = tier.client().into_iter();
        let half =
            limits.map(|limit| Limit::strict(limit.count() / 2, MINUTE).with_unit(limit.unit()));
        let outcome = replay(tier, half.collect(), &arrivals, load, None).await;
        let share = outcome.expect("valid limits").share;
        assert!((0.45..0.55).contains(&share), "{share}");
    }
}
