//! A real Prometheus scrapes a program whose upstream goes down, and raises the alerts of `ops/`; a real
//! Alertmanager gets them, and those that the program raises itself. `scripts/packages.sh` installs both.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/ops.rs"]
mod ops;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall::{
    BreakerConfig, ConstMeta, Policy, RateLimitConfig, Registry, RequestMeta, WrapErrorLayer,
};
use seawall_admin::serve::AdminServer;
use seawall_admin::{Admin, Role, Tokens};
use seawall_monitor::{AlertmanagerSink, Endpoint, Monitor, MonitorGuard};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const TOKEN: &str = "token-of-the-prometheus";

/// A server that ends with the test.
struct Server {
    child: Child,
    /// Where it listens.
    address: String,
}

impl Server {
    /// Starts it with any free port, which it reports in its log.
    fn start(program: &str, arguments: &[String], directory: &Path) -> Self {
        let started = Command::new(program)
            .args(arguments)
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(directory)
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.unwrap_or_else(|error| {
            panic!("`{program}` does not start: {error}; scripts/packages.sh installs it")
        });
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = String::new();
        let address = loop {
            let begin = lines.len();
            let read = log.read_line(&mut lines).unwrap();
            assert!(read > 0, "{program} has ended:\n{lines}");
            let line = &lines[begin..];
            if line.contains(r#"msg="Listening on""#) {
                break line.split("address=").nth(1).unwrap().trim().to_owned();
            }
        };
        // Else it would wait when the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    /// The JSON of a path.
    async fn get(&self, path: &str) -> Value {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let url = format!("http://{}{path}", self.address).parse().unwrap();
        let response = client.get(url).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{path}: {body:?}"))
    }

    /// What a query of Prometheus gives.
    async fn query(&self, query: &str) -> Vec<Value> {
        let query = ops::percent_encoded(query);
        let mut answer = self.get(&format!("/api/v1/query?query={query}")).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        match answer["data"]["result"].take() {
            Value::Array(result) => result,
            other => panic!("{query}: {other}"),
        }
    }

    /// The alerts of Prometheus that fire, by name, of a service.
    async fn firing(&self, service: &str) -> Vec<String> {
        let alerts = self.get("/api/v1/alerts").await;
        let alerts = alerts["data"]["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let of_it = firing.filter(|alert| {
            alert["labels"]["service"] == service && alert["labels"]["registry"] == "desk"
        });
        of_it
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("seawall-ops-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn alertmanager(directory: &Path) -> Server {
    let config = ops::root().join("ops/alertmanager/alertmanager.yml");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!(
            "--storage.path={}",
            directory.join("alertmanager").display()
        ),
        // Alone.
        "--cluster.listen-address=".to_owned(),
    ];
    Server::start("prometheus-alertmanager", &arguments, directory)
}

/// Prometheus as in the example, but that it scrapes twice a second.
fn prometheus(directory: &Path, program: &AdminServer, alertmanager: &Server) -> Server {
    let from = ops::root().join("ops/prometheus");
    let mut config = std::fs::read_to_string(from.join("prometheus.yml")).unwrap();
    let target = program.local_addr().to_string();
    for (is, to) in [
        ("_interval: 15s", "_interval: 500ms"),
        ("127.0.0.1:9091", &*target),
        ("127.0.0.1:9093", &alertmanager.address),
    ] {
        assert!(config.contains(is), "{is}");
        config = config.replace(is, to);
    }
    std::fs::write(directory.join("prometheus.yml"), config).unwrap();
    std::fs::write(directory.join("seawall.token"), TOKEN).unwrap();
    let rules = "seawall.rules.yml";
    std::fs::copy(from.join(rules), directory.join(rules)).unwrap();
    let arguments = [
        format!(
            "--config.file={}",
            directory.join("prometheus.yml").display()
        ),
        format!("--storage.tsdb.path={}", directory.join("data").display()),
    ];
    Server::start("prometheus", &arguments, directory)
}

/// A program that calls its upstream 100 times a second.
struct Program {
    server: AdminServer,
    is_down: Arc<AtomicBool>,
    _monitoring: MonitorGuard,
    traffic: tokio::task::JoinHandle<()>,
}

impl Program {
    async fn start(alertmanager: &Server) -> Self {
        let registry = Registry::new("desk");
        let rate = RateLimitConfig::builder().rate(100_000, SECOND).build();
        let breaker = BreakerConfig::builder().consecutive_failures(5);
        let breaker = breaker.open_for(SECOND / 2).build().unwrap();
        let stack = seawall::broker("alpaca")
            .rate_limit(rate.unwrap())
            .breaker(breaker)
            .build_generic(Policy::new().describe(ConstMeta(RequestMeta::idempotent())))
            .unwrap();
        stack.register(&registry).unwrap();
        let is_down = Arc::new(AtomicBool::new(false));
        let down = Arc::clone(&is_down);
        let upstream = service_fn(move |(): ()| {
            let is_down = down.load(Ordering::Relaxed);
            async move {
                sleep(Duration::from_millis(3)).await;
                if is_down {
                    Err("no connection")
                } else {
                    Ok(())
                }
            }
        });
        let client = stack.layer(WrapErrorLayer.layer(upstream));
        let traffic = tokio::spawn(async move {
            loop {
                tokio::spawn(client.clone().oneshot(()));
                sleep(SECOND / 100).await;
            }
        });

        let url = format!("http://{}/api/v2/alerts", alertmanager.address);
        let endpoint = Endpoint::builder(url).build().unwrap();
        let sink = AlertmanagerSink::new(endpoint, 60 * SECOND).unwrap();
        let monitor = Monitor::builder("desk")
            .registry(registry.clone())
            .sink(sink);
        let monitor = monitor.build().unwrap();
        let tokens = Tokens::new()
            .with(Role::Viewer, "prometheus", TOKEN)
            .unwrap();
        let admin = Admin::builder("desk").registry(registry);
        let admin = admin.monitor(monitor.clone()).tokens(tokens);
        let admin = admin.build().unwrap();
        Self {
            server: AdminServer::bind("127.0.0.1:0", admin).await.unwrap(),
            is_down,
            _monitoring: monitor.start(),
            traffic,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.traffic.abort();
    }
}

/// The time that the test has.
struct Bound(Instant);

impl Bound {
    /// Looks several times a second, and fails with what it sees last when the time is over.
    async fn until<T: std::fmt::Debug>(
        &self,
        what: &str,
        look: impl AsyncFn() -> T,
        holds: impl Fn(&T) -> bool,
    ) {
        let mut seen = None;
        let looking = timeout_at(self.0, async {
            while !seen.as_ref().is_some_and(&holds) {
                sleep(SECOND / 5).await;
                seen = Some(look().await);
            }
        });
        let came = looking.await.is_ok();
        assert!(came, "never came: {what}; the last was {seen:?}");
    }
}

/// What Alertmanager has of an alert: whether Prometheus has raised it, and whether it is sent.
async fn received(alertmanager: &Server, name: &str) -> Vec<(&'static str, String)> {
    let alerts = alertmanager.get("/api/v2/alerts").await;
    let alerts = alerts.as_array().unwrap().iter();
    let named = alerts.filter(|alert| alert["labels"]["alertname"] == name);
    let all = named.map(|alert| {
        assert_eq!(alert["labels"]["service"], "alpaca", "{alert}");
        assert_eq!(
            alert["annotations"]["runbook_url"],
            format!("docs/runbooks/{name}.md")
        );
        let by = if alert["labels"]["job"] == "seawall" {
            "prometheus"
        } else {
            "program"
        };
        (by, alert["status"]["state"].as_str().unwrap().to_owned())
    });
    let mut all: Vec<_> = all.collect();
    all.sort_unstable();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_raises_an_alert_in_prometheus_that_ends_with_it() {
    let bound = Bound(Instant::now() + 120 * SECOND);
    let directory = Directory::new();
    let alertmanager = alertmanager(&directory.0);
    let program = Program::start(&alertmanager).await;
    let prometheus = prometheus(&directory.0, &program.server, &alertmanager);

    let scraped = async || prometheus.query(r#"up{job="seawall"} == 1"#).await.len();
    bound.until("a scrape", scraped, |found| *found == 1).await;
    let counted = async || {
        prometheus
            .query(r#"name:seawall_calls:increase1m{name="alpaca"} > 100"#)
            .await
            .len()
    };
    bound.until("calls", counted, |found| *found == 1).await;
    // No number is greater than none.
    let quantile = async || {
        let rate = "sum by (le) (rate(seawall_call_duration_seconds_bucket[30s]))";
        let query = format!("histogram_quantile(0.99, {rate}) > 0");
        prometheus.query(&query).await.len()
    };
    bound
        .until("a quantile", quantile, |found| *found == 1)
        .await;
    let level = async || prometheus.query("seawall_monitor_level == 0").await.len();
    bound
        .until("that one can trade", level, |found| *found == 1)
        .await;
    assert_eq!(prometheus.firing("alpaca").await, [""; 0]);
    assert!(received(&alertmanager, "BreakerOpened").await.is_empty());
    every_query_of_a_dashboard_is_one(&prometheus).await;

    program.is_down.store(true, Ordering::Relaxed);
    let firing = async || prometheus.firing("alpaca").await;
    bound
        .until("the alert", firing, |firing| {
            firing.iter().any(|name| name == "BreakerOpened")
        })
        .await;
    // The program's own is faster and is sent, and that of Prometheus not beside it.
    let both = async || received(&alertmanager, "BreakerOpened").await;
    let expected = [("program", "active"), ("prometheus", "suppressed")];
    let expected = expected.map(|(by, state)| (by, state.to_owned()));
    bound
        .until("both in Alertmanager", both, |all| all[..] == expected)
        .await;

    program.is_down.store(false, Ordering::Relaxed);
    let is_over = |firing: &Vec<String>| !firing.iter().any(|name| name == "BreakerOpened");
    bound.until("the end of the alert", firing, is_over).await;
    bound
        .until("its end in Alertmanager", both, Vec::is_empty)
        .await;
}

/// Prometheus understands each, with what Grafana puts in.
async fn every_query_of_a_dashboard_is_one(prometheus: &Server) {
    let mut found = 0;
    for dashboard in ops::dashboards() {
        for query in ops::queries(&dashboard) {
            found += usize::from(!prometheus.query(&ops::filled_in(&query)).await.is_empty());
        }
    }
    // What has neither an upstream with limits nor orders has nothing to show in some panels.
    assert!(found > 30, "{found} of the queries have found something");
}
