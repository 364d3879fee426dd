//! A program's health: checks that depend on each other, a scripted call, an outage that is healed, and
//! a score with what to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall::health::{HealthScore, Recovery, RecoveryConfig, ScoreConfig, Synthetic, builtin};
use seawall::{Backoff, BreakerConfig, BreakerLayer, CheckConfig, HealthMonitor, Ratio, Registry};
use tower::{BoxError, service_fn};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let connected = Arc::new(AtomicBool::new(true));
    let session = Arc::clone(&connected);
    let broker = service_fn(move |path: &'static str| {
        let up = session.load(Ordering::Relaxed);
        async move {
            if up {
                Ok(path.len())
            } else {
                Err("not logged in")
            }
        }
    });

    let registry = Registry::new("desk");
    registry.register(BreakerLayer::new("broker", BreakerConfig::default()).handle())?;

    let monitor = HealthMonitor::new("desk");
    let check = CheckConfig::builder().interval(Duration::from_secs(5));
    let check = check.failures_to_unhealthy(1).build()?;
    let script = Synthetic::new(broker, || "/v2/account", |length: &usize| *length > 0);
    monitor.register_synthetic("account", check, script)?;
    monitor.register("orders", check, || async { true })?;
    monitor.set_dependencies("orders", &["account"])?;
    monitor.register("circuits", check, builtin::breakers(&registry, Ratio::HALF))?;
    monitor.set_score(HealthScore::new(ScoreConfig::default()).registry(&registry));

    // Log in again, try three times, and only then go on.
    let login = Arc::clone(&connected);
    let plan = Recovery::new().heal(move |attempt| {
        println!("log in, attempt {attempt}");
        login.store(attempt > 1, Ordering::Relaxed);
        async { true }
    });
    let plan = plan.restore(|| async { println!("subscribe again") });
    let backoff = Backoff::constant(Duration::from_secs(2))?;
    let recovery = RecoveryConfig::builder().backoff(backoff).build()?;
    monitor.set_recovery("account", recovery, plan)?;

    let _guard = monitor.start();
    for (seconds, what) in [(1, "at first"), (10, "logged out"), (15, "later")] {
        connected.fetch_and(what != "logged out", Ordering::Relaxed);
        let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
        while tokio::time::Instant::now() < until
            && (what != "logged out" || monitor.status().is_serving())
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let report = monitor.comprehensive();
        let score = report.score.ok_or("it was set")?;
        println!(
            "{what}: {}, score {:.0}",
            report.health.status,
            score.score.unwrap_or(0.0)
        );
        for check in report
            .health
            .checks
            .iter()
            .filter(|check| !check.status.is_serving())
        {
            println!(
                "  {}: {}",
                check.name,
                check.message.as_deref().unwrap_or("-")
            );
        }
        for advice in score.recommendations.iter().take(2) {
            println!("  {:.0} points: {}", advice.points, advice.words);
        }
    }
    Ok(())
}
