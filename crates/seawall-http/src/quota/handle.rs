//! Reading and controlling a feedback from outside.

use seawall_core::{InstanceHandle, InvalidConfig, Samples};

use super::headers::RateLimitHeaders;
use super::state::{self, HttpFeedbackCounts, State, Stripe};
use crate::state::LayerSnapshot;

/// Reads and controls an [`HttpFeedback`](super::HttpFeedback) from outside. Clones share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_http::quota::{HttpFeedback, RateLimitHeaders, ResetFormat};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let headers = RateLimitHeaders::x_ratelimit(ResetFormat::Auto);
/// let feedback = HttpFeedback::new("my-broker", headers);
/// Registry::new("trading").register(feedback.handle())?;
/// assert_eq!(feedback.handle().counts().unreadable_rate_limit, 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HttpFeedbackHandle {
    pub(super) state: State,
}

/// What a handle of type [`HttpFeedbackHandle`] knows at one moment.
pub type HttpFeedbackSnapshot = LayerSnapshot<HttpFeedbackCounts>;

impl HttpFeedbackHandle {
    crate::handle_methods!(HttpFeedbackCounts);

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
        state::configure(&self.state, &headers);
        self.state.common().events.commanded("configure");
        Ok(())
    }

    /// What could not be read, and what was bounded.
    pub fn counts(&self) -> HttpFeedbackCounts {
        HttpFeedbackCounts::sum(self.state.stripes().map(Stripe::counters))
    }
}

impl InstanceHandle for HttpFeedbackHandle {
    seawall_core::handle_methods! { |this|
        pattern: state::PATTERN,
        state: this.snapshot().state.as_str(),
        attach: this.state.common().events,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("limits", self.config().len().to_string())]
    }
}
