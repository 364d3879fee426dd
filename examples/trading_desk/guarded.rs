//! The same client behind Seawall's stacks: those of the catalogue, with numbers for a run of seconds.

use std::sync::Arc;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use seawall::catalog::{ProviderService, ProviderStack};
use seawall::config::Config;
use seawall::http_client::inspect::{BodyRule, BodyRules};
use seawall::http_client::quota::RateLimitHeaders;
use seawall::{Error, Outcome, Reason, Rejection, Scope, Sent};
use seawall_sim::incident::ProviderKind;
use tower::{Layer, ServiceExt};

use crate::client::{Body, CallResult, Caller, CountingClient, Meter, result_of};

type Client = ProviderService<CountingClient>;

#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    broker: Client,
    market_data: Client,
    ai_api: Client,
}

/// The services of the desk and their numbers; the environment may override them.
const SERVICES: &str = include_str!("seawall.toml");

impl Guarded {
    pub(crate) fn new(meter: &Arc<Meter>) -> Result<Self, Box<dyn std::error::Error>> {
        let config = Config::loader().text("seawall.toml", SERVICES);
        let config = config.from_env().load()?;
        // The headers of limits have whole seconds, and here a limit lasts no longer than that.
        let stack = |name| -> Result<ProviderStack, Box<dyn std::error::Error>> {
            let stack = config.service(name)?.build()?;
            Ok(stack.rate_limit_headers(RateLimitHeaders::new()))
        };
        let market_data = stack("market-data")?.inspect(hidden_throttle());
        Ok(Self {
            broker: stack("broker")?.layer(CountingClient::new(ProviderKind::Broker, meter)),
            market_data: market_data.layer(CountingClient::new(ProviderKind::MarketData, meter)),
            ai_api: stack("ai")?.layer(CountingClient::new(ProviderKind::AiApi, meter)),
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
