//! What the registry sees of a layer and of a monitor.

use seawall_core::{Command, Events, InstanceHandle, InstanceName, Sample, Unsupported, Value};

use crate::{HealthHandle, HealthMonitor};

impl InstanceHandle for HealthHandle {
    fn pattern(&self) -> &'static str {
        "health"
    }

    fn name(&self) -> InstanceName {
        HealthHandle::name(self)
    }

    fn state(&self) -> &'static str {
        self.status().as_str()
    }

    fn samples(&self, sink: &mut dyn FnMut(Sample<'_>)) {
        let seen = self.passive_stats();
        let mut sample = |metric, value| {
            sink(Sample {
                metric,
                labels: &[],
                value,
            });
        };
        let status = f64::from(seen.status.as_number());
        sample("seawall_health_status", Value::Gauge(status));
        sample(
            "seawall_health_window_calls",
            Value::Gauge(seen.calls as f64),
        );
        sample("seawall_health_error_rate", Value::Gauge(seen.error_rate()));
        sample("seawall_health_slow_rate", Value::Gauge(seen.slow_rate()));
        let failures = self.total(|s| &s.failures);
        sample("seawall_health_failures_total", Value::Counter(failures));
        let slow = self.total(|s| &s.slow);
        sample("seawall_health_slow_total", Value::Counter(slow));
        let abandoned = self.total(|s| &s.abandoned);
        sample("seawall_health_abandoned_total", Value::Counter(abandoned));
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config();
        vec![
            ("window", format!("{:?}", config.window())),
            ("max_error_rate", config.max_error_rate().get().to_string()),
            ("slow_after", format!("{:?}", config.slow_after())),
            ("max_slow_rate", config.max_slow_rate().get().to_string()),
            ("min_calls", config.min_calls().to_string()),
        ]
    }

    fn attach(&self, events: &Events) {
        self.common().observer.attach(events);
    }

    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match command {
            Command::Reset => {
                self.reset();
                Ok(())
            }
            _ => Err(Unsupported {
                pattern: self.pattern(),
                command,
            }),
        }
    }
}

impl InstanceHandle for HealthMonitor {
    fn pattern(&self) -> &'static str {
        "health_monitor"
    }

    fn name(&self) -> InstanceName {
        HealthMonitor::name(self)
    }

    fn state(&self) -> &'static str {
        self.status().as_str()
    }

    fn samples(&self, sink: &mut dyn FnMut(Sample<'_>)) {
        let report = self.report();
        sink(Sample {
            metric: "seawall_health_overall_status",
            labels: &[],
            value: Value::Gauge(f64::from(report.status.as_number())),
        });
        for check in &report.checks {
            let labels = [
                ("check", check.name.as_str()),
                ("depth", check.depth.as_str()),
            ];
            let mut sample = |metric, value| {
                sink(Sample {
                    metric,
                    labels: &labels,
                    value,
                });
            };
            let status = f64::from(check.status.as_number());
            sample("seawall_health_check_status", Value::Gauge(status));
            sample(
                "seawall_health_check_runs_total",
                Value::Counter(check.runs),
            );
            let failures = Value::Counter(check.failures);
            sample("seawall_health_check_failures_total", failures);
            if let Some(took) = check.took {
                let seconds = Value::Gauge(took.as_secs_f64());
                sample("seawall_health_check_duration_seconds", seconds);
            }
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let of = |check: &crate::CheckReport| {
            let critical = if check.critical { ", critical" } else { "" };
            (
                "check",
                format!("{} ({}{critical})", check.name, check.depth.as_str()),
            )
        };
        self.report().checks.iter().map(of).collect()
    }

    fn attach(&self, events: &Events) {
        self.attach_to(events);
    }

    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match command {
            Command::Reset => {
                self.reset();
                Ok(())
            }
            _ => Err(Unsupported {
                pattern: self.pattern(),
                command,
            }),
        }
    }
}
