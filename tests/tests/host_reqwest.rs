//! Host 2: `reqwest::Client`, with its own requests, which are not `Clone`, and responses.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Method, Request, Response, Url};
use seawall::{
    CompleteOnResponse, Error, FailureKind, Outcome, Policy, Reason, Rejectable, Replay,
    RequestMeta, StackService, WrapErrorLayer,
};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::Broker;
use support::quick;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Service, ServiceBuilder, ServiceExt};

type Failure = Error<reqwest::Error>;
type Classifier = fn(Result<&Response, &Failure>) -> Outcome;
type Describer = fn(&Request) -> RequestMeta;
type Copier = fn(&Request) -> Option<Request>;

/// Nameable: `fn` pointers instead of closures.
type Guarded = StackService<
    seawall::WrapError<reqwest::Client>,
    Policy<Classifier, Describer, CompleteOnResponse, Copier>,
>;

struct Desk {
    broker: Guarded,
}

fn classify(result: Result<&Response, &Failure>) -> Outcome {
    match result {
        Ok(response) if response.status().is_server_error() => {
            Outcome::Failure(FailureKind::Server)
        }
        Ok(_) => Outcome::Success,
        Err(Error::Inner(error)) => seawall::http_client::outcome_of(error),
        Err(Error::Rejected(rejected)) => rejected.outcome(),
    }
}

fn describe(request: &Request) -> RequestMeta {
    RequestMeta::new(if request.method() == Method::GET {
        Replay::Safe
    } else {
        Replay::Never
    })
}

fn desk() -> (Desk, seawall::StackHandles) {
    let policy = Policy::new()
        .classify(classify as Classifier)
        .describe(describe as Describer)
        .copy(Request::try_clone as Copier);
    let stack = quick(seawall::broker("alpaca"))
        .build_generic(policy)
        .expect("valid");
    let handles = stack.handles();
    let service = ServiceBuilder::new().layer(stack).layer(WrapErrorLayer);
    (
        Desk {
            broker: service.service(reqwest::Client::new()),
        },
        handles,
    )
}

fn request(method: Method, url: &str, path: &str) -> Request {
    Request::new(method, Url::parse(&format!("{url}{path}")).expect("a URL"))
}

#[tokio::test]
async fn responses_errors_and_rejections_all_arrive() {
    let incidents = Incidents::from_toml(
        "[[incident]]\nprovider = \"broker\"\nroute = \"orders.create\"\nfrom = \"0s\"\n\
         to = \"1h\"\nfault = \"reset_after_execute\"\n",
    )
    .expect("a valid script");
    let broker = Broker::alpaca()
        .incidents(incidents)
        .start()
        .await
        .expect("a socket");
    let url = broker.base_url();
    let (mut desk, handles) = desk();

    let ready = desk.broker.ready().await.expect("ready");
    let response = ready
        .call(request(Method::GET, &url, "/v2/positions"))
        .await;
    assert!(response.expect("a response").status().is_success());

    // Three orders, each sent once and cut off after it was executed, open the circuit.
    for id in ["r-1", "r-2", "r-3"] {
        let mut order = request(Method::POST, &url, "/v2/orders");
        let body = format!(
            r#"{{"symbol":"SPY","qty":"1","side":"buy","type":"market","client_order_id":"{id}"}}"#
        );
        *order.body_mut() = Some(body.into());
        let cut = desk.broker.ready().await.expect("ready").call(order).await;
        assert!(matches!(cut, Err(Error::Inner(_))));
        assert_eq!(broker.executions(id), 1);
    }
    let rejected = desk
        .broker
        .ready()
        .await
        .expect("ready")
        .call(request(Method::GET, &url, "/v2/positions"))
        .await
        .expect_err("open");
    assert_eq!(
        rejected.rejection().map(seawall::Rejection::reason),
        Some(Reason::CircuitOpen)
    );
    assert_eq!(handles.breaker.snapshot().counts.failure, 3);
}

/// The order was executed; its response redirected the client to a closed port, and the error
/// looked as if nothing had been sent.
#[tokio::test]
async fn an_order_that_was_redirected_to_a_closed_port_is_sent_once() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let server = server.expect("a socket");
    let url = format!("http://{}", server.local_addr().expect("bound"));
    let executed = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&executed);
    tokio::spawn(async move {
        // A reserved port, which no other test is given.
        let response = "HTTP/1.1 303 See Other\r\nlocation: http://127.0.0.1:1/orders/7\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n";
        while let Ok((mut stream, _)) = server.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    let (mut desk, handles) = desk();
    let order = request(Method::POST, &url, "/v2/orders");
    let lost = desk.broker.ready().await.expect("ready").call(order).await;
    assert!(matches!(lost, Err(Error::Inner(e)) if e.is_connect()));
    assert_eq!(handles.retry.counts().attempts.total(), 1);
    assert_eq!(executed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn reads_are_copied_and_retried() {
    let incidents = Incidents::from_toml(
        "[[incident]]\nprovider = \"broker\"\nfrom = \"0s\"\nto = \"1h\"\nfault = \"status\"\ncode = 500\n",
    )
    .expect("a valid script");
    let broker = Broker::alpaca()
        .incidents(incidents)
        .start()
        .await
        .expect("a socket");
    let (mut desk, _) = desk();
    let ready = desk.broker.ready().await.expect("ready");
    let response = ready
        .call(request(Method::GET, &broker.base_url(), "/v2/positions"))
        .await;
    assert!(response.expect("a response").status().is_server_error());
    assert_eq!(broker.stats().received, 3);
}
