//! A client over real sockets: requests, bodies, errors, and what is sent again.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use seawall::client::{ClientBuilder, ClientError};
use seawall::{Client, HttpStack, Reason, Sent};
use seawall_sim::provider::Broker;
use serde_json::{Value, json};
use support::quick;
use support::web_server::WebServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn builder(url: &str) -> ClientBuilder<HttpStack> {
    let stack = quick(seawall::broker("broker")).build().unwrap();
    Client::builder(stack).base_url(url)
}

async fn client_of(routes: Router) -> (Client<HttpStack>, WebServer) {
    let server = WebServer::start(routes).await;
    (builder(&server.url()).build().unwrap(), server)
}

/// Method, path, headers and body of a request, as JSON.
async fn echo(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = json!({});
    for (name, value) in &parts.headers {
        headers[name.as_str()] = value.to_str().unwrap().into();
    }
    json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    })
    .to_string()
}

#[tokio::test]
async fn a_request_arrives_as_it_was_built() {
    let server = WebServer::start(Router::new().fallback(any(echo))).await;
    let client = builder(&format!("{}/v2/", server.url()))
        .header("x-key", "of all")
        .header("x-other", "of all")
        .user_agent("desk/1")
        .build()
        .unwrap();
    let request = client
        .put("orders?nested=true")
        .query([("symbol", "A&B C")])
        .query([("limit", 50)])
        .header("x-other", "of this")
        .json(&json!({"qty": 1}));
    let seen: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["method"], "PUT");
    assert_eq!(
        seen["target"],
        "/v2/orders?nested=true&symbol=A%26B%20C&limit=50"
    );
    assert_eq!(seen["body"], r#"{"qty":1}"#);
    let headers = &seen["headers"];
    assert_eq!(headers["x-key"], "of all");
    assert_eq!(headers["x-other"], "of this");
    assert_eq!(headers["user-agent"], "desk/1");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["content-length"], "9");
    assert!(
        headers["accept-encoding"]
            .as_str()
            .unwrap()
            .contains("gzip")
    );

    for (request, method) in [
        (client.get("/"), "GET"),
        (client.post("/"), "POST"),
        (client.patch("/"), "PATCH"),
        (client.delete("/"), "DELETE"),
    ] {
        let seen: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (&seen["method"], &seen["body"]),
            (&method.into(), &"".into())
        );
    }
    assert_eq!(server.connections(), 1, "kept alive");
}

#[tokio::test]
async fn what_cannot_be_sent_is_an_error_that_says_so() {
    let (client, server) = client_of(Router::new()).await;
    for (request, field) in [
        (client.get("https://elsewhere.example/"), "path"),
        (
            client.post("/").header("content-length", "7"),
            "header `content-length`",
        ),
        (
            client.post("/").header("transfer-encoding", "chunked"),
            "header `transfer-encoding`",
        ),
        (client.get("/a/../b"), "path"),
        (client.get("/").header("no name", "x"), "header name"),
        (
            client.get("/").header("x-key", "line\nbreak"),
            "value of `x-key`",
        ),
        (
            client
                .get("/")
                .json(&std::collections::HashMap::from([((1, 2), 3)])),
            "json",
        ),
    ] {
        let error = request.send().await.unwrap_err();
        assert_eq!(error.sent(), Sent::No);
        let ClientError::Invalid(invalid) = error else {
            panic!("{error}")
        };
        assert_eq!(invalid.field(), field);
    }
    assert_eq!(server.connections(), 0);
}

/// Some providers take their key in the query.
#[tokio::test]
async fn a_key_in_the_query_is_shown_by_nothing() {
    let client = builder("http://127.0.0.1:1").build().unwrap();
    let request = client.get("/query").query([("apikey", "s3cret")]);
    assert!(!format!("{request:?}").contains("s3cret"), "{request:?}");
    let unsent = request.send().await.unwrap_err();
    let rejected = client.get("/../x?apikey=s3cret").send().await.unwrap_err();
    for error in [unsent, rejected] {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_provider_gets_the_headers_that_it_asks_for() {
    let edgar = seawall::sec_edgar().unwrap().default_tier().unwrap();
    let rejected = edgar.client().unwrap().base("data").build().unwrap_err();
    assert_eq!(rejected.field(), "header `User-Agent`");
    let built = edgar
        .client()
        .unwrap()
        .base("archives")
        .user_agent("Desk desk@example.com")
        .build();
    assert_eq!(built.unwrap().base_url(), "https://www.sec.gov");

    let alpaca = seawall::alpaca().unwrap().default_tier().unwrap();
    let rejected = alpaca.client().unwrap().build().unwrap_err();
    assert_eq!(
        rejected.field(),
        "base",
        "real money only where that was chosen"
    );
    assert!(rejected.accepted().contains("`live`, `paper`"));
    assert!(alpaca.client().unwrap().base("papr").build().is_err());
    let unusable = alpaca
        .client()
        .unwrap()
        .base("paper")
        .connect_timeout(Duration::ZERO);
    assert_eq!(unusable.build().unwrap_err().field(), "connect_timeout");
}

#[tokio::test]
async fn each_attempt_is_authenticated_by_itself() {
    static NONCE: AtomicU64 = AtomicU64::new(1);
    let nonces = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&nonces);
    let handler = move |request: Request| {
        let mut seen = seen.lock().unwrap();
        seen.push(format!("{:?}", request.headers()["x-signature"]));
        let status = if seen.len() < 3 { 503 } else { 200 };
        std::future::ready(StatusCode::from_u16(status).unwrap())
    };
    let server = WebServer::start(Router::new().route("/", any(handler))).await;
    let client = builder(&server.url())
        .auth(|request| {
            let nonce = NONCE.fetch_add(1, Ordering::SeqCst);
            let signature = format!(
                "{} {nonce} {}",
                request.uri().path(),
                request.body().data().len()
            );
            let signature = HeaderValue::try_from(signature)?;
            request.headers_mut().insert("x-signature", signature);
            Ok::<_, axum::http::header::InvalidHeaderValue>(())
        })
        .build()
        .unwrap();
    let response = client
        .put("/")
        .body("four")
        .retry_safe()
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200, "{:?}", response.rejection());
    let nonces = nonces.lock().unwrap();
    assert_eq!(*nonces, ["\"/ 1 4\"", "\"/ 2 4\"", "\"/ 3 4\""]);
}

#[tokio::test]
async fn an_auth_hook_that_fails_after_an_attempt_says_that_it_may_have_been_sent() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let busy = Router::new().fallback(|| async { StatusCode::SERVICE_UNAVAILABLE });
    let server = WebServer::start(busy).await;
    let client = builder(&server.url())
        .auth(|_| match CALLS.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err("the token has expired"),
        })
        .build()
        .unwrap();
    let order = client.post("/orders").body("{}").retry_safe();
    let error = order.send().await.unwrap_err();
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    assert_eq!(error.sent(), Sent::Maybe);
    let text = error.to_string();
    assert!(
        text.ends_with("an attempt before it may have been sent"),
        "{text}"
    );
}

/// A broker would take the beginning of an order for all of it.
#[tokio::test]
async fn an_auth_hook_does_not_set_the_length_of_the_body() {
    let server = WebServer::start(Router::new().fallback(any(echo))).await;
    let client = builder(&server.url()).auth(|request| {
        let headers = request.headers_mut();
        headers.insert("content-length", HeaderValue::from_static("3"));
        Ok::<_, Infallible>(())
    });
    let client = client.build().unwrap();
    let error = client
        .post("/")
        .body("0123456789")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the auth hook failed: it sets `content-length`, which is that of the body; nothing was sent"
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_wait_of_a_server_is_bounded_and_extensions_are_passed_on() {
    #[derive(Clone)]
    struct Note(Arc<AtomicUsize>);
    let late = || async { ([("retry-after", "99999999999999999999")], "wait") };
    let server = WebServer::start(Router::new().route("/", get(late))).await;
    let client = builder(&server.url())
        .auth(|request| {
            let note = request.extensions().get::<Note>().expect("it is there");
            note.0.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(())
        })
        .build()
        .unwrap();
    let note = Note(Arc::default());
    let response = client
        .get("/")
        .extension(note.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(response.retry_after(), Some(Duration::from_secs(24 * 3600)));
    assert_eq!(note.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_auth_hook_that_fails_ends_the_call_and_blames_nobody() {
    let server = WebServer::start(Router::new()).await;
    let client = builder(&server.url())
        .auth(|_| Err("the key store is locked"))
        .build()
        .unwrap();
    for _ in 0..5 {
        let error = client.get("/").send().await.unwrap_err();
        let text = "the auth hook failed: the key store is locked; nothing was sent";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.sent(), Sent::No);
    }
    assert_eq!(server.connections(), 0);
    let handles = client.stack().handles();
    assert_eq!(handles.retry.counts().retries, 0);
    let circuit = handles.breaker.snapshot().state;
    assert_eq!(circuit, seawall::CircuitState::Closed);
}

/// Reads requests and closes the connection in place of a response.
async fn hang_up(listener: TcpListener, read: Arc<AtomicUsize>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
            read.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn an_order_that_may_have_been_sent_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let read = Arc::new(AtomicUsize::new(0));
    let server = tokio::spawn(hang_up(listener, Arc::clone(&read)));
    let client = builder(&url).build().unwrap();
    let error = client
        .post("/v2/orders")
        .body("buy")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.sent(), Sent::Maybe, "{error}");
    assert!(
        error
            .to_string()
            .ends_with("the request may have been sent"),
        "{error}"
    );
    assert_eq!(read.load(Ordering::SeqCst), 1);

    let safe = builder(&url).build().unwrap();
    let safe = safe
        .post("/v2/orders")
        .body("buy")
        .retry_safe()
        .send()
        .await;
    assert_eq!(safe.unwrap_err().sent(), Sent::Maybe);
    assert_eq!(
        read.load(Ordering::SeqCst),
        4,
        "three attempts of the stack"
    );
    server.abort();
}

#[tokio::test]
async fn an_order_that_was_not_sent_is_sent_again() {
    // A port that nobody listens at, until the second attempt.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let retry = seawall::RetryConfig::builder()
        .attempts(4)
        .backoff(seawall::Backoff::constant(Duration::from_millis(200)).unwrap());
    let stack = quick(seawall::broker("broker")).retry(retry.build().unwrap());
    let client = Client::builder(stack.build().unwrap())
        .base_url(format!("http://{address}"))
        .build()
        .unwrap();
    let call = tokio::spawn(async move {
        let response = client.post("/v2/orders").body("buy").send().await.unwrap();
        (
            response.status(),
            client.stack().handles().retry.counts().retries,
        )
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).await.unwrap();
    assert!(buffer[..length].starts_with(b"POST /v2/orders HTTP/1.1\r\n"));
    let response = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(response).await.unwrap();
    let (status, retries) = call.await.unwrap();
    assert_eq!(status, 201);
    assert!(retries >= 1);
}

#[tokio::test]
async fn a_broker_executes_an_order_once() {
    let broker = Broker::alpaca().start().await.unwrap();
    let tier = seawall::alpaca().unwrap().default_tier().unwrap();
    let client = tier
        .client()
        .unwrap()
        .base_url(broker.base_url())
        .build()
        .unwrap();
    let order = json!({
        "symbol": "SPY", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day",
        "client_order_id": "one",
    });
    let placed = client.post("/v2/orders").json(&order).send().await.unwrap();
    let placed: Value = placed
        .error_for_status()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let path = format!("/v2/orders/{}", placed["id"].as_str().unwrap());
    let found: Value = client.get(path).send().await.unwrap().json().await.unwrap();
    assert_eq!(found["client_order_id"], "one");
    assert_eq!(broker.executions("one"), 1);

    let missing = client.get("/v2/orders/nothing").send().await.unwrap();
    let error = missing.error_for_status().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 404);
    assert!(
        error
            .to_string()
            .starts_with("the response has the status 404 Not Found: {")
    );
}

#[tokio::test]
async fn bodies_have_a_longest_length() {
    let routes = Router::new()
        .route("/announced", get(|| async { "0123456789" }))
        .route(
            "/chunked",
            get(|| async {
                let pieces =
                    ["01234", "", "56789"].map(|piece| Ok::<_, Infallible>(piece.to_owned()));
                Body::from_stream(stream::iter(pieces))
            }),
        )
        .route(
            "/gzip",
            get(|| async {
                let mut gzip =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                gzip.write_all(&vec![b'x'; 1_000_000]).unwrap();
                ([("content-encoding", "gzip")], gzip.finish().unwrap())
            }),
        );
    let (client, _server) = client_of(routes).await;
    for path in ["/announced", "/chunked"] {
        let response = || async { client.get(path).send().await.unwrap() };
        assert_eq!(
            response().await.max_body(10).text().await.unwrap(),
            "0123456789"
        );
        let error = response().await.max_body(9).bytes().await.unwrap_err();
        assert!(
            matches!(error, ClientError::TooLarge { limit: 9 }),
            "{error}"
        );
        let mut chunks = response().await.max_body(9).stream();
        let mut read = 0;
        let error = loop {
            match chunks.next().await.unwrap() {
                Ok(chunk) => read += chunk.len(),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ClientError::TooLarge { limit: 9 }) && read <= 9);
        assert!(chunks.next().await.is_none());
    }
    let gzip = || async { client.get("/gzip").send().await.unwrap() };
    assert_eq!(gzip().await.bytes().await.unwrap().len(), 1_000_000);
    let bomb = gzip().await.max_body(999_999).bytes().await.unwrap_err();
    assert!(matches!(bomb, ClientError::TooLarge { .. }), "{bomb}");
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_reported() {
    let routes = Router::new()
        .route(
            "/html",
            get(|| async { (StatusCode::BAD_REQUEST, "<html>\n<p>no") }),
        )
        .route("/latin", get(|| async { vec![b'a', 0xE9] }));
    let (client, _server) = client_of(routes).await;
    let html = client
        .get("/html")
        .send()
        .await
        .unwrap()
        .json::<Value>()
        .await
        .unwrap_err();
    assert_eq!(html.status().unwrap(), 400);
    let text = html.to_string();
    assert!(
        text.contains("400 Bad Request") && text.contains("line 1 column 1"),
        "{text}"
    );
    assert!(text.contains("near `<html>"), "{text}");

    let latin = client
        .get("/latin")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap_err();
    assert!(matches!(latin, ClientError::NotUtf8(_)), "{latin}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
        stream.write_all(half).await.unwrap();
    });
    let client = builder(&url).build().unwrap();
    let cut = client
        .get("/cut")
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap_err();
    assert!(matches!(cut, ClientError::Body(_)), "{cut}");
    assert_eq!(cut.sent(), Sent::Maybe);
}

/// A log has one line for an error, whatever its upstream says.
#[tokio::test]
async fn the_text_of_a_server_begins_no_line() {
    let forged = || async {
        (
            StatusCode::BAD_REQUEST,
            "no\n2026-01-01 INFO paid\u{1b}[31m \u{e9}",
        )
    };
    let (client, _server) = client_of(Router::new().route("/", get(forged))).await;
    let response = client.get("/").send().await.unwrap();
    let error = response.error_for_status().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the response has the status 400 Bad Request: no\\n2026-01-01 INFO paid\\u{1b}[31m \u{e9}"
    );
    let error = client
        .get("/")
        .send()
        .await
        .unwrap()
        .json::<u32>()
        .await
        .unwrap_err();
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
}

#[tokio::test]
async fn a_request_has_a_timeout_of_its_own() {
    let routes = Router::new().route("/", any(std::future::pending::<()>));
    let (client, _server) = client_of(routes).await;
    let call = client.post("/").timeout(Duration::from_millis(150)).send();
    let late = tokio::time::timeout(Duration::from_secs(5), call).await;
    let late = late.expect("in time");
    let error = late.unwrap_err();
    assert_eq!(
        error.rejection().unwrap().reason(),
        Reason::DeadlineExceeded
    );
    assert_eq!(error.sent(), Sent::Maybe);
}

#[tokio::test]
async fn the_timeout_of_a_request_bounds_its_body_too() {
    let stalls = || async {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"[1,"))]);
        Body::from_stream(first.chain(stream::pending()))
    };
    let (client, _server) = client_of(Router::new().route("/", get(stalls))).await;
    let within = Duration::from_millis(150);
    let response = client.get("/").timeout(within).send().await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(5), response.bytes()).await;
    let error = read.expect("in time").unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    assert_eq!(error.sent(), Sent::Maybe);
    let text = "the body of the response has not ended within the timeout of 150ms";
    assert_eq!(error.to_string(), text);
    assert_eq!(client.stack().handles().bulkhead.snapshot().in_flight, 0);

    let response = client.get("/").timeout(within).send().await.unwrap();
    let mut chunks = response.stream();
    assert_eq!(chunks.next().await.unwrap().unwrap(), "[1,");
    assert!(chunks.next().await.unwrap().is_err());
    assert!(chunks.next().await.is_none(), "it is over");
}

#[tokio::test]
async fn a_rejection_says_which_layer_and_why() {
    let routes = Router::new().route(
        "/",
        any(|| async {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]).into_response()
        }),
    );
    let (client, _server) = client_of(routes).await;
    let throttled = client.get("/").send().await.unwrap();
    assert_eq!(throttled.retry_after(), Some(Duration::from_secs(3600)));
    let error = throttled.error_for_status().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));

    client.stack().handles().breaker.force_open();
    let error = client.get("/").send().await.unwrap_err();
    assert_eq!(error.rejection().unwrap().reason(), Reason::CircuitOpen);
    assert!(
        error.to_string().starts_with("circuit breaker `broker`: "),
        "{error}"
    );
    assert_eq!(error.sent(), Sent::No);
}

#[tokio::test]
async fn server_sent_events_come_as_they_are_sent() {
    let routes = Router::new().route(
        "/events",
        post(|| async {
            let pieces = [
                &b"\xEF\xBB\xBF: hello\n\nevent: add\nda"[..],
                b"ta: \xE2\x82",
                b"\xAC\r\n\r",
                b"\ndata: [DONE]\n\ndata: never ended",
            ];
            let pieces = pieces.map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
            Body::from_stream(stream::iter(pieces))
        }),
    );
    let (client, _server) = client_of(routes).await;
    let mut events = client.post("/events").send().await.unwrap().events();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((&*event.event, &*event.data), ("add", "\u{20AC}"));
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((&*event.event, &*event.data), ("message", "[DONE]"));
    assert!(events.next().await.is_none());

    let mut short = client
        .post("/events")
        .send()
        .await
        .unwrap()
        .max_body(15)
        .events();
    assert_eq!(short.next().await.unwrap().unwrap().event, "add");
    assert_eq!(short.next().await.unwrap().unwrap().data, "[DONE]");
    let error = short.next().await.unwrap().unwrap_err();
    assert!(
        matches!(error, ClientError::TooLarge { limit: 15 }),
        "{error}"
    );
    assert!(short.next().await.is_none());
}

#[tokio::test]
async fn a_body_that_is_dropped_or_read_gives_its_permit_back() {
    let routes = Router::new().route("/", get(|| async { vec![b'x'; 100_000] }));
    let (client, _server) = client_of(routes).await;
    let in_flight = || client.stack().handles().bulkhead.snapshot().in_flight;
    let response = client.get("/").send().await.unwrap();
    assert_eq!(in_flight(), 1);
    let mut chunks = response.stream();
    chunks.next().await.unwrap().unwrap();
    assert_eq!(in_flight(), 1);
    drop(chunks);
    assert_eq!(in_flight(), 0);
    assert_eq!(
        client
            .get("/")
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .len(),
        100_000
    );
    assert_eq!(in_flight(), 0);
    drop(client.get("/").send());
    assert_eq!(in_flight(), 0);
}

#[test]
fn every_tier_of_the_catalogue_makes_a_client_at_each_of_its_urls() {
    // Whatever this system trusts.
    let authority = support::web_server::Authority::new().pem();
    let mut clients = 0;
    for provider in seawall::catalog::Catalog::embedded().unwrap().providers() {
        for tier in provider.tiers() {
            for (name, url) in provider.base_urls() {
                let mut builder = tier
                    .client()
                    .unwrap()
                    .base(name)
                    .without_system_roots()
                    .root_certificates(&*authority);
                for (header, example) in provider.required_headers() {
                    builder = builder.header(header, example);
                }
                let client = builder.build().unwrap();
                assert_eq!(client.base_url(), url.trim_end_matches('/'));
                clients += 1;
            }
        }
    }
    assert!(clients > 17, "{clients}");
}
