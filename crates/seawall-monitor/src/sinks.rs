//! Sinks that need no network: the log, and the events of a registry.

use std::future::ready;

use seawall_core::{EventKind, EventSource, Events, InstanceName, Severity};

use crate::alert_view::{AlertState, AlertView};
use crate::sink::{AlertSink, Delivery};

/// Logs alerts by `tracing`, with the target `seawall`: raised ones as errors (critical), warnings or infos,
/// and those that are over as infos.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSink;

impl AlertSink for LogSink {
    fn name(&self) -> &'static str {
        "log"
    }

    fn deliver(&self, alerts: Vec<AlertView>) -> Delivery {
        alerts.iter().for_each(log);
        Box::pin(ready(Ok(())))
    }
}

fn log(alert: &AlertView) {
    // The level of an event is part of its call site, so there is one per level.
    macro_rules! log {
        ($level:ident, $what:literal) => {
            tracing::$level!(
                target: "seawall",
                alert = alert.name,
                service = alert.service,
                severity = alert.severity.as_str(),
                words = alert.words,
                runbook = alert.runbook,
                $what
            )
        };
    }
    match (alert.state, alert.severity) {
        (AlertState::Resolved, _) => log!(info, "alert resolved"),
        (AlertState::Firing, Severity::Critical) => log!(error, "alert"),
        (AlertState::Firing, Severity::Warning) => log!(warn, "alert"),
        (AlertState::Firing, _) => log!(info, "alert"),
    }
}

/// Emits alerts as [`EventKind::Alert`], by the pattern `monitor` and the name of the service, so that they
/// are in the timeline beside what has caused them.
#[derive(Clone, Debug)]
pub struct EventSink {
    events: Events,
}

impl EventSink {
    /// Emits to these events.
    pub fn new(events: &Events) -> Self {
        Self {
            events: events.clone(),
        }
    }
}

impl AlertSink for EventSink {
    fn name(&self) -> &'static str {
        "event"
    }

    fn deliver(&self, alerts: Vec<AlertView>) -> Delivery {
        for alert in alerts {
            let name = InstanceName::new(alert.service.unwrap_or("all"));
            let source = EventSource::beside("monitor", name);
            source.attach(&self.events);
            source.emit(|| EventKind::Alert {
                rule: InstanceName::new(alert.name),
                severity: alert.severity,
                raised: alert.state == AlertState::Firing,
            });
        }
        Box::pin(ready(Ok(())))
    }
}
