//! What a runbook has to be typed works: each command of the pages is sent to an admin server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/ops.rs"]
mod ops;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall::cache::{CacheConfig, CacheHandle, CacheLayer};
use seawall::config::Config;
use seawall::fallback::{FallbackConfig, FallbackLayer, Step};
use seawall::orders::journal::MemoryJournal;
use seawall::orders::switch::KillSwitch;
use seawall::trading::OrderStack;
use seawall::{CheckConfig, Command, HealthMonitor, Registry};
use seawall_admin::serve::AdminServer;
use seawall_admin::{Admin, Role, Tokens};
use seawall_monitor::{Monitor, MonitorGuard};
use serde_json::Value;

const TOKEN: &str = "token-of-the-admin-at-night";

/// A command of a page.
#[derive(Debug)]
struct Typed {
    #[allow(dead_code, reason = "shown where it fails")]
    page: String,
    /// `ask` has the token, `curl` has none.
    has_token: bool,
    method: Method,
    path: String,
    body: Option<Value>,
}

/// The commands for the admin server in the blocks of a page.
fn commands(page: &str) -> Vec<Typed> {
    let text = ops::read(page);
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.map(|rest| rest.split_once("```").unwrap().0.replace("\\\n", " "));
    let lines: Vec<_> = blocks
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.contains("$ADMIN/"))
        .collect();
    let typed = lines.into_iter().map(|line| {
        let has_token = line.starts_with("ask ");
        assert!(has_token || line.starts_with("curl "), "{page}: {line}");
        let (_, path) = line.split_once("$ADMIN").unwrap();
        let end = path.find([' ', '"', '\'']).unwrap_or(path.len());
        let body = line.split_once("-d '").map(|(_, rest)| {
            let (json, _) = rest.split_once('\'').unwrap();
            serde_json::from_str(json).unwrap_or_else(|error| panic!("{page}: {json}: {error}"))
        });
        let is_post = body.is_some() || line.contains("-X POST");
        Typed {
            page: page.to_owned(),
            has_token,
            method: if is_post { Method::POST } else { Method::GET },
            path: path[..end].to_owned(),
            body,
        }
    });
    typed.collect()
}

/// A program with an upstream, a broker and what the pages name besides. An alert fires.
async fn program() -> (AdminServer, MonitorGuard) {
    let text =
        "[resilience.alpaca]\nkind = \"broker\"\n[resilience.polygon]\nkind = \"market-data\"\n";
    let config = Config::loader()
        .text("seawall.toml", text)
        .load_reloadable()
        .unwrap();
    let registry = Registry::new("desk");
    for service in ["alpaca", "polygon"] {
        config.stack(service).unwrap().register(&registry).unwrap();
    }
    let step: Step<String, &str> = Step::value("closed", "CLOSED");
    let fallback = FallbackLayer::new("alpaca", FallbackConfig::default(), [step]);
    registry.register(fallback.unwrap().handle()).unwrap();
    let cache = CacheLayer::new("alpaca", CacheConfig::new(Duration::from_secs(1)).unwrap());
    let cache: CacheHandle<String, String> = cache.handle();
    registry.register(cache).unwrap();
    let circuit = registry.get("breaker", "polygon").unwrap();
    circuit.control(Command::Block).unwrap();
    let health = HealthMonitor::new("desk");
    health
        .register("broker", CheckConfig::default(), || async { true })
        .unwrap();
    let orders = seawall::provider("alpaca").unwrap();
    let orders = orders.order_stack(MemoryJournal::default()).unwrap();
    let orders: OrderStack<Full<Bytes>> = orders.build().unwrap();
    let monitor = Monitor::builder("desk").registry(registry.clone());
    let monitor = monitor.health(health.clone()).build().unwrap();
    monitor.sample();
    let guard = monitor.start();
    let tokens = Tokens::new().with(Role::Admin, "anna", TOKEN).unwrap();
    let admin = Admin::builder("desk")
        .registry(registry)
        .health(health)
        .monitor(monitor);
    let admin = admin
        .config(config)
        .trading(orders.handles().orders, Some(KillSwitch::in_memory()))
        .tokens(tokens)
        .requests_per_second(10_000);
    let server = AdminServer::bind("127.0.0.1:0", admin.build().unwrap()).await;
    (server.unwrap(), guard)
}

struct Person {
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
    server: AdminServer,
}

impl Person {
    /// Types it. Returns the status and the response.
    async fn types(&self, typed: &Typed) -> (u16, Value) {
        let url = format!("http://{}{}", self.server.local_addr(), typed.path);
        let mut request = Request::builder().method(&typed.method).uri(url);
        if typed.has_token {
            request = request
                .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
                .header(header::CONTENT_TYPE, "application/json");
        }
        let body = typed
            .body
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default();
        let request = request.body(Full::from(body)).unwrap();
        let response = self.client.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&body);
        (
            status,
            json.unwrap_or_else(|_| String::from_utf8_lossy(&body).into()),
        )
    }

    async fn looks(&self, path: &str) -> Value {
        let typed = Typed {
            page: String::new(),
            has_token: true,
            method: Method::GET,
            path: path.to_owned(),
            body: None,
        };
        self.types(&typed).await.1
    }
}

#[tokio::test]
async fn every_command_of_the_runbooks_is_accepted() {
    let (server, _monitoring) = program().await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let person = Person { client, server };
    let mut pages: Vec<_> = std::fs::read_dir(ops::root().join("docs/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort_unstable();
    let typed = pages
        .iter()
        .flat_map(|page| commands(&format!("docs/runbooks/{page}")));
    let (mut looks, mut does) = (0, BTreeSet::new());
    for mut typed in typed {
        // A stream has no end.
        if typed.path == "/api/v1/events" {
            continue;
        }
        // What differs from case to case.
        if typed.path.contains("/alerts/7/") {
            let alerts = person.looks("/api/v1/resilience/alerts").await;
            let id = alerts["alerts"][0]["id"].as_u64().expect("one fires");
            typed.path = typed.path.replace("/7/", &format!("/{id}/"));
        }
        if let Some(generation) = typed
            .body
            .as_mut()
            .and_then(|body| body.get_mut("generation"))
        {
            *generation = person.looks("/api/v1/config").await["generation"].take();
        }
        let (status, response) = person.types(&typed).await;
        // A health that is bad is an answer, too.
        let is_expected = status == 200 || status == 503 && typed.path.starts_with("/health");
        assert!(is_expected, "{status} {response} for {typed:#?}");
        match typed.method {
            Method::POST => {
                does.insert(typed.path);
            }
            _ => looks += 1,
        }
    }
    assert!(looks > 30 && does.len() > 10, "{looks} {does:?}");
    // They have had an effect, and it is known who had them.
    let audit = person.looks("/api/v1/audit").await;
    assert!(audit.as_array().unwrap().len() >= does.len(), "{audit}");
}
