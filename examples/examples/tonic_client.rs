//! A tonic client with a deadline, retries and a circuit breaker.

use std::time::Duration;

use seawall::grpc::{
    GrpcClassifier, KeepStatus, WrapStatusLayer, copy_request, replayable, sendable,
};
use seawall::{
    BreakerConfig, BreakerLayer, ConstMeta, DeadlineConfig, DeadlineLayer, Policy, RequestMeta,
    RetryConfig, RetryLayer,
};
use seawall_examples::restarting_health_service;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{BoxError, ServiceBuilder};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let policy = Policy::new()
        .classify(GrpcClassifier)
        .describe(ConstMeta(RequestMeta::idempotent()))
        .copy(copy_request::<tonic::body::Body>)
        .keep(KeepStatus);
    let deadline = DeadlineConfig::new(Duration::from_secs(5))?;
    let retry = RetryLayer::new("health", RetryConfig::default()).policy(policy);
    let handle = retry.handle();
    let channel = ServiceBuilder::new()
        .map_request(replayable)
        .layer(DeadlineLayer::new("health", deadline))
        .layer(retry)
        .layer(BreakerLayer::new("health", BreakerConfig::default()).policy(policy))
        .map_request(sendable)
        .layer(WrapStatusLayer)
        .service(restarting_health_service().await?.connect_lazy());
    let mut client = HealthClient::new(channel);
    for service in ["", "unknown"] {
        let service = service.to_owned();
        match client.check(HealthCheckRequest { service }).await {
            Ok(response) => println!("{:?}", response.into_inner().status()),
            Err(status) => println!("{:?}: {}", status.code(), status.message()),
        }
    }
    println!("{} retry", handle.counts().retries);
    Ok(())
}
