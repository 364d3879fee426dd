//! Which bodies a cache takes for complete, by the method and by what heads say; and when a change has ended.
#![cfg(feature = "cache")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use seawall_cache::{CacheConfig, CacheLayer, CoalesceConfig, CoalesceLayer};
use seawall_core::WrapErrorLayer;
use seawall_http::cache::{HttpCache, StoreBody};
use seawall_http::{HttpClassifier, Routes};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// A layer with the rules of HTTP.
macro_rules! http {
    ($layer:expr) => {
        $layer
            .classify(HttpClassifier::new())
            .describe(Routes::new())
            .rules(HttpCache::new())
            .store(StoreBody::new())
    };
}

/// A cache whose answers are fresh for 10 s.
macro_rules! cache {
    () => {
        http!(CacheLayer::new(
            "quotes",
            CacheConfig::new(10 * SECOND).unwrap()
        ))
    };
}

/// A body that says what a test wants it to.
#[derive(Clone, Default)]
struct Scripted {
    frames: VecDeque<&'static str>,
    hint: Option<u64>,
    ends_early: bool,
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames.pop_front();
        Poll::Ready(frame.map(|text| Ok(Frame::data(text.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ends_early && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn request(method: &Method, target: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(target);
    request.body(Full::default()).unwrap()
}

/// How many calls are made for two requests one after the other.
async fn calls_of_two(method: &Method, lengths: &[&str], body: Scripted) -> usize {
    let calls = AtomicUsize::new(0);
    let service = ServiceBuilder::new()
        .layer(cache!())
        .layer(WrapErrorLayer)
        .service(service_fn(|_: Request<Full<Bytes>>| {
            calls.fetch_add(1, Ordering::Relaxed);
            let mut response = Response::builder();
            for length in lengths {
                response = response.header("content-length", *length);
            }
            let response = response.body(body.clone()).unwrap();
            async { Ok::<_, Infallible>(response) }
        }));
    for _ in 0..2 {
        let response = service.clone().oneshot(request(method, "/q")).await;
        response.unwrap().into_body().collect().await.unwrap();
    }
    calls.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_head_is_complete_whatever_its_length_says() {
    // As hyper has it over HTTP/1 and HTTP/2, also where the length is beyond the bound, and behind a body of any kind.
    for (hint, ends_early) in [
        (Some(0), true),
        (Some(100), true),
        (Some(8 << 20), true),
        (None, true),
        (None, false),
    ] {
        let body = Scripted {
            hint,
            ends_early,
            ..Scripted::default()
        };
        let calls = calls_of_two(&Method::HEAD, &["100"], body.clone()).await;
        assert_eq!(calls, 1, "{hint:?}, {ends_early}");
        // A GET was to have a body.
        let calls = calls_of_two(&Method::GET, &["100"], body).await;
        assert_eq!(calls, 2, "{hint:?}, {ends_early}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_length_that_is_no_number_or_several_is_not_believed() {
    for (lengths, kept) in [
        (&[][..], true),
        (&["2"], true),
        (&["2, 2"], true),
        (&["2", "2"], true),
        (&["3"], false),
        (&["2, 4"], false),
        (&["2", "4"], false),
        (&["two"], false),
        (&["+2"], false),
        (&["-2"], false),
        (&["2,"], false),
        (&[""], false),
        (&["99999999999999999999"], false),
    ] {
        let body = Scripted {
            frames: ["o", "k"].into(),
            ..Scripted::default()
        };
        let calls = calls_of_two(&Method::GET, lengths, body).await;
        assert_eq!(calls == 1, kept, "{lengths:?}");
    }
}

/// A client of HTTP/2, whose server answers a HEAD with the length of what it does not have.
#[cfg(feature = "hyper")]
async fn over_http2() -> (
    impl Service<
        Request<Full<Bytes>>,
        Response = Response<hyper::body::Incoming>,
        Error = hyper::Error,
        Future: Send,
    > + Clone,
    Arc<AtomicUsize>,
) {
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(far).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let head = Response::builder().header("content-length", "100");
            respond.send_response(head.body(()).unwrap(), true).unwrap();
        }
    });
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let service = service_fn(move |request| sender.clone().send_request(request));
    (service, received)
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn over_http2_heads_are_kept_and_shared() {
    let head = || request(&Method::HEAD, "http://h/q");
    let (upstream, received) = over_http2().await;
    let layer = cache!();
    let handle = layer.handle();
    let service = ServiceBuilder::new().layer(layer).layer(WrapErrorLayer);
    let client = service.service(upstream);
    for _ in 0..3 {
        let response = client.clone().oneshot(head()).await.unwrap();
        assert_eq!(response.headers()["content-length"], "100");
        assert!(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }
    assert_eq!(received.load(Ordering::Relaxed), 1);
    assert_eq!(
        (handle.counts().calls.hit, handle.counts().stores.unfinished),
        (2, 0)
    );

    let (upstream, received) = over_http2().await;
    let layer = http!(CoalesceLayer::new("quotes", CoalesceConfig::default()));
    let service = ServiceBuilder::new().layer(layer).layer(WrapErrorLayer);
    let client = service.service(upstream);
    let one = || async {
        let response = client.clone().oneshot(head()).await.unwrap();
        response.into_body().collect().await.unwrap();
    };
    tokio::join!(one(), one(), one(), one());
    assert_eq!(received.load(Ordering::Relaxed), 1);
}

/// Answers a GET with what is so now, after a second, and anything else with a body of two pieces.
fn of_number(
    number: Arc<AtomicUsize>,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Scripted>, Error = Infallible, Future: Send>
+ Clone {
    service_fn(move |request: Request<Full<Bytes>>| {
        let now = number.load(Ordering::Relaxed);
        async move {
            let frames = match *request.method() {
                Method::GET => {
                    tokio::time::sleep(SECOND).await;
                    VecDeque::from([["0", "1", "2"][now]])
                }
                _ => VecDeque::from(["accepted", "done"]),
            };
            let body = Scripted {
                frames,
                ends_early: true,
                ..Scripted::default()
            };
            Ok(Response::new(body))
        }
    })
}

async fn text<B: Body<Data = Bytes, Error = Infallible>>(response: Response<B>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test(start_paused = true)]
async fn what_is_read_while_the_body_of_a_change_streams_is_invalid_at_its_end() {
    for is_read in [true, false] {
        let number = Arc::new(AtomicUsize::new(0));
        let service = ServiceBuilder::new().layer(cache!()).layer(WrapErrorLayer);
        let client = service.service(of_number(Arc::clone(&number)));
        let ask =
            async |method: &Method| client.clone().oneshot(request(method, "/q")).await.unwrap();
        let mut change = Some(ask(&Method::POST).await.into_body());
        assert_eq!(text(ask(&Method::GET).await).await, "0");
        let frame = change.as_mut().unwrap().frame().await;
        frame.unwrap().unwrap();
        number.store(1, Ordering::Relaxed);
        assert_eq!(text(ask(&Method::GET).await).await, "0", "it is kept");
        match &mut change {
            // Its last piece is the end.
            Some(change) if is_read => drop(change.frame().await),
            _ => drop(change.take()),
        }
        assert_eq!(text(ask(&Method::GET).await).await, "1", "read: {is_read}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_began_while_the_body_of_a_change_streams_is_not_shared_after_its_end() {
    let number = Arc::new(AtomicUsize::new(0));
    let layer = http!(CoalesceLayer::new("quotes", CoalesceConfig::default()));
    let handle = layer.handle();
    let service = ServiceBuilder::new().layer(layer).layer(WrapErrorLayer);
    let client = service.service(of_number(Arc::clone(&number)));
    let ask = |method: &Method| client.clone().oneshot(request(method, "/q"));
    let change = ask(&Method::POST).await.unwrap();
    let before = tokio::spawn(ask(&Method::GET));
    tokio::time::sleep(SECOND / 2).await;
    number.store(1, Ordering::Relaxed);
    assert_eq!(text(change).await, "accepteddone");
    let after = ask(&Method::GET).await.unwrap();
    assert_eq!(text(after).await, "1");
    assert_eq!(text(before.await.unwrap().unwrap()).await, "0");
    assert_eq!(handle.counts().joined, 0);
}
