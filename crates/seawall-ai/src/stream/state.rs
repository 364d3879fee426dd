//! What the services of one layer share.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use seawall_core::striped::{Anchor, Local, Shared, Stripes};
use seawall_core::{Clock, EventKind, EventSource, Figure, InstanceName, Reason, Rejection, Sent};
use seawall_http::Bypass;

use super::config::StreamConfig;
use super::error::{Delivered, StreamError, StreamErrorKind};

pub(super) const PATTERN: &str = "stream";

seawall_core::counters! {
    /// What became of the streams, and what was wrong with responses.
    pub struct StreamCounts;

    /// The counters of one layer: streams are too long to need stripes.
    #[derive(Debug, Default)]
    pub(super) struct Counters {
        /// Streams that have begun to be read.
        streams => "seawall_streams_total",
        /// Streams that have ended with their final event.
        completed => "seawall_streams_completed_total",
        /// Streams that sent so much before their first content that they were passed on without it.
        released => "seawall_streams_released_total",
        /// Of the failures, those before any content: nothing of the response was passed on, unless
        /// it was released.
        before_content => "seawall_stream_failures_before_content_total",
        /// A stream reported an error.
        reported => "seawall_stream_failures_total" [kind = "reported"],
        /// There was no content in time.
        first_content => "seawall_stream_failures_total" [kind = "first_content"],
        /// There was content, and then none for too long.
        between_contents => "seawall_stream_failures_total" [kind = "between_contents"],
        /// A response took too long in total.
        total => "seawall_stream_failures_total" [kind = "total"],
        /// A stream ended without its final event.
        cut_off => "seawall_stream_failures_total" [kind = "cut_off"],
        /// A connection broke off.
        disconnected => "seawall_stream_failures_total" [kind = "disconnected"],
        /// An event was no JSON.
        malformed => "seawall_stream_failures_total" [kind = "malformed"],
        /// An event was longer than it may be.
        event_too_long => "seawall_stream_failures_total" [kind = "event_too_long"],
        /// A response was longer than it may be.
        too_long => "seawall_stream_failures_total" [kind = "too_long"],
        /// There was nothing in a response that means success.
        empty => "seawall_stream_failures_total" [kind = "empty"],
        /// A page of HTML with a status of success.
        html => "seawall_stream_failures_total" [kind = "html"],
    }
}

/// What the services of one layer value and its clones share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) name: InstanceName,
    pub(super) events: EventSource,
    pub(super) counters: Counters,
    pub(super) bypass: Bypass,
    pub(super) clock: Clock,
    /// Held while the settings change, so that all stripes have the same.
    changing: Mutex<()>,
}

/// A stripe: settings of its own, so that calls on different threads share no lock and no count.
#[derive(Debug)]
pub(super) struct Stripe {
    config: RwLock<Arc<StreamConfig>>,
}

impl Stripe {
    pub(super) fn config(&self) -> Arc<StreamConfig> {
        let config = self.config.read();
        Arc::clone(&config.unwrap_or_else(PoisonError::into_inner))
    }

    fn set_config(&self, config: StreamConfig) {
        let mut current = self.config.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(config);
    }
}

pub(super) type State = Shared<Common, Stripe>;
pub(super) type StateAnchor = Anchor<Common, Stripe>;
/// The state as a future or a body holds it.
pub(super) type LocalState = Local<Common, Stripe>;

/// Sets the settings of calls from now on.
pub(super) fn configure(state: &State, config: &StreamConfig) {
    let changing = &state.common().changing;
    let _changing = changing.lock().unwrap_or_else(PoisonError::into_inner);
    for stripe in state.stripes() {
        stripe.set_config(config.clone());
    }
}

pub(super) fn new(name: InstanceName, config: StreamConfig) -> State {
    let common = Common {
        name,
        events: EventSource::new(PATTERN, name),
        counters: Counters::default(),
        bypass: Bypass::default(),
        clock: Clock::start(),
        changing: Mutex::default(),
    };
    Shared::new(common, Stripes::auto(), move || Stripe {
        config: RwLock::new(Arc::new(config.clone())),
    })
}

impl Common {
    pub(super) fn set_bypass(&self, on: bool) {
        self.bypass.set(on);
    }

    /// Counts a failure after `delivered`, and makes the error of it; that of a limit of time, which is
    /// `limit`, is emitted as the rejection that it is.
    #[cold]
    pub(super) fn fail(
        &self,
        kind: StreamErrorKind,
        delivered: Delivered,
        expected: &'static str,
        limit: Option<Duration>,
    ) -> StreamError {
        if delivered.contents == 0 {
            self.counters.before_content.add();
        }
        self.counter(kind).add();
        let error = StreamError::new(kind, self.name)
            .with_delivered(delivered, expected)
            .with_limit(limit);
        let reason = match kind {
            StreamErrorKind::FirstContent => Reason::AttemptTimeout,
            StreamErrorKind::BetweenContents | StreamErrorKind::Total => Reason::BodyTimeout,
            _ => return error,
        };
        let rejection = Rejection::new(reason, self.name)
            .with_pattern(PATTERN)
            .with_sent(Sent::Maybe);
        let rejection = match limit {
            Some(limit) => rejection.with_figure(Figure::Limit(limit)),
            None => rejection,
        };
        self.events.emit_call(|| EventKind::Rejected(rejection));
        error.with_source(rejection)
    }

    const fn counter(&self, kind: StreamErrorKind) -> &seawall_core::counters::Counter {
        let counters = &self.counters;
        match kind {
            StreamErrorKind::Reported => &counters.reported,
            StreamErrorKind::FirstContent => &counters.first_content,
            StreamErrorKind::BetweenContents => &counters.between_contents,
            StreamErrorKind::Total => &counters.total,
            StreamErrorKind::CutOff => &counters.cut_off,
            StreamErrorKind::Disconnected => &counters.disconnected,
            StreamErrorKind::Malformed => &counters.malformed,
            StreamErrorKind::EventTooLong => &counters.event_too_long,
            StreamErrorKind::TooLong => &counters.too_long,
            StreamErrorKind::Empty => &counters.empty,
            StreamErrorKind::Html => &counters.html,
        }
    }
}
