//! The same client behind Seawall's stacks: those of the catalogue, with numbers for a run of seconds.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use seawall::cache::{CacheLayer, Hooks, StoredOutcome};
use seawall::catalog::ProviderStack;
use seawall::config::{AnswerLayers, Config};
use seawall::fallback::FallbackLayer;
use seawall::http_client::cache::{HttpCache, HttpCacheKey, HttpStored, StoreBody};
use seawall::http_client::inspect::{BodyRule, BodyRules};
use seawall::http_client::quota::RateLimitHeaders;
use seawall::http_client::{HttpMark, ReceivedBody};
use seawall::orders::journal::MemoryJournal;
use seawall::orders::protocol::{
    Duplicates, IntentState, ModePolicy, Rules, Settlement, TradingMode,
};
use seawall::orders::switch::KillSwitch;
use seawall::orders::{OrderConfig, OrderHandle};
use seawall::timeout::AttemptTimeoutLayer;
use seawall::trading::{OrderStack, OrderStackBuilder};
use seawall::{
    Answers, BreakerLayer, BulkheadLayer, Degradation, Error, HttpPolicy, HttpService,
    InvalidConfig, KeyedRateLimitLayer, NoLayer, Outcome, Policy, Reason, Registry, Rejection,
    RetryLayer, Scope, Sent, Slots,
};
use seawall_sim::incident::ProviderKind;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

use crate::client::{Body, BoxError, CallResult, Caller, result_of};
use crate::recorder::OrderResult;
use crate::upstream::Upstream;

/// The layers of a provider's stack, with those that answer in its place.
type DeskSlots<G> = Slots<
    RetryLayer,
    NoLayer,
    NoLayer,
    BulkheadLayer,
    KeyedRateLimitLayer,
    BreakerLayer,
    NoLayer,
    AttemptTimeoutLayer,
    NoLayer,
    G,
>;
type DeskService<G> = HttpService<Upstream, HttpPolicy, BodyRules, DeskSlots<G>>;
type LastQuotes = CacheLayer<
    Policy,
    HttpCacheKey,
    StoredOutcome<HttpStored>,
    Hooks<HttpCache, StoreBody, HttpMark>,
>;
type Hold = FallbackLayer<Policy, Request<Body>, Response<ReceivedBody<Body>>, HttpMark>;
type BrokerClient = <OrderStack<Body> as Layer<Upstream>>::Service;

#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    broker: BrokerClient,
    orders: OrderHandle,
    market_data: DeskService<Answers<NoLayer, LastQuotes>>,
    ai_api: DeskService<Answers<Hold>>,
}

/// The services of the desk and their numbers; the environment may override them.
const SERVICES: &str = include_str!("seawall.toml");

impl Guarded {
    /// Stacks around the clients of the three providers, with their layers in a registry, new orders stopped by
    /// a switch, and variables put over the file.
    pub(crate) fn registered(
        upstream: impl Fn(ProviderKind) -> Upstream,
        registry: &Registry,
        kill_switch: KillSwitch,
        variables: &[(&str, &str)],
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let config = Config::loader().text("seawall.toml", SERVICES);
        let config = config
            .environment(variables.iter().copied())
            .from_env()
            .load()?;
        // The headers of limits have whole seconds, and here a limit lasts no longer than that.
        let seconds = |stack: ProviderStack| stack.rate_limit_headers(RateLimitHeaders::new());
        let stack = |name| -> Result<ProviderStack, Box<dyn std::error::Error>> {
            Ok(seconds(config.service(name)?.build()?))
        };
        let mut answers = config.service("market-data")?.answers();
        let quotes = last_quotes(&mut answers)?;
        let market_data = seconds(answers.build()?).inspect(hidden_throttle());
        let market_data = market_data.cache(quotes)?;
        let broker = order_stack(stack("broker")?, kill_switch)?;
        let mut answers = config.service("ai")?.answers();
        let hold = hold(&mut answers)?;
        let ai_api = seconds(answers.build()?).fallback(hold)?;
        market_data.register(registry)?;
        broker.register(registry)?;
        ai_api.register(registry)?;
        Ok(Self {
            orders: broker.handles().orders,
            broker: broker.layer(upstream(ProviderKind::Broker)),
            market_data: market_data.layer(upstream(ProviderKind::MarketData)),
            ai_api: ai_api.layer(upstream(ProviderKind::AiApi)),
        })
    }

    pub(crate) fn orders(&self) -> OrderHandle {
        self.orders.clone()
    }
}

/// Orders are sent once, and looked up. A day is a run of seconds here, so what is lost is looked for after
/// fractions of one, and what was sent is executed within four seconds, or never. Nothing is sent again
/// after a crash, so the journal may be lost with the process.
fn order_stack(
    stack: ProviderStack,
    kill_switch: KillSwitch,
) -> Result<OrderStack<Body>, Box<dyn std::error::Error>> {
    let rules = Rules::builder(Duplicates::RejectWhileOpen)
        .window(Duration::from_secs(4))
        .first_look_up(Duration::from_millis(200))
        .backoff(Duration::from_millis(300))
        .max_backoff(Duration::from_secs(2))
        .look_up_timeout(Duration::from_secs(3))
        .look_ups(30)
        .build()?;
    let broker = seawall::provider("alpaca")?
        .broker_table()?
        .with_rules(rules);
    let config = OrderConfig::builder()
        .deadline(Duration::from_secs(12))
        .build()?;
    // A circuit opens for half a second here, and an order may wait for that.
    let policy = ModePolicy::builder()
        .on_circuit_open(TradingMode::Normal)
        .on_limits_spent(TradingMode::Normal)
        .reduce_from(20)
        .build()?;
    let stack = OrderStackBuilder::new(stack, broker, MemoryJournal::default());
    let stack = stack.config(config).policy(policy);
    Ok(stack
        .kill_switch(move || kill_switch.is_engaged())
        .build()?)
}

/// The cache of the file, for HTTP.
fn last_quotes(answers: &mut AnswerLayers) -> Result<LastQuotes, InvalidConfig> {
    Ok(answers
        .cache()?
        .rules(HttpCache::new())
        .store(StoreBody::new())
        .mark(HttpMark))
}

/// Where the model gives no opinion the desk does nothing: the answer of the file.
fn hold(answers: &mut AnswerLayers) -> Result<Hold, InvalidConfig> {
    let hold = answers.fallback_value()?.named("hold");
    Ok(answers.fallback([hold])?.mark(HttpMark))
}

/// This vendor's throttle may come as a 200.
fn hidden_throttle() -> BodyRules {
    let throttled = Outcome::Throttled {
        retry_after: None,
        scope: Scope::Upstream,
    };
    let rule = BodyRule::new(throttled).status(StatusCode::OK);
    [rule.contains("\"code\":42910000")].into_iter().collect()
}

impl Caller for Guarded {
    async fn call(&self, provider: ProviderKind, request: Request<Body>) -> CallResult {
        match provider {
            ProviderKind::Broker => call(&self.broker, request).await,
            ProviderKind::MarketData => call(&self.market_data, request).await,
            _ => call(&self.ai_api, request).await,
        }
    }

    /// What is in doubt is looked up in the background: waits until it is settled.
    async fn settle(&self, id: &str) -> Option<OrderResult> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let order = self.orders.order(id).await.ok()?;
            match order.settlement {
                Some(Settlement::Confirmed(..)) => return Some(OrderResult::Placed),
                Some(Settlement::Rejected(_)) => return Some(OrderResult::Rejected),
                Some(Settlement::Absent(_)) => return Some(OrderResult::NotSent),
                _ if order.state == IntentState::Exhausted || Instant::now() > until => {
                    return None;
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

async fn call<S, R>(client: &S, request: Request<Body>) -> CallResult
where
    S: Service<Request<Body>, Response = Response<R>, Error = Error<BoxError>> + Clone,
    R: http_body::Body<Data = Bytes, Error = Error<Infallible>>,
{
    match client.clone().oneshot(request).await {
        Ok(response) => {
            let (head, body) = response.into_parts();
            let degradation = head.extensions.get::<Degradation>().copied();
            match (body.collect().await, degradation) {
                (Ok(body), Some(degradation)) => CallResult::Degraded(body.to_bytes(), degradation),
                (Ok(body), None) => CallResult::Response(head.status, body.to_bytes()),
                (Err(Error::Rejected(rejection)), _) => rejected(&rejection),
                (Err(Error::Inner(never)), _) => match never {},
            }
        }
        Err(Error::Inner(error)) => result_of(&error),
        Err(Error::Rejected(rejection)) => rejected(&rejection),
    }
}

fn rejected(rejection: &Rejection) -> CallResult {
    if rejection.reason() == Reason::NotExecuted {
        return CallResult::Rejected("orders: not executed");
    }
    if rejection.sent() == Sent::Maybe {
        return CallResult::Unknown(match rejection.reason() {
            Reason::AttemptTimeout => "timeout",
            reason => reason.as_str(),
        });
    }
    CallResult::Rejected(match rejection.reason() {
        Reason::CircuitOpen => "breaker: circuit open",
        Reason::NotReady => "breaker: not ready",
        Reason::RateLimited => "rate limit: used up",
        Reason::BulkheadFull => "bulkhead: full",
        Reason::QueueTimeout => "bulkhead: queue timeout",
        Reason::DeadlineExceeded => "deadline: passed unsent",
        Reason::BudgetExhausted => "retry: budget used up",
        Reason::TradingMode => "orders: trading mode",
        reason => reason.as_str(),
    })
}
