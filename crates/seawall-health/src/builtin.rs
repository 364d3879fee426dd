//! Checks that most programs need, to be registered like your own.
//!
//! Each function makes what [`HealthMonitor::register`](crate::HealthMonitor::register) takes. All but
//! [`journal`] look at what the process knows and send nothing, so they may be run often.
//!
//! ```
//! use seawall_core::Registry;
//! use seawall_health::{CheckConfig, HealthMonitor, Ratio, builtin};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new("desk");
//! let monitor = HealthMonitor::new("desk");
//! registry.register(monitor.clone())?;
//! let config = CheckConfig::default();
//! monitor.register("breakers", config, builtin::breakers(&registry, Ratio::new(0.3)?))?;
//! monitor.register("registry", config, builtin::registry(&registry))?;
//! monitor.register("metrics", config, builtin::metrics(&registry))?;
//! assert!(monitor.run_all().await.status.is_serving());
//! # Ok(()) }
//! ```

use std::fmt;
use std::future::{Future, Ready, ready};

use seawall_core::{Ratio, Registry, Samples, Value, metric};

use crate::CheckResult;

/// How many names a message has at most.
const NAMES: usize = 5;

/// The circuits of a registry: healthy when none is open, degraded when some are, failed when more than
/// the share `max_open` of them is.
pub fn breakers(
    registry: &Registry,
    max_open: Ratio,
) -> impl Fn() -> Ready<CheckResult> + Send + Sync + 'static {
    let registry = registry.clone();
    move || {
        let mut circuits = registry.all();
        circuits.retain(|instance| instance.pattern() == "breaker");
        let all = circuits.len();
        circuits.retain(|circuit| matches!(circuit.state(), "open" | "forced_open"));
        if circuits.is_empty() {
            return ready(CheckResult::healthy());
        }
        let names = names(circuits.iter().map(|circuit| circuit.name().as_str()));
        let open = circuits.len();
        let message = format!("{open} of {all} circuits are open: {names}");
        ready(match open as f64 / all as f64 > max_open.get() {
            true => CheckResult::failed(message),
            false => CheckResult::degraded(message),
        })
    }
}

/// The instances of a registry: degraded when one of them is set up so that it does not do what was
/// probably wanted ([`Misconfiguration`](seawall_core::Misconfiguration)), and when there is none.
pub fn registry(registry: &Registry) -> impl Fn() -> Ready<CheckResult> + Send + Sync + 'static {
    let registry = registry.clone();
    move || {
        let all = registry.all();
        if all.is_empty() {
            return ready(CheckResult::degraded("no layer is registered"));
        }
        let wrong = all.iter().flat_map(|instance| {
            let wrong = instance.misconfigured();
            let of = move |what| format!("{} `{}`: {what:?}", instance.pattern(), instance.name());
            wrong.into_iter().map(of)
        });
        let wrong: Vec<_> = wrong.collect();
        ready(match wrong.is_empty() {
            true => CheckResult::healthy(),
            false => CheckResult::degraded(names(wrong.iter().map(String::as_str))),
        })
    }
}

/// The metrics of a registry, as far as they come from here: every instance hands its samples out, and
/// all values are finite numbers, but for those whose [metric](seawall_core::METRICS) may be infinite or NaN. With the feature `metrics` they are published as well.
pub fn metrics(registry: &Registry) -> impl Fn() -> Ready<CheckResult> + Send + Sync + 'static {
    let registry = registry.clone();
    move || {
        let result = sampled(&registry, |_| true);
        #[cfg(feature = "metrics")]
        registry.publish();
        ready(result)
    }
}

/// The metrics of a registry up to the text that is scraped: what `render` returns has each metric of
/// each instance.
pub fn rendered_metrics<E: fmt::Display>(
    registry: &Registry,
    render: impl Fn() -> Result<String, E> + Send + Sync + 'static,
) -> impl Fn() -> Ready<CheckResult> + Send + Sync + 'static {
    let registry = registry.clone();
    move || {
        ready(match render() {
            Ok(text) => sampled(&registry, |metric| text.contains(metric)),
            Err(error) => CheckResult::failed(format!("not rendered: {error}")),
        })
    }
}

fn sampled(registry: &Registry, has: impl Fn(&str) -> bool) -> CheckResult {
    let (mut count, mut no_numbers, mut missing) = (0_usize, Vec::new(), Vec::new());
    for instance in registry.all() {
        let (pattern, name) = (instance.pattern(), instance.name());
        instance.samples(&mut Samples::new(&mut |sample| {
            count += 1;
            let is_number = match sample.value {
                Value::Gauge(value) => value.is_finite() || may_be(sample.metric, value),
                _ => true,
            };
            if !is_number {
                no_numbers.push(format!("{} of {pattern} `{name}`", sample.metric));
            }
            if !has(sample.metric) && !missing.contains(&sample.metric) {
                missing.push(sample.metric);
            }
        }));
    }
    let list = |list: &[String]| names(list.iter().map(String::as_str));
    if count == 0 {
        CheckResult::failed("there are no metrics: no layer is registered")
    } else if !missing.is_empty() {
        CheckResult::failed(format!("not rendered: {}", names(missing.iter().copied())))
    } else if !no_numbers.is_empty() {
        CheckResult::failed(format!("not a number: {}", list(&no_numbers)))
    } else {
        CheckResult::healthy()
    }
}

/// Whether a metric may have a value that is not finite. What it means says so, where it may: infinite for a
/// pause without an end, NaN for what is out of date.
fn may_be(name: &str, value: f64) -> bool {
    let word = if value.is_nan() { "NaN" } else { "infinite" };
    metric(name).is_some_and(|metric| metric.help.contains(word))
}

/// What is known of a configuration that is read again when it changes.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigState {
    /// What the file says is in force.
    Current,
    /// What the file says is not accepted, for this reason: the last good one stays in force.
    Rejected(String),
    /// It is in force in spite of these mistakes, with safer values in their place.
    Mistaken(String),
}

/// A configuration: degraded while what is in force is not what the file says.
pub fn config(
    state: impl Fn() -> ConfigState + Send + Sync + 'static,
) -> impl Fn() -> Ready<CheckResult> + Send + Sync + 'static {
    move || {
        ready(match state() {
            ConfigState::Current => CheckResult::healthy(),
            ConfigState::Rejected(why) => CheckResult::degraded(format!(
                "the file was changed and is not accepted, the last good one is in force: {why}"
            )),
            ConfigState::Mistaken(what) => CheckResult::degraded(format!(
                "safer values are in force, since it has mistakes: {what}"
            )),
        })
    }
}

/// The journal of orders, or any other store: `probe` reads from it, and returns how much of what was
/// to be written is not. Failed when it cannot be read, degraded while something is not written.
pub fn journal<F, Fut, E>(
    probe: F,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = CheckResult> + Send>> + Send + Sync + 'static
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<u64, E>> + Send + 'static,
    E: fmt::Display,
{
    move || {
        let probe = probe();
        Box::pin(async move {
            match probe.await {
                Ok(0) => CheckResult::healthy(),
                Ok(1) => CheckResult::degraded("1 entry is not written"),
                Ok(unwritten) => {
                    CheckResult::degraded(format!("{unwritten} entries are not written"))
                }
                Err(error) => CheckResult::failed(error.to_string()),
            }
        })
    }
}

/// The first names, and how many more there are.
fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = all.len().saturating_sub(NAMES);
    let first: Vec<_> = all.take(NAMES).collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
