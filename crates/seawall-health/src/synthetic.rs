//! A scripted call through a real stack.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_core::{Reason, Rejectable, Rejection};
use tokio::time::Instant;
use tower_service::Service;

use crate::CheckResult;
use crate::run::{Begin, Running};

/// A scripted call: a service, what to ask of it, and what to expect of the response.
///
/// Each run makes one call, of a clone of the service that it polls ready first: through a whole
/// stack, or through the client alone. It is registered with the depth
/// [`Synthetic`](crate::Depth::Synthetic), so reports and metrics mark it as such.
///
/// # What a run costs
///
/// What any call through that service costs: tokens of its rate limit, a permit, a vote in its circuit
/// and, where its retry tries again, so many requests. Nothing else is sent. An interval of 30 s makes
/// up to 3,200 calls a day; [`min_gap`](Self::min_gap) bounds them also where operators and a recovery
/// ask for further runs. Where that is too much, give the script a service with limits of its own.
///
/// Mark the request, so that the upstream and your own metrics keep it apart: with a header, and with
/// an operation of its own in what your describer makes of it
/// ([`RequestMeta`](seawall_core::RequestMeta)), and a low priority, so that it never goes before a
/// call of a user. It must be safe to repeat: look something up, never place an order.
///
/// ```
/// use seawall_health::{CheckConfig, CheckResult, HealthMonitor, Status, Synthetic};
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
/// let broker = service_fn(|path: &'static str| async move {
///     Ok::<_, std::io::Error>(format!("{path}: ACTIVE"))
/// });
/// let script = Synthetic::new(broker, || "/v2/account", |account: &String| {
///     match account.ends_with("ACTIVE") {
///         true => CheckResult::healthy(),
///         false => CheckResult::failed(format!("the account is {account}")),
///     }
/// });
/// let monitor = HealthMonitor::new("desk");
/// monitor.register_synthetic("account", CheckConfig::default(), script)?;
/// assert_eq!(monitor.run_all().await.status, Status::Healthy);
/// # Ok(()) }
/// ```
#[must_use = "it does nothing until it is registered"]
pub struct Synthetic {
    begin: Begin,
    min_gap: Duration,
}

impl Synthetic {
    /// Calls `service` with what `request` makes. An error is a failure; what a response means says
    /// `expect`, by anything that becomes a [`CheckResult`].
    pub fn new<S, R, E, C>(
        service: S,
        request: impl Fn() -> R + Send + Sync + 'static,
        expect: E,
    ) -> Self
    where
        S: Service<R, Error: fmt::Display, Future: Send> + Clone + Send + 'static,
        R: Send + 'static,
        E: Fn(&S::Response) -> C + Send + Sync + 'static,
        C: Into<CheckResult>,
    {
        Self::of(service, request, move |result| match result {
            Ok(response) => expect(response).into(),
            Err(error) => CheckResult::failed(error.to_string()),
        })
    }

    /// The same for a stack with layers of Seawall: where one of these rejects the call to keep its own
    /// limits, the run is inconclusive, since that says nothing about the upstream. An open circuit and
    /// a timeout are failures.
    pub fn through_stack<S, R, E, C>(
        stack: S,
        request: impl Fn() -> R + Send + Sync + 'static,
        expect: E,
    ) -> Self
    where
        S: Service<R, Error: Rejectable + fmt::Display, Future: Send> + Clone + Send + 'static,
        R: Send + 'static,
        E: Fn(&S::Response) -> C + Send + Sync + 'static,
        C: Into<CheckResult>,
    {
        Self::of(stack, request, move |result| match result {
            Ok(response) => expect(response).into(),
            Err(error) => {
                let reason = error.rejection().map(Rejection::reason);
                match reason {
                    Some(reason) if is_own_limit(reason) => {
                        CheckResult::inconclusive(error.to_string())
                    }
                    _ => CheckResult::failed(error.to_string()),
                }
            }
        })
    }

    fn of<S, R>(
        service: S,
        request: impl Fn() -> R + Send + Sync + 'static,
        judge: impl Fn(Result<&S::Response, &S::Error>) -> CheckResult + Send + Sync + 'static,
    ) -> Self
    where
        S: Service<R, Future: Send> + Clone + Send + 'static,
        R: Send + 'static,
    {
        let service = Mutex::new(service);
        let script = Arc::new((request, judge));
        let begin = move || -> Running {
            let mut service = service
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let script = Arc::clone(&script);
            Box::pin(async move {
                if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
                    return script.1(Err(&error));
                }
                let called = service.call(script.0());
                match called.await {
                    Ok(response) => script.1(Ok(&response)),
                    Err(error) => script.1(Err(&error)),
                }
            })
        };
        Self {
            begin: Box::new(begin),
            min_gap: Duration::ZERO,
        }
    }

    /// The shortest time from one call to the next, however often a run is asked for: one that comes sooner
    /// sends nothing and is inconclusive. Zero unless set.
    pub const fn min_gap(mut self, gap: Duration) -> Self {
        self.min_gap = gap;
        self
    }

    /// What one run does.
    pub(crate) fn into_check(self) -> impl Fn() -> Running + Send + Sync + 'static {
        let Self { begin, min_gap } = self;
        let last: Mutex<Option<Instant>> = Mutex::new(None);
        move || {
            if min_gap.is_zero() {
                return begin();
            }
            let now = Instant::now();
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| now.saturating_duration_since(last) < min_gap) {
                let message = format!("not sent: the last call was less than {min_gap:?} ago");
                return Box::pin(std::future::ready(CheckResult::inconclusive(message)));
            }
            *last = Some(now);
            drop(last);
            begin()
        }
    }
}

/// Whether a layer rejects by this what the upstream might have served.
const fn is_own_limit(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RateLimited
            | Reason::BulkheadFull
            | Reason::QueueTimeout
            | Reason::BudgetExhausted
            | Reason::TooExpensive
            | Reason::ClientThrottled
            | Reason::Paused
            | Reason::Draining
            | Reason::QuotaExhausted
    )
}

seawall_core::impl_debug!(Synthetic: |this| min_gap = this.min_gap);
