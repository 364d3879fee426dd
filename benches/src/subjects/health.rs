//! What a health endpoint costs.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use seawall_breaker::{BreakerConfig, BreakerLayer};
use seawall_core::Registry;
use seawall_health::{
    CheckConfig, HealthMonitor, HealthScore, ScoreConfig, ServiceFigures, SystemProbe,
    TradingFigures,
};
use tokio::time::Instant;

const CHECKS: usize = 100;
const REPORTS: usize = 201;

/// A monitor of 100 checks in chains of ten, with full histories, and a score of 100 circuits, 100 services, the
/// system and trading.
pub(super) fn monitor() -> Result<HealthMonitor, Box<dyn Error>> {
    let monitor = HealthMonitor::new("desk");
    let registry = Registry::new("desk");
    let names: Vec<_> = (0..CHECKS).map(|at| format!("upstream-{at}")).collect();
    for (at, name) in names.iter().enumerate() {
        let works = move || async move {
            if at % 10 == 7 {
                Err("no route to host")
            } else {
                Ok(())
            }
        };
        monitor.register(name.as_str(), CheckConfig::default(), works)?;
        if at % 10 != 0 {
            monitor.set_dependencies(name, &[&names[at - 1]])?;
        }
        let breaker = BreakerLayer::new(name.as_str(), BreakerConfig::default());
        registry.register(breaker.handle())?;
    }
    registry.register(monitor.clone())?;
    let services = || {
        let figures = |_| ServiceFigures::new("upstream", 0.01, Duration::from_millis(80));
        (0..CHECKS).map(figures).collect()
    };
    let score = HealthScore::new(ScoreConfig::default())
        .registry(&registry)
        .services(services)
        .system(SystemProbe::new().disk("/"))
        .trading(|| TradingFigures::new(true, true));
    monitor.set_score(score);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        for _ in 0..CheckConfig::default().history() {
            monitor.run_all().await;
        }
    });
    Ok(monitor)
}

/// The median of its reports, each written as JSON, in microseconds.
pub(super) fn comprehensive() -> Result<f64, Box<dyn Error>> {
    let monitor = monitor()?;
    let mut times = Vec::with_capacity(REPORTS);
    for _ in 0..REPORTS {
        let begun = Instant::now();
        black_box(serde_json::to_string(&monitor.comprehensive())?);
        times.push(Instant::now() - begun);
    }
    times.sort();
    Ok(times[REPORTS / 2].as_secs_f64() * 1e6)
}
