//! How much of the protection is at work.

use seawall_core::{InstanceHandle, InstanceName, Registry};

use super::report::{Finding, Judged};

/// What the circuits count for, where there are other layers as well.
const CIRCUITS: f64 = 0.7;

/// Patterns that protect nothing themselves.
const OTHERS: [&str; 6] = [
    "config",
    "health",
    "health_monitor",
    "monitor",
    "recovery",
    "telemetry",
];

/// `None` where nothing is registered that protects, and nothing is critical.
pub(super) fn judge(registries: &[Registry], critical: &[InstanceName]) -> Option<Judged> {
    let all = registries.iter().flat_map(Registry::all);
    let all = all.filter(|layer| !OTHERS.contains(&layer.pattern()));
    let (circuits, layers): (Vec<_>, Vec<_>) = all.partition(|layer| layer.pattern() == "breaker");
    let (circuit_share, layer_share) = match (circuits.is_empty(), layers.is_empty()) {
        (true, true) if critical.is_empty() => return None,
        (true, true) => (0.0, 0.0),
        (false, true) => (1.0, 0.0),
        (true, false) => (0.0, 1.0),
        (false, false) => (CIRCUITS, 1.0 - CIRCUITS),
    };
    let is_missing = |name: &&InstanceName| {
        let mut all = circuits.iter().chain(&layers);
        !all.any(|layer| layer.name() == **name)
    };
    // A name that nothing has would be a setting without effect.
    let missing = critical.iter().filter(is_missing).map(|name| {
        let words = format!("register `{name}`, which is critical and is not there");
        Finding::new(0.0, words).capping(true)
    });
    let mut findings: Vec<_> = missing.collect();
    let mut points = 100.0;
    for (group, share) in [(&circuits, circuit_share), (&layers, layer_share)] {
        let each = 100.0 * share / group.len().max(1) as f64;
        for layer in group {
            let (value, advice) = value(layer.pattern(), layer.state());
            let lost = each * (1.0 - value);
            points -= lost;
            if value < 1.0 {
                let caps = value == 0.0 && critical.contains(&layer.name());
                findings.push(Finding::new(lost, words(&**layer, advice)).capping(caps));
            }
        }
    }
    let circuits = format!("{} circuits", circuits.len());
    let words = format!("{circuits} and {} other layers", layers.len());
    Some(Judged::new(points, words, findings))
}

fn words(layer: &dyn InstanceHandle, advice: &str) -> String {
    let (pattern, name, state) = (layer.pattern(), layer.name(), layer.state());
    format!("{advice}: {pattern} `{name}` is {state}")
}

/// How much of its work a layer in this state does, and what to do about it.
fn value(pattern: &str, state: &str) -> (f64, &'static str) {
    match state {
        "open" | "unhealthy" => (0.0, "look at what is down"),
        "forced_open" | "draining" | "blocked" | "halted" => (
            0.0,
            "take an operator's command back when its reason is over",
        ),
        "paused" => (
            0.0,
            "resume it when the reason is over, or wait where the upstream has asked for it",
        ),
        // Less than one token is there between any two calls of a pace: the next one waits, no more.
        "exhausted" if pattern.starts_with("ratelimit") => (0.5, "send less, or allow more"),
        "exhausted" => (0.0, "wait for the limit, or ask for less"),
        "half_open" | "recovering" | "cooling" | "degraded" => (0.5, "wait for its recovery"),
        "full" | "queueing" | "throttling" => (0.5, "send less, or allow more"),
        "budget_exhausted" => (0.5, "look at what fails so often"),
        "bypassed" | "read_only_bypassed" | "forced_closed" => {
            (0.5, "take an operator's command back: nothing is protected")
        }
        _ => (1.0, ""),
    }
}
