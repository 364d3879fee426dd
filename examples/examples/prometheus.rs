//! The counters, gauges and histograms of a stack as Prometheus text.

use metrics_exporter_prometheus::PrometheusBuilder;
use seawall::{HISTOGRAM_BOUNDS, Policy, Registry, WrapErrorLayer};
use tower::{ServiceBuilder, ServiceExt, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The bounds by which our histograms count: without any they would be summaries.
    let prometheus = PrometheusBuilder::new().set_buckets(&HISTOGRAM_BOUNDS)?;
    let prometheus = prometheus.install_recorder()?;
    let registry = Registry::new("vendor");
    let stack = seawall::market_data("quotes").build_generic(Policy::new())?;
    stack.register(&registry)?;

    let client = ServiceBuilder::new().layer(stack).layer(WrapErrorLayer);
    let client = client.service(service_fn(|n: u32| async move {
        if n < 5 { Ok(n) } else { Err("unavailable") }
    }));
    for n in 0..10 {
        let _ = client.clone().oneshot(n).await;
    }

    // A handler of `/metrics` does this for each scrape.
    registry.publish();
    println!("{}", prometheus.render());
    Ok(())
}
