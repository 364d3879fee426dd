//! What an operator does by HTTP, over real sockets.

mod support;

use std::time::Duration;

use seawall_admin::{Admin, Role, Tokens};
use serde_json::{Value, json};
use support::{ADMIN, OPERATOR, VIEWER, admin, ask, get, post, serve};

const BREAKER: &str = "/api/v1/components/breaker/alpaca";
const COMMANDS: &str = "/api/v1/components/breaker/alpaca/commands";

fn command(command: &str) -> Value {
    json!({"command": command, "reason": "a drill"})
}

#[tokio::test]
async fn commands_need_their_role_and_each_has_its_inverse() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    for (token, word, status) in [
        (VIEWER, "block", 403),
        (OPERATOR, "reset", 403),
        (OPERATOR, "block", 200),
        (OPERATOR, "shadow_on", 200),
    ] {
        let answer = post(at, COMMANDS, token, command(word)).await;
        assert_eq!(answer.status, status, "{word} {answer:?}");
    }
    let nobody = ask(at, "POST", COMMANDS, None, Some(command("block"))).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
    let unknown = post(at, COMMANDS, "another-token-entirely", command("block")).await;
    assert_eq!(unknown.status, 401);

    let shown = get(at, BREAKER, VIEWER).await.json();
    assert_eq!(shown["state"], "forced_open");
    let active = shown["active"].as_array().expect("a list");
    let words: Vec<_> = active
        .iter()
        .map(|it| it["command"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["block", "shadow_on"]);
    assert_eq!(active[0]["who"], "olga");
    assert_eq!(active[0]["reason"], "a drill");

    post(at, COMMANDS, OPERATOR, command("resume")).await;
    let shown = post(at, COMMANDS, OPERATOR, command("shadow_off"))
        .await
        .json();
    assert_eq!(shown["state"], "half_open");
    assert_eq!(shown.get("active"), None, "{shown}");
    let reset = "/api/v1/system/health/circuit-breakers/alpaca/reset";
    for (token, status) in [(VIEWER, 403), (OPERATOR, 403), (ADMIN, 200)] {
        let answer = post(at, reset, token, json!({"reason": "it is well again"})).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_eq!(get(at, BREAKER, VIEWER).await.json()["state"], "closed");

    let log = get(at, "/api/v1/audit?limit=2", OPERATOR).await.json();
    assert_eq!(log[0]["outcome"], "done");
    assert_eq!(log[1]["outcome"], "requested");
    assert_eq!(
        (&log[0]["who"], &log[0]["action"]),
        (&json!("anna"), &json!("reset"))
    );
    assert_eq!(log[0]["target"], "desk: breaker/alpaca");
    assert_eq!(get(at, "/api/v1/audit", VIEWER).await.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn a_command_ends_by_itself_unless_another_one_came() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let for_a_second =
        |word: &str| json!({"command": word, "reason": "a drill", "expires_in_seconds": 1});
    let state =
        |answer: &support::Answer| answer.json()["state"].as_str().expect("a word").to_owned();

    let blocked = post(at, COMMANDS, OPERATOR, for_a_second("block")).await;
    assert_eq!(state(&blocked), "forced_open");
    assert!(blocked.json()["active"][0]["until_unix_ms"].is_u64());
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_ne!(state(&get(at, BREAKER, VIEWER).await), "forced_open");
    let log = get(at, "/api/v1/audit?limit=1", OPERATOR).await.json();
    assert_eq!(
        (&log[0]["who"], &log[0]["outcome"]),
        (&json!("seawall"), &json!("expired"))
    );
    let reason = log[0]["reason"].as_str().expect("text");
    assert!(
        reason.contains("`block` by olga") && reason.contains("a drill"),
        "{reason}"
    );

    // The second one has no end, and the first one's does not end it.
    post(at, COMMANDS, OPERATOR, for_a_second("block")).await;
    post(at, COMMANDS, OPERATOR, command("block")).await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(state(&get(at, BREAKER, VIEWER).await), "forced_open");

    for (body, detail) in [
        (
            json!({"command": "reset", "reason": "x", "expires_in_seconds": 5}),
            "has no effect",
        ),
        (
            json!({"command": "block", "reason": "x", "expires_in_seconds": 0}),
            "accepted is 1 to 604800",
        ),
        (
            json!({"command": "block", "reason": "x", "expires_in_seconds": 604_801}),
            "accepted is 1 to 604800",
        ),
        (
            json!({"command": "block", "reason": " "}),
            "`reason` is \" \"",
        ),
        (
            json!({"command": "explode", "reason": "x"}),
            "accepted is block, bypass",
        ),
        (
            json!({"command": "block", "reason": "x", "until": 5}),
            "unknown field `until`",
        ),
        (json!({"command": "block"}), "missing field `reason`"),
    ] {
        let answer = post(at, COMMANDS, ADMIN, body).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert!(
            answer.json()["detail"]
                .as_str()
                .expect("text")
                .contains(detail),
            "{answer:?}"
        );
    }
    let drain = post(at, COMMANDS, OPERATOR, command("drain")).await;
    assert_eq!(drain.status, 409, "a breaker drains nothing");
    let words = "`breaker` has no command `drain`, accepted is block";
    assert!(drain.body.contains(words), "{drain:?}");
    assert_eq!(
        post(
            at,
            "/api/v1/components/breaker/none/commands",
            ADMIN,
            command("block")
        )
        .await
        .status,
        404
    );
}

#[tokio::test]
async fn without_tokens_everything_is_shown_and_nothing_commanded() {
    let (registry, _) = support::desk();
    let open = Admin::builder("desk")
        .registry(registry)
        .build()
        .expect("settings");
    let server = serve(open.clone()).await;
    let at = server.local_addr();
    assert_eq!(ask(at, "GET", BREAKER, None, None).await.status, 200);
    let answer = ask(at, "POST", COMMANDS, None, Some(command("block"))).await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("no token is configured"), "{answer:?}");

    let exposed = seawall_admin::serve::AdminServer::bind("0.0.0.0:0", open.clone()).await;
    assert!(
        exposed
            .unwrap_err()
            .to_string()
            .contains("accepted is a loopback address")
    );
    // From now on tokens are asked for.
    open.set_tokens(
        Tokens::new()
            .with(Role::Admin, "anna", ADMIN)
            .expect("a token"),
    );
    assert_eq!(ask(at, "GET", BREAKER, None, None).await.status, 401);
    assert_eq!(
        post(at, COMMANDS, ADMIN, command("block")).await.status,
        200
    );
    // No token is not the same as never one.
    open.set_tokens(Tokens::new());
    assert_eq!(ask(at, "GET", BREAKER, None, None).await.status, 401);
    assert_eq!(
        post(at, COMMANDS, ADMIN, command("block")).await.status,
        401
    );
}

#[tokio::test]
async fn what_only_a_reset_ends_is_begun_by_an_admin() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let retry = "/api/v1/components/retry/alpaca/commands";
    let bypass = json!({"command": "bypass", "reason": "a drill", "expires_in_seconds": 1});
    assert_eq!(post(at, retry, OPERATOR, bypass.clone()).await.status, 403);
    assert_eq!(post(at, retry, ADMIN, bypass).await.status, 200);
    let circuit = post(at, COMMANDS, OPERATOR, command("bypass")).await;
    assert_eq!(circuit.status, 200);
}

#[tokio::test]
async fn a_circuit_is_reset_in_the_registry_that_is_meant() {
    let admin = Admin::builder("desk").tokens(support::tokens());
    let other = seawall::Registry::new("other");
    let stack = seawall::broker("alpaca").build().expect("settings");
    stack.register(&other).expect("the first");
    let admin = admin.registry(support::desk().0).registry(other.clone());
    let server = serve(admin.build().expect("settings")).await;
    let at = server.local_addr();
    let breaker = other.get("breaker", "alpaca").expect("a breaker");
    breaker.control(seawall::Command::Block).expect("a command");
    let reset = "/api/v1/system/health/circuit-breakers/alpaca/reset";
    let why = json!({"reason": "it is well again"});
    assert_eq!(post(at, reset, ADMIN, why.clone()).await.status, 409);
    let done = post(at, &format!("{reset}?registry=other"), ADMIN, why).await;
    assert_eq!((done.status, breaker.state()), (200, "closed"), "{done:?}");
}

#[tokio::test]
async fn a_browser_logs_in_and_its_session_ends_with_its_token() {
    let built = admin().build().expect("settings");
    let server = serve(built.clone()).await;
    let at = server.local_addr();
    let wrong = ask(
        at,
        "POST",
        "/api/v1/session",
        None,
        Some(json!({"token": "a-wrong-token-of-length"})),
    )
    .await;
    assert_eq!(wrong.status, 401);
    let right = ask(
        at,
        "POST",
        "/api/v1/session",
        None,
        Some(json!({"token": OPERATOR})),
    )
    .await;
    assert_eq!(right.json()["role"], "operator");
    let cookie = right.header("set-cookie").expect("a cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let with_cookie = |method: &str, path: &str, extra: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {cookie}\r\n{extra}\r\n"
        )
    };
    let session = with_cookie("GET", "/api/v1/session", "");
    let shown = support::raw(at, session.as_bytes())
        .await
        .expect("an answer");
    assert_eq!(shown.json()["who"], "olga");

    // What another site makes the browser send has the cookie, and is rejected.
    let body = command("block").to_string();
    for (site, status) in [("cross-site", 403), ("same-origin", 200)] {
        let extra = format!(
            "sec-fetch-site: {site}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        let request = with_cookie("POST", COMMANDS, &extra) + &body;
        let answer = support::raw(at, request.as_bytes())
            .await
            .expect("an answer");
        assert_eq!(answer.status, status, "{site} {answer:?}");
    }
    built.set_tokens(
        Tokens::new()
            .with(Role::Admin, "anna", ADMIN)
            .expect("a token"),
    );
    let ended = support::raw(at, session.as_bytes())
        .await
        .expect("an answer");
    assert_eq!(ended.json()["who"], Value::Null);
    let shown = with_cookie("GET", "/api/v1/components", "");
    let shown = support::raw(at, shown.as_bytes()).await.expect("an answer");
    assert_eq!(shown.status, 401);

    let again = ask(
        at,
        "POST",
        "/api/v1/session",
        None,
        Some(json!({"token": ADMIN})),
    )
    .await;
    let cookie = again
        .header("set-cookie")
        .and_then(|it| it.split(';').next())
        .expect("a cookie");
    let with = |method: &str| {
        format!(
            "{method} /api/v1/session HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n"
        )
    };
    assert_eq!(
        support::raw(at, with("DELETE").as_bytes())
            .await
            .expect("it")
            .status,
        204
    );
    let left = support::raw(at, with("GET").as_bytes()).await.expect("it");
    assert_eq!(left.json()["who"], Value::Null);
    assert_eq!(left.json()["control"], true);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let folder = std::env::temp_dir().join(format!("seawall-admin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("audit.jsonl");
    let built = admin().audit_file(&path).build().expect("settings");
    let server = serve(built).await;
    let at = server.local_addr();
    assert_eq!(
        post(at, COMMANDS, OPERATOR, command("block")).await.status,
        200
    );
    let text = std::fs::read_to_string(&path).expect("the log");
    let outcomes: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["requested", "done"]);

    #[cfg(target_os = "linux")]
    {
        // A device without space.
        let full = admin().audit_file("/dev/full").build().expect("settings");
        let server = serve(full).await;
        let at = server.local_addr();
        let answer = post(at, COMMANDS, OPERATOR, command("block")).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(get(at, BREAKER, VIEWER).await.json()["state"], "closed");
    }
    let unwritable = admin()
        .audit_file(folder.join("none").join("audit"))
        .build();
    assert_eq!(unwritable.unwrap_err().field(), "audit_file");
    std::fs::remove_dir_all(&folder).expect("the folder");
}

/// A component whose commands take the audit log away.
#[cfg(target_os = "linux")]
struct Eater(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl seawall::InstanceHandle for Eater {
    fn pattern(&self) -> &'static str {
        "eater"
    }
    fn name(&self) -> seawall::InstanceName {
        "log".into()
    }
    fn state(&self) -> &'static str {
        "ok"
    }
    fn samples(&self, _: &mut seawall_core::Samples<'_>) {}
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn attach(&self, _: &seawall::Events) {}
    fn commands(&self) -> &'static [seawall::Command] {
        &[seawall::Command::Reset]
    }
    fn control(&self, _: seawall::Command) -> Result<(), seawall_core::Unsupported> {
        std::fs::remove_dir_all(&self.0).expect("the folder");
        Ok(())
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn that_something_is_done_is_written_down_as_soon_as_that_can_be() {
    let folder = std::env::temp_dir().join(format!("seawall-eaten-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("audit.jsonl");
    let (registry, _) = support::desk();
    registry.register(Eater(folder.clone())).expect("the first");
    let built = Admin::builder("desk").registry(registry);
    let built = built.tokens(support::tokens()).audit_file(&path);
    let server = serve(built.build().expect("settings")).await;
    let at = server.local_addr();
    let eat = "/api/v1/components/eater/log/commands";
    let done = post(at, eat, ADMIN, command("reset")).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(done.header("seawall-audit-unwritten"), Some("1"));
    let health = get(at, "/health/detailed", VIEWER).await;
    assert_eq!(health.json()["status"], "degraded");
    assert_eq!(health.json()["audit"]["status"], "degraded");
    assert_eq!(health.json()["audit"]["unwritten"], json!(1));
    let next = post(at, COMMANDS, OPERATOR, command("block")).await;
    assert_eq!(next.status, 503, "nothing more is done: {next:?}");

    std::fs::create_dir_all(&folder).expect("a folder");
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if path.exists() {
            break;
        }
    }
    let mut health = get(at, "/health/detailed", VIEWER).await;
    for _ in 0..100 {
        if health.json()["audit"]["unwritten"] == json!(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        health = get(at, "/health/detailed", VIEWER).await;
    }
    assert_eq!(health.json()["audit"]["status"], "healthy");
    assert_eq!(health.header("seawall-audit-unwritten"), None);
    let text = std::fs::read_to_string(&path).expect("the log");
    let line: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&line["action"], &line["outcome"]),
        (&json!("reset"), &json!("done"))
    );
    assert_eq!(
        post(at, COMMANDS, OPERATOR, command("block")).await.status,
        200
    );
    std::fs::remove_dir_all(&folder).expect("the folder");
}

#[tokio::test]
async fn what_a_command_takes_the_place_of_is_in_its_answer() {
    let server = serve(admin().build().expect("settings")).await;
    let at = server.local_addr();
    let long = json!({"command": "block", "reason": "maintenance", "expires_in_seconds": 3600});
    let first = post(at, COMMANDS, OPERATOR, long).await.json();
    assert_eq!(first.get("replaced"), None, "{first}");
    let short = json!({"command": "block", "reason": "a drill", "expires_in_seconds": 60});
    let second = post(at, COMMANDS, ADMIN, short).await.json();
    let replaced = second["replaced"].as_array().expect("a list");
    assert_eq!(replaced.len(), 1, "{second}");
    assert_eq!(replaced[0]["who"], "olga");
    assert_eq!(replaced[0]["reason"], "maintenance");
    let lasts = |command: &Value| {
        let number = |field: &str| command[field].as_u64().expect("a number");
        number("until_unix_ms") - number("since_unix_ms")
    };
    assert_eq!(lasts(&replaced[0]), 3_600_000);
    assert_eq!(second["active"].as_array().map(Vec::len), Some(1));
    assert_eq!(lasts(&second["active"][0]), 60_000);
    let ended = post(at, COMMANDS, OPERATOR, command("resume")).await.json();
    assert_eq!(ended["replaced"][0]["reason"], "a drill", "{ended}");
}

#[tokio::test]
async fn a_session_is_for_where_the_routes_are_and_how_they_are_reached() {
    let router = admin().build().expect("settings").router();
    let secure = admin().secure_cookies(true).build().expect("settings");
    let nested = axum::Router::new().nest("/ops", router.clone());
    let cookie = async |router: &axum::Router, method: &str, path: &str, proto: &str| {
        let request = http::Request::builder().method(method).uri(path);
        let request = request
            .header("host", "localhost")
            .header("x-forwarded-proto", proto)
            .header("content-type", "application/json")
            .body(axum::body::Body::from(json!({"token": ADMIN}).to_string()))
            .expect("a request");
        let answer = tower::ServiceExt::oneshot(router.clone(), request).await;
        let answer = answer.expect("an answer");
        let value = answer.headers()[http::header::SET_COOKIE].to_str();
        value.expect("text").to_owned()
    };
    let path = "/api/v1/session";
    let plain = cookie(&router, "POST", path, "http").await;
    assert!(
        plain.contains("; Path=/;") && !plain.contains("Secure"),
        "{plain}"
    );
    let by_proxy = cookie(&router, "POST", path, "https").await;
    assert!(by_proxy.ends_with("; Secure"), "{by_proxy}");
    let always = cookie(&secure.router(), "POST", path, "http").await;
    assert!(always.ends_with("; Secure"), "{always}");
    for method in ["POST", "DELETE"] {
        let in_ops = cookie(&nested, method, "/ops/api/v1/session", "http").await;
        assert!(in_ops.contains("; Path=/ops;"), "{in_ops}");
    }
}
