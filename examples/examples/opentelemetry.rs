//! Spans and metrics of a stack, exported by OTLP. Any collector takes them; here a small receiver on this
//! machine counts what arrives.
//!
//! ```text
//! cargo run --example opentelemetry
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use seawall::{
    ConstMeta, Operation, Policy, Registry, RequestMeta, TelemetryConfig, WrapErrorLayer,
};
use seawall_core::{HISTOGRAM_BOUNDS, HistogramSnapshot, METRICS, MetricKind, Samples, Value};
use serde_json::{Value as JsonValue, json};
use tower::{Layer, ServiceExt, service_fn};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt};

/// What the receiver has got.
#[derive(Default)]
struct Received {
    /// Spans by their id: name, id of the parent, how often it was sent again.
    spans: HashMap<String, (String, String, Option<String>)>,
    /// Metrics by name, with the sum of their points.
    metrics: BTreeMap<String, f64>,
}

type Shared = Arc<Mutex<Received>>;

/// The elements of arrays within arrays.
fn each<'a>(value: &'a JsonValue, path: &[&str]) -> Vec<&'a JsonValue> {
    let Some((key, rest)) = path.split_first() else {
        return vec![value];
    };
    let elements = value[*key].as_array().into_iter().flatten();
    elements.flat_map(|element| each(element, rest)).collect()
}

fn text(value: &JsonValue) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

async fn spans(State(received): State<Shared>, Json(body): Json<JsonValue>) -> Json<JsonValue> {
    let mut received = received.lock().expect("no panic");
    for span in each(&body, &["resourceSpans", "scopeSpans", "spans"]) {
        let attributes = each(span, &["attributes"]);
        let mut resent = attributes
            .iter()
            .filter(|it| it["key"] == "http.request.resend_count");
        let resent = resent.next().map(|it| text(&it["value"]["intValue"]));
        let of = (text(&span["name"]), text(&span["parentSpanId"]), resent);
        received.spans.insert(text(&span["spanId"]), of);
    }
    Json(json!({}))
}

async fn metrics(State(received): State<Shared>, Json(body): Json<JsonValue>) -> Json<JsonValue> {
    let mut received = received.lock().expect("no panic");
    for metric in each(&body, &["resourceMetrics", "scopeMetrics", "metrics"]) {
        let points = ["sum", "gauge", "histogram"]
            .into_iter()
            .flat_map(|kind| each(&metric[kind], &["dataPoints"]));
        let values = points.map(|point| {
            let keys = ["asInt", "asDouble", "count"].into_iter();
            let found = keys.map(|key| &point[key]).find(|value| !value.is_null());
            found.map_or(0.0, |value| text(value).parse().unwrap_or(0.0))
        });
        let sum = values.sum();
        received.metrics.insert(text(&metric["name"]), sum);
    }
    Json(json!({}))
}

/// A receiver of OTLP over HTTP, as JSON. Returns its URL.
async fn receiver(received: Shared) -> Result<String, Box<dyn Error>> {
    let routes = axum::Router::new()
        .route("/v1/traces", post(spans))
        .route("/v1/metrics", post(metrics))
        .with_state(received);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(url)
}

/// Every sample of a registry with its labels.
fn samples(registry: &Registry, mut take: impl FnMut(&'static str, Vec<KeyValue>, &Value)) {
    for component in registry.all() {
        let name = component.name().as_str();
        component.samples(&mut Samples::new(&mut |sample| {
            let labels = sample.labels.iter();
            let labels = labels.map(|(key, value)| KeyValue::new(*key, *value));
            let own = [
                KeyValue::new("service", registry.service().as_str()),
                KeyValue::new("name", name),
            ];
            take(
                sample.metric,
                own.into_iter().chain(labels).collect(),
                &sample.value,
            );
        }));
    }
}

/// Counters and gauges are read when they are exported.
fn observe(meter: &Meter, registry: &Registry) {
    for metric in METRICS {
        let (name, registry) = (metric.name, registry.clone());
        let read = move |of: &mut dyn FnMut(f64, &[KeyValue])| {
            samples(&registry, |metric, labels, value| match value {
                Value::Counter(total) if metric == name => of(*total as f64, &labels),
                Value::Gauge(value) if metric == name => of(*value, &labels),
                _ => {}
            });
        };
        match metric.kind {
            MetricKind::Counter => {
                meter
                    .f64_observable_counter(name)
                    .with_description(metric.help)
                    .with_callback(move |to| read(&mut |value, labels| to.observe(value, labels)))
                    .build();
            }
            MetricKind::Gauge => {
                meter
                    .f64_observable_gauge(name)
                    .with_description(metric.help)
                    .with_unit(metric.unit())
                    .with_callback(move |to| read(&mut |value, labels| to.observe(value, labels)))
                    .build();
            }
            _ => {}
        }
    }
}

/// Histograms are recorded: what has come since the last time, with our bounds.
struct Histograms {
    registry: Registry,
    of: HashMap<&'static str, Histogram<f64>>,
    before: HashMap<String, HistogramSnapshot>,
}

impl Histograms {
    fn new(meter: &Meter, registry: &Registry) -> Self {
        let histograms = METRICS
            .iter()
            .filter(|metric| metric.kind == MetricKind::Histogram);
        let of = histograms.map(|metric| {
            let histogram = meter
                .f64_histogram(metric.name)
                .with_description(metric.help)
                .with_unit("s")
                .with_boundaries(HISTOGRAM_BOUNDS.to_vec())
                .build();
            (metric.name, histogram)
        });
        Self {
            registry: registry.clone(),
            of: of.collect(),
            before: HashMap::new(),
        }
    }

    /// To be called at the interval of the export.
    fn record(&mut self) {
        samples(&self.registry, |metric, labels, value| {
            let (Value::Histogram(now), Some(histogram)) = (value, self.of.get(metric)) else {
                return;
            };
            let key = format!("{metric} {labels:?}");
            let before = self.before.insert(key, now.clone()).unwrap_or_default();
            for (seconds, count) in now.since(&before).values() {
                (0..count).for_each(|_| histogram.record(seconds, &labels));
            }
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let received = Shared::default();
    let url = receiver(Arc::clone(&received)).await?;

    let spans = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(format!("{url}/v1/traces"))
        .build()?;
    let traces = SdkTracerProvider::builder()
        .with_batch_exporter(spans)
        .build();
    let tracing = tracing_opentelemetry::layer().with_tracer(traces.tracer("seawall"));
    // Retries and throttles are `debug`, and events of the spans.
    let tracing = tracing_subscriber::registry().with(tracing.with_filter(LevelFilter::DEBUG));
    tracing::subscriber::set_global_default(tracing)?;

    let metrics = MetricExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(format!("{url}/v1/metrics"))
        .build()?;
    let meters = SdkMeterProvider::builder()
        .with_periodic_exporter(metrics)
        .build();

    let registry = Registry::new("desk");
    let meter = meters.meter("seawall");
    observe(&meter, &registry);
    let mut histograms = Histograms::new(&meter, &registry);

    let quotes = RequestMeta::idempotent().with_operation(Operation::new("quotes.last"));
    let stack = seawall::market_data("feed")
        .telemetry(TelemetryConfig::builder().spans(true).build()?)
        .build_generic(Policy::new().describe(ConstMeta(quotes)))?;
    stack.register(&registry)?;
    // The first attempt of all fails.
    let attempts = Arc::new(AtomicU32::new(0));
    let client = stack.layer(
        WrapErrorLayer.layer(service_fn(move |symbol: &'static str| {
            let is_first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                if is_first { Err("lost") } else { Ok(symbol) }
            }
        })),
    );
    for _ in 0..5 {
        client
            .clone()
            .oneshot("SPY")
            .await
            .map_err(|error| error.to_string())?;
    }

    histograms.record();
    traces.shutdown()?;
    meters.shutdown()?;
    show(&received.lock().expect("no panic"));
    Ok(())
}

fn show(received: &Received) {
    let named = |name: &str| {
        received
            .spans
            .values()
            .filter(move |(is, ..)| is == name)
            .collect::<Vec<_>>()
    };
    let (calls, attempts) = (named("call"), named("attempt"));
    let inside = attempts.iter().filter(|(_, parent, _)| {
        let parent = received.spans.get(parent);
        parent.is_some_and(|(name, ..)| name == "call")
    });
    println!(
        "{} calls, {} attempts, {} of them within a call",
        calls.len(),
        attempts.len(),
        inside.count()
    );
    let resent: BTreeSet<_> = attempts
        .iter()
        .filter_map(|(.., resent)| resent.as_ref())
        .collect();
    println!("sent again: {resent:?}");
    for metric in [
        "seawall_call_duration_seconds",
        "seawall_retry_retries_total",
        "seawall_breaker_state",
    ] {
        let value = received.metrics.get(metric);
        println!(
            "{metric}: {}",
            value.map_or_else(|| "none".to_owned(), f64::to_string)
        );
    }
    println!("{} metrics", received.metrics.len());
}
