//! Faults on purpose, as an HTTP client sees them.
#![cfg(all(feature = "chaos", feature = "hyper"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use seawall_chaos::{
    Chaos, ChaosConfig, ChaosError, ChaosHandle, ChaosLayer, ClockSkew, Delay, Fault, FaultSet,
    InjectedError, Policy, Replay, RequestMeta, StatusResponse,
};
use seawall_core::{FailureKind, Outcome};
use seawall_http::chaos::{ChaosBody, HttpFaults};
use seawall_http::{Routes, TransportError, outcome_of};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

type Sent = Request<Full<Bytes>>;

fn layer() -> ChaosLayer<Policy<seawall_core::ErrorIsFailure, Routes>, HttpFaults> {
    let config = ChaosConfig::builder().seed(3).build().unwrap();
    ChaosLayer::new("http", config)
        .describe(Routes::new())
        .faults(HttpFaults::new())
}

fn get(path: &str) -> Sent {
    Request::get(path).body(Full::default()).unwrap()
}

/// A body of these pieces, which its length does not show.
#[derive(Debug)]
struct Pieces(VecDeque<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

fn pieces(data: &[Vec<u8>], has_trailers: bool) -> Pieces {
    let frames = data
        .iter()
        .map(|data| Frame::data(Bytes::from(data.clone())));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    Pieces(
        frames
            .chain(has_trailers.then(|| Frame::trailers(trailers)))
            .collect(),
    )
}

/// All data of a body, whether it had trailers, and the error with which it ended.
async fn read<B: Body<Data = Bytes> + Unpin>(mut body: B) -> (Vec<u8>, bool, Option<B::Error>) {
    let (mut data, mut trailers) = (Vec::new(), false);
    while !body.is_end_stream() {
        match body.frame().await {
            None => break,
            Some(Err(error)) => {
                assert!(body.frame().await.is_none(), "it ends with its error");
                return (data, trailers, Some(error));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(more) => data.extend_from_slice(&more),
                Err(_) => trailers = true,
            },
        }
    }
    (data, trailers, None)
}

type Read = (
    Vec<u8>,
    bool,
    Option<ChaosError<Infallible>>,
    seawall_chaos::ChaosCounts,
);

/// What is read of a response of these pieces, through faults, and what was counted of them.
async fn through(faults: impl Into<FaultSet>, data: &[Vec<u8>], has_trailers: bool) -> Read {
    let layer = layer();
    let injection = layer.handle().start(faults).unwrap();
    let data = data.to_vec();
    let client = layer.layer(service_fn(move |_: Sent| {
        let body = pieces(&data, has_trailers);
        async move { Ok::<_, BoxError>(Response::new(body)) }
    }));
    let response = client.oneshot(get("/")).await.unwrap();
    let (data, trailers, error) = read(response.into_body()).await;
    (data, trailers, error, injection.stop())
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true);
    runtime.build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn a_truncated_body_is_a_part_of_it_and_an_error(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
        trailers: bool, seed: u64,
    ) {
        let whole = data.concat();
        let set = FaultSet::from(Fault::truncated_body()).seed(seed);
        let (read, had_trailers, error, counts) = block_on(through(set, &data, trailers));
        if whole.is_empty() {
            prop_assert!(error.is_none() && had_trailers == trailers);
            prop_assert_eq!((counts.truncated_body, counts.without_effect), (0, 1));
        } else {
            prop_assert!(whole.starts_with(&read));
            prop_assert!(matches!(error, Some(ChaosError::Injected(_))));
            prop_assert_eq!((counts.truncated_body, counts.without_effect), (1, 0));
        }
    }

    #[test]
    fn a_corrupted_body_has_one_byte_that_is_another_one(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
        trailers: bool, seed: u64,
    ) {
        let whole = data.concat();
        let set = FaultSet::from(Fault::corrupted_body()).seed(seed);
        let (read, had_trailers, error, counts) = block_on(through(set, &data, trailers));
        prop_assert!(error.is_none() && had_trailers == trailers);
        prop_assert_eq!(read.len(), whole.len());
        let changed = read.iter().zip(&whole).filter(|(a, b)| a != b).count();
        prop_assert_eq!(changed, usize::from(!whole.is_empty()));
        prop_assert_eq!(counts.corrupted_body as usize, changed);
        prop_assert_eq!(counts.injected() + counts.without_effect, 1);
    }

    #[test]
    fn a_slow_body_is_the_same_and_each_piece_comes_later(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
        trailers: bool,
    ) {
        let slow = Fault::slow_body(Delay::constant(100 * MS).unwrap());
        let (result, took) = block_on(async {
            let before = Instant::now();
            let result = through(slow, &data, trailers).await;
            (result, Instant::now() - before)
        });
        let (read, had_trailers, error, counts) = result;
        prop_assert!(error.is_none() && had_trailers == trailers);
        prop_assert_eq!(read, data.concat());
        let pieces = data.iter().filter(|piece| !piece.is_empty()).count();
        prop_assert_eq!(took, 100 * MS * pieces as u32);
        prop_assert_eq!(counts.slow_body, u64::from(pieces > 0));
    }
}

#[tokio::test(start_paused = true)]
async fn all_faults_of_a_body_work_together_and_an_empty_one_has_none() {
    let all = || {
        FaultSet::new([
            Fault::slow_body(Delay::constant(100 * MS).unwrap()),
            Fault::corrupted_body(),
            Fault::truncated_body(),
        ])
        .unwrap()
    };
    let before = Instant::now();
    let (read, _, error, counts) = through(all(), &[b"0123456789".to_vec()], false).await;
    assert!(read.len() < 10 && error.is_some());
    assert_eq!((Instant::now() - before, counts.injected()), (100 * MS, 3));
    let (read, _, error, counts) = through(all(), &[], false).await;
    assert!(read.is_empty() && error.is_none());
    assert_eq!((counts.injected(), counts.without_effect), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_body_under_way_is_free_of_its_faults_when_they_end() {
    let layer = layer();
    let slow = Fault::slow_body(Delay::constant(10_000 * MS).unwrap());
    let injection = layer.handle().start(slow).unwrap();
    let client = layer.layer(service_fn(|_: Sent| async {
        let body = pieces(&[b"one".to_vec(), b"two".to_vec()], true);
        Ok::<_, BoxError>(Response::new(body))
    }));
    let response = client.oneshot(get("/")).await.unwrap();
    let reading = tokio::spawn(read(response.into_body()));
    tokio::time::sleep(1_000 * MS).await;
    let before = Instant::now();
    assert_eq!(injection.stop().slow_body, 1);
    let (data, trailers, error) = reading.await.unwrap();
    assert_eq!(
        (data, trailers, error.is_none()),
        (b"onetwo".to_vec(), true, true)
    );
    assert_eq!(Instant::now(), before);
}

#[tokio::test]
async fn a_body_that_nobody_reads_had_no_fault() {
    let layer = layer();
    let injection = layer.handle().start(Fault::corrupted_body()).unwrap();
    let client = layer.layer(service_fn(|_: Sent| async {
        Ok::<_, BoxError>(Response::new(pieces(&[b"one".to_vec()], false)))
    }));
    drop(client.oneshot(get("/")).await.unwrap());
    let counts = injection.stop();
    assert_eq!((counts.corrupted_body, counts.without_effect), (0, 1));
}

#[tokio::test]
async fn a_status_has_its_headers_and_a_body_unless_it_was_a_head() {
    let layer = layer();
    let status = StatusResponse::new(429)
        .unwrap()
        .header("Retry-After", "2")
        .unwrap();
    let status = status
        .header("set-cookie", "a")
        .unwrap()
        .header("set-cookie", "b")
        .unwrap();
    let _on = layer
        .handle()
        .start(Fault::status(status.body("slow down")))
        .unwrap();
    let client = layer.layer(service_fn(|_: Sent| async {
        Err::<Response<Full<Bytes>>, BoxError>("nobody sends this".into())
    }));
    let response = client.clone().oneshot(get("/v1/quotes")).await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["retry-after"]
        ),
        (429, &"2".parse().unwrap())
    );
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    let body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(9));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "slow down");
    let head = Request::head("/v1/quotes").body(Full::default()).unwrap();
    assert!(
        client
            .oneshot(head)
            .await
            .unwrap()
            .into_body()
            .is_end_stream()
    );
    let counts = layer.handle().counts();
    assert_eq!((counts.status, counts.without_effect), (2, 0));
}

#[test]
fn a_status_that_is_no_fault_and_a_header_that_is_none_are_errors() {
    for status in [0, 200, 301, 399, 600, u16::MAX] {
        assert_eq!(StatusResponse::new(status).unwrap_err().field(), "status");
    }
    let status = StatusResponse::new(503).unwrap();
    for name in ["", "two words", "a:b", "é"] {
        assert_eq!(
            status.clone().header(name, "x").unwrap_err().field(),
            "header"
        );
    }
    let invalid = status.header("x", "a\r\nb: c").unwrap_err();
    assert_eq!(invalid.field(), "header.x");
}

#[tokio::test]
async fn dates_are_off_by_the_skew_and_a_response_without_one_counts_as_without_effect() {
    let layer = layer();
    let skew = Fault::clock_skew(ClockSkew::behind(Duration::from_secs(3600)).unwrap());
    let injection = layer.handle().start(skew).unwrap();
    let client = layer.layer(service_fn(|request: Sent| async move {
        let mut response = Response::new(Full::<Bytes>::default());
        if request.uri().path() == "/dated" {
            let date = "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap();
            response.headers_mut().insert("date", date);
        }
        Ok::<_, BoxError>(response)
    }));
    let response = client.clone().oneshot(get("/dated")).await.unwrap();
    assert_eq!(response.headers()["date"], "Sun, 06 Nov 1994 07:49:37 GMT");
    client.oneshot(get("/")).await.unwrap();
    let counts = injection.stop();
    assert_eq!((counts.clock_skew, counts.without_effect), (1, 1));
}

/// A client whose n-th response is n, with what the request names as headers.
fn counting(
    describer: Routes,
) -> (
    impl Service<Sent, Response = Response<ChaosBody<Full<Bytes>>>, Error = BoxError> + Clone,
    ChaosHandle,
) {
    // Where it is not, writes are spared.
    let config = ChaosConfig::builder().simulated_upstream(true);
    let layer = ChaosLayer::new("http", config.build().unwrap())
        .describe(describer)
        .faults(HttpFaults::new());
    let calls = Arc::new(AtomicUsize::new(0));
    let client = layer.layer(service_fn(move |request: Sent| {
        let nth = calls.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut response = Response::builder();
            for (name, value) in request
                .headers()
                .iter()
                .filter(|(name, _)| *name == "set-cookie")
            {
                response = response.header(name, value);
            }
            let status = if request.uri().path() == "/fails" {
                500
            } else {
                200
            };
            let body = Full::from(nth.to_string());
            Ok::<_, BoxError>(response.status(status).body(body).unwrap())
        }
    }));
    (client, layer.handle())
}

async fn text<S>(client: &S, request: Sent) -> String
where
    S: Service<Sent, Response = Response<ChaosBody<Full<Bytes>>>, Error = BoxError> + Clone,
{
    let response = client.clone().oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn stale_data_is_the_first_response_to_the_same_request_alone() {
    let (client, handle) = counting(Routes::new());
    let injection = handle.start(Fault::stale_response()).unwrap();
    let with = |path, name: &'static str, value: &'static str| {
        let mut request = get(path);
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    assert_eq!(text(&client, get("/a")).await, "0");
    assert_eq!(text(&client, get("/a")).await, "0");
    assert_eq!(text(&client, get("/a?page=2")).await, "1");
    assert_eq!(
        text(&client, with("/a", "authorization", "Bearer x")).await,
        "2"
    );
    assert_eq!(
        text(&client, with("/a", "authorization", "Bearer y")).await,
        "3"
    );
    assert_eq!(
        text(&client, with("/a", "authorization", "Bearer x")).await,
        "2"
    );
    assert_eq!(text(&client, with("/a", "x-request-id", "9")).await, "0");
    // What is not kept: a failure, a session, a response that is not read.
    for nth in ["4", "5"] {
        assert_eq!(text(&client, get("/fails")).await, nth);
    }
    for nth in ["6", "7"] {
        assert_eq!(
            text(&client, with("/s", "set-cookie", "session=1")).await,
            nth
        );
    }
    drop(client.clone().oneshot(get("/unread")).await.unwrap());
    assert_eq!(text(&client, get("/unread")).await, "9");
    assert_eq!(injection.stop().stale_response, 3);
    assert_eq!(text(&client, get("/a")).await, "10");
}

#[tokio::test]
async fn no_write_gets_an_earlier_response_even_one_that_may_be_sent_twice() {
    let mut routes = Routes::new();
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let safe = RequestMeta::new(Replay::SafeWithKey);
        routes = routes.route(method, "/v2/orders", safe).unwrap();
    }
    let (client, handle) = counting(routes);
    let _on = handle.start(Fault::stale_response()).unwrap();
    let mut nth = 0;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        for _ in 0..2 {
            let request = Request::builder().method(&method).uri("/v2/orders");
            let request = request.body(Full::default()).unwrap();
            assert_eq!(text(&client, request).await, nth.to_string());
            nth += 1;
        }
    }
    assert_eq!(handle.counts().stale_response, 0);
}

#[test]
fn injected_errors_mean_what_they_stand_for_however_they_are_wrapped() {
    let error = |fault: Fault| {
        let layer = layer();
        let _on = layer.handle().start(fault).unwrap();
        let client = layer.layer(service_fn(|_: Sent| async {
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }));
        let error = block_on(client.oneshot(get("/"))).unwrap_err();
        *error.downcast::<InjectedError>().unwrap()
    };
    let not_sent = Outcome::Failure(FailureKind::NotSent);
    for (fault, outcome) in [
        (Fault::refused_connection(), not_sent),
        (Fault::error_before_sending(), not_sent),
        (Fault::lost_response(), Outcome::Unknown),
    ] {
        let injected = error(fault);
        let boxed: BoxError = injected.into();
        let io: std::io::Error = injected.into();
        let wrapped: seawall_core::Error<std::io::Error> = injected.into();
        let chaos: ChaosError<std::io::Error> = injected.into();
        let deep = std::io::Error::other(ChaosError::Client(std::io::Error::other(chaos_of(
            injected,
        ))));
        let found = [
            TransportError::outcome(&injected),
            boxed.outcome(),
            io.outcome(),
            wrapped.outcome(),
            chaos.outcome(),
            outcome_of(&deep),
        ];
        assert_eq!(found, [outcome; 6]);
    }
}

fn chaos_of(injected: InjectedError) -> ChaosError<std::io::Error> {
    injected.into()
}

#[test]
fn while_no_fault_is_on_a_call_allocates_nothing() {
    let layer = layer();
    let mut client = layer.layer(service_fn(|_: Sent| {
        let body = Full::new(Bytes::from_static(b"4711"));
        std::future::ready(Ok::<_, BoxError>(Response::new(body)))
    }));
    let mut run = |request| {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Ok(response)) = std::pin::pin!(client.call(request)).poll(&mut context)
        else {
            panic!("it is ready");
        };
        let mut body = response.into_body();
        let frame = Pin::new(&mut body).poll_frame(&mut context);
        assert!(matches!(frame, Poll::Ready(Some(Ok(_)))) && body.is_end_stream());
    };
    run(get("/"));
    let request = get("/");
    assert_eq!(
        seawall_testkit::alloc::count(|| run(request)).allocations,
        0
    );
}

type HyperClient = Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

/// A real server that responds with 40 kB, and how many requests it got.
async fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            let service = hyper::service::service_fn(move |_: Request<Incoming>| {
                counter.fetch_add(1, Ordering::Relaxed);
                async {
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(vec![b'x'; 40_000])))
                }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
        }
    });
    (address, requests)
}

type Wrapped =
    tower::util::MapErr<HyperClient, fn(hyper_util::client::legacy::Error) -> ClientError>;
type ClientError = ChaosError<hyper_util::client::legacy::Error>;

fn real_client() -> (
    Chaos<Wrapped, Policy<seawall_core::ErrorIsFailure, Routes>, HttpFaults>,
    ChaosHandle,
) {
    let client: HyperClient = Client::builder(TokioExecutor::new()).build_http();
    let layer = layer();
    let wrap: fn(hyper_util::client::legacy::Error) -> ClientError = ChaosError::Client;
    (layer.layer(client.map_err(wrap)), layer.handle())
}

#[tokio::test]
async fn over_a_real_socket_bodies_break_off_change_come_late_and_pass() {
    let (address, requests) = server().await;
    let (client, handle) = real_client();
    let ask = || {
        let request = Request::get(format!("http://{address}/"))
            .body(Full::default())
            .unwrap();
        client.clone().oneshot(request)
    };
    let (data, _, error) = read(ask().await.unwrap().into_body()).await;
    assert!(error.is_none());
    assert_eq!(data, vec![b'x'; 40_000]);

    let truncated = handle.start(Fault::truncated_body()).unwrap();
    let (data, _, error) = read(ask().await.unwrap().into_body()).await;
    assert!(data.len() < 40_000 && error.is_some());
    assert_eq!(truncated.stop().truncated_body, 1);

    let corrupted = handle.start(Fault::corrupted_body()).unwrap();
    let (data, _, error) = read(ask().await.unwrap().into_body()).await;
    assert!(data.len() == 40_000 && error.is_none());
    assert_eq!(data.iter().filter(|byte| **byte != b'x').count(), 1);
    assert_eq!(corrupted.stop().corrupted_body, 1);

    let slow = handle
        .start(Fault::slow_body(Delay::constant(30 * MS).unwrap()))
        .unwrap();
    let before = Instant::now();
    let (data, _, _) = read(ask().await.unwrap().into_body()).await;
    assert!(data.len() == 40_000 && Instant::now() - before >= 30 * MS);
    assert_eq!(slow.stop().slow_body, 1);

    let refused = handle.start(Fault::refused_connection()).unwrap();
    let error = ask().await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Failure(FailureKind::NotSent));
    drop(refused);
    assert_eq!(requests.load(Ordering::Relaxed), 4);

    let twice = handle.start(Fault::duplicated_request()).unwrap();
    let (data, _, _) = read(ask().await.unwrap().into_body()).await;
    assert_eq!((data.len(), twice.stop().duplicated_request), (40_000, 1));
    assert_eq!(requests.load(Ordering::Relaxed), 6);

    let stale = handle.start(Fault::stale_response()).unwrap();
    for _ in 0..3 {
        let (data, _, error) = read(ask().await.unwrap().into_body()).await;
        assert!(data == vec![b'x'; 40_000] && error.is_none());
    }
    assert_eq!(stale.stop().stale_response, 2);
    assert_eq!(requests.load(Ordering::Relaxed), 7);
}
