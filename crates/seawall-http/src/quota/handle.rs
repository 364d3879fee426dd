//! Reading and controlling a feedback from outside.

use seawall_core::{Events, InstanceHandle, InstanceName, InvalidConfig, Samples};

use super::RateLimitHeaders;
use super::state::{HttpFeedbackCounts, State, Stripe};
use crate::LayerState;
use crate::state::handle_basics;

/// Reads and controls an [`HttpFeedback`](super::HttpFeedback) from outside. Clones share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_http::quota::{HttpFeedback, RateLimitHeaders};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let feedback = HttpFeedback::new("alpaca", RateLimitHeaders::alpaca());
/// Registry::new("trading").register(feedback.handle())?;
/// assert_eq!(feedback.handle().counts().unreadable_rate_limit, 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HttpFeedbackHandle {
    pub(super) state: State,
}

/// What an [`HttpFeedbackHandle`] knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HttpFeedbackSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// Whether responses are read.
    pub state: LayerState,
    /// What could not be read.
    pub counts: HttpFeedbackCounts,
}

impl HttpFeedbackHandle {
    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.common().name
    }

    /// The headers that are read.
    pub fn config(&self) -> RateLimitHeaders {
        self.state.here().headers()
    }

    /// Reads these headers from now on, in every clone of the feedback.
    ///
    /// # Errors
    ///
    /// None: every value of [`RateLimitHeaders`] is valid.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "as every other handle's configure"
    )]
    pub fn configure(&self, headers: RateLimitHeaders) -> Result<(), InvalidConfig> {
        for stripe in self.state.stripes() {
            stripe.set_headers(headers.clone());
        }
        Ok(())
    }

    /// Name, state and counts at this moment.
    pub fn snapshot(&self) -> HttpFeedbackSnapshot {
        HttpFeedbackSnapshot {
            name: self.name(),
            state: self.state.common().bypass.state(),
            counts: self.counts(),
        }
    }

    /// What could not be read.
    pub fn counts(&self) -> HttpFeedbackCounts {
        HttpFeedbackCounts::sum(self.state.stripes().map(Stripe::counters))
    }

    /// Reports nothing to the rate limit until [`reset`](Self::reset): for an upstream whose
    /// responses are wrong about its limits.
    pub fn bypass(&self) {
        self.state.common().bypass.set(true);
    }

    /// Ends a [`bypass`](Self::bypass).
    pub fn reset(&self) {
        self.state.common().bypass.set(false);
    }
}

impl InstanceHandle for HttpFeedbackHandle {
    handle_basics!("http_feedback");

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("limits", self.config().len().to_string())]
    }

    // What could not be read is counted; a call is not changed by it, so there is no event.
    fn attach(&self, _: &Events) {}
}
