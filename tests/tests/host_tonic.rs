//! Host 5: a tonic channel and a tonic server. Rejections are `Status`es of the right code.

mod support;

use std::time::Duration;

use seawall::grpc::{GrpcClassifier, GrpcRejectionLayer, WrapStatusLayer};
use seawall::{
    BreakerConfig, BulkheadConfig, BulkheadLayer, ConstMeta, RateLimitConfig, RateLimitLayer,
    Reason, RequestMeta, find_rejection,
};
use support::quick;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

async fn listen() -> (TcpIncoming, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    (TcpIncoming::from(listener), url)
}

async fn channel(url: &str) -> Channel {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
    endpoint.connect().await.expect("a connection")
}

fn check(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest {
        service: service.to_owned(),
    })
}

#[tokio::test]
async fn a_generated_client_over_the_stack_gets_the_status_of_the_upstream_and_of_rejections() {
    let (incoming, url) = listen().await;
    let (_reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(
        Server::builder()
            .add_service(health)
            .serve_with_incoming(incoming),
    );

    // Any status but OK is a failure here, so that an unknown service opens the circuit.
    let strict = |result: Result<&http::Response<_>, &seawall::grpc::GrpcError>| match result {
        Ok(response) if response.headers().contains_key("grpc-status") => {
            seawall::Outcome::Failure(seawall::FailureKind::Server)
        }
        other => seawall::Classify::classify(&GrpcClassifier, other),
    };
    let once = BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(Duration::from_secs(3600))
        .build()
        .expect("valid");
    let policy = seawall::Policy::new()
        .classify(strict)
        .describe(ConstMeta(RequestMeta::non_idempotent()))
        // tonic's body cannot be copied: sent once.
        .copy(|_: &http::Request<tonic::body::Body>| None);
    let stack = quick(seawall::market_data("quotes"))
        .breaker(once)
        .build_generic(policy)
        .expect("valid");
    let service = ServiceBuilder::new()
        .layer(stack)
        .layer(WrapStatusLayer)
        .service(channel(&url).await);
    let mut client = HealthClient::new(service);

    let healthy = client.check(check("")).await.expect("serving");
    assert_eq!(healthy.into_inner().status, 1);
    let unknown = client.check(check("unknown")).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
    let rejected = client.check(check("")).await.expect_err("open");
    assert_eq!(rejected.code(), Code::Unavailable);
    assert_eq!(
        find_rejection(&rejected).map(seawall::Rejection::reason),
        Some(Reason::CircuitOpen)
    );
}

#[tokio::test]
async fn a_server_sends_rejections_with_their_code_and_a_pushback() {
    let (incoming, url) = listen().await;
    let (_reporter, health) = tonic_health::server::health_reporter();
    let rate = RateLimitConfig::builder()
        .rate(1, Duration::from_secs(3600))
        .burst(1)
        .build()
        .expect("valid");
    let permits = BulkheadConfig::builder()
        .max_concurrent(8)
        .build()
        .expect("valid");
    let layers = (
        RateLimitLayer::new("server", rate),
        BulkheadLayer::new("server", permits),
    );
    tokio::spawn(
        Server::builder()
            .layer(GrpcRejectionLayer::new(layers))
            .add_service(health)
            .serve_with_incoming(incoming),
    );
    let mut client = HealthClient::new(channel(&url).await);
    assert!(client.check(check("")).await.is_ok());
    let rejected = client.check(check("")).await.expect_err("used up");
    assert_eq!(rejected.code(), Code::ResourceExhausted);
    let pushback = rejected
        .metadata()
        .get("grpc-retry-pushback-ms")
        .expect("a pushback");
    let ms: u64 = pushback.to_str().expect("text").parse().expect("a number");
    assert!((3_590_000..=3_600_000).contains(&ms), "{ms}");
}

#[tokio::test]
async fn a_connection_that_was_never_made_is_not_sent() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        format!("http://{}", listener.local_addr().expect("bound"))
    };
    let channel = Endpoint::from_shared(closed).expect("a URL").connect_lazy();
    let service = ServiceBuilder::new()
        .layer(WrapStatusLayer)
        .service(channel);
    let error = HealthClient::new(service)
        .check(check(""))
        .await
        .expect_err("closed");
    assert_eq!(error.code(), Code::Unavailable);
    assert_eq!(
        seawall::grpc::outcome_of(&error),
        seawall::Outcome::Failure(seawall::FailureKind::NotSent)
    );
}
