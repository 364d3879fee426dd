//! What the hedge promises, one sentence each.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

mod budget;
mod control;
mod delays;
mod held;
mod kept;
mod learned;
mod rest;
mod results;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use seawall_core::{
    Budget, BudgetConfig, Classify, Command, ConstMeta, EventKind, Events, FailureKind,
    InstanceHandle, Outcome, Policy, QuantileConfig, Reason, Received, Registry, Rejection, Replay,
    RequestMeta, Sent, Value,
};
use seawall_hedge::{Hedge, HedgeConfig, HedgeHandle, HedgeLayer, ResponseFuture};
use seawall_testkit::contract::{Mock, MockError, MockHandle, PolledFuture, Stage, mock};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SAFE: ConstMeta = ConstMeta(RequestMeta::new(Replay::Safe));

/// The first extra attempt after 100 ms, a further one each 100 ms later.
fn after_100_ms(extra: u32) -> HedgeConfig {
    let builder = HedgeConfig::builder().delay(100 * MS);
    builder.extra_attempts(extra).build().unwrap()
}

/// So many tokens and no more.
fn tokens(count: u32) -> Budget {
    Budget::new(BudgetConfig::new(0.0, 0.0, count).unwrap())
}

/// Classified by what it carries.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failed {
    With(Outcome),
    /// The number distinguishes errors of one outcome.
    Numbered(u32),
    Rejected(Rejection),
}
seawall_core::rejectable!(Failed::Rejected);

#[derive(Clone, Copy, Debug)]
struct ByError;

impl Classify<u32, Failed> for ByError {
    fn classify(&self, result: Result<&u32, &Failed>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(Failed::With(outcome)) => *outcome,
            Err(Failed::Numbered(_)) => Outcome::Failure(FailureKind::Server),
            Err(Failed::Rejected(_)) => panic!("times about a local rejection"),
        }
    }
}

const SERVER: Failed = Failed::With(Outcome::Failure(FailureKind::Server));
const NOT_SENT: Failed = Failed::With(Outcome::Failure(FailureKind::NotSent));

fn rejected(reason: Reason, sent: Sent) -> Failed {
    Failed::Rejected(Rejection::new(reason, "below").with_sent(sent))
}

/// Completes its calls, in order, after a time with a result; the last one for all that follow.
#[derive(Clone)]
struct Upstream {
    script: Arc<Vec<(Duration, Result<u32, Failed>)>>,
    calls: Arc<Mutex<Vec<Instant>>>,
    open: Arc<AtomicUsize>,
    start: Instant,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    fn new(script: impl Into<Vec<(Duration, Result<u32, Failed>)>>) -> Self {
        Self {
            script: Arc::new(script.into()),
            calls: Arc::default(),
            open: Arc::default(),
            start: Instant::now(),
        }
    }

    fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// When each call arrived, in milliseconds since the upstream was made.
    fn arrivals(&self) -> Vec<u128> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .map(|at| at.duration_since(self.start).as_millis())
            .collect()
    }

    /// Calls that are neither completed nor dropped.
    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Service<u32> for Upstream {
    type Response = u32;
    type Error = Failed;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<u32, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        let mut calls = self.calls.lock().unwrap();
        let (wait, result) = self.script[calls.len().min(self.script.len() - 1)];
        calls.push(Instant::now());
        self.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(Arc::clone(&self.open));
        Box::pin(async move {
            let _open = open;
            if !wait.is_zero() {
                sleep(wait).await;
            }
            result
        })
    }
}

type Layered = HedgeLayer<Policy<ByError, ConstMeta>>;

fn layer(config: HedgeConfig) -> Layered {
    HedgeLayer::new("hedge", config)
        .classify(ByError)
        .describe(SAFE)
}

/// Makes one call: its result, and how long it took in milliseconds.
async fn call<S>(service: &mut S) -> (Result<u32, S::Error>, u128)
where
    S: Service<u32, Response = u32>,
    S::Error: std::fmt::Debug,
{
    let before = Instant::now();
    let result = service.ready().await.unwrap().call(7).await;
    (result, Instant::now().duration_since(before).as_millis())
}

/// The same within some milliseconds, since a timer ends at a whole one after its time.
#[track_caller]
fn assert_about(ms: u128, expected: u128) {
    assert!(
        (expected..=expected + 2).contains(&ms),
        "{ms} ms, expected {expected}"
    );
}

fn counter(handle: &HedgeHandle, metric: &str, label: &str) -> u64 {
    let mut found = None;
    handle.samples(&mut seawall_core::Samples::new(&mut |sample| {
        if sample.metric == metric && sample.labels.iter().any(|(_, value)| *value == label) {
            let Value::Counter(count) = sample.value else {
                panic!("{metric} is no counter");
            };
            found = Some(count);
        }
    }));
    found.unwrap_or_else(|| panic!("no {metric} {label}"))
}

/// won, lost, failed, not sent, abandoned.
fn extra_counts(handle: &HedgeHandle) -> [u64; 5] {
    ["won", "lost", "failed", "not_sent", "abandoned"]
        .map(|outcome| counter(handle, "seawall_hedge_attempts_total", outcome))
}
