//! A desk that asks for quotes ten times a second, behind a stack with a chaos layer at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use seawall_breaker::{BreakerConfig, BreakerLayer};
use seawall_chaos::{ChaosConfig, ChaosHandle, ChaosLayer};
use seawall_core::{ConstMeta, InstanceHandle, Registry, RequestMeta, WrapErrorLayer};
use seawall_experiments::{
    Environment, Experiment, ExperimentSet, Outcome, Report, Runner, RunnerBuilder,
};
use seawall_retry::{RetryConfig, RetryLayer};
use seawall_telemetry::{TelemetryConfig, TelemetryLayer};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

/// Sunday, 2026-11-29 12:00 in New York: no market is open.
pub(crate) const SUNDAY: u64 = 1_795_971_600;

pub(crate) fn unix(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What the desk has.
pub(crate) struct Desk {
    pub(crate) registry: Registry,
    pub(crate) chaos: ChaosHandle,
    pub(crate) ended: Arc<AtomicU64>,
    _calls: tokio::task::JoinSet<()>,
}

/// Which layers there are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Layers {
    pub(crate) retry: bool,
    pub(crate) breaker: bool,
}

impl Desk {
    pub(crate) fn start(layers: Layers) -> Self {
        Self::start_with(layers, ChaosConfig::default())
    }

    pub(crate) fn start_with(layers: Layers, config: ChaosConfig) -> Self {
        let registry = Registry::new("desk");
        let meta = ConstMeta(RequestMeta::idempotent());
        let telemetry = TelemetryLayer::new("quotes", TelemetryConfig::default()).describe(meta);
        let chaos = ChaosLayer::new("quotes", config).describe(meta);
        let handle = chaos.handle();
        register(&registry, telemetry.handle());
        let retry = layers.retry.then(|| {
            let layer = RetryLayer::new("quotes", RetryConfig::default()).describe(meta);
            register(&registry, layer.handle());
            layer
        });
        let breaker = layers.breaker.then(|| {
            let config = BreakerConfig::builder()
                .consecutive_failures(5)
                .open_for(Duration::from_secs(2))
                .build()
                .unwrap();
            let layer = BreakerLayer::new("quotes", config);
            register(&registry, layer.handle());
            layer
        });
        let upstream = service_fn(|_: ()| async {
            sleep(Duration::from_millis(10)).await;
            Ok::<_, BoxError>("512.25")
        });
        let client = ServiceBuilder::new()
            .layer(telemetry)
            .option_layer(retry)
            .option_layer(breaker)
            .layer(WrapErrorLayer)
            .layer(chaos)
            .service(upstream);
        let ended = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&ended);
        let mut calls = tokio::task::JoinSet::new();
        calls.spawn(ask(client, counted));
        Self {
            registry,
            chaos: handle,
            ended,
            _calls: calls,
        }
    }

    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// A runner on a quiet Sunday.
    pub(crate) fn runner(&self) -> Runner {
        self.builder().build().unwrap()
    }

    pub(crate) fn builder(&self) -> RunnerBuilder {
        let start = Instant::now();
        Runner::builder("desk", Environment::Test)
            .target(self.chaos.clone())
            .registry(self.registry.clone())
            .clock(move || unix(SUNDAY) + (Instant::now() - start))
    }

    pub(crate) async fn run(&self, text: &str) -> Report {
        self.runner().run(&experiment(text)).await.unwrap()
    }
}

fn register(registry: &Registry, handle: impl InstanceHandle + 'static) {
    registry.register(handle).unwrap();
}

/// Asks ten times a second, whatever comes back and when.
async fn ask<S>(client: S, ended: Arc<AtomicU64>)
where
    S: Service<(), Error: Send> + Clone + Send + 'static,
    S::Response: Send,
    S::Future: Send,
{
    let mut calls = tokio::task::JoinSet::new();
    loop {
        let (client, ended) = (client.clone(), Arc::clone(&ended));
        calls.spawn(async move {
            let _ = client.oneshot(()).await;
            ended.fetch_add(1, Ordering::Relaxed);
        });
        while calls.try_join_next().is_some() {}
        sleep(Duration::from_millis(100)).await;
    }
}

/// The first experiment of a text, on that Sunday.
pub(crate) fn experiment(text: &str) -> Experiment {
    let set = ExperimentSet::from_toml_at(text, unix(SUNDAY)).unwrap();
    set.experiments()[0].clone()
}

/// A game day on the quotes, with these lines in front.
pub(crate) fn game_day(lines: &str) -> String {
    format!(
        r#"
        [[experiment]]
        name = "quotes fail"
        {lines}
        schedule = {{ game_day = true }}
        blast_radius = {{ services = ["quotes"] }}
        run = {{ before = "5s", during = "10s", after = "10s", seed = 7 }}
        "#
    )
}

pub(crate) fn assert_outcome(report: &Report, outcome: Outcome) {
    assert_eq!(report.outcome, outcome, "{}", report.to_markdown());
}
