//! Where alerts go.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::alert_view::AlertView;

/// Why a sink could not deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkError(String);

impl SinkError {
    /// Could not deliver, for this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SinkError {}

/// What a sink returns: it is polled on a task of its own.
pub type Delivery = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>>;

/// Where alerts go: a log, a pager, a chat.
///
/// Each sink has a queue and a task of its own. One that is slow, hangs or panics delays neither the monitor nor
/// another sink. What it could not deliver stays queued and is tried again, after a pause of 1 to 15 s, so an alert
/// may be delivered twice where a delivery failed after it had arrived. Queued is the newest state of each alert: what
/// is firing is delivered as it is by then, and what was delivered as firing always gets its end. Of alerts that
/// were over before the sink could be given them the last 256 are kept. A delivery may take a minute, then it is
/// given up. It must not block its thread.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use seawall_monitor::{AlertSink, AlertView, Delivery};
///
/// struct Pager(Arc<Mutex<Vec<String>>>);
///
/// impl AlertSink for Pager {
///     fn name(&self) -> &'static str {
///         "pager"
///     }
///
///     fn deliver(&self, alerts: Vec<AlertView>) -> Delivery {
///         let pages = Arc::clone(&self.0);
///         Box::pin(async move {
///             let mut pages = pages.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
///             pages.extend(alerts.into_iter().map(|alert| alert.words));
///             Ok(())
///         })
///     }
/// }
/// ```
pub trait AlertSink: Send + Sync + 'static {
    /// The name in figures: `webhook`.
    fn name(&self) -> &'static str;

    /// Delivers alerts that were raised or are over, in that order; at most 64. An error is one for all of them.
    fn deliver(&self, alerts: Vec<AlertView>) -> Delivery;

    /// How often it is sent again what is firing, at least a second apart; never unless implemented.
    fn resend_every(&self) -> Option<Duration> {
        None
    }
}
