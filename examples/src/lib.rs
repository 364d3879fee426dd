//! Upstreams for the examples: servers in the same process, on loopback; and their command lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use seawall_sim::incident::Incidents;
use seawall_sim::provider::{AiApi, Handle};
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};
use tower::BoxError;

pub mod command_line;

/// An AI API that throttles half of the requests of its first second, with `Retry-After`, and
/// responds to a fifth of all others with 529, overloaded.
///
/// # Errors
///
/// No socket can be bound.
pub async fn overloaded_ai_api() -> Result<Handle, BoxError> {
    let incidents = r#"
        [[incident]]
        provider = "ai_api"
        from = "0s"
        to = "1s"
        fault = "throttle"
        retry_after = "1s"
        probability = 0.5

        [[incident]]
        provider = "ai_api"
        from = "0s"
        to = "1h"
        fault = "status"
        code = 529
        probability = 0.2
    "#;
    let incidents = Incidents::from_toml(incidents)?;
    let api = AiApi::open_ai().completion_tokens(8).incidents(incidents);
    Ok(api.start().await?)
}

/// A gRPC health service whose first response is `UNAVAILABLE`.
///
/// # Errors
///
/// No socket can be bound.
pub async fn restarting_health_service() -> Result<Endpoint, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()?))?;
    let (_, health) = tonic_health::server::health_reporter();
    let restarting = Arc::new(AtomicBool::new(true));
    let health = InterceptedService::new(health, move |request: Request<()>| {
        if restarting.swap(false, Ordering::Relaxed) {
            Err(Status::unavailable("restarting"))
        } else {
            Ok(request)
        }
    });
    let server = Server::builder().add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(endpoint)
}
