//! Sinks that post alerts over HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_core::{InvalidConfig, Span};
use serde::Serialize;

use crate::alert_view::AlertView;
use crate::alertmanager::alertmanager_json;
use crate::endpoint::Endpoint;
use crate::sink::{AlertSink, Delivery, SinkError};

/// Posts alerts as JSON, signed by HMAC-SHA256: `{"version": 1, "alerts": [..]}` with [`AlertView`]s.
///
/// Each attempt has its time in `x-seawall-timestamp` and its signature in `x-seawall-signature`;
/// [`verify_signature`](crate::verify_signature) checks them where they arrive.
///
/// ```
/// use seawall_monitor::{Endpoint, WebhookSink};
///
/// let endpoint = Endpoint::builder("http://127.0.0.1:8080/alerts").build()?;
/// let sink = WebhookSink::new(endpoint, "a secret of at least 16 bytes")?;
/// # let _ = sink;
/// # Ok::<(), seawall_monitor::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct WebhookSink {
    endpoint: Endpoint,
    key: Arc<[u8]>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    version: u32,
    alerts: &'a [AlertView],
}

impl WebhookSink {
    /// Posts to this endpoint, signed with this key.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `key` when it has less than 16 bytes.
    pub fn new(endpoint: Endpoint, key: impl AsRef<[u8]>) -> Result<Self, InvalidConfig> {
        let key = key.as_ref();
        if key.len() < 16 {
            let value = format!("{} bytes", key.len());
            return Err(InvalidConfig::new("key", value, "at least 16 bytes"));
        }
        Ok(Self {
            endpoint,
            key: key.into(),
        })
    }
}

seawall_core::impl_debug!(WebhookSink: |this| endpoint = this.endpoint);

impl AlertSink for WebhookSink {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn deliver(&self, alerts: Vec<AlertView>) -> Delivery {
        let envelope = Envelope {
            version: 1,
            alerts: &alerts,
        };
        match serde_json::to_string(&envelope) {
            Ok(body) => self.endpoint.post(body, Some(Arc::clone(&self.key))),
            Err(error) => Box::pin(std::future::ready(Err(SinkError::new(error)))),
        }
    }
}

/// Posts alerts as Alertmanager takes them, at `/api/v2/alerts`.
///
/// What is firing is sent again, as Prometheus does, and ends by itself when four of these times have passed
/// without that.
///
/// ```
/// use std::time::Duration;
/// use seawall_monitor::{AlertmanagerSink, Endpoint};
///
/// let endpoint = Endpoint::builder("http://127.0.0.1:9093/api/v2/alerts").build()?;
/// let sink = AlertmanagerSink::new(endpoint, Duration::from_secs(60))?;
/// # let _ = sink;
/// # Ok::<(), seawall_monitor::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct AlertmanagerSink {
    endpoint: Endpoint,
    resend_every: Duration,
}

impl AlertmanagerSink {
    /// Posts to this endpoint, and again so often.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `resend_every` when it is shorter than a second or longer than an hour.
    pub fn new(endpoint: Endpoint, resend_every: Duration) -> Result<Self, InvalidConfig> {
        let accepted = Duration::from_secs(1)..=Duration::from_secs(3_600);
        if !accepted.contains(&resend_every) {
            let value = Span(resend_every);
            return Err(InvalidConfig::new("resend_every", value, "from 1s to 1 h"));
        }
        Ok(Self {
            endpoint,
            resend_every,
        })
    }
}

impl AlertSink for AlertmanagerSink {
    fn name(&self) -> &'static str {
        "alertmanager"
    }

    fn deliver(&self, alerts: Vec<AlertView>) -> Delivery {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        let body = alertmanager_json(&alerts, now, self.resend_every * 4);
        self.endpoint.post(body, None)
    }

    fn resend_every(&self) -> Option<Duration> {
        Some(self.resend_every)
    }
}
