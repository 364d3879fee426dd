//! tower 0.5. It has no breaker.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use tower::hedge::Hedge;
use tower::limit::rate::Rate;
use tower::limit::{ConcurrencyLimit, RateLimit};
use tower::load_shed::LoadShed;
use tower::retry::Retry;
use tower::retry::budget::{Budget, TpsBudget};
use tower::timeout::Timeout;
use tower::{BoxError, ServiceBuilder};
use tower_service::Service;

use super::{HOUR, LONG, MANY, Subject};
use crate::leaf::{Late, Leaf, call_once};

/// More calls per second than are made.
const PLENTY: u64 = u64::MAX / 2;
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        Subject::lone_service("tower/ratelimit/granted", || {
            RateLimit::new(Leaf, Rate::new(PLENTY, SECOND))
        }),
        Subject::lone_service("tower/ratelimit/refused", || {
            let mut shed = LoadShed::new(RateLimit::new(Leaf, Rate::new(1, HOUR)));
            call_once(&mut shed, 0).expect("the only token of this hour");
            shed
        })
        .rejecting(),
        Subject::service("tower/bulkhead/free", || {
            ConcurrencyLimit::new(Leaf, MANY as usize)
        }),
        Subject::service("tower/bulkhead/full", || {
            LoadShed::new(ConcurrencyLimit::new(Leaf, 0))
        })
        .rejecting(),
        Subject::service("tower/timeout/ready", || Timeout::new(Leaf, LONG)),
        Subject::service("tower/timeout/pending", || Timeout::new(Late, LONG)),
        Subject::service("tower/retry/plain", || {
            Retry::new(Attempts::new(None), Leaf)
        }),
        Subject::service("tower/retry/budget", || {
            Retry::new(Attempts::new(Some(budget())), Leaf)
        }),
        Subject::lone_service("tower/hedge/not-fired", || {
            let latencies = [100; 100];
            Hedge::new_with_mock_latencies::<u64>(Leaf, Copied, 10, 0.95, 2 * LONG, &latencies)
        }),
        Subject::service("tower/shed/free", || LoadShed::new(Leaf)),
        Subject::lone_service("tower/stack/five", || five(Leaf)),
    ]
}

/// Load shed, concurrency limit, rate limit, retry with a budget, timeout. No breaker.
pub(super) fn five<S, Req>(
    inner: S,
) -> impl Service<Req, Response = S::Response, Future: Send> + Send + use<S, Req>
where
    S: Service<Req, Response: Send, Error: Into<BoxError> + Send, Future: Send> + Clone + Send,
    Req: Sent + Send,
{
    ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(MANY as usize)
        .rate_limit(PLENTY, SECOND)
        .retry(Attempts::new(Some(budget())))
        .timeout(LONG)
        .service(inner)
}

/// A request of which the retry may or may not keep a copy.
pub(super) trait Sent: Sized {
    fn copy(&self) -> Option<Self>;
}

impl Sent for u64 {
    fn copy(&self) -> Option<Self> {
        Some(*self)
    }
}

impl<B: Clone> Sent for http::Request<B> {
    fn copy(&self) -> Option<Self> {
        self.method().is_safe().then(|| self.clone())
    }
}

fn budget() -> Arc<TpsBudget> {
    Arc::new(TpsBudget::new(Duration::from_secs(10), 10, 0.2))
}

/// Up to three attempts, without a wait.
#[derive(Clone)]
struct Attempts {
    left: u32,
    budget: Option<Arc<TpsBudget>>,
}

impl Attempts {
    fn new(budget: Option<Arc<TpsBudget>>) -> Self {
        Self { left: 2, budget }
    }
}

impl<Req: Sent, Res, E> tower::retry::Policy<Req, Res, E> for Attempts {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        if result.is_ok() {
            if let Some(budget) = &self.budget {
                budget.deposit();
            }
            return None;
        }
        let paid = self.left > 0 && self.budget.as_ref().is_none_or(|budget| budget.withdraw());
        self.left = self.left.saturating_sub(1);
        paid.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        request.copy()
    }
}

#[derive(Clone)]
struct Copied;

impl tower::hedge::Policy<u64> for Copied {
    fn clone_request(&self, request: &u64) -> Option<u64> {
        Some(*request)
    }

    fn can_retry(&self, _: &u64) -> bool {
        true
    }
}
