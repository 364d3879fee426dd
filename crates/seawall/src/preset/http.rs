//! What a preset has for HTTP clients.

use std::time::Duration;

use seawall_core::InvalidConfig;
use seawall_http::HttpClassifier;
use seawall_http::body_timeout::BodyTimeoutConfig;
use seawall_http::inspect::{InspectFn, InspectLayer};
use seawall_http::quota::RateLimitHeaders;

/// How a provider reports limits and bans, and how long its bodies may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpParts {
    /// The headers that report what is left of its limits.
    pub(crate) headers: fn() -> RateLimitHeaders,
    /// What its statuses mean.
    pub(crate) classifier: fn() -> HttpClassifier,
    /// What its bodies say that the status does not.
    pub(crate) inspect: InspectLayer<InspectFn>,
    /// How long a body may take to its first byte, with the wait for the head.
    pub(crate) first_byte: Option<Duration>,
    /// How long a reader may find nothing to read.
    pub(crate) idle: Duration,
}

impl HttpParts {
    /// HTTP as everywhere. A minute is the idle time after which common load balancers close a
    /// connection.
    pub(crate) const COMMON: Self = Self {
        headers: RateLimitHeaders::new,
        classifier: HttpClassifier::new,
        inspect: InspectLayer::nothing(),
        first_byte: None,
        idle: Duration::from_secs(60),
    };

    pub(crate) fn body_timeout(&self) -> Result<BodyTimeoutConfig, InvalidConfig> {
        let config = BodyTimeoutConfig::builder().idle(self.idle);
        match self.first_byte {
            Some(first_byte) => config.first_byte(first_byte).build(),
            None => config.build(),
        }
    }
}
