//! The trading loop: the same for every client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use seawall_sim::incident::ProviderKind;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::{Body, CallResult, Caller};
use crate::plan::{SYMBOLS, Task};
use crate::recorder::{CallStatus, Kind, OrderResult, Recorder};
use crate::world::World;

/// Where the providers are; the same for all tasks.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    broker: String,
    market_data: String,
    ai_api: String,
}

impl Addresses {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            broker: world.url(ProviderKind::Broker),
            market_data: world.url(ProviderKind::MarketData),
            ai_api: world.url(ProviderKind::AiApi),
        }
    }
}

/// What the desk knows of a symbol.
#[derive(Debug, Clone, Copy, Default)]
struct View {
    price: Option<f64>,
    /// The latest opinion: buy, sell, or none.
    buy: Option<bool>,
}

#[derive(Debug)]
struct Desk<C> {
    caller: C,
    seed: u64,
    at: Addresses,
    views: Mutex<[View; SYMBOLS.len()]>,
    recorder: Arc<Recorder>,
}

/// Trades by the plan and ends when the last call has completed. The client bounds how long a
/// call takes, and so how many there are at once.
pub(crate) async fn trade<C: Caller>(
    caller: C,
    at: Addresses,
    (seed, plan): (u64, &[(Duration, Task)]),
    zero: Instant,
    recorder: &Arc<Recorder>,
) {
    let desk = Arc::new(Desk {
        caller,
        seed,
        at,
        views: Mutex::default(),
        recorder: Arc::clone(recorder),
    });
    let mut calls = JoinSet::new();
    for (at, task) in plan {
        sleep_until(zero + *at).await;
        let desk = Arc::clone(&desk);
        let task = *task;
        calls.spawn(async move { desk.perform(task).await });
        while calls.try_join_next().is_some() {}
    }
    calls.join_all().await;
}

impl<C: Caller> Desk<C> {
    async fn perform(&self, task: Task) {
        match task {
            Task::Quote(symbol) => self.quote(symbol).await,
            Task::Opinion(symbol) => self.opinion(symbol).await,
            Task::Order {
                number,
                symbol,
                buy,
            } => self.order(number, symbol, buy).await,
            Task::Positions => {
                let url = format!("{}/v2/positions", self.at.broker);
                let timed = self.call(ProviderKind::Broker, get(&url)).await;
                let status = CallStatus::of(&timed.result, Value::is_array);
                self.recorder.call(Kind::Positions, status, timed.took);
            }
        }
    }

    async fn call(&self, provider: ProviderKind, request: Request<Body>) -> Timed {
        let start = Instant::now();
        let result = self.caller.call(provider, request).await;
        let took = Instant::now() - start;
        Timed { result, took }
    }

    fn view(&self, symbol: usize) -> View {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)[symbol]
    }

    fn learn(&self, symbol: usize, change: impl FnOnce(&mut View)) {
        change(&mut self.views.lock().unwrap_or_else(PoisonError::into_inner)[symbol]);
    }

    async fn quote(&self, symbol: usize) {
        let name = SYMBOLS[symbol];
        let url = format!("{}/v2/stocks/{name}/quotes/latest", self.at.market_data);
        let Timed { result, took } = self.call(ProviderKind::MarketData, get(&url)).await;
        let mut price = None;
        // A throttle can look like success: it is a quote only with a price in it.
        let status = CallStatus::of(&result, |body| {
            price = body["quote"]["bp"].as_f64();
            price.is_some()
        });
        if price.is_some() {
            self.learn(symbol, |view| view.price = price);
        }
        self.recorder.call(Kind::Quotes, status, took);
    }

    async fn opinion(&self, symbol: usize) {
        let price = self.view(symbol).price.unwrap_or_default();
        let question = format!("{} at {price}: buy, sell or hold?", SYMBOLS[symbol]);
        let request = post(
            &format!("{}/v1/chat/completions", self.at.ai_api),
            &json!({
                "model": "gpt-sim",
                "max_completion_tokens": 24,
                "messages": [{ "role": "user", "content": question }],
            }),
        );
        let Timed { result, took } = self.call(ProviderKind::AiApi, request).await;
        let mut opinion = None;
        let status = CallStatus::of(&result, |body| {
            let text = body["choices"][0]["message"]["content"].as_str();
            opinion = text.and_then(|text| text.split_whitespace().next().map(str::to_owned));
            opinion.is_some()
        });
        match opinion.as_deref() {
            Some("BUY") => self.learn(symbol, |view| view.buy = Some(true)),
            Some("SELL") => self.learn(symbol, |view| view.buy = Some(false)),
            Some(_) => self.learn(symbol, |view| view.buy = None),
            None => {}
        }
        self.recorder.call(Kind::Opinions, status, took);
    }

    async fn order(&self, number: u32, symbol: usize, default_buy: bool) {
        let id = format!("desk-{}-{number}", self.seed);
        let view = self.view(symbol);
        let side = if view.buy.unwrap_or(default_buy) {
            "buy"
        } else {
            "sell"
        };
        let qty = view
            .price
            .map_or(1.0, |price| (2_000.0 / price).floor().max(1.0));
        let request = post(
            &format!("{}/v2/orders", self.at.broker),
            &json!({
                "symbol": SYMBOLS[symbol],
                "qty": qty.to_string(),
                "side": side,
                "type": "market",
                "time_in_force": "day",
                "client_order_id": id,
            }),
        );
        let Timed { result, took } = self.call(ProviderKind::Broker, request).await;
        let status = CallStatus::of(&result, |body| body["id"].is_string());
        let order_result = match OrderResult::of(&result, &status) {
            OrderResult::InDoubt => {
                let settled = self.caller.settle(&id).await;
                settled.unwrap_or(OrderResult::InDoubt)
            }
            known => known,
        };
        self.recorder.order(id, order_result);
        self.recorder.call(Kind::Orders, status, took);
    }
}

struct Timed {
    result: CallResult,
    took: Duration,
}

fn request(method: Method, url: &str, body: Bytes) -> Request<Body> {
    let mut request = Request::new(Body::new(body));
    *request.method_mut() = method;
    // The providers' own addresses and plain symbols: always a valid URL.
    *request.uri_mut() = url.parse().unwrap_or_default();
    request
}

fn get(url: &str) -> Request<Body> {
    request(Method::GET, url, Bytes::new())
}

fn post(url: &str, body: &Value) -> Request<Body> {
    request(Method::POST, url, body.to_string().into())
}
