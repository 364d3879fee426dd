//! Reading and controlling a body timeout from outside.

use seawall_core::{Events, InstanceHandle, InstanceName, InvalidConfig, Reason, Samples};

use super::config::BodyTimeoutConfig;
use super::limit::BodyLimit;
use super::state::{BodyTimeoutCounts, PATTERN, State};
use crate::LayerState;
use crate::state::handle_basics;

/// Reads and controls a [`BodyTimeoutLayer`](super::BodyTimeoutLayer) from outside. Clones share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_http::body_timeout::{BodyTimeoutConfig, BodyTimeoutLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = BodyTimeoutLayer::new("anthropic", BodyTimeoutConfig::default());
/// Registry::new("models").register(layer.handle())?;
/// assert_eq!(layer.handle().counts().idle, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct BodyTimeoutHandle {
    pub(super) state: State,
}

/// What a [`BodyTimeoutHandle`] knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BodyTimeoutSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// Whether the limits are in force.
    pub state: LayerState,
    /// How many responses timed out.
    pub counts: BodyTimeoutCounts,
}

impl BodyTimeoutHandle {
    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.common().name
    }

    /// The limits.
    pub fn config(&self) -> BodyTimeoutConfig {
        self.state.common().config()
    }

    /// Sets the limits of every response that begins from now on, also by services that were made
    /// before.
    ///
    /// # Errors
    ///
    /// None: every value of [`BodyTimeoutConfig`] is valid.
    pub fn configure(&self, config: BodyTimeoutConfig) -> Result<(), InvalidConfig> {
        self.state.common().set(Some(config), None);
        Ok(())
    }

    /// Name, state and counts at this moment.
    pub fn snapshot(&self) -> BodyTimeoutSnapshot {
        BodyTimeoutSnapshot {
            name: self.name(),
            state: self.state.common().bypass.state(),
            counts: self.counts(),
        }
    }

    /// How many responses timed out.
    pub fn counts(&self) -> BodyTimeoutCounts {
        BodyTimeoutCounts::sum([&self.state.common().counters])
    }

    /// Removes the limits of every response that begins from now on, until [`reset`](Self::reset).
    pub fn bypass(&self) {
        self.state.common().set(None, Some(true));
    }

    /// Ends a [`bypass`](Self::bypass): the limits are those of the configuration again.
    pub fn reset(&self) {
        self.state.common().set(None, Some(false));
    }
}

impl InstanceHandle for BodyTimeoutHandle {
    handle_basics!(PATTERN);

    fn samples(&self, sink: &mut Samples<'_>) {
        let counts = self.counts();
        for reason in [
            Reason::AttemptTimeout,
            Reason::BodyTimeout,
            Reason::DeadlineExceeded,
        ] {
            let of_reason = BodyLimit::ALL
                .into_iter()
                .filter(|limit| limit.reason() == reason);
            sink.counter(
                "seawall_rejections_total",
                &[("layer", PATTERN), ("reason", reason.as_str())],
                of_reason.map(|limit| counts.of(limit)).sum(),
            );
        }
        counts.samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config();
        let limits = [
            ("first_byte", config.first_byte()),
            ("idle", config.idle()),
            ("total", config.total()),
        ];
        let text = |limit: Option<_>| limit.map_or_else(|| "none".to_owned(), |l| format!("{l:?}"));
        let mut settings: Vec<_> = limits.map(|(key, limit)| (key, text(limit))).into();
        settings.push(("within_deadline", config.within_deadline().to_string()));
        settings
    }

    fn attach(&self, events: &Events) {
        self.state.common().events.attach(events);
    }
}

seawall_core::impl_debug!(BodyTimeoutHandle: |this|
    config = this.config(),
    snapshot = this.snapshot());
