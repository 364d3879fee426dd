//! What a fallback promises, one sentence each.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

mod carry;
mod control;
mod fresh;
mod keys;
mod later;
mod loops;
mod order;
mod steps;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::{
    Classify, Degradation, Degraded, FailureKind, MarkInValue, Operation, Outcome, Policy, Reason,
    Rejection, Replay, RequestMeta,
};
use seawall_fallback::{
    Covers, Fallback, FallbackConfig, FallbackHandle, FallbackLayer, LastGood, LastGoodConfig,
    NeverOlder, Plain, Step,
};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A symbol, and what is asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ask {
    symbol: &'static str,
    meta: RequestMeta,
    fresh: bool,
}

impl Ask {
    fn of(symbol: &'static str) -> Self {
        Self {
            symbol,
            meta: RequestMeta::idempotent(),
            fresh: false,
        }
    }

    fn with(symbol: &'static str, meta: RequestMeta) -> Self {
        let fresh = false;
        Self {
            symbol,
            meta,
            fresh,
        }
    }
}

fn describe(ask: &Ask) -> RequestMeta {
    ask.meta
}

fn wants_fresh(ask: &Ask) -> bool {
    ask.fresh
}

/// A price at a time, and how often answers of it hold a permit.
#[derive(Clone, Debug)]
struct Price {
    at: i64,
    from: &'static str,
    /// What a response means.
    outcome: Outcome,
    permit: Option<Arc<()>>,
}

impl Price {
    const fn at(at: i64) -> Self {
        Self {
            at,
            from: "upstream",
            outcome: Outcome::Success,
            permit: None,
        }
    }

    fn from(from: &'static str, at: i64) -> Self {
        Self {
            from,
            ..Self::at(at)
        }
    }

    fn failed(outcome: Outcome) -> Self {
        Self {
            outcome,
            ..Self::at(0)
        }
    }
}

type Res = Degraded<Price>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Failed {
    With(Outcome),
    Rejected(Rejection),
}
seawall_core::rejectable!(Failed::Rejected);

const DOWN: Failed = Failed::With(Outcome::Failure(FailureKind::Server));

fn open() -> Failed {
    Failed::Rejected(Rejection::new(Reason::CircuitOpen, "below"))
}

#[derive(Clone, Copy, Debug, Default)]
struct ByResult;

impl Classify<Res, Failed> for ByResult {
    fn classify(&self, result: Result<&Res, &Failed>) -> Outcome {
        match result {
            Ok(price) => price.value().outcome,
            Err(Failed::With(outcome)) => *outcome,
            Err(Failed::Rejected(_)) => panic!("asked about a local rejection"),
        }
    }
}

/// Answers by a script, then with the last result for all that follow.
#[derive(Clone)]
struct Upstream {
    script: Arc<Mutex<VecDeque<Result<Price, Failed>>>>,
    takes: Duration,
    calls: Arc<AtomicUsize>,
    under_way: Arc<()>,
}

impl Upstream {
    fn new(script: impl IntoIterator<Item = Result<Price, Failed>>) -> Self {
        Self {
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            takes: Duration::ZERO,
            calls: Arc::default(),
            under_way: Arc::default(),
        }
    }

    fn down() -> Self {
        Self::new([Err(DOWN)])
    }

    fn slow(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }

    fn under_way(&self) -> usize {
        Arc::strong_count(&self.under_way) - 1
    }

    fn set(&self, result: Result<Price, Failed>) {
        *self.script.lock().unwrap() = VecDeque::from([result]);
    }
}

impl Service<Ask> for Upstream {
    type Response = Res;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Res, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Ask) -> Self::Future {
        self.calls.fetch_add(1, Relaxed);
        let mut script = self.script.lock().unwrap();
        let result = if script.len() > 1 {
            script.pop_front().unwrap()
        } else {
            script[0].clone()
        };
        let (takes, token) = (self.takes, Arc::clone(&self.under_way));
        // A clone for each call that is under way, beside those of the clones of the service.
        Box::pin(async move {
            if !takes.is_zero() {
                sleep(takes).await;
            }
            drop(token);
            result.map(Degraded::fresh)
        })
    }
}

type Described = fn(&Ask) -> RequestMeta;
type Layered = FallbackLayer<Policy<ByResult, Described>, Ask, Res, MarkInValue, fn(&Ask) -> bool>;
type Subject<S = Upstream> =
    Fallback<S, Policy<ByResult, Described>, Ask, Res, MarkInValue, fn(&Ask) -> bool, Plain>;

fn layer(steps: impl IntoIterator<Item = Step<Ask, Res>>) -> Layered {
    layer_with(FallbackConfig::default(), steps)
}

fn layer_with(config: FallbackConfig, steps: impl IntoIterator<Item = Step<Ask, Res>>) -> Layered {
    FallbackLayer::new("prices", config, steps)
        .unwrap()
        .classify(ByResult)
        .describe(describe as Described)
        .mark(MarkInValue)
        .fresh_only(wants_fresh as fn(&Ask) -> bool)
}

fn value(from: &'static str) -> Step<Ask, Res> {
    Step::value(from, Degraded::fresh(Price::from(from, 0)))
}

fn last_good(max_age: Duration) -> Step<Ask, Res> {
    let config = LastGoodConfig::builder().max_age(max_age).build().unwrap();
    Step::last_good(LastGood::new(config, |ask: &Ask| Some(ask.symbol)))
}

async fn call<S>(service: &mut S, ask: Ask) -> Result<Res, Failed>
where
    S: Service<Ask, Response = Res, Error = Failed>,
{
    service.ready().await.unwrap().call(ask).await
}

/// From where an answer is, and how it is marked.
fn marked(answer: &Res) -> (&'static str, Option<(&'static str, &'static str)>) {
    let mark = answer.degradation();
    let mark = mark.map(|mark| (mark.reason, mark.source.as_str()));
    (answer.value().from, mark)
}

fn step(handle: &FallbackHandle, name: &str) -> seawall_fallback::StepCounts {
    let steps = handle.snapshot().steps;
    let step = steps.iter().find(|step| step.name.as_str() == name);
    step.unwrap().counts
}
