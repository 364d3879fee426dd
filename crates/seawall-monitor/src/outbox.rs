//! Hands alerts to sinks, each by a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};

use crate::alert_view::AlertView;
use crate::sink::AlertSink;

/// How many alerts a sink may have before it.
pub(crate) const QUEUE: usize = 256;
/// How many are delivered together.
const BATCH: usize = 64;
/// How long a delivery may take, its retries included.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// What a sink did so far.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SinkStats {
    /// The name of the sink.
    pub name: &'static str,
    /// Alerts that were delivered, those that were sent again included.
    pub delivered: u64,
    /// Alerts whose delivery failed.
    pub failed: u64,
    /// Alerts that its queue had no place for.
    pub dropped: u64,
    /// Deliveries that have panicked.
    pub panics: u64,
    /// Deliveries that took longer than a minute, and were given up.
    pub timeouts: u64,
    /// Alerts that wait.
    pub queued: u64,
    /// Why the last delivery failed; `null` after one that did not.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    panics: AtomicU64,
    timeouts: AtomicU64,
    last_error: std::sync::Mutex<Option<String>>,
}

/// A sink and its queue.
pub(crate) struct Slot {
    sink: Arc<dyn AlertSink>,
    sender: mpsc::Sender<AlertView>,
    /// Held by the task that delivers.
    receiver: Mutex<mpsc::Receiver<AlertView>>,
    counts: Counts,
}

impl Slot {
    pub(crate) fn new(sink: Arc<dyn AlertSink>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self {
            sink,
            sender,
            receiver: Mutex::new(receiver),
            counts: Counts::default(),
        }
    }

    /// Queues an alert; drops and counts it where there is no place.
    pub(crate) fn push(&self, alert: &AlertView) {
        if self.sender.try_send(alert.clone()).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn stats(&self) -> SinkStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        let last_error = counts.last_error.lock();
        SinkStats {
            name: self.sink.name(),
            delivered: get(&counts.delivered),
            failed: get(&counts.failed),
            dropped: get(&counts.dropped),
            panics: get(&counts.panics),
            timeouts: get(&counts.timeouts),
            queued: (QUEUE - self.sender.capacity()) as u64,
            last_error: last_error
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone(),
        }
    }

    /// Delivers what is queued, and again what is `firing`, until it is dropped.
    pub(crate) async fn run(&self, firing: impl Fn() -> Vec<AlertView>) {
        // One that is started again waits until its predecessor has ended.
        let mut queue = self.receiver.lock().await;
        let every = self.sink.resend_every();
        let mut last = Instant::now();
        loop {
            let mut batch = Vec::new();
            let next = async {
                match every {
                    Some(every) => {
                        let next = last.checked_add(every.max(Duration::from_secs(1)));
                        match next {
                            Some(next) => tokio::time::sleep_until(next).await,
                            None => std::future::pending().await,
                        }
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = queue.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return;
                    }
                    self.deliver(batch).await;
                }
                () = next => {
                    last = Instant::now();
                    let mut firing = firing();
                    while !firing.is_empty() {
                        let rest = firing.split_off(firing.len().min(BATCH));
                        self.deliver(firing).await;
                        firing = rest;
                    }
                }
            }
        }
    }

    async fn deliver(&self, alerts: Vec<AlertView>) {
        let number = alerts.len() as u64;
        let sink = Arc::clone(&self.sink);
        let mut delivery = tokio::spawn(async move { sink.deliver(alerts).await });
        let counts = &self.counts;
        let add = |counter: &AtomicU64, n| {
            counter.fetch_add(n, Ordering::Relaxed);
        };
        let error = match timeout(LONGEST, &mut delivery).await {
            Ok(Ok(Ok(()))) => {
                add(&counts.delivered, number);
                None
            }
            Ok(Ok(Err(error))) => Some(error.to_string()),
            Ok(Err(_)) => {
                add(&counts.panics, 1);
                Some("the sink has panicked".to_owned())
            }
            Err(_) => {
                delivery.abort();
                add(&counts.timeouts, 1);
                Some(format!("it took longer than {LONGEST:?}"))
            }
        };
        if let Some(error) = &error {
            add(&counts.failed, number);
            tracing::warn!(target: "seawall", sink = self.sink.name(), error, "alerts not delivered");
        }
        let mut last = counts
            .last_error
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *last = error;
    }
}

seawall_core::impl_debug!(Slot: |this| stats = this.stats());
