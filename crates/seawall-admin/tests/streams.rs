//! Streams of changes, over real sockets.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use seawall::{Command, Registry};
use serde_json::Value;
use support::{OPERATOR, Stream, VIEWER, get, serve};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

fn breaker(registry: &Registry) -> std::sync::Arc<dyn seawall::InstanceHandle> {
    registry.get("breaker", "alpaca").expect("a breaker")
}

#[tokio::test]
async fn changes_come_as_they_happen_and_a_reader_goes_on_where_it_was() {
    let (registry, _) = support::desk();
    let built = seawall_admin::Admin::builder("desk").registry(registry.clone());
    let built = built.tokens(support::tokens()).build().expect("settings");
    let server = serve(built).await;
    let at = server.local_addr();
    let breaker = breaker(&registry);
    breaker.control(Command::Block).expect("a command");

    let mut stream = Stream::open(at, "").await;
    breaker.control(Command::Reset).expect("a command");
    let (kind, first, data) = stream.event().await.expect("an event");
    assert_eq!(
        (kind.as_str(), &data["service"]),
        ("change", &"desk".into()),
        "{data}"
    );
    assert_eq!(
        (&data["pattern"], &data["name"]),
        (&"breaker".into(), &"alpaca".into())
    );
    assert!(data["at_unix_ms"].is_u64(), "{data}");
    drop(stream);

    breaker.control(Command::ShadowOn).expect("a command");
    let mut again = Stream::open(at, &format!("last-event-id: {first}\r\n")).await;
    let mut words = String::new();
    while !words.contains("shadow_on") {
        let (kind, id, data) = again.event().await.expect("an event");
        assert_eq!(kind, "change");
        assert_ne!(id, first, "nothing twice");
        words += &data.to_string();
    }
    let (run, _) = first.split_once('-').expect("a run and numbers");
    for number in ["9999999", "18446744073709551615"] {
        let path = format!("/api/v1/events?last_event_id={run}-{number}");
        let never = get(at, &path, VIEWER).await;
        assert_eq!(never.status, 400, "{never:?}");
    }
    for path in ["/api/v1/events", "/events"] {
        let wrong = get(at, &format!("{path}?last_event_id=x"), VIEWER).await;
        assert_eq!(wrong.status, 400, "{wrong:?}");
    }

    // A server that stops ends its streams.
    tokio::time::timeout(Duration::from_secs(4), server.stop())
        .await
        .expect("no stream holds it");
    while again.line().await.is_some() {}
}

#[tokio::test]
async fn one_that_was_away_too_long_receives_how_much_it_missed() {
    let (registry, _) = support::desk();
    let built = seawall_admin::Admin::builder("desk").registry(registry.clone());
    let server = serve(built.tokens(support::tokens()).build().expect("settings")).await;
    let breaker = breaker(&registry);
    let mut stream = Stream::open(server.local_addr(), "").await;
    breaker.control(Command::Reset).expect("a command");
    let (_, first, _) = stream.event().await.expect("an event");
    drop(stream);
    for _ in 0..800 {
        breaker.control(Command::Block).expect("a command");
        breaker.control(Command::Reset).expect("a command");
    }
    let mut stream =
        Stream::open(server.local_addr(), &format!("last-event-id: {first}\r\n")).await;
    let (kind, _, data) = stream.event().await.expect("an event");
    assert_eq!(kind, "missed");
    assert!(data["missed"].as_u64().expect("a number") > 100, "{data}");
    assert_eq!(stream.event().await.expect("an event").0, "change");

    // An id of an earlier run is none of this one, whatever its number.
    let mut stream = Stream::open(server.local_addr(), "last-event-id: 17-1700\r\n").await;
    let (kind, _, data) = stream.event().await.expect("an event");
    assert_eq!((kind.as_str(), &data["missed"]), ("missed", &Value::Null));
    let later = stream.event().await.expect("an event");
    assert_eq!(later.0, "missed", "so many are not kept: {later:?}");
    for id in ["x", "17", "17-", "-1", "17-1.x", "99999999999999999999-1"] {
        let path = format!("/api/v1/events?last_event_id={id}");
        assert_eq!(
            get(server.local_addr(), &path, VIEWER).await.status,
            400,
            "{id}"
        );
    }
}

#[tokio::test]
async fn streams_are_bounded_and_a_stalled_one_holds_nobody_up() {
    let (registry, _) = support::desk();
    let built = seawall_admin::Admin::builder("desk").registry(registry.clone());
    let built = built
        .tokens(support::tokens())
        .max_streams(16)
        .max_streams_per_caller(12)
        .requests_per_second(10_000);
    let server = serve(built.build().expect("settings")).await;
    let at = server.local_addr();
    let mut open = Vec::new();
    for _ in 0..12 {
        // None of them is read from now on.
        open.push(Stream::open(at, "").await);
    }
    let beyond = get(at, "/api/v1/events", VIEWER).await;
    assert_eq!(beyond.status, 503, "{beyond:?}");
    let breaker = breaker(&registry);
    for _ in 0..2_000 {
        breaker.control(Command::Block).expect("a command");
        breaker.control(Command::Reset).expect("a command");
    }
    assert_eq!(get(at, "/livez", VIEWER).await.status, 200);
    open.truncate(11);
    let mut last = loop {
        // The server notices the end of a stream when it writes to it.
        breaker.control(Command::Reset).expect("a command");
        tokio::time::sleep(Duration::from_millis(50)).await;
        if server_has_room(at).await {
            break Stream::open(at, "").await;
        }
    };
    breaker.control(Command::Block).expect("a command");
    assert_eq!(last.event().await.expect("an event").0, "change");
}

#[tokio::test]
async fn no_caller_takes_the_streams_of_others() {
    let built = support::admin().max_streams(16);
    let admin = built.requests_per_second(10_000).build().expect("settings");
    let server = serve(admin.clone()).await;
    let at = server.local_addr();
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Stream::open(at, "").await);
    }
    let beyond = get(at, "/api/v1/events", VIEWER).await;
    assert_eq!(beyond.status, 429, "{beyond:?}");
    assert!(beyond.header("retry-after").is_some(), "{beyond:?}");
    assert_eq!(admin.stream_counts().open, 4);
    let mut of_operator = TcpStream::connect(at).await.expect("a connection");
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {OPERATOR}\r\n\r\n"
    );
    of_operator
        .write_all(request.as_bytes())
        .await
        .expect("sent");
    let mut line = String::new();
    let mut reader = BufReader::new(of_operator);
    reader.read_line(&mut line).await.expect("a line");
    assert_eq!(line.trim_end(), "HTTP/1.1 200 OK");
    // A client that goes makes room without anything being sent to it.
    drop((open, reader));
    for _ in 0..500 {
        if admin.stream_counts().open == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", admin.stream_counts());
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let (registry, _) = support::desk();
    let built = seawall_admin::Admin::builder("desk").registry(registry.clone());
    let built = built.tokens(support::tokens()).build().expect("settings");
    let server = serve(built.clone()).await;
    let at = server.local_addr();
    let mut stream = Stream::open(at, "").await;
    breaker(&registry)
        .control(Command::Block)
        .expect("a command");
    let (_, id, _) = stream.event().await.expect("an event");
    // Those that may see it go on.
    built.set_tokens(support::tokens());
    while stream.line().await.is_some() {}
    let mut again = Stream::open(at, &format!("last-event-id: {id}\r\n")).await;
    breaker(&registry)
        .control(Command::Reset)
        .expect("a command");
    again.event().await.expect("an event");
    let only =
        seawall_admin::Tokens::new().with(seawall_admin::Role::Admin, "anna", support::ADMIN);
    built.set_tokens(only.expect("a token"));
    while again.line().await.is_some() {}
    assert_eq!(get(at, "/api/v1/events", VIEWER).await.status, 401);
}

#[tokio::test]
async fn a_stream_ends_when_its_session_is_logged_out() {
    let (registry, _) = support::desk();
    let built = seawall_admin::Admin::builder("desk").registry(registry.clone());
    let server = serve(built.tokens(support::tokens()).build().expect("settings")).await;
    let at = server.local_addr();
    let log_in = serde_json::json!({ "token": OPERATOR });
    let mut cookies = Vec::new();
    for _ in 0..2 {
        let session = support::ask(at, "POST", "/api/v1/session", None, Some(log_in.clone())).await;
        let cookie = session.header("set-cookie").expect("a cookie");
        cookies.push(cookie.split(';').next().expect("a pair").to_owned());
    }
    let mut open = Vec::new();
    for cookie in &cookies {
        open.push(Stream::open_by_cookie(at, cookie).await);
    }
    // Of a token that came with a cookie it is the token that counts.
    let mut of_token = Stream::open(at, &format!("cookie: {}\r\n", cookies[0])).await;
    let log_out = format!(
        "DELETE /api/v1/session HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {}\r\n\r\n",
        cookies[0]
    );
    let gone = support::raw(at, log_out.as_bytes())
        .await
        .expect("an answer");
    assert_eq!(gone.status, 204);
    while open[0].line().await.is_some() {}
    breaker(&registry)
        .control(Command::Block)
        .expect("a command");
    for other in [&mut open[1], &mut of_token] {
        assert_eq!(other.event().await.expect("an event").0, "change");
    }
}

async fn server_has_room(at: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {VIEWER}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut line).await.expect("a line");
    line.contains("200")
}
