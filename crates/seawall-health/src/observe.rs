//! What the registry sees of a layer and of a monitor.

use seawall_core::{Command, Events, InstanceHandle, InstanceName, Samples, Unsupported};

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

    fn samples(&self, sink: &mut Samples<'_>) {
        let seen = self.passive_stats();
        let status = f64::from(seen.status.as_number());
        sink.gauge("seawall_health_status", &[], status);
        sink.gauge("seawall_health_window_calls", &[], seen.calls as f64);
        sink.gauge("seawall_health_error_rate", &[], seen.error_rate());
        sink.gauge("seawall_health_slow_rate", &[], seen.slow_rate());
        let failures = self.total(|s| &s.failures);
        sink.counter("seawall_health_failures_total", &[], failures);
        let slow = self.total(|s| &s.slow);
        sink.counter("seawall_health_slow_total", &[], slow);
        let abandoned = self.total(|s| &s.abandoned);
        sink.counter("seawall_health_abandoned_total", &[], abandoned);
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

    fn samples(&self, sink: &mut Samples<'_>) {
        let report = self.report();
        let status = f64::from(report.status.as_number());
        sink.gauge("seawall_health_aggregate_status", &[], status);
        for check in &report.checks {
            let labels = [
                ("check", check.name.as_str()),
                ("depth", check.depth.as_str()),
            ];
            let status = f64::from(check.status.as_number());
            sink.gauge("seawall_health_check_status", &labels, status);
            sink.counter("seawall_health_check_runs_total", &labels, check.runs);
            sink.counter(
                "seawall_health_check_failures_total",
                &labels,
                check.failures,
            );
            if let Some(took) = check.took {
                let seconds = took.as_secs_f64();
                sink.gauge("seawall_health_check_duration_seconds", &labels, seconds);
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
