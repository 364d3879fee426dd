//! What the layers promise, one sentence each.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

mod age;
mod coalesce;
mod control;
mod drops;
mod files;
mod hits;
mod invalidation;
mod model;
mod newest;
mod rules;
mod sharing;
mod stale;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_cache::{
    AnyAge, Cache, CacheConfig, CacheConfigBuilder, CacheHandle, CacheLayer, Hooks, MarkInValue,
    StoreClone,
};
use seawall_core::{
    Classify, ConstMeta, Degraded, FailureKind, Outcome, Policy, Reason, Rejection, RequestMeta,
    Scope,
};
use tokio::sync::oneshot;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A price, and from which call it is.
type Price = Degraded<u64>;

/// What the upstream fails with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failed {
    Down,
    BadRequest,
    Rejected(Rejection),
}
seawall_core::rejectable!(Failed::Rejected);

/// Classifies by the number: from 900 on it is a throttle in hiding, from 800 on there is no such thing.
#[derive(Clone, Copy, Debug)]
struct ByPrice;

impl Classify<Price, Failed> for ByPrice {
    fn classify(&self, result: Result<&Price, &Failed>) -> Outcome {
        match result {
            Ok(price) if *price.value() >= 900 => Outcome::Throttled {
                retry_after: None,
                scope: Scope::Upstream,
            },
            Ok(price) if *price.value() >= 800 => Outcome::Ignored,
            Ok(_) => Outcome::Success,
            Err(Failed::BadRequest) => Outcome::Ignored,
            Err(_) => Outcome::Failure(FailureKind::Server),
        }
    }
}

type Reply = Result<Price, Failed>;

/// An upstream whose calls are answered by the test, or in order from a list, or with their number.
#[derive(Clone, Default)]
struct Upstream(Arc<Shared>);

#[derive(Default)]
struct Shared {
    calls: AtomicUsize,
    ready_polls: AtomicUsize,
    script: Mutex<VecDeque<Reply>>,
    held: Mutex<Option<Vec<oneshot::Sender<Reply>>>>,
}

impl Upstream {
    fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.0.script.lock().unwrap().extend(replies);
    }

    /// Answers nothing from now on but by [`answer`](Self::answer).
    fn hold(&self) {
        *self.0.held.lock().unwrap() = Some(Vec::new());
    }

    /// Answers the call of this number among those that are held.
    fn answer(&self, held: usize, reply: Reply) {
        let sender = self.0.held.lock().unwrap().as_mut().unwrap().remove(held);
        let _ = sender.send(reply);
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn ready_polls(&self) -> usize {
        self.0.ready_polls.load(Ordering::SeqCst)
    }
}

impl Service<&'static str> for Upstream {
    type Response = Price;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.0.ready_polls.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: &'static str) -> Self::Future {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst) as u64 + 1;
        let held = self.0.held.lock().unwrap().as_mut().map(|held| {
            let (sender, receiver) = oneshot::channel();
            held.push(sender);
            receiver
        });
        let next = self.0.script.lock().unwrap().pop_front();
        Box::pin(async move {
            match held {
                Some(receiver) => receiver.await.unwrap_or(Err(Failed::Down)),
                None => next.unwrap_or(Ok(Degraded::fresh(number))),
            }
        })
    }
}

fn key(symbol: &&'static str) -> Option<&'static str> {
    (!symbol.starts_with("order")).then_some(symbol)
}

type Key = fn(&&'static str) -> Option<&'static str>;
type MyPolicy = Policy<ByPrice, ConstMeta>;
type MyHooks<W = AnyAge> = Hooks<Key, StoreClone, MarkInValue, W>;
type MyCache<W = AnyAge> = Cache<Upstream, MyPolicy, &'static str, Price, MyHooks<W>>;
type MyHandle = CacheHandle<&'static str, Price>;
type MyLayer = CacheLayer<MyPolicy, &'static str, Price, MyHooks>;

/// Fresh for a second.
fn one_second() -> CacheConfigBuilder {
    CacheConfig::builder(SECOND)
}

fn layer(config: CacheConfigBuilder) -> MyLayer {
    CacheLayer::new("prices", config.build().unwrap())
        .classify(ByPrice)
        .describe(ConstMeta(RequestMeta::idempotent()))
        .key(key as Key)
        .mark(MarkInValue)
}

fn cache(config: CacheConfigBuilder) -> (MyCache, Upstream, MyHandle) {
    let upstream = Upstream::default();
    let layer = layer(config);
    let handle = layer.handle();
    (layer.layer(upstream.clone()), upstream, handle)
}

/// The number of a good answer.
async fn price(cache: &MyCache, symbol: &'static str) -> u64 {
    let price = cache.clone().oneshot(symbol).await.unwrap();
    price.into_fresh().unwrap()
}

fn rejected(reason: Reason) -> Reply {
    Err(Failed::Rejected(Rejection::new(reason, "below")))
}

/// Lets every task run as far as it can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Calls of ten seconds that fail.
async fn fails_after_ten_seconds(_: &'static str) -> Reply {
    tokio::time::sleep(10 * SECOND).await;
    Err(Failed::Down)
}

/// How long the last one of fifty callers that come at once, and whose calls all fail, is there.
async fn convoy<S>(service: S) -> Duration
where
    S: Service<&'static str, Response = Price, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    let began = tokio::time::Instant::now();
    let spawn = |_| tokio::spawn(service.clone().oneshot("SPY"));
    let callers: Vec<_> = (0..50).map(spawn).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Err(Failed::Down));
    }
    tokio::time::Instant::now() - began
}

/// A call that is polled once, and pending.
async fn polled_once<F: Future>(call: F) -> Pin<Box<F>> {
    let mut call = Box::pin(call);
    let first = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx)));
    assert!(first.await.is_pending());
    call
}
