//! What the stacks are put around here: a chaos layer around the client of each provider.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use seawall::{InvalidConfig, Replay, RequestMeta};
use seawall_chaos::{ChaosConfig, ChaosHandle, ChaosLayer};
use seawall_http::Routes;
use seawall_http::chaos::HttpFaults;
use seawall_sim::incident::ProviderKind;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

use crate::client::{Body, BoxError, CountingClient, Meter};

type Called = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// The client of a provider, below its stack. A type of its own: what spawns a call would not see that a boxed
/// service of boxed errors may go to another thread.
#[derive(Clone, Debug)]
pub(crate) struct Upstream(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Called;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Called {
        self.0.call(request)
    }
}

/// The name of a provider's service.
pub(crate) const fn name(provider: ProviderKind) -> &'static str {
    match provider {
        ProviderKind::Broker => "broker",
        ProviderKind::MarketData => "market-data",
        _ => "ai",
    }
}

/// A client of a provider that fails on purpose, and what makes it fail.
pub(crate) fn faulty(
    provider: ProviderKind,
    meter: &Arc<Meter>,
) -> Result<(Upstream, ChaosHandle), InvalidConfig> {
    // The broker is one of `seawall-sim`: nobody loses anything by an order that fails.
    let config = ChaosConfig::builder().simulated_upstream(true).build()?;
    // An opinion may be asked for again; an order may not.
    let routes = Routes::new().route(
        Method::POST,
        "/v1/chat/completions",
        RequestMeta::new(Replay::Safe),
    )?;
    let layer = ChaosLayer::new(name(provider), config)
        .describe(routes)
        .faults(HttpFaults::new());
    let handle = layer.handle();
    let client = layer.layer(CountingClient::new(provider, meter));
    // A body that breaks off is an error of the attempt, as in the client below.
    let client = client.and_then(read);
    Ok((Upstream(BoxCloneSyncService::new(client)), handle))
}

async fn read<B>(response: Response<B>) -> Result<Response<Body>, BoxError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    Ok(Response::from_parts(head, Body::new(body)))
}
