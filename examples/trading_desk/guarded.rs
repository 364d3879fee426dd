//! The same client behind Seawall's stacks: the presets, with numbers for a run of seconds.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use seawall::http_client::inspect::{BodyRule, BodyRules};
use seawall::{
    Backoff, BreakerConfig, BulkheadConfig, Error, HttpService, InvalidConfig, Outcome,
    RateLimitConfig, Reason, Rejection, RetryConfig, Scope, Sent, StackBuilder,
};
use seawall_sim::incident::ProviderKind;
use tower::{Layer, ServiceExt};

use crate::client::{Body, CallResult, Caller, CountingClient, Meter, result_of};
use crate::world::{AI_API, Allowed, BROKER, MARKET_DATA};

const MS: Duration = Duration::from_millis(1);

type Client = HttpService<CountingClient>;

#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    broker: Client,
    market_data: Client,
    ai_api: Client,
}

/// The time limits of the bare client: a second per attempt, and about three in total.
fn time_limits(builder: StackBuilder) -> Result<StackBuilder, InvalidConfig> {
    Ok(builder
        .deadline(3_200 * MS)
        .attempt_timeout(1_000 * MS)
        .retry(
            RetryConfig::builder()
                // A rejection by one of our own layers counts as an attempt.
                .attempts(6)
                .backoff(Backoff::exponential(200 * MS, 1_000 * MS)?)
                // What a layer rejected was not sent: it may be retried, even an order.
                .max_rejection_wait(1_500 * MS)
                .build()?,
        )
        .bulkhead(
            BulkheadConfig::builder()
                .max_concurrent(64)
                .max_waiting(128)
                .max_wait(1_500 * MS)
                .build()?,
        )
        .breaker(
            BreakerConfig::builder()
                .consecutive_failures(5)
                .failure_rate(0.6, 40)
                .min_calls(20)
                .open_for(500 * MS)
                // All that waited for the open time retry at the same moment.
                .probes(4)
                .successes_to_close(4)
                .build()?,
        ))
}

/// 80 % of the limit and a burst of an eighth: together below it in every window.
fn below((limit, per): Allowed) -> Result<RateLimitConfig, InvalidConfig> {
    RateLimitConfig::builder()
        .rate(limit * 4 / 5, per)
        .burst((limit / 8).max(1))
        .max_wait(2_000 * MS)
        .build()
}

impl Guarded {
    pub(crate) fn new(meter: &Arc<Meter>) -> Result<Self, Box<dyn std::error::Error>> {
        let broker = time_limits(seawall::broker("broker"))?
            .rate_limit(below(BROKER)?)
            .build()?;
        let market_data = time_limits(seawall::market_data("market data"))?
            .rate_limit(below(MARKET_DATA)?)
            .build()?
            .inspect(hidden_throttle());
        let ai_api = time_limits(seawall::provider("openai")?.builder()?)?
            .rate_limit(below(AI_API)?)
            .build()?;
        Ok(Self {
            broker: broker.layer(CountingClient::new(ProviderKind::Broker, meter)),
            market_data: market_data.layer(CountingClient::new(ProviderKind::MarketData, meter)),
            ai_api: ai_api.layer(CountingClient::new(ProviderKind::AiApi, meter)),
        })
    }
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
        let client = match provider {
            ProviderKind::Broker => &self.broker,
            ProviderKind::MarketData => &self.market_data,
            _ => &self.ai_api,
        };
        match client.clone().oneshot(request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                match body.collect().await {
                    Ok(body) => CallResult::Response(head.status, body.to_bytes()),
                    Err(Error::Rejected(rejection)) => rejected(&rejection),
                    Err(Error::Inner(never)) => match never {},
                }
            }
            Err(Error::Inner(error)) => result_of(&error),
            Err(Error::Rejected(rejection)) => rejected(&rejection),
        }
    }
}

fn rejected(rejection: &Rejection) -> CallResult {
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
        reason => reason.as_str(),
    })
}
