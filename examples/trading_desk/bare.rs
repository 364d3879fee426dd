//! The client that most teams write: a timeout, and three attempts at anything that fails.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use seawall_sim::incident::ProviderKind;
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt};

use crate::wire::{Body, Caller, Meter, Told, Wire, told_by};

const ATTEMPTS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(crate) struct Bare {
    broker: Wire,
    market_data: Wire,
    ai_api: Wire,
}

impl Bare {
    pub(crate) fn new(meter: &Arc<Meter>) -> Self {
        Self {
            broker: Wire::new(ProviderKind::Broker, meter),
            market_data: Wire::new(ProviderKind::MarketData, meter),
            ai_api: Wire::new(ProviderKind::AiApi, meter),
        }
    }
}

impl Caller for Bare {
    async fn call(&self, provider: ProviderKind, request: Request<Body>) -> Told {
        let mut wire = match provider {
            ProviderKind::Broker => self.broker.clone(),
            ProviderKind::MarketData => self.market_data.clone(),
            _ => self.ai_api.clone(),
        };
        let mut attempt = 1;
        loop {
            let told = once(&mut wire, request.clone()).await;
            let again = match &told {
                Told::Answer(status, _) => status.is_server_error(),
                _ => true,
            };
            if !again || attempt == ATTEMPTS {
                return told;
            }
            attempt += 1;
            sleep(PAUSE).await;
        }
    }
}

async fn once(wire: &mut Wire, request: Request<Body>) -> Told {
    let answer = async { wire.ready().await?.call(request).await };
    match timeout(TIMEOUT, answer).await {
        Ok(Ok(answer)) => read(answer).await,
        Ok(Err(error)) => told_by(&error),
        Err(_) => Told::Unknown("timeout"),
    }
}

async fn read(answer: Response<Body>) -> Told {
    let (head, body) = answer.into_parts();
    let body = body
        .collect()
        .await
        .map_or_else(|never| match never {}, http_body_util::Collected::to_bytes);
    Told::Answer(head.status, body)
}
