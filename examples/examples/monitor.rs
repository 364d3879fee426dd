//! An upstream fails for half a minute: what a monitor says of it, and the alerts that it raises.
//!
//! ```text
//! cargo run --example monitor
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall::{ConstMeta, Policy, Registry, RequestMeta, WrapErrorLayer};
use seawall_monitor::{AlertSink, AlertState, AlertView, Delivery, Monitor};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

/// Prints what is raised, and what is over.
struct Printed;

impl AlertSink for Printed {
    fn name(&self) -> &'static str {
        "printed"
    }

    fn deliver(&self, alerts: Vec<AlertView>) -> Delivery {
        for alert in alerts {
            let what = match alert.state {
                AlertState::Firing => alert.severity.as_str(),
                _ => "resolved",
            };
            println!("      {what}: {} ({})", alert.name, alert.words);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

// In virtual time: 150 s take a moment.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new("desk");
    let is_down = Arc::new(AtomicBool::new(false));
    let stack = seawall::broker("alpaca")
        .build_generic(Policy::new().describe(ConstMeta(RequestMeta::idempotent())))?;
    stack.register(&registry)?;
    let down = Arc::clone(&is_down);
    let upstream = service_fn(move |symbol: &'static str| {
        let is_down = down.load(Ordering::Relaxed);
        async move {
            sleep(Duration::from_millis(40)).await;
            if is_down {
                Err("no connection")
            } else {
                Ok(symbol)
            }
        }
    });
    let client = stack.layer(WrapErrorLayer.layer(upstream));

    let monitor = Monitor::builder("desk")
        .registry(registry)
        .critical("alpaca")
        .sink(Printed)
        .build()?;
    let guard = monitor.start();
    let start = Instant::now();
    let mut last = None;
    for call in 0..300_u32 {
        is_down.store((60..120).contains(&call), Ordering::Relaxed);
        tokio::spawn(client.clone().oneshot("SPY"));
        sleep(Duration::from_millis(500)).await;
        // A frame of a dashboard, once a second.
        let verdict = &monitor.overview().verdict;
        if call % 2 == 0 && last.replace(verdict.level) != Some(verdict.level) {
            let seconds = (Instant::now() - start).as_secs();
            println!("{seconds:>3} s: can I trade? {}", verdict.words);
        }
    }
    let overview = monitor.overview();
    let summary = &overview.services[0].summary;
    let succeeded = summary.success_ratio.unwrap_or(1.0) * 100.0;
    println!(
        "{succeeded:.0} % succeeded in the last {:.0} s",
        summary.seconds
    );
    let past = &monitor.history("alpaca")[0].ten_seconds;
    println!("the past: {} points of 10 s", past.len());
    drop(guard);
    Ok(())
}
