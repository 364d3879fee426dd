//! The libraries, each with three attempts, an exponential backoff from 1 s and its jitter.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_breaker::{BreakerConfig, BreakerLayer};
use seawall_core::{Budget as Ours, BudgetConfig, ConstMeta, ErrorIsFailure, WrapErrorLayer};
use seawall_retry::{RetryConfig, RetryLayer};
use tokio::time::timeout;
use tower::retry::Policy;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};
use tower::util::rng::Rng;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_resilience::retry::{ExponentialRandomBackoff, RetryBudget, RetryBudgetBuilder};

use crate::BoxError;
use crate::bucket::Bucket;
use crate::upstream::{Down, Upstream, scatter};

const SECOND: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(60);
/// tower 0.5.3 scales whole seconds and the rest of a wait apart and drops the fractions of the
/// seconds, so that a base of 1 s would get no jitter at all.
const TOWERS_BASE: Duration = Duration::from_millis(999);
const ATTEMPTS: u32 = 3;
/// How long a caller waits for the response to an attempt, for every library.
const TIMEOUT: Duration = SECOND;

/// Makes one call; whether it succeeded.
pub(crate) type Call = Arc<dyn Fn(u64) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// One run that a library's calls are made for.
pub(crate) struct Run {
    pub(crate) upstream: Upstream,
    pub(crate) clients: u32,
    pub(crate) seed: u64,
}

/// One library with one budget.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) budget: &'static str,
    /// One service for all clients, or one for each.
    pub(crate) make: fn(&Run) -> Result<Vec<Call>, BoxError>,
}

pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) subjects: &'static [Subject],
}

const fn subject(
    name: &'static str,
    budget: &'static str,
    make: fn(&Run) -> Result<Vec<Call>, BoxError>,
) -> Subject {
    Subject { name, budget, make }
}

pub(crate) const GROUPS: [Group; 5] = [
    Group {
        title: "without a budget",
        subjects: &[
            subject("no retry", "one attempt", |run| {
                Ok(vec![calls(leaf(&run.upstream))])
            }),
            subject("tower, no budget", "none", |run| {
                Ok(vec![towers(run, None)?])
            }),
            subject("tower-resilience, no budget", "none", |run| {
                Ok(vec![resilience(run, None)?])
            }),
            subject("seawall, no budget", "none", |run| {
                Ok(vec![ours(run, run.seed, None)])
            }),
        ],
    },
    Group {
        title: "each one's default budget, one for all clients",
        subjects: &[
            subject(
                "tower, TPS",
                "of the last 10 s: 1/5 per success, 10/s",
                |run| Ok(vec![towers(run, Some(Arc::default()))?]),
            ),
            subject(
                "tower-resilience, bucket",
                "100 saved up, 1 per success, 10/s",
                |run| Ok(vec![resilience(run, Some(bucket(100, 10)))?]),
            ),
            subject(
                "tower-resilience, AIMD",
                "10 to 1000 saved up, 1 per success, halved when empty",
                |run| {
                    let budget = RetryBudgetBuilder::new().aimd().build()?;
                    Ok(vec![resilience(run, Some(budget))?])
                },
            ),
            subject("seawall", "20 saved up, 1/5 per success, 1/s", |run| {
                Ok(vec![ours(run, run.seed, Some(Ours::default()))])
            }),
        ],
    },
    Group {
        title: "the peers with seawall's allowance in an outage, as near as each can be configured",
        subjects: &[
            subject(
                "tower, TPS, 1 s",
                "of the last 1 s: 1/5 per success, 1/s",
                |run| {
                    let budget = Arc::new(TpsBudget::new(SECOND, 1, 0.2));
                    Ok(vec![towers(run, Some(budget))?])
                },
            ),
            subject(
                "tower-resilience, bucket of 20",
                "20 saved up, 1 per success, 1/s",
                |run| Ok(vec![resilience(run, Some(bucket(20, 1)))?]),
            ),
            subject(
                "tower-resilience, AIMD to 20",
                "10 to 20 saved up, 1 per success, halved when empty",
                |run| {
                    let budget = RetryBudgetBuilder::new().aimd().max_budget(20).build()?;
                    Ok(vec![resilience(run, Some(budget))?])
                },
            ),
        ],
    },
    Group {
        title: "seawall with the allowance of tower-resilience's bucket, and above its breaker",
        subjects: &[
            subject(
                "seawall, budget of 100",
                "100 saved up, 1 per success, 10/s",
                |run| {
                    let budget = Ours::new(BudgetConfig::new(1.0, 10.0, 100)?);
                    Ok(vec![ours(run, run.seed, Some(budget))])
                },
            ),
            subject(
                "seawall, above a breaker",
                "as seawall; opens after 5 failures in a row, for 5 s",
                |run| Ok(vec![above_a_breaker(run)?]),
            ),
        ],
    },
    Group {
        title: "each one's default budget, but one for each client: nothing is shared",
        subjects: &[
            subject(
                "tower, TPS each",
                "of the last 10 s: 1/5 per success, 10/s",
                |run| each(run, |_| towers(run, Some(Arc::default()))),
            ),
            subject(
                "tower-resilience, bucket each",
                "100 saved up, 1 per success, 10/s",
                |run| each(run, |_| resilience(run, Some(bucket(100, 10)))),
            ),
            subject(
                "seawall, budget each",
                "20 saved up, 1/5 per success, 1/s",
                |run| {
                    each(run, |client| {
                        let seed = scatter(run.seed) ^ u64::from(client);
                        Ok(ours(run, seed, Some(Ours::default())))
                    })
                },
            ),
        ],
    },
];

/// What is the same in every row of a library.
pub(crate) const WAITS: &str = "\
Every library makes up to 3 attempts, doubles the wait from one to the next, and draws its jitter:
  tower             0.999 s and up to half as much more, then 1.998 s and up to 0.5 s more
                    (a base of 1 s would get no jitter from tower 0.5.3; one seeded generator)
  tower-resilience  0.5 to 1.5 s, then 1 to 3 s
                    (ExponentialRandomBackoff of 0.5, which draws from the thread's generator and
                    cannot be seeded; its bucket's rules on tokio's clock)
  seawall           0 to 1 s, then 0 to 2 s (its default, full jitter; shorter waits on average)
An attempt without a response in 1 s has failed. Budgets are full at the start, an extra attempt costs 1.
";

fn leaf(
    upstream: &Upstream,
) -> impl Service<u64, Response = u64, Error = Down, Future: Send> + Clone + Send + Sync + 'static {
    let upstream = upstream.clone();
    service_fn(move |request| {
        let response = timeout(TIMEOUT, upstream.clone().ask(request));
        async move { response.await.unwrap_or(Err(Down)) }
    })
}

fn calls<S>(service: S) -> Call
where
    S: Service<u64, Future: Send> + Clone + Send + Sync + 'static,
{
    Arc::new(move |request| {
        let service = service.clone();
        Box::pin(async move { service.oneshot(request).await.is_ok() })
    })
}

fn each(run: &Run, make: impl FnMut(u32) -> Result<Call, BoxError>) -> Result<Vec<Call>, BoxError> {
    (0..run.clients).map(make).collect()
}

fn layer(seed: u64) -> RetryLayer<seawall_core::Policy<ErrorIsFailure, ConstMeta>> {
    RetryLayer::new("storm", RetryConfig::default())
        .assume_idempotent()
        .seed(seed)
}

fn ours(run: &Run, seed: u64, budget: Option<Ours>) -> Call {
    let layer = match budget {
        Some(budget) => layer(seed).budget(budget),
        None => layer(seed).without_budget(),
    };
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(leaf(&run.upstream));
    calls(service)
}

fn above_a_breaker(run: &Run) -> Result<Call, BoxError> {
    let breaker = BreakerConfig::builder()
        .consecutive_failures(5)
        .open_for(5 * SECOND)
        .build()?;
    let service = ServiceBuilder::new()
        .layer(layer(run.seed))
        .layer(BreakerLayer::new("storm", breaker))
        .layer(WrapErrorLayer)
        .service(leaf(&run.upstream));
    Ok(calls(service))
}

fn bucket(most: u32, per_second: u32) -> Arc<dyn RetryBudget> {
    Arc::new(Bucket::full(most, per_second))
}

fn resilience(run: &Run, budget: Option<Arc<dyn RetryBudget>>) -> Result<Call, BoxError> {
    let layer = tower_resilience::retry::RetryLayer::<u64, u64, Down>::builder()
        .max_attempts(ATTEMPTS as usize)
        .backoff(ExponentialRandomBackoff::new(SECOND, 0.5)?.max_interval(CAP));
    let layer = match budget {
        Some(budget) => layer.budget(budget),
        None => layer,
    };
    let service = ServiceBuilder::new()
        .layer(layer.build())
        .service(leaf(&run.upstream));
    Ok(calls(service))
}

fn towers(run: &Run, budget: Option<Arc<TpsBudget>>) -> Result<Call, BoxError> {
    let dice = Dice(Arc::new(AtomicU64::new(scatter(run.seed))));
    let mut maker = ExponentialBackoffMaker::new(TOWERS_BASE, CAP, 0.5, dice)?;
    let policy = Thrice {
        left: ATTEMPTS - 1,
        backoff: maker.make_backoff(),
        budget,
    };
    let service = ServiceBuilder::new()
        .retry(policy)
        .service(leaf(&run.upstream));
    Ok(calls(service))
}

/// Goes on in every clone. Tower clones the policy for each call, and clones of its own generator
/// would draw the same waits for all of them.
#[derive(Clone)]
struct Dice(Arc<AtomicU64>);

impl Rng for Dice {
    fn next_u64(&mut self) -> u64 {
        scatter(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Tower leaves this to its users.
#[derive(Clone)]
struct Thrice {
    left: u32,
    backoff: ExponentialBackoff<Dice>,
    budget: Option<Arc<TpsBudget>>,
}

impl Policy<u64, u64, Down> for Thrice {
    type Future = <ExponentialBackoff<Dice> as Backoff>::Future;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, Down>) -> Option<Self::Future> {
        if result.is_ok() {
            if let Some(budget) = &self.budget {
                budget.deposit();
            }
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let paid = self.budget.as_ref().is_none_or(|budget| budget.withdraw());
        paid.then(|| self.backoff.next_backoff())
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}
