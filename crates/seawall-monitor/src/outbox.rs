//! Hands alerts to sinks, each by a task of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::alert_view::AlertView;
use crate::pending::{Pending, Queued};
use crate::sink::AlertSink;

/// How many are delivered together.
const BATCH: usize = 64;
/// How long a delivery may take, its retries included.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// How soon after another a sink may be sent again what is firing.
pub(crate) const SHORTEST_RESEND: Duration = Duration::from_secs(1);
/// How long a sink is left alone after its first failure; twice as long after each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What a sink did so far.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SinkStats {
    /// The name of the sink.
    pub name: &'static str,
    /// Alerts that were delivered, those that were sent again included.
    pub delivered: u64,
    /// Alerts whose delivery failed, each time that it did. They are queued again.
    pub failed: u64,
    /// Alerts that were over before the sink could be given them, and that its queue had no place for.
    pub dropped: u64,
    /// Deliveries that have panicked.
    pub panics: u64,
    /// Deliveries that took longer than a minute, and were given up.
    pub timeouts: u64,
    /// Alerts that the sink is to be given, those that are being delivered included.
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
    last_error: Mutex<Option<String>>,
}

/// A sink and its queue.
pub(crate) struct Slot {
    sink: Arc<dyn AlertSink>,
    pending: Mutex<Pending>,
    /// There is something to be delivered.
    changed: Notify,
    /// Held by the task that delivers, and by its delivery.
    turn: Arc<tokio::sync::Mutex<()>>,
    counts: Counts,
}

/// Shows what is firing, under a lock that [`Slot::push`] may be called under.
pub(crate) trait Firing: Fn(&mut dyn FnMut(&AlertView)) + Send + Sync {}

impl<F: Fn(&mut dyn FnMut(&AlertView)) + Send + Sync> Firing for F {}

impl Slot {
    pub(crate) fn new(sink: Arc<dyn AlertSink>) -> Self {
        Self {
            sink,
            pending: Mutex::default(),
            changed: Notify::new(),
            turn: Arc::default(),
            counts: Counts::default(),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the newest state of an alert.
    pub(crate) fn push(&self, alert: &AlertView) {
        if self.pending().put(alert) {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.changed.notify_one();
    }

    /// Looks again at what is queued: a silence may have ended.
    pub(crate) fn wake(&self) {
        if self.pending().len() > 0 {
            self.changed.notify_one();
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
            queued: self.pending().len() as u64,
            last_error: last_error.unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Delivers what is queued, and again what is firing, until it is dropped. What fails is tried again.
    pub(crate) async fn run(self: Arc<Self>, firing: impl Firing) {
        // One that is started again waits for the delivery of its predecessor.
        let mut turn = Arc::clone(&self.turn).lock_owned().await;
        // What it says may change.
        let every = self.sink.resend_every().map(|it| it.max(SHORTEST_RESEND));
        let after = |every: Duration| Instant::now().checked_add(every);
        let mut resend = every.and_then(after);
        let (mut most, mut pause) = (BATCH, None);
        loop {
            let mut ready = self.ready(&firing);
            while !ready.is_empty() {
                let rest = ready.split_off(ready.len().min(most));
                let batch = std::mem::replace(&mut ready, rest);
                let slot = Arc::clone(&self);
                // A task of its own: what was begun is counted, also where this one is stopped.
                let delivery = tokio::spawn(async move { (slot.deliver(batch).await, turn) });
                let Ok((is_delivered, back)) = delivery.await else {
                    return;
                };
                turn = back;
                if is_delivered {
                    pause = None;
                    most = (most * 2).min(BATCH);
                } else {
                    // One that the sink never takes is found by itself.
                    most = (most / 2).max(1);
                    let longer = pause.map_or(PAUSE, |pause: Duration| pause * 2);
                    pause = Some(longer.min(LONGEST_PAUSE));
                    break;
                }
            }
            let retry = pause.and_then(after);
            loop {
                tokio::select! {
                    () = self.changed.notified(), if retry.is_none() => break,
                    () = at(retry) => break,
                    () = at(resend) => {
                        resend = every.and_then(after);
                        firing(&mut |alert| {
                            if alert.silenced.is_none() {
                                self.pending().put_again(alert);
                            }
                        });
                        if retry.is_none() {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// What can be delivered now.
    fn ready(&self, firing: &impl Firing) -> Vec<Queued> {
        // Not under our lock: it is taken while alerts are evaluated.
        let asked = self.pending().firing();
        let mut now = HashMap::new();
        if !asked.is_empty() {
            firing(&mut |alert| {
                if asked.contains(&alert.id) {
                    now.insert(alert.id, alert.clone());
                }
            });
        }
        self.pending().ready(&asked, &now)
    }

    async fn deliver(&self, batch: Vec<Queued>) -> bool {
        let number = batch.len() as u64;
        let sink = Arc::clone(&self.sink);
        let alerts = batch.iter().map(|(_, alert)| alert.clone()).collect();
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
            self.pending().failed(&batch);
        } else {
            self.pending().delivered(&batch);
        }
        let is_delivered = error.is_none();
        let last = counts.last_error.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = error;
        is_delivered
    }
}

/// Waits until then; forever where there is no such moment.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

seawall_core::impl_debug!(Slot: |this| stats = this.stats());
