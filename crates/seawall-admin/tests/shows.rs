//! What is shown, over real sockets.

mod support;

use serde_json::{Value, json};
use support::{OPERATOR, VIEWER, admin, ask, get, post, serve};

/// Components without the figures that run on between two looks.
fn at_rest(mut components: Value) -> Value {
    for component in components.as_array_mut().expect("a list") {
        let figures = component["figures"].as_array_mut().expect("figures");
        figures.retain(|figure| {
            !figure["metric"]
                .as_str()
                .is_some_and(|it| it.ends_with("_seconds"))
        });
    }
    components
}

#[tokio::test]
async fn health_is_503_when_a_critical_check_fails() {
    let (registry, monitor) = support::desk();
    let down = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_down = std::sync::Arc::clone(&down);
    let check = move || {
        let is_down = is_down.load(std::sync::atomic::Ordering::Relaxed);
        async move {
            if is_down {
                Err("the disk is full")
            } else {
                Ok(())
            }
        }
    };
    monitor
        .register("disk", seawall::CheckConfig::default(), check)
        .expect("a name");
    let built = seawall_admin::Admin::builder("desk")
        .registry(registry)
        .health(monitor)
        .tokens(support::tokens())
        .build()
        .expect("settings");
    let server = serve(built.clone()).await;
    let at = server.local_addr();
    let run = "/api/v1/health/checks/disk/run";
    assert_eq!(post(at, run, OPERATOR, json!({})).await.status, 200);
    assert_eq!(ask(at, "GET", "/health", None, None).await.status, 200);
    down.store(true, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..3 {
        post(at, run, OPERATOR, json!({})).await;
    }
    let health = ask(at, "GET", "/health", None, None).await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (503, &json!("unhealthy"))
    );
    let detailed = get(at, "/health/detailed", VIEWER).await;
    assert_eq!(detailed.status, 503);
    assert!(
        detailed.body.contains("the disk is full"),
        "{}",
        detailed.body
    );
    assert_eq!(
        get(at, "/health/detailed", "no-such-token-anywhere")
            .await
            .status,
        401
    );
    let comprehensive = get(at, "/api/v1/system/health/comprehensive", VIEWER).await;
    assert_eq!(comprehensive.json()["status"], "unhealthy");
    assert_eq!(
        post(at, "/api/v1/health/checks/none/run", OPERATOR, json!({}))
            .await
            .status,
        404
    );
    assert_eq!(post(at, run, VIEWER, json!({})).await.status, 403);

    assert_eq!(ask(at, "GET", "/livez", None, None).await.status, 200);
    assert_eq!(ask(at, "GET", "/readyz", None, None).await.status, 200);
    built.set_ready(false);
    assert_eq!(ask(at, "GET", "/readyz", None, None).await.status, 503);
    assert_eq!(ask(at, "GET", "/livez", None, None).await.status, 200);
}

#[tokio::test]
async fn components_are_listed_with_figures_settings_and_commands() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let all = get(at, "/api/v1/components", VIEWER).await.json();
    let patterns: Vec<_> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["pattern"].clone())
        .collect();
    for pattern in ["breaker", "bulkhead", "ratelimit", "retry"] {
        assert!(patterns.contains(&json!(pattern)), "{pattern} {patterns:?}");
    }
    let breakers = get(at, "/api/v1/components?pattern=breaker", VIEWER)
        .await
        .json();
    assert_eq!(breakers.as_array().map(Vec::len), Some(1));
    let breaker = &breakers[0];
    assert_eq!(
        (&breaker["service"], &breaker["name"]),
        (&json!("desk"), &json!("alpaca"))
    );
    assert_eq!(breaker["settings"]["consecutive_failures"], "5");
    assert!(
        breaker["commands"]
            .as_array()
            .expect("a list")
            .contains(&json!("shadow_on"))
    );
    for path in [
        "/api/v1/resilience/circuit-breakers",
        "/api/v1/system/health/circuit-breakers",
    ] {
        let again = get(at, path, VIEWER).await.json();
        assert_eq!(at_rest(again), at_rest(breakers.clone()), "{path}");
    }
    let by_service = get(at, "/health/metrics", VIEWER).await.json();
    // With the health checks, which no registry has here.
    assert_eq!(
        by_service["desk"].as_array().map(Vec::len),
        all.as_array().map(|all| all.len() + 1)
    );
    assert_eq!(
        get(at, "/api/v1/components?patern=breaker", VIEWER)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn prometheus_reads_every_metric_once() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let text = get(at, "/health/prometheus", VIEWER).await;
    assert_eq!(
        text.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let lines: Vec<_> = text.body.lines().collect();
    let state = "seawall_breaker_state{service=\"desk\",name=\"alpaca\"} 0.0";
    assert!(lines.contains(&state), "{}", text.body);
    let help = seawall_core::metric("seawall_breaker_state")
        .expect("a metric")
        .help;
    let help = format!("# HELP seawall_breaker_state {help}");
    assert!(lines.contains(&&*help), "{help}");
    let mut series: Vec<_> = lines
        .iter()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    series.sort_unstable();
    let twice: Vec<_> = series.windows(2).filter(|two| two[0] == two[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(
        series
            .iter()
            .any(|it| it.starts_with("seawall_calls_total{")),
        "{series:?}"
    );
    assert_eq!(lines.last(), Some(&"# EOF"));
}

#[cfg(all(feature = "config", feature = "monitor", feature = "orders"))]
#[tokio::test]
async fn the_description_that_is_served_is_the_one_in_the_repository() {
    let server = serve(admin().build().expect("settings")).await;
    let served = get(server.local_addr(), "/api/v1/openapi.json", OPERATOR)
        .await
        .json();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    if std::env::var_os("SEAWALL_WRITE_OPENAPI").is_some() {
        let text = serde_json::to_string_pretty(&served).expect("JSON") + "\n";
        std::fs::write(path, text).expect("the file");
    }
    let committed = std::fs::read_to_string(path).expect("the file");
    let committed: serde_json::Value = serde_json::from_str(&committed).expect("JSON");
    assert!(
        served == committed,
        "openapi.json is of other routes: run this test with SEAWALL_WRITE_OPENAPI=1"
    );
    assert_eq!(served["openapi"], "3.1.0");
    // What the server answers is described.
    for (path, method, statuses) in [
        ("/livez", "get", &["400", "421"][..]),
        ("/api/v1/audit", "get", &["401", "403", "421"]),
        ("/api/v1/session", "delete", &["204", "403", "421"]),
        ("/api/v1/openapi.json", "get", &["200", "421"]),
        ("/", "get", &["200", "307", "421"]),
        ("/dashboard", "get", &["200", "304", "401"]),
    ] {
        let described = &served["paths"][path][method]["responses"];
        for status in statuses {
            assert!(described[status].is_object(), "{method} {path}: {status}");
        }
    }
    // A setting may have any value, as in the example, and not only that of an object.
    let set = &served["components"]["schemas"]["ChangeRequest"]["properties"]["set"];
    let value = &set["additionalProperties"]["additionalProperties"];
    assert!(value["type"].is_null(), "{set}");
}
