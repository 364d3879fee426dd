//! What is counted, and reading it from outside.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::striped::Shared;
use seawall_core::{
    EventKind, EventSource, Events, InstanceHandle, InstanceName, Reason, Rejection, Samples, Sent,
};

use super::BodyTimeoutConfig;

const PATTERN: &str = "body_timeout";

/// What an answer was cut off at.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyLimit {
    /// There was no head within the time to the first byte.
    Head,
    /// There was a head, and no first byte in time.
    FirstByte,
    /// There was nothing to read for too long.
    Idle,
    /// The whole body took too long.
    Total,
    /// The deadline of the request passed.
    Deadline,
}

impl BodyLimit {
    /// Every limit.
    pub const ALL: [Self; 5] = [
        Self::Head,
        Self::FirstByte,
        Self::Idle,
        Self::Total,
        Self::Deadline,
    ];

    /// The limit as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::FirstByte => "first_byte",
            Self::Idle => "idle",
            Self::Total => "total",
            Self::Deadline => "deadline",
        }
    }

    /// The reason of the rejection.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Head => Reason::AttemptTimeout,
            Self::FirstByte | Self::Idle | Self::Total => Reason::BodyTimeout,
            Self::Deadline => Reason::DeadlineExceeded,
        }
    }
}

/// What the services of one layer value and its clones share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) config: BodyTimeoutConfig,
    name: InstanceName,
    observer: EventSource,
    cuts: [AtomicU64; BodyLimit::ALL.len()],
}

/// The stripes hold nothing: only their reference counts are wanted, so that it scales.
pub(super) type State = Shared<Common, ()>;

impl Common {
    pub(super) fn new(name: InstanceName, config: BodyTimeoutConfig) -> Self {
        Self {
            config,
            name,
            observer: EventSource::new(PATTERN, name),
            cuts: Default::default(),
        }
    }

    pub(super) const fn name(&self) -> InstanceName {
        self.name
    }

    /// Counts and tells that an answer was cut off, and makes the rejection of it.
    #[cold]
    pub(super) fn timeouts_by(&self, limit: BodyLimit) -> Rejection {
        let rejection = Rejection::new(limit.reason(), self.name).with_sent(Sent::Maybe);
        self.cuts[limit as usize].fetch_add(1, Ordering::Relaxed);
        self.observer.emit(|| EventKind::Rejected(rejection));
        rejection
    }
}

/// Reads from outside what a [`BodyTimeoutLayer`](super::BodyTimeoutLayer) has cut off. Clones
/// share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_http::{BodyLimit, BodyTimeoutConfig, BodyTimeoutLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = BodyTimeoutLayer::new("anthropic", BodyTimeoutConfig::default());
/// Registry::new("models").register(layer.handle())?;
/// assert_eq!(layer.handle().timeouts_by(BodyLimit::Idle), 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct BodyTimeoutHandle {
    pub(super) state: State,
}

impl BodyTimeoutHandle {
    /// How many answers were cut off at `limit`.
    pub fn timeouts_by(&self, limit: BodyLimit) -> u64 {
        self.state.common().cuts[limit as usize].load(Ordering::Relaxed)
    }

    /// How many answers were cut off.
    pub fn timed_out(&self) -> u64 {
        BodyLimit::ALL
            .into_iter()
            .map(|limit| self.timeouts_by(limit))
            .sum()
    }

    /// The limits.
    pub fn config(&self) -> BodyTimeoutConfig {
        self.state.common().config
    }
}

impl InstanceHandle for BodyTimeoutHandle {
    fn pattern(&self) -> &'static str {
        PATTERN
    }

    fn name(&self) -> InstanceName {
        self.state.common().name
    }

    fn state(&self) -> &'static str {
        "ok"
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        for reason in [
            Reason::AttemptTimeout,
            Reason::BodyTimeout,
            Reason::DeadlineExceeded,
        ] {
            let cuts = BodyLimit::ALL.into_iter();
            let rejected = cuts.filter(|limit| limit.reason() == reason);
            sink.counter(
                "seawall_rejections_total",
                &[("layer", PATTERN), ("reason", reason.as_str())],
                rejected.map(|limit| self.timeouts_by(limit)).sum(),
            );
        }
        for limit in BodyLimit::ALL {
            sink.counter(
                "seawall_body_timeouts_total",
                &[("limit", limit.as_str())],
                self.timeouts_by(limit),
            );
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config();
        let limits = [
            ("first_byte", config.first_byte()),
            ("idle", config.idle()),
            ("total", config.total()),
        ];
        let said = |limit: Option<_>| limit.map_or_else(|| "none".to_owned(), |l| format!("{l:?}"));
        let mut settings: Vec<_> = limits.map(|(key, limit)| (key, said(limit))).into();
        settings.push(("within_deadline", config.within_deadline().to_string()));
        settings
    }

    fn attach(&self, events: &Events) {
        self.state.common().observer.attach(events);
    }
}

impl fmt::Debug for BodyTimeoutHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyTimeoutHandle")
            .field("name", &self.state.common().name)
            .field("config", &self.config())
            .field("timed_out", &self.timed_out())
            .finish()
    }
}
