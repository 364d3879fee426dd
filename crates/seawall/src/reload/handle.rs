//! What a registry knows of a configuration.

use std::fmt;
use std::time::SystemTime;

use seawall_core::{Events, InstanceHandle, InstanceName, Misconfiguration, Samples};

use super::reloadable::ReloadableConfig;
use super::report::PATTERN;

/// There is nothing to command: it is [read again](ReloadableConfig::reload) by its own method.
impl InstanceHandle for ReloadableConfig {
    fn pattern(&self) -> &'static str {
        PATTERN
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// `"current"`, `"stale"` while the file says something that is not accepted, or `"fail_safe"` where
    /// it was loaded first in spite of mistakes.
    fn state(&self) -> &'static str {
        let status = self.status();
        match status.rejected {
            _ if !status.mistakes.is_empty() => "fail_safe",
            None => "current",
            Some(_) => "stale",
        }
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let counters = &self.shared.counters;
        for (result, counter) in [
            ("applied", &counters.applied),
            ("recovered", &counters.recovered),
            ("rejected", &counters.rejected),
        ] {
            let labels = [("result", result)];
            sink.counter("seawall_config_reloads_total", &labels, counter.get());
        }
        let status = self.status();
        let since = status.since.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or_default().as_secs_f64();
        let is_stale = f64::from(u8::from(status.rejected.is_some()));
        sink.gauge("seawall_config_generation", &[], status.generation as f64);
        sink.gauge("seawall_config_loaded_timestamp_seconds", &[], since);
        sink.gauge("seawall_config_stale", &[], is_stale);
        let mistakes = status.mistakes.len() as f64;
        sink.gauge("seawall_config_mistakes", &[], mistakes);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let status = self.status();
        let source = status.source.map(|path| path.display().to_string());
        vec![
            ("source", source.unwrap_or_else(|| "none".to_owned())),
            ("generation", status.generation.to_string()),
            ("services", self.current().services().len().to_string()),
        ]
    }

    fn misconfigured(&self) -> Vec<Misconfiguration> {
        self.shared.events.misconfigured()
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is notified.
        self.shared.events.attach(events);
    }
}

impl fmt::Debug for ReloadableConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReloadableConfig")
            .field(&self.status())
            .finish()
    }
}
