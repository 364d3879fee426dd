//! Retries of a generated client, through a channel that is a function.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use seawall_core::{ConstMeta, Replay, RequestMeta};
use seawall_grpc::{
    CompleteOnTrailers, GrpcClassifier, KeepStatus, WrapStatusLayer, copy_request, replayable,
    sendable,
};
use seawall_retry::{RetryConfig, RetryLayer};
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status, body::Body};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

type Messages = Arc<Mutex<Vec<Bytes>>>;

/// A client whose channel responds with one status after another, and records the messages.
fn client(
    statuses: Vec<Status>,
    messages: &Messages,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = seawall_grpc::GrpcError> {
    let statuses = Arc::new(Mutex::new(statuses.into_iter()));
    let messages = Arc::clone(messages);
    let channel = service_fn(move |request: Request<Body>| {
        let (statuses, messages) = (Arc::clone(&statuses), Arc::clone(&messages));
        async move {
            let message = request.into_body().collect().await.unwrap().to_bytes();
            messages.lock().unwrap().push(message);
            let status = statuses.lock().unwrap().next().unwrap();
            Ok::<_, Infallible>(status.into_http::<Body>())
        }
    });
    let retry = RetryLayer::new("quotes", RetryConfig::default())
        .classify(GrpcClassifier)
        .describe(ConstMeta(RequestMeta::new(Replay::Safe)))
        .copy(copy_request::<Body>);
    ServiceBuilder::new()
        .map_request(replayable)
        .layer(retry)
        .layer(WrapStatusLayer)
        .map_request(sendable)
        .service(channel)
}

fn request() -> Request<Body> {
    Request::new(Body::new(Full::new(Bytes::from("a message"))))
}

fn code(response: &Response<Body>) -> Code {
    Status::from_header_map(response.headers()).unwrap().code()
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_called_again_with_the_same_message() {
    let messages = Messages::default();
    let statuses = vec![Status::unavailable("draining"), Status::ok("")];
    let response = client(statuses, &messages).oneshot(request()).await;
    assert_eq!(code(&response.unwrap()), Code::Ok);
    assert_eq!(*messages.lock().unwrap(), ["a message"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_servers_pushback_is_a_lower_bound_of_the_wait_and_never_means_never() {
    let pushed = |value| {
        let mut status = Status::unavailable("draining");
        let value = MetadataValue::from_static(value);
        status
            .metadata_mut()
            .insert(seawall_grpc::RETRY_PUSHBACK_MS, value);
        status
    };
    let messages = Messages::default();
    let start = Instant::now();
    let statuses = vec![pushed("7000"), Status::ok("")];
    let response = client(statuses, &messages).oneshot(request()).await;
    assert_eq!(code(&response.unwrap()), Code::Ok);
    assert!(Instant::now() - start >= Duration::from_secs(7));

    let messages = Messages::default();
    let response = client(vec![pushed("-1")], &messages)
        .oneshot(request())
        .await;
    assert_eq!(code(&response.unwrap()), Code::Unavailable);
    assert_eq!(messages.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_status_about_the_request_is_not_retried() {
    let messages = Messages::default();
    let statuses = vec![Status::not_found("no such symbol")];
    let response = client(statuses, &messages).oneshot(request()).await;
    assert_eq!(code(&response.unwrap()), Code::NotFound);
    assert_eq!(messages.lock().unwrap().len(), 1);
}

#[test]
fn one_policy_has_all_that_a_stack_needs() {
    let policy = seawall_core::Policy::new()
        .classify(GrpcClassifier)
        .describe(ConstMeta(RequestMeta::new(Replay::Safe)))
        .track_completion(CompleteOnTrailers)
        .copy(copy_request::<Body>)
        .keep(KeepStatus);
    let _ = RetryLayer::new("quotes", RetryConfig::default()).policy(policy);
}
