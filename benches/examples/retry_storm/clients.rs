//! The libraries, each with three attempts, waits from 1 s doubled, and jitter where it has one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Always, LiftLayer, Meta, Replay};
use seawall_retry::{RetryConfig, RetryLayer};
use tower::retry::Policy;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};
use tower::util::rng::HasherRng;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_resilience::retry::{RetryBudget, RetryBudgetBuilder};

use crate::BoxError;
use crate::upstream::{Down, Upstream};

const SECOND: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(60);

/// Makes one call; whether it succeeded.
pub(crate) type Call = Arc<dyn Fn(u64) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) make: fn(Upstream) -> Result<Call, BoxError>,
}

const fn client(name: &'static str, make: fn(Upstream) -> Result<Call, BoxError>) -> Client {
    Client { name, make }
}

pub(crate) const CLIENTS: [Client; 8] = [
    client("no retry", |upstream| Ok(calls(leaf(upstream)))),
    client("tower", |upstream| towers(upstream, None)),
    client("tower, budget", |upstream| {
        // A fifth of the calls and one per second, as is our default.
        let budget = TpsBudget::new(10 * SECOND, 1, 0.2);
        towers(upstream, Some(Arc::new(budget)))
    }),
    client("tower-resilience", |upstream| resilience(upstream, None)),
    client("tower-resilience, token bucket", |upstream| {
        let budget = RetryBudgetBuilder::new().token_bucket().build()?;
        resilience(upstream, Some(budget))
    }),
    client("tower-resilience, AIMD budget", |upstream| {
        let budget = RetryBudgetBuilder::new().aimd().build()?;
        resilience(upstream, Some(budget))
    }),
    client("seawall, without its budget", |upstream| {
        Ok(ours(upstream, RetryLayer::without_budget))
    }),
    client("seawall", |upstream| Ok(ours(upstream, |layer| layer))),
];

fn leaf(
    upstream: Upstream,
) -> impl Service<u64, Response = u64, Error = Down, Future: Send> + Clone + Send + Sync + 'static {
    service_fn(move |request| upstream.clone().ask(request))
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

type Ours = RetryLayer<seawall_core::ErrorIsFailure, Always>;

fn ours(upstream: Upstream, with: fn(Ours) -> Ours) -> Call {
    let layer = RetryLayer::new("storm", RetryConfig::default())
        .describe(Always(Meta::new(Replay::Safe)))
        .seed(7);
    let service = ServiceBuilder::new()
        .layer(with(layer))
        .layer(LiftLayer)
        .service(leaf(upstream));
    calls(service)
}

fn resilience(upstream: Upstream, budget: Option<Arc<dyn RetryBudget>>) -> Result<Call, BoxError> {
    let layer = tower_resilience::retry::RetryLayer::<u64, u64, Down>::builder()
        .max_attempts(3)
        .exponential_backoff(SECOND);
    let layer = match budget {
        Some(budget) => layer.budget(budget),
        None => layer,
    };
    let service = ServiceBuilder::new()
        .layer(layer.build())
        .service(leaf(upstream));
    Ok(calls(service))
}

fn towers(upstream: Upstream, budget: Option<Arc<TpsBudget>>) -> Result<Call, BoxError> {
    let mut maker = ExponentialBackoffMaker::new(SECOND, CAP, 0.5, HasherRng::default())?;
    let policy = Thrice {
        left: 2,
        backoff: maker.make_backoff(),
        budget,
    };
    let service = ServiceBuilder::new().retry(policy).service(leaf(upstream));
    Ok(calls(service))
}

/// Tower leaves this to its users.
#[derive(Clone)]
struct Thrice {
    left: u32,
    backoff: ExponentialBackoff,
    budget: Option<Arc<TpsBudget>>,
}

impl Policy<u64, u64, Down> for Thrice {
    type Future = <ExponentialBackoff as Backoff>::Future;

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
