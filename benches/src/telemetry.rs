//! With the feature `telemetry` every row is measured with a recorder of metrics and a subscriber
//! of `tracing` events installed, as a service in production has them.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};

/// Installs both.
pub(crate) fn install() -> Result<(), String> {
    metrics::set_global_recorder(Cells::default()).map_err(|e| e.to_string())?;
    tracing::subscriber::set_global_default(Debug).map_err(|e| e.to_string())
}

/// Keeps a word per metric, as exporters do.
#[derive(Default)]
struct Cells(Mutex<HashMap<Key, Arc<AtomicU64>>>);

impl Cells {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(key) {
            return Arc::clone(cell);
        }
        Arc::clone(cells.entry(key.clone()).or_default())
    }
}

impl Recorder for Cells {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Takes every event from `debug` up.
struct Debug;

impl Subscriber for Debug {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        black_box(event);
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
