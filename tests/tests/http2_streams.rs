//! Streams that an HTTP/2 server refuses or disowns: an order that met one was not processed, so it
//! is sent again; any other reset leaves its fate unknown.

mod support;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall::grpc::{GrpcClassifier, GrpcError, GrpcFailure, WrapStatusLayer};
use seawall::http_client::{ReqwestClient, TransportError};
use seawall::{ConstMeta, FailureKind, Outcome, Replay, RequestMeta, RetryConfig, RetryLayer};
use support::quick;
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body as GrpcBody;
use tonic::transport::Endpoint;
use tower::{ServiceBuilder, ServiceExt};

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

/// What happens to each request in turn: reset with this reason, or a good response.
type Fates = Arc<Mutex<VecDeque<Option<Reason>>>>;

struct Server {
    address: SocketAddr,
    fates: Fates,
}

impl Server {
    async fn start(fates: &[Option<Reason>]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("bound");
        let fates: Fates = Arc::new(Mutex::new(fates.iter().copied().collect()));
        let server = Self {
            address,
            fates: Arc::clone(&fates),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&fates)));
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many of the fates are left.
    fn left(&self) -> usize {
        self.fates.lock().expect("no panic").len()
    }
}

async fn serve(stream: TcpStream, fates: Fates) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let fate = fates.lock().expect("no panic").pop_front();
        match fate.expect("a request too many") {
            Some(reason) => respond.send_reset(reason),
            None => {
                let response = Response::builder().header("grpc-status", "0").body(());
                let body = respond.send_response(response.expect("a response"), false);
                let data = Bytes::from_static(b"{}");
                body.expect("open").send_data(data, true).expect("open");
            }
        }
    }
}

const REFUSED: Option<Reason> = Some(Reason::REFUSED_STREAM);

fn http2_client() -> support::HyperClient {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

#[tokio::test]
async fn an_order_whose_stream_was_refused_is_sent_again() {
    let server = Server::start(&[REFUSED, REFUSED, None]).await;
    let stack = quick(seawall::broker("hyper")).build().expect("valid");
    let client = ServiceBuilder::new().layer(stack).service(http2_client());
    let order = support::order(&server.url(), "1");
    let response = client.oneshot(order).await.expect("the third attempt");
    assert!(response.status().is_success());
    assert_eq!(server.left(), 0);

    let server = Server::start(&[REFUSED, None]).await;
    let stack = quick(seawall::broker("reqwest")).build().expect("valid");
    let builder = reqwest::Client::builder().http2_prior_knowledge();
    let reqwest: ReqwestClient = ReqwestClient::build(builder).expect("a client");
    let client = ServiceBuilder::new().layer(stack).service(reqwest);
    let order = support::order(&server.url(), "1");
    let response = client.oneshot(order).await.expect("the second attempt");
    assert!(response.status().is_success());
    assert_eq!(server.left(), 0);
}

#[tokio::test]
async fn an_order_that_is_refused_to_the_last_attempt_is_reported_as_not_sent() {
    let server = Server::start(&[REFUSED, REFUSED, REFUSED]).await;
    let stack = quick(seawall::broker("refused")).build().expect("valid");
    let client = ServiceBuilder::new().layer(stack).service(http2_client());
    let order = support::order(&server.url(), "1");
    let error = client.oneshot(order).await.expect_err("refused");
    assert_eq!(error.outcome(), NOT_SENT);
    assert_eq!(server.left(), 0);
}

#[tokio::test]
async fn an_order_whose_stream_was_reset_for_another_reason_is_sent_once() {
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
        let server = Server::start(&[Some(reason), None]).await;
        let stack = quick(seawall::broker("reset")).build().expect("valid");
        let client = ServiceBuilder::new().layer(stack).service(http2_client());
        let order = support::order(&server.url(), "1");
        let error = client.oneshot(order).await.expect_err("reset");
        assert_eq!(error.outcome(), Outcome::Unknown, "{reason:?}");
        assert_eq!(server.left(), 1, "{reason:?}: sent once");
    }
}

/// A call of tonic's channel that must not be made twice.
async fn grpc_call(server: &Server) -> Result<http::Response<GrpcBody>, GrpcError> {
    let channel = Endpoint::from_shared(server.url())
        .expect("a URL")
        .connect_lazy();
    let retry = RetryLayer::new("orders", RetryConfig::default())
        .classify(GrpcClassifier)
        .describe(ConstMeta(RequestMeta::new(Replay::Never)))
        .copy(seawall::grpc::copy_request::<GrpcBody>);
    let client = ServiceBuilder::new()
        .map_request(seawall::grpc::replayable)
        .layer(retry)
        .layer(WrapStatusLayer)
        .map_request(seawall::grpc::sendable)
        .service(channel);
    let request = Request::post(format!("{}/orders.Orders/Place", server.url()));
    let request = request.body(GrpcBody::empty()).expect("a request");
    client.oneshot(request).await
}

#[tokio::test]
async fn a_grpc_call_whose_stream_was_refused_is_made_again_and_any_other_is_not() {
    let server = Server::start(&[REFUSED, None]).await;
    let response = grpc_call(&server).await.expect("the second attempt");
    assert!(response.status().is_success());
    assert_eq!(server.left(), 0);

    let server = Server::start(&[REFUSED, REFUSED, REFUSED]).await;
    let error = grpc_call(&server).await.expect_err("refused");
    assert_eq!(GrpcFailure::outcome(&error), NOT_SENT);
    // As a generated client has it.
    let status = tonic::Status::from_error(error.into());
    assert_eq!(GrpcFailure::outcome(&status), NOT_SENT);

    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let server = Server::start(&[Some(reason), None]).await;
        let error = grpc_call(&server).await.expect_err("reset");
        assert_eq!(GrpcFailure::outcome(&error), Outcome::Unknown, "{reason:?}");
        assert_eq!(server.left(), 1, "{reason:?}: made once");
    }
}
