//! hyper-util's pooling client never has more connections than permits, over real sockets.
#![cfg(feature = "connections")]

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::rt::Executor;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall_core::{Reason, WrapErrorLayer, find_rejection};
use seawall_http::{BackgroundExecutor, LimitConnections};
use tokio::sync::Barrier;
use tower::{ServiceBuilder, ServiceExt};

fn layer(max_connections: u32, max_waiting: u32) -> ConnectionLimitLayer {
    let config = ConnectionLimitConfig::builder()
        .max_connections(max_connections)
        .max_waiting(max_waiting)
        .build()
        .expect("valid settings");
    ConnectionLimitLayer::new("pool", config)
}

#[derive(Default)]
struct Accepted {
    open: u32,
    peak: u32,
    accepted: u32,
}

struct Server {
    uri: Uri,
    seen: Arc<Mutex<Accepted>>,
}

/// A server that counts its connections, and responds when `together` requests are there.
async fn server(together: usize) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a listener");
    let uri = format!("http://{}/", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Accepted::default()));
    let count = Arc::clone(&seen);
    let meet = Arc::new(Barrier::new(together));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a listener");
            {
                let mut seen = count.lock().expect("no panic");
                seen.accepted += 1;
                seen.open += 1;
                seen.peak = seen.peak.max(seen.open);
            }
            let (count, meet) = (Arc::clone(&count), Arc::clone(&meet));
            tokio::spawn(async move {
                let response = hyper::service::service_fn(move |_| {
                    let meet = Arc::clone(&meet);
                    async move {
                        meet.wait().await;
                        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), response)
                    .await;
                count.lock().expect("no panic").open -= 1;
            });
        }
    });
    let uri = uri.parse().expect("a uri");
    Server { uri, seen }
}

#[tokio::test]
async fn never_has_more_connections_than_places_and_reuses_them() {
    let server = server(2).await;
    let layer = layer(2, 100);
    let connector = ServiceBuilder::new()
        .layer(LimitConnections::new(layer.clone()))
        .layer(WrapErrorLayer)
        .service(HttpConnector::new());
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (client, uri) = (client.clone(), server.uri.clone());
            tokio::spawn(async move {
                let response = client.get(uri).await.expect("a response");
                response.into_body().collect().await.expect("a body");
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert!(layer.handle().in_flight() <= 2);
    assert_eq!(layer.handle().counts().rejected_full, 0);
    let seen = server.seen.lock().unwrap();
    assert_eq!((seen.peak, seen.accepted), (2, 2));
}

#[tokio::test]
async fn a_rejection_is_found_in_the_error_of_the_client() {
    let server = server(1).await;
    let layer = layer(1, 0);
    let connector = ServiceBuilder::new()
        .layer(LimitConnections::new(layer.clone()))
        .layer(WrapErrorLayer)
        .service(HttpConnector::new());
    let _taken = connector
        .clone()
        .oneshot(server.uri.clone())
        .await
        .expect("a connection");
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::get(server.uri.clone()).body(Empty::new()).unwrap();
    let error = client.request(request).await.unwrap_err();
    let rejected = find_rejection(&error).expect("a rejection");
    assert_eq!(rejected.reason(), Reason::BulkheadFull);
}

type Executed = Box<dyn Future<Output = ()> + Send>;

/// Twenty callers of 20 calls each over two connections: how many calls failed, and how many connects
/// wait in the end.
async fn steady_load<E>(executor: E, limit: &ConnectionLimitLayer) -> (usize, usize)
where
    E: Executor<Pin<Executed>> + Send + Sync + Clone + 'static,
{
    let server = server(1).await;
    let connector = ServiceBuilder::new()
        .layer(LimitConnections::new(limit.clone()))
        .layer(WrapErrorLayer)
        .service(HttpConnector::new());
    let client: Client<_, Empty<Bytes>> = Client::builder(executor).build(connector);
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (client, uri) = (client.clone(), server.uri.clone());
            tokio::spawn(async move {
                let mut failed = 0;
                for _ in 0..20 {
                    match client.get(uri.clone()).await {
                        Ok(response) => {
                            response.into_body().collect().await.expect("a body");
                        }
                        Err(error) => {
                            assert!(find_rejection(&error).is_some(), "{error:?}");
                            failed += 1;
                            tokio::task::yield_now().await;
                        }
                    }
                }
                failed
            })
        })
        .collect();
    let mut failed = 0;
    for caller in callers {
        failed += caller.await.expect("no panic");
    }
    assert!(server.seen.lock().expect("no panic").peak <= 2);
    (failed, limit.handle().queue_depth())
}

/// Connects that hyper-util leaves in the background filled the queue, and calls failed beside idle
/// connections.
#[tokio::test]
async fn a_connect_that_nobody_waits_for_leaves_the_queue() {
    let limit = layer(2, 40);
    let clean = steady_load(BackgroundExecutor::new(TokioExecutor::new()), &limit).await;
    assert_eq!(clean, (0, 0));
    assert!(limit.handle().in_flight() <= 2);
    let counts = limit.handle().counts();
    assert_eq!(counts.rejected_full, 0);

    let limit = layer(2, 40);
    let (failed, waiting) = steady_load(TokioExecutor::new(), &limit).await;
    assert!(failed > 0, "the client needs the executor");
    assert!(waiting <= 40, "bounded by `max_waiting`");
}

/// One that has a permit goes on, for the pool.
#[tokio::test]
async fn a_connect_that_is_under_way_goes_on_in_the_background() {
    let limit = layer(2, 40);
    let server = server(1).await;
    let connector = ServiceBuilder::new()
        .layer(LimitConnections::new(limit.clone()))
        .layer(WrapErrorLayer)
        .service(HttpConnector::new());
    let connect = connector.oneshot(server.uri.clone());
    let (send, receive) = tokio::sync::oneshot::channel();
    let executor = BackgroundExecutor::new(TokioExecutor::new());
    executor.execute(async move {
        let _ = send.send(connect.await.is_ok());
    });
    assert!(receive.await.expect("it has ended"));
}
