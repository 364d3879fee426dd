//! What the retry promises, one sentence each.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

mod attempts;
mod budget;
mod control;
mod copies;
mod held;
mod hooks;
mod kept;
mod limits;
mod pace;
mod pushback;
mod rejections;
mod rest;
mod schedules;
mod sent_status;
mod storm;

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_core::{
    Backoff, Budget, BudgetConfig, Classify, ConstMeta, CostClass, ErrorIsFailure, EventKind,
    Events, FailureKind, InstanceHandle, Jitter, Outcome, Policy, Reason, Received, Registry,
    Rejectable, Rejection, Replay, RequestMeta, Scope, Sent, Value,
};
use seawall_retry::{
    AdaptiveRate, Attempt, CompletedAttempt, ResponseFuture, Retry, RetryConfig, RetryCounts,
    RetryDecision, RetryHandle, RetryLayer, StopReason, Stopped,
};
use seawall_testkit::contract::{Mock, MockError, PolledFuture, Stage, mock};
use tokio::time::{Instant, advance, sleep};
use tower::limit::ConcurrencyLimitLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const SAFE: ConstMeta = ConstMeta(RequestMeta::new(Replay::Safe));

/// Attempts one second apart, then two, then four; waits that are named are exact.
fn ladder(attempts: u32) -> RetryConfig {
    let backoff = Backoff::exponential(SECOND, 60 * SECOND).unwrap();
    RetryConfig::builder()
        .attempts(attempts)
        .retry_after_jitter(0.0)
        .backoff(backoff.with_jitter(Jitter::None))
        .build()
        .unwrap()
}

/// The results of the upstream, and when it was called.
#[derive(Clone)]
struct Upstream {
    results: Arc<Mutex<Vec<Result<u32, Failed>>>>,
    times: Arc<Mutex<Vec<Instant>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Failed {
    With(Outcome),
    Hinted(Duration),
    Rejected(Rejection),
}
seawall_core::rejectable!(Failed::Rejected);

/// Takes the outcome out of the error.
#[derive(Clone, Copy, Debug)]
struct ByError;

impl Classify<u32, Failed> for ByError {
    fn classify(&self, result: Result<&u32, &Failed>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(Failed::With(outcome)) => *outcome,
            Err(Failed::Hinted(_)) => Outcome::Failure(FailureKind::Overloaded),
            Err(Failed::Rejected(_)) => panic!("times about a local rejection"),
        }
    }

    fn retry_after(&self, result: Result<&u32, &Failed>) -> Option<Duration> {
        match result {
            Err(Failed::Hinted(wait)) => Some(*wait),
            _ => None,
        }
    }
}

impl Upstream {
    /// Returns these results, then echoes.
    fn new(results: impl IntoIterator<Item = Failed>) -> Self {
        let mut results: Vec<_> = results.into_iter().map(Err).collect();
        results.reverse();
        Self {
            results: Arc::new(Mutex::new(results)),
            times: Arc::default(),
        }
    }

    fn service(
        &self,
    ) -> impl Service<u32, Response = u32, Error = Failed, Future: Send + Unpin> + Clone + use<>
    {
        let upstream = self.clone();
        service_fn(move |request| {
            upstream.times.lock().unwrap().push(Instant::now());
            let result = upstream.results.lock().unwrap().pop();
            std::future::ready(result.unwrap_or(Ok(request)))
        })
    }

    fn calls(&self) -> usize {
        self.times.lock().unwrap().len()
    }

    /// The pauses between attempts.
    fn pauses(&self) -> Vec<Duration> {
        let times = self.times.lock().unwrap();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

const SERVER: Failed = Failed::With(Outcome::Failure(FailureKind::Server));
const NOT_SENT: Failed = Failed::With(Outcome::Failure(FailureKind::NotSent));
const UNKNOWN: Failed = Failed::With(Outcome::Unknown);

const fn throttled(retry_after: Option<Duration>) -> Failed {
    Failed::With(Outcome::Throttled {
        retry_after,
        scope: Scope::Upstream,
    })
}

fn layer(config: RetryConfig, replay: Replay) -> RetryLayer<Policy<ByError, ConstMeta>> {
    RetryLayer::new("r", config)
        .describe(ConstMeta(RequestMeta::new(replay)))
        .classify(ByError)
}

/// One call through a fresh layer, its result and the upstream that saw it.
async fn one_call(
    config: RetryConfig,
    replay: Replay,
    results: impl IntoIterator<Item = Failed>,
) -> (Result<u32, Failed>, Upstream, RetryHandle) {
    let upstream = Upstream::new(results);
    let layer = layer(config, replay);
    let mut service = layer.layer(upstream.service());
    let result = service.ready().await.unwrap().call(7).await;
    (result, upstream, layer.handle())
}

fn rejected(reason: Reason, retry_after: Option<Duration>) -> Failed {
    let rejection = Rejection::new(reason, "below");
    Failed::Rejected(match retry_after {
        Some(wait) => rejection.with_retry_after(wait),
        None => rejection,
    })
}

fn tokens(capacity: u32) -> Budget {
    Budget::new(BudgetConfig::new(0.5, 0.0, capacity).unwrap())
}

mod auto_traits {
    use super::*;
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    // A service that must stay on its thread.
    #[derive(Clone)]
    struct Local(Rc<Cell<u32>>);
    impl Service<u32> for Local {
        type Response = u32;
        type Error = Rejection;
        type Future = std::future::Ready<Result<u32, Rejection>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: u32) -> Self::Future {
            self.0.set(self.0.get() + 1);
            std::future::ready(Ok(request))
        }
    }

    type Future<S> = ResponseFuture<S, u32, Policy>;

    assert_impl_all!(Retry<Mock>: Send, Sync, Clone, Unpin);
    assert_impl_all!(Future<Mock>: Send, Sync);
    assert_impl_all!(RetryLayer: Send, Sync, Clone);
    assert_impl_all!(RetryHandle: Send, Sync, Clone, std::fmt::Debug);
    assert_not_impl_any!(Retry<Local>: Send, Sync);
    assert_not_impl_any!(Future<Local>: Send, Sync);
    // The pause is stored in the future, so a future has an address of its own.
    assert_not_impl_any!(Future<Mock>: Unpin);

    #[tokio::test(start_paused = true)]
    async fn a_service_that_must_stay_on_its_thread_can_be_retried() {
        let count = Rc::new(Cell::new(0));
        let layer = RetryLayer::new("local", RetryConfig::default());
        let mut service = layer.layer(Local(Rc::clone(&count)));
        assert_eq!(service.ready().await.unwrap().call(1).await, Ok(1));
        assert_eq!(count.get(), 1);
    }
}
