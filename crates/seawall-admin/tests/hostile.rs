//! Requests of somebody who means harm, over real sockets.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{ADMIN, VIEWER, admin, ask, get, raw, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

const COMMANDS: &str = "/api/v1/components/breaker/alpaca/commands";

#[tokio::test]
async fn every_error_is_a_problem_with_its_status() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let with_token =
        format!("host: localhost\r\nconnection: close\r\nauthorization: Bearer {ADMIN}\r\n");
    let json = "content-type: application/json\r\n";
    let long = "x".repeat(70_000);
    for (request, status) in [
        (format!("GET /nowhere HTTP/1.1\r\n{with_token}\r\n"), 404),
        (format!("GET /api/v1/components/breaker/%2e%2e%2fetc HTTP/1.1\r\n{with_token}\r\n"), 404),
        (format!("GET /../../etc/passwd HTTP/1.1\r\n{with_token}\r\n"), 404),
        (format!("GET /api/v1/components/%ff/x HTTP/1.1\r\n{with_token}\r\n"), 400),
        (format!("DELETE /health HTTP/1.1\r\n{with_token}\r\n"), 405),
        (format!("GET {COMMANDS} HTTP/1.1\r\n{with_token}\r\n"), 405),
        (format!("POST {COMMANDS} HTTP/1.1\r\n{with_token}{json}content-length: 3\r\n\r\n{{,}}"), 400),
        (format!("POST {COMMANDS} HTTP/1.1\r\n{with_token}content-length: 2\r\n\r\n{{}}"), 415),
        // An array is no object, even with the fields in their order.
        (format!("POST {COMMANDS} HTTP/1.1\r\n{with_token}{json}content-length: 19\r\n\r\n[\"block\",\"a drill\"]"), 422),
        (format!("POST {COMMANDS} HTTP/1.1\r\n{with_token}{json}content-length: 70000\r\n\r\n{long}"), 413),
        ("GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".to_owned(), 421),
        ("GET /health HTTP/1.0\r\n\r\n".to_owned(), 421),
        ("GET /health HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n".to_owned(), 400),
        ("GET /health/detailed HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Basic eA==\r\n\r\n".to_owned(), 401),
    ] {
        let answer = raw(at, request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, status, "{request:.120} {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        assert_eq!(answer.json()["status"], status, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let state = get(at, "/api/v1/components/breaker/alpaca", VIEWER).await;
    assert_eq!(state.json()["state"], "closed", "nothing was done");
}

#[tokio::test]
async fn a_flood_of_headers_and_a_slow_head_end() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let flood = raw(
        at,
        format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{many}\r\n").as_bytes(),
    )
    .await;
    assert_eq!(flood.map(|answer| answer.status), Some(431));
    let long = format!(
        "GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "y".repeat(64 << 10)
    );
    assert_eq!(
        raw(at, long.as_bytes()).await.map(|answer| answer.status),
        Some(431)
    );

    let mut slow = TcpStream::connect(at).await.expect("a connection");
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: loc")
        .await
        .expect("sent");
    let began = Instant::now();
    // A byte now and then keeps no connection open.
    let mut seen = Vec::new();
    loop {
        let mut bytes = [0; 512];
        let read = tokio::time::timeout(Duration::from_secs(1), slow.read(&mut bytes)).await;
        match read {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(n)) => seen.extend_from_slice(&bytes[..n]),
            Err(_) => {
                let _ = slow.write_all(b"a").await;
            }
        }
        assert!(
            Instant::now() < began + Duration::from_secs(15),
            "it is still open"
        );
    }
    assert!(Instant::now() > began + Duration::from_secs(8));
    assert_eq!(ask(at, "GET", "/livez", None, None).await.status, 200);
}

#[tokio::test]
async fn who_guesses_tokens_is_slowed_down() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let mut statuses = Vec::new();
    for guess in 0..130 {
        let token = format!("guessed-token-{guess:08}");
        let answer = support::post(
            at,
            COMMANDS,
            &token,
            json!({"command": "block", "reason": "x"}),
        )
        .await;
        statuses.push(answer.status);
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
        }
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    // A flood of others takes nothing from those that have a token, nor from probes.
    let operator = get(at, "/api/v1/components", VIEWER).await;
    assert_eq!(operator.status, 200, "{operator:?}");
    for _ in 0..50 {
        assert_eq!(ask(at, "GET", "/livez", None, None).await.status, 200);
    }
    assert!(
        statuses.iter().all(|status| matches!(status, 401 | 429)),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn connections_are_bounded_and_come_back() {
    let server = serve(admin().max_connections(16).build().expect("settings")).await;
    let at = server.local_addr();
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(TcpStream::connect(at).await.expect("a connection"));
    }
    // One beyond the bound is closed at once.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut beyond = TcpStream::connect(at).await.expect("a connection");
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(2), beyond.read(&mut byte)).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
    drop(held);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ask(at, "GET", "/livez", None, None).await.status, 200);
    let none = admin().max_connections(0).build();
    assert_eq!(none.unwrap_err().field(), "max_connections");
}

/// How long a connection stays open on which that is sent, and nothing more.
async fn open_for(at: std::net::SocketAddr, sent: &str) -> (Duration, String) {
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    stream.write_all(sent.as_bytes()).await.expect("sent");
    let began = Instant::now();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes));
    let _ = read.await.expect("it is closed");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (Instant::now() - began, text)
}

#[tokio::test]
async fn connections_that_send_nothing_more_are_closed() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let half = "POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"tok";
    let kept = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let (idle, (body, answer), (kept, _)) =
        tokio::join!(open_for(at, ""), open_for(at, half), open_for(at, kept));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    for open in [idle.0, body, kept] {
        assert!((8..15).contains(&open.as_secs()), "{open:?}");
    }
}
