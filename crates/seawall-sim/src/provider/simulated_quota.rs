//! A provider inside the process that does nothing but count, for runs in virtual time.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_service::Service;

use super::meter::{Counting, Kind, Meter};
use super::settings::Limit;

/// What a limit of a [`SimulatedQuota`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Each request is one.
    Requests,
    /// The weight that a request has.
    Weight,
    /// Tokens, input and output together.
    Tokens,
    /// Tokens of input.
    InputTokens,
    /// Tokens of output.
    OutputTokens,
}

/// What one request uses.
///
/// ```
/// use seawall_sim::provider::Usage;
///
/// assert_eq!(Usage::default().weight, 1);
/// assert_eq!(Usage::weight(5).output, 0);
/// assert_eq!(Usage::tokens(300, 40), Usage { weight: 1, input: 300, output: 40 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What it weighs.
    pub weight: u32,
    /// Tokens of input.
    pub input: u32,
    /// Tokens of output that are charged.
    pub output: u32,
}

impl Default for Usage {
    /// A request of weight 1, without tokens.
    fn default() -> Self {
        Self::weight(1)
    }
}

impl Usage {
    /// A request of this weight, without tokens.
    #[must_use]
    pub const fn weight(weight: u32) -> Self {
        let (input, output) = (0, 0);
        Self {
            weight,
            input,
            output,
        }
    }

    /// A request of weight 1 with so many tokens.
    #[must_use]
    pub const fn tokens(input: u32, output: u32) -> Self {
        let weight = 1;
        Self {
            weight,
            input,
            output,
        }
    }

    /// How much of a limit on `measure` it takes.
    #[must_use]
    pub fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Requests => 1,
            Measure::Weight => self.weight.into(),
            Measure::Tokens => u64::from(self.input) + u64::from(self.output),
            Measure::InputTokens => self.input.into(),
            Measure::OutputTokens => self.output.into(),
        }
    }
}

/// A provider inside the process that counts as the simulated servers do, and responds immediately.
///
/// Servers on sockets need real time, and an hour of it is too long for a test. This is their
/// counting alone: in tokio's clock, paused or not, and without sockets. A request is counted when
/// `call` is called. If one of the limits does not allow it, it is rejected and charged to none of
/// them, and each limit that was exceeded counts a violation.
///
/// Clones share the account.
///
/// ```
/// use std::time::Duration;
/// use seawall_sim::provider::{SimulatedQuota, Counting, Limit, Measure, Usage};
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let second = Duration::from_secs(1);
/// let limit = Limit::new(2, second)?;
/// let mut api = SimulatedQuota::new().limit(Measure::Requests, limit, Counting::Sliding);
/// api.call(Usage::default()).await?;
/// tokio::time::advance(second / 2).await;
/// api.call(Usage::default()).await?;
///
/// let rejected = api.call(Usage::default()).await.unwrap_err();
/// assert_eq!(rejected.wait(), second / 2);
/// tokio::time::advance(rejected.wait()).await;
/// api.call(Usage::default()).await?;
/// let stats = api.stats();
/// assert_eq!((stats.accepted, stats.rejected), (3, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SimulatedQuota {
    start: Instant,
    account: Arc<Mutex<Account>>,
}

#[derive(Debug, Default)]
struct Account {
    meters: Vec<Meter>,
    stats: SimulatedQuotaStats,
}

impl Default for SimulatedQuota {
    fn default() -> Self {
        Self::new()
    }
}

impl SimulatedQuota {
    /// A provider without limits; the windows of [`Counting::Fixed`](super::Counting) begin now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            account: Arc::default(),
        }
    }

    /// Adds a limit, of which nothing is used. One rule counted in several ways is several limits.
    #[must_use]
    pub fn limit(self, measure: Measure, limit: Limit, counting: Counting) -> Self {
        let mut account = self.account();
        // The kind is of no effect: what is charged follows the measure.
        let meter = Meter::new(Kind::Requests, limit, counting, self.start);
        account.meters.push(meter);
        account.stats.limits.push(SimulatedQuotaLimit {
            measure,
            limit,
            counting,
            used: 0,
            violations: 0,
        });
        drop(account);
        self
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> SimulatedQuotaStats {
        self.account().stats.clone()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn admit(&mut self, usage: Usage, now: Instant) -> Result<(), Rejected> {
        let mut rejected: Option<Rejected> = None;
        let limits = self.meters.iter_mut().zip(&mut self.stats.limits);
        for (index, (meter, limit)) in limits.enumerate() {
            let wait = meter.wait(usage.of(limit.measure), now);
            if wait > Duration::ZERO {
                limit.violations += 1;
                if rejected.is_none_or(|rejected| rejected.wait < wait) {
                    rejected = Some(Rejected { limit: index, wait });
                }
            }
        }
        if let Some(rejected) = rejected {
            self.stats.rejected += 1;
            return Err(rejected);
        }
        for (meter, limit) in self.meters.iter_mut().zip(&mut self.stats.limits) {
            let amount = usage.of(limit.measure);
            meter.charge(amount, now);
            limit.used += amount;
        }
        self.stats.accepted += 1;
        Ok(())
    }
}

impl Service<Usage> for SimulatedQuota {
    type Response = ();
    type Error = Rejected;
    type Future = Ready<Result<(), Rejected>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, usage: Usage) -> Self::Future {
        ready(self.account().admit(usage, Instant::now()))
    }
}

/// What a [`SimulatedQuota`] has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimulatedQuotaStats {
    /// Requests within all limits.
    pub accepted: u64,
    /// Requests beyond one of them.
    pub rejected: u64,
    /// Each limit, in the order in which they were added.
    pub limits: Vec<SimulatedQuotaLimit>,
}

/// What a [`SimulatedQuota`] has counted at one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulatedQuotaLimit {
    /// What it is about.
    pub measure: Measure,
    /// How much is allowed.
    pub limit: Limit,
    /// How it counts.
    pub counting: Counting,
    /// What the accepted requests used of it, in total.
    pub used: u64,
    /// Requests that exceeded it.
    pub violations: u64,
}

/// A request that was beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    limit: usize,
    wait: Duration,
}

impl Rejected {
    /// The limit that allows the request last, by its index in [`SimulatedQuotaStats::limits`].
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// How long until it allows this request, if no other comes.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        self.wait
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, wait) = (self.limit, self.wait);
        write!(
            f,
            "limit {limit} is exceeded; it allows the request in {wait:?}"
        )
    }
}

impl std::error::Error for Rejected {}

#[cfg(test)]
mod tests;
