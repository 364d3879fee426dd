//! What the clones of a feedback share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use http::HeaderMap;
use seawall_core::striped::{Anchor, Shared, Stripes};
use seawall_core::{EventSource, InstanceName};

use super::headers::RateLimitHeaders;
use crate::state::Bypass;

seawall_core::counters! {
    /// What could not be read in the responses of an upstream, and was ignored: an upstream whose
    /// limits are not understood is one to look at.
    pub struct HttpFeedbackCounts;

    /// What one stripe has counted.
    #[derive(Debug, Default)]
    pub(super) struct Counters {
        /// Fields of headers about limits; see [`RateLimitHeaders::read`](super::RateLimitHeaders::read).
        unreadable_rate_limit => "seawall_unreadable_headers_total" [header = "rate_limit"],
        /// Headers that ask to wait: `Retry-After` and `retry-after-ms`.
        unreadable_retry_after => "seawall_unreadable_headers_total" [header = "retry_after"],
        /// Waits and bans that were longer than the classifier applies, so that a shorter one was.
        bounded_wait => "seawall_bounded_values_total" [value = "wait"],
        /// Responses that report more tokens than [`LARGEST_USAGE`](super::LARGEST_USAGE).
        bounded_usage => "seawall_bounded_values_total" [value = "usage"],
    }
}

/// The pattern of a feedback.
pub(super) const PATTERN: &str = "http_feedback";

#[derive(Debug)]
pub(super) struct Common {
    pub(super) name: InstanceName,
    pub(super) events: EventSource,
    pub(super) bypass: Bypass,
    /// For how long a response asks to stay away, without a bound.
    pub(super) asked: Asked,
    /// Without headers no response has to take the lock of its stripe.
    reads_headers: AtomicBool,
}

impl Common {
    pub(super) fn set_bypass(&self, on: bool) {
        self.bypass.set(on);
    }

    pub(super) fn reads_headers(&self) -> bool {
        self.reads_headers.load(Ordering::Relaxed)
    }
}

/// A stripe: a copy of what is read, so that responses on different threads share no lock.
#[derive(Debug)]
pub(super) struct Stripe {
    headers: RwLock<RateLimitHeaders>,
    counters: Counters,
}

impl Stripe {
    pub(super) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is read.
    pub(super) fn headers(&self) -> RateLimitHeaders {
        self.with_headers(Clone::clone)
    }

    pub(super) fn with_headers<T>(&self, read: impl FnOnce(&RateLimitHeaders) -> T) -> T {
        read(&self.headers.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_headers(&self, headers: RateLimitHeaders) {
        *self.headers.write().unwrap_or_else(PoisonError::into_inner) = headers;
    }
}

/// Reads these headers from now on.
pub(super) fn configure(state: &State, headers: &RateLimitHeaders) {
    for stripe in state.stripes() {
        stripe.set_headers(headers.clone());
    }
    let reads = &state.common().reads_headers;
    reads.store(!headers.is_empty(), Ordering::Relaxed);
}

pub(super) type State = Shared<Common, Stripe>;
pub(super) type StateAnchor = Anchor<Common, Stripe>;

pub(super) type Asked = fn(&HeaderMap) -> Option<Duration>;

pub(super) fn new(name: InstanceName, headers: RateLimitHeaders, asked: Asked) -> State {
    let common = Common {
        name,
        events: EventSource::new(PATTERN, name),
        bypass: Bypass::default(),
        asked,
        reads_headers: AtomicBool::new(!headers.is_empty()),
    };
    Shared::new(common, Stripes::auto(), move || Stripe {
        headers: RwLock::new(headers.clone()),
        counters: Counters::default(),
    })
}
