//! The client that most teams write: a timeout, and three attempts at anything that fails.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use seawall_sim::incident::ProviderKind;
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt};

use crate::client::{Body, CallResult, Caller, CountingClient, Meter, result_of};

const ATTEMPTS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(crate) struct Bare {
    broker: CountingClient,
    market_data: CountingClient,
    ai_api: CountingClient,
}

impl Bare {
    pub(crate) fn new(meter: &Arc<Meter>) -> Self {
        Self {
            broker: CountingClient::new(ProviderKind::Broker, meter),
            market_data: CountingClient::new(ProviderKind::MarketData, meter),
            ai_api: CountingClient::new(ProviderKind::AiApi, meter),
        }
    }
}

impl Caller for Bare {
    async fn call(&self, provider: ProviderKind, request: Request<Body>) -> CallResult {
        let mut client = match provider {
            ProviderKind::Broker => self.broker.clone(),
            ProviderKind::MarketData => self.market_data.clone(),
            _ => self.ai_api.clone(),
        };
        let mut attempt = 1;
        loop {
            let result = once(&mut client, request.clone()).await;
            let retry = match &result {
                CallResult::Response(status, _) => status.is_server_error(),
                _ => true,
            };
            if !retry || attempt == ATTEMPTS {
                return result;
            }
            attempt += 1;
            sleep(PAUSE).await;
        }
    }
}

async fn once(client: &mut CountingClient, request: Request<Body>) -> CallResult {
    let response = async { client.ready().await?.call(request).await };
    match timeout(TIMEOUT, response).await {
        Ok(Ok(response)) => read(response).await,
        Ok(Err(error)) => result_of(&error),
        Err(_) => CallResult::Unknown("timeout"),
    }
}

async fn read(response: Response<Body>) -> CallResult {
    let (head, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_or_else(|never| match never {}, http_body_util::Collected::to_bytes);
    CallResult::Response(head.status, body)
}
