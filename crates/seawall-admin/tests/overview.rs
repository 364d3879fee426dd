//! What a monitor makes of the figures, over real sockets: an overview and its live stream.
#![cfg(feature = "monitor")]

mod support;

use std::time::Duration;

use seawall::{Command, Registry};
use seawall_admin::{Admin, AdminBuilder, Role, Tokens};
use seawall_health::HealthMonitor;
use seawall_monitor::{AlertKind, Monitor, MonitorConfig, SilenceMatcher};
use serde_json::{Value, json};
use support::{ADMIN, OPERATOR, Stream, VIEWER, get, post, serve};

const STREAM: &str = "/api/v1/resilience/dashboard/stream";

fn desk() -> (Registry, Monitor, AdminBuilder) {
    let (registry, health) = support::desk();
    let monitor = Monitor::builder("desk").registry(registry.clone());
    let monitor = monitor.health(health.clone()).build().expect("settings");
    monitor.sample();
    let admin = Admin::builder("desk")
        .registry(registry.clone())
        .health(health)
        .monitor(monitor.clone())
        .tokens(support::tokens())
        .requests_per_second(10_000);
    (registry, monitor, admin)
}

fn give(registry: &Registry, command: Command) {
    let breaker = registry.get("breaker", "alpaca").expect("a breaker");
    breaker.control(command).expect("a command");
}

#[tokio::test]
async fn the_first_event_has_everything_and_frames_follow_samples() {
    let (registry, monitor, admin) = desk();
    let admin = admin.build().expect("settings");
    let server = serve(admin.clone()).await;
    for _ in 0..3 {
        monitor.sample();
    }
    let mut stream = Stream::open_at(server.local_addr(), STREAM, "").await;
    let (kind, _, first) = stream.event().await.expect("an event");
    assert_eq!(kind, "overview");
    assert_eq!(first["services"][0]["name"], "alpaca");
    let sparks = first["services"][0]["sparkline"].as_array().map(Vec::len);
    assert_eq!(
        sparks,
        Some(3),
        "the first sample has nothing before it: {first}"
    );
    assert_eq!(first["verdict"]["level"], "ok");

    give(&registry, Command::Block);
    monitor.sample();
    let (kind, _, frame) = stream.event().await.expect("an event");
    assert_eq!(kind, "frame");
    assert_eq!(frame["verdict"]["level"], "down", "{frame}");
    let sparks = frame["services"][0]["sparkline"].as_array().map(Vec::len);
    assert_eq!(sparks, Some(1), "only the new point");
    assert_eq!(frame["monitor"]["samples"], json!(5));

    // Nothing happens: the stream says that it is alive.
    let (kind, _, _) = stream.event().await.expect("an event");
    assert_eq!(kind, "heartbeat");

    // Two samples before the viewer takes one: it is sent everything again.
    monitor.sample();
    monitor.sample();
    let (kind, _, _) = stream.event().await.expect("an event");
    assert_eq!(kind, "overview");

    tokio::time::timeout(Duration::from_secs(4), server.stop())
        .await
        .expect("no stream holds it");
    while stream.line().await.is_some() {}
}

#[tokio::test]
async fn a_frame_is_serialized_once_for_all_viewers_and_never_without_one() {
    let (_, monitor, admin) = desk();
    let admin = admin.max_streams(64).max_streams_per_caller(40);
    let admin = admin.build().expect("settings");
    let server = serve(admin.clone()).await;
    for _ in 0..20 {
        monitor.sample();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(admin.stream_counts().frames_serialized, 0, "nobody looks");

    let mut viewers = Vec::new();
    for _ in 0..40 {
        let mut viewer = Stream::open_at(server.local_addr(), STREAM, "").await;
        assert_eq!(viewer.event().await.expect("an event").0, "overview");
        viewers.push(viewer);
    }
    let counts = admin.stream_counts();
    assert_eq!((counts.open, counts.frames_serialized), (40, 1));
    for round in 1..=5 {
        // Longer apart than the pace of frames.
        tokio::time::sleep(Duration::from_millis(250)).await;
        monitor.sample();
        for viewer in &mut viewers {
            assert_eq!(viewer.event().await.expect("an event").0, "frame");
        }
        let counts = admin.stream_counts();
        assert_eq!(counts.frames_serialized, 1 + round, "{counts:?}");
        assert_eq!(counts.frames_sent, 40 * (1 + round), "{counts:?}");
    }
    drop(viewers);
    for _ in 0..500 {
        if admin.stream_counts().open == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    monitor.sample();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(admin.stream_counts().frames_serialized, 6, "nobody looks");
}

/// A hundred viewers of a hundred services, ten of which take nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_stalls_is_sent_the_newest_and_no_queue() {
    const ROUNDS: u64 = 5;
    let registry = Registry::new("desk");
    for number in 0..100 {
        let config = seawall::BreakerConfig::default();
        let breaker = seawall::BreakerLayer::new(format!("upstream-{number}"), config);
        registry
            .register(breaker.handle())
            .expect("a name of its own");
    }
    let monitor = Monitor::builder("desk").registry(registry.clone());
    let monitor = monitor.build().expect("settings");
    for _ in 0..121 {
        monitor.sample();
    }
    let admin = Admin::builder("desk")
        .registry(registry)
        .monitor(monitor.clone());
    let admin = admin
        .tokens(support::tokens())
        .max_streams_per_caller(100)
        .requests_per_second(10_000);
    let admin = admin.build().expect("settings");
    let server = serve(admin.clone()).await;
    let at = server.local_addr();
    let mut stalled = Vec::new();
    for _ in 0..10 {
        stalled.push(Stream::open_narrow(at, STREAM).await);
    }
    let mut viewers = Vec::new();
    for _ in 0..90 {
        let mut viewer = Stream::open_at(at, STREAM, "").await;
        let (kind, data) = viewer.unread().await.expect("an event");
        assert_eq!(kind, "overview");
        assert!(
            data.len() > 500_000,
            "too short to stall at: {}",
            data.len()
        );
        viewers.push(viewer);
    }
    for _ in 0..ROUNDS {
        tokio::time::sleep(Duration::from_millis(250)).await;
        monitor.sample();
        for viewer in &mut viewers {
            assert_eq!(viewer.unread().await.expect("an event").0, "frame");
        }
    }
    let counts = admin.stream_counts();
    assert_eq!(counts.open, 100);
    assert_eq!(counts.frames_serialized, 1 + ROUNDS, "{counts:?}");
    let of_stalled = counts.frames_sent - 90 * (1 + ROUNDS);
    assert!(
        of_stalled <= 20,
        "{of_stalled} frames for 10 that take none"
    );

    // One that goes on receives what was under way, and then the newest.
    let mut late = stalled.pop().expect("one");
    let newest = json!(121 + ROUNDS);
    for seen in 1.. {
        let (kind, data) = late.unread().await.expect("an event");
        let data: Value = serde_json::from_str(&data).expect("JSON");
        if data["monitor"]["samples"] == newest {
            assert_eq!(kind, "overview", "it has missed some");
            break;
        }
        assert!(seen < 3, "{kind} {}", data["monitor"]);
    }
}

#[tokio::test]
async fn a_crowd_of_changes_is_a_few_frames() {
    let (_, monitor, admin) = desk();
    let admin = admin.build().expect("settings");
    let server = serve(admin.clone()).await;
    let mut viewer = Stream::open_at(server.local_addr(), STREAM, "").await;
    viewer.event().await.expect("an event");
    let before = monitor.overview().monitor.samples;
    for _ in 0..200 {
        monitor.sample();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let newest = before + 200;
    loop {
        let (_, _, frame) = viewer.event().await.expect("an event");
        if frame["monitor"]["samples"] == json!(newest) {
            break;
        }
    }
    let serialized = admin.stream_counts().frames_serialized;
    assert!(serialized <= 30, "{serialized}");
}

#[tokio::test]
async fn a_viewer_ends_with_its_token() {
    let (_, monitor, admin) = desk();
    let admin = admin.build().expect("settings");
    let server = serve(admin.clone()).await;
    let at = server.local_addr();
    let mut viewer = Stream::open_at(at, STREAM, "").await;
    viewer.event().await.expect("an event");
    let tokens = Tokens::new().with(Role::Admin, "anna", ADMIN);
    admin.set_tokens(tokens.expect("one"));
    while viewer.line().await.is_some() {}
    assert_eq!(get(at, STREAM, VIEWER).await.status, 401);
    drop(monitor);
}

#[tokio::test]
async fn health_figures_and_history_are_shown() {
    let (registry, monitor, admin) = desk();
    let server = serve(admin.build().expect("settings")).await;
    let at = server.local_addr();
    give(&registry, Command::Block);
    monitor.sample();
    let health = get(at, "/api/v1/resilience/health", VIEWER).await.json();
    assert_eq!(health["verdict"]["level"], "down");
    assert_eq!(health["services"][0]["name"], "alpaca");
    assert_eq!(health["services"][0]["state"], "forced_open");
    assert_eq!(health["checks"][0]["name"], "broker");
    let metrics = get(at, "/api/v1/resilience/metrics", VIEWER).await.json();
    assert_eq!(metrics["totals"]["open_circuits"], json!(1), "{metrics}");
    assert_eq!(metrics["services"][0]["calls_per_second"], json!(0.0));
    let overview = get(at, "/api/v1/resilience/dashboard", VIEWER).await.json();
    let own = serde_json::to_value(&*monitor.overview()).expect("JSON");
    assert_eq!(overview, own);

    let history = get(
        at,
        "/api/v1/resilience/history/alpaca?resolution=1m",
        VIEWER,
    )
    .await;
    let history = history.json();
    assert_eq!(history[0]["resolution_seconds"], json!(60));
    assert_eq!(history[0]["registry"], "desk");
    assert!(history[0]["points"].is_array());
    for (query, status) in [
        ("/alpaca", 200),
        ("/alpaca?resolution=10s&limit=1", 200),
        ("/alpaca?registry=desk", 200),
        ("/alpaca?registry=other", 404),
        ("/alpaca?resolution=5s", 400),
        ("/alpaca?limit=0", 400),
        ("/alpaca?limit=1441", 400),
        ("/alpaca?from=1", 400),
        ("/nobody", 404),
    ] {
        let path = format!("/api/v1/resilience/history{query}");
        assert_eq!(get(at, &path, VIEWER).await.status, status, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn history_has_points_of_both_lengths_and_the_last_ones() {
    let (_, health) = support::desk();
    let (registry, _) = support::desk();
    let config = MonitorConfig::builder().interval(Duration::from_secs(1));
    let monitor = Monitor::builder("desk")
        .registry(registry.clone())
        .config(config.build().expect("settings"))
        .health(health)
        .build()
        .expect("settings");
    for _ in 0..300 {
        tokio::time::advance(Duration::from_secs(1)).await;
        monitor.sample();
    }
    let direct = monitor.history("alpaca");
    assert!(direct[0].ten_seconds.len() > 20, "{direct:?}");
    let admin = Admin::builder("desk").registry(registry).monitor(monitor);
    let router = admin.build().expect("settings").router();
    let ask = |query: &str| {
        let uri = format!("/api/v1/resilience/history/alpaca{query}");
        let request = http::Request::get(uri).header("host", "localhost");
        let request = request.body(axum::body::Body::empty()).expect("one");
        let answer = tower::ServiceExt::oneshot(router.clone(), request);
        async move {
            let body = answer.await.expect("an answer").into_body();
            let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("it");
            serde_json::from_slice::<Value>(&bytes).expect("JSON")
        }
    };
    let expected = serde_json::to_value(&direct[0].ten_seconds).expect("JSON");
    assert_eq!(ask("").await[0]["points"], expected);
    let expected = serde_json::to_value(&direct[0].minutes).expect("JSON");
    assert_eq!(ask("?resolution=1m").await[0]["points"], expected);
    let expected = serde_json::to_value(direct[0].ten_seconds.last()).expect("JSON");
    assert_eq!(ask("?limit=1").await[0]["points"], json!([expected]));
}

#[tokio::test]
async fn alerts_are_acknowledged_and_silenced_with_a_reason_and_that_ends() {
    let (registry, monitor, admin) = desk();
    let server = serve(admin.build().expect("settings")).await;
    let at = server.local_addr();
    give(&registry, Command::Block);
    monitor.sample();
    let alerts = get(at, "/api/v1/resilience/alerts", VIEWER).await.json();
    let alert = &alerts["alerts"][0];
    assert_eq!(alert["state"], "firing", "{alerts}");
    let id = alert["id"].as_u64().expect("a number");
    let path = |what: &str| format!("/api/v1/resilience/alerts/{id}/{what}");
    let why = json!({"reason": "a drill"});
    let known = json!({"reason": "a drill", "expires_in_seconds": 60});

    let ack = path("acknowledge");
    assert_eq!(post(at, &ack, VIEWER, known.clone()).await.status, 403);
    let shown = post(at, &ack, OPERATOR, known.clone()).await.json();
    assert_eq!(shown["acknowledged"]["by"], "olga", "{shown}");
    let overview = get(at, "/api/v1/resilience/dashboard", VIEWER).await.json();
    assert_eq!(overview["alerts"][0]["acknowledged"]["reason"], "a drill");
    let shown = post(at, &path("unacknowledge"), OPERATOR, why.clone()).await;
    assert_eq!(shown.json()["acknowledged"], Value::Null);
    for (body, status) in [
        (json!({"reason": "", "expires_in_seconds": 60}), 422),
        (json!({"reason": "x", "expires_in_seconds": 0}), 422),
        (json!({"reason": "x", "expires_in_seconds": 604_801}), 422),
        (json!({"reason": "x"}), 422),
    ] {
        assert_eq!(
            post(at, &ack, OPERATOR, body.clone()).await.status,
            status,
            "{body}"
        );
    }
    let none = "/api/v1/resilience/alerts/999999/acknowledge";
    assert_eq!(post(at, none, OPERATOR, known.clone()).await.status, 404);
    let wrong = "/api/v1/resilience/alerts/x/acknowledge";
    assert_eq!(post(at, wrong, OPERATOR, known.clone()).await.status, 400);

    let silences = "/api/v1/resilience/silences";
    for (body, status) in [
        (
            json!({"rule": "Nothing", "reason": "x", "expires_in_seconds": 60}),
            422,
        ),
        (
            json!({"service": "nobody", "reason": "x", "expires_in_seconds": 60}),
            404,
        ),
        (json!({"reason": "x", "expires_in_seconds": 60}), 422),
        (
            json!({"all": true, "rule": "SlowCalls", "reason": "x", "expires_in_seconds": 60}),
            422,
        ),
    ] {
        assert_eq!(
            post(at, silences, OPERATOR, body.clone()).await.status,
            status,
            "{body}"
        );
    }
    let body = json!({"service": "alpaca", "rule": "BreakerOpened", "reason": "a drill", "expires_in_seconds": 60});
    let silence = post(at, silences, OPERATOR, body).await.json();
    assert_eq!(silence["service"], "alpaca", "{silence}");
    let alerts = get(at, "/api/v1/resilience/alerts", VIEWER).await.json();
    assert_eq!(alerts["silences"], json!([silence]), "{alerts}");
    let silenced = |alerts: &Value| {
        let all = alerts["alerts"].as_array().expect("a list").clone();
        all.iter().filter(|it| !it["silenced"].is_null()).count()
    };
    assert_eq!(silenced(&alerts), 1, "{alerts}");
    let end = format!("{silences}/{}/end", silence["id"]);
    assert_eq!(post(at, &end, VIEWER, why.clone()).await.status, 403);
    assert_eq!(post(at, &end, OPERATOR, why.clone()).await.status, 204);
    assert_eq!(post(at, &end, OPERATOR, why).await.status, 404);
    let alerts = get(at, "/api/v1/resilience/alerts", VIEWER).await.json();
    assert_eq!((silenced(&alerts), &alerts["silences"]), (0, &json!([])));

    let audit = get(at, "/api/v1/audit?limit=1000", ADMIN).await.json();
    let audit = audit.as_array().expect("a list");
    for action in ["acknowledge", "unacknowledge", "silence", "end_silence"] {
        let done = audit.iter().any(|it| {
            it["action"] == action && it["outcome"] == "done" && it["reason"] == "a drill"
        });
        assert!(done, "{action}: {audit:?}");
    }
}

#[tokio::test]
async fn without_a_monitor_there_is_none() {
    let server = serve(support::admin().build().expect("settings")).await;
    for path in ["health", "metrics", "alerts", "dashboard", "history/alpaca"] {
        let path = format!("/api/v1/resilience/{path}");
        let answer = get(server.local_addr(), &path, VIEWER).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["detail"], "the program has no monitor");
    }
    assert_eq!(get(server.local_addr(), STREAM, VIEWER).await.status, 404);
}

/// A request with an `accept`, without a socket.
async fn accepting(
    router: &axum::Router,
    path: &str,
    accept: &str,
) -> (u16, http::HeaderMap, String) {
    let request = http::Request::get(path).header("host", "localhost");
    let request = request
        .header("accept", accept)
        .header("authorization", format!("Bearer {VIEWER}"))
        .body(axum::body::Body::empty())
        .expect("a request");
    let answer = tower::ServiceExt::oneshot(router.clone(), request).await;
    let (head, body) = answer.expect("an answer").into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("it");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    (head.status.as_u16(), head.headers, text)
}

#[tokio::test]
async fn a_terminal_gets_a_table() {
    let (registry, monitor, admin) = desk();
    give(&registry, Command::Block);
    monitor.sample();
    let slow = SilenceMatcher::all().rule(AlertKind::SlowCalls);
    let silenced = monitor.silence(slow, "olga", "a slow\u{1b}day", Duration::from_secs(60));
    silenced.expect("a silence");
    let router = admin.build().expect("settings").router();
    for (path, accept) in [
        ("/", "*/*"),
        ("/dashboard", "*/*"),
        ("/dashboard", "text/plain"),
    ] {
        let (status, headers, text) = accepting(&router, path, accept).await;
        assert_eq!(status, 200, "{text}");
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "desk: can I trade? no: alpaca: the circuit is forced open"
        );
        let rows: Vec<Vec<&str>> = lines
            .iter()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let header = rows.iter().position(|row| row.first() == Some(&"SERVICE"));
        let header = header.expect("a table");
        assert_eq!(&rows[header][..3], ["SERVICE", "STATE", "CALLS/S"]);
        assert_eq!(&rows[header + 1][..3], ["alpaca", "forced_open", "0.0"]);
        // The columns are one below the other.
        let at = lines[header].find("STATE");
        assert_eq!(lines[header + 1].find("forced_open"), at, "{text}");
        assert!(
            rows.iter().any(|row| row.first() == Some(&"BreakerOpened")),
            "{text}"
        );
        // Nothing of that rule is firing, and nobody would be sent it.
        let silence = rows.iter().find(|row| row.first() == Some(&"SlowCalls"));
        let silence = silence.unwrap_or_else(|| panic!("{text}"));
        assert_eq!(
            (silence[1], silence[3..].join(" ")),
            ("-", "s olga a slow?day".to_owned())
        );
        assert!(text.contains("the monitor does not run"), "{text}");
    }
    let (_, headers, text) = accepting(&router, "/dashboard", "application/json").await;
    assert_eq!(headers["content-type"], "application/json");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["program"], "desk");
    // The API is JSON, whatever is accepted.
    let (_, headers, _) = accepting(&router, "/api/v1/resilience/health", "*/*").await;
    assert_eq!(headers["content-type"], "application/json");
}

/// A dashboard of Grafana whose first panel asks whether one can trade was empty unless the program had thought of
/// registering its monitor.
#[tokio::test]
async fn figures_of_checks_and_the_monitor_are_scraped_once_registered_or_not() {
    let (registry, monitor, admin) = desk();
    let health = HealthMonitor::new("desk");
    monitor.sample();
    let admin = admin.health(health.clone()).build().expect("settings");
    let router = admin.router();
    for is_registered in [false, true] {
        if is_registered {
            registry.register(monitor.clone()).expect("registered");
            registry.register(health.clone()).expect("registered");
        }
        let (_, _, text) = accepting(&router, "/health/prometheus", "*/*").await;
        for metric in ["seawall_monitor_level", "seawall_health_aggregate_status"] {
            let series = format!("{metric}{{service=\"desk\",name=\"desk\"}} ");
            let lines = text.lines().filter(|line| line.starts_with(&series));
            assert_eq!(lines.count(), 1, "{metric} {is_registered}: {text}");
        }
        let (_, _, text) = accepting(&router, "/health/metrics", "*/*").await;
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let all = json["desk"].as_array().expect("components").iter();
        let own: Vec<_> = all.filter(|it| it["pattern"] == "health_monitor").collect();
        assert_eq!(own.len(), 1, "{json}");
        // What is in no registry is not found by a command.
        let commands = own[0]["commands"].as_array().expect("commands");
        assert_eq!(commands.is_empty(), !is_registered, "{json}");
    }
}

#[tokio::test]
async fn a_browser_is_sent_to_the_page_wherever_it_is() {
    let (_, _, admin) = desk();
    let router = admin.build().expect("settings").router();
    let html = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
    let (status, headers, _) = accepting(&router, "/", html).await;
    assert_eq!(
        (status, headers["location"].as_bytes()),
        (307, &b"/dashboard"[..])
    );
    let nested = axum::Router::new().nest("/ops", router);
    let (status, headers, _) = accepting(&nested, "/ops", html).await;
    assert_eq!(
        (status, headers["location"].as_bytes()),
        (307, &b"/ops/dashboard"[..])
    );
}

#[tokio::test]
async fn a_table_needs_a_token() {
    let (_, _, admin) = desk();
    let server = serve(admin.build().expect("settings")).await;
    let at = server.local_addr();
    for path in ["/", "/dashboard"] {
        assert_eq!(support::ask(at, "GET", path, None, None).await.status, 401);
        let text = get(at, path, VIEWER).await;
        assert_eq!(text.status, 200);
        assert!(
            text.body.starts_with("desk: can I trade? yes\n"),
            "{text:?}"
        );
    }
}
