//! What a stack has for HTTP clients.

use std::time::Duration;

use seawall_core::InvalidConfig;
use seawall_http::body_timeout::BodyTimeoutConfig;
use seawall_http::inspect::BodyRules;
use seawall_http::quota::RateLimitHeaders;
use seawall_http::{HttpClassifier, Routes};

/// How an upstream reports limits and bans, and what its routes are.
#[derive(Clone, Debug)]
pub(crate) struct HttpParts {
    /// The headers that report what is left of its limits.
    pub(crate) headers: RateLimitHeaders,
    /// What its statuses mean.
    pub(crate) classifier: HttpClassifier,
    /// What its bodies say that the status does not.
    pub(crate) body_rules: BodyRules,
    /// What its requests are.
    pub(crate) routes: Routes,
}

impl HttpParts {
    /// HTTP as everywhere: nothing is known of the upstream.
    pub(crate) fn common() -> Self {
        Self {
            headers: RateLimitHeaders::new(),
            classifier: HttpClassifier::new(),
            body_rules: BodyRules::default(),
            routes: Routes::reads_only(),
        }
    }
}

/// How long bodies may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyTimes {
    /// To the first byte, with the wait for the head.
    pub(crate) first_byte: Option<Duration>,
    /// How long a reader may find nothing to read.
    pub(crate) idle: Duration,
}

impl BodyTimes {
    /// A minute is the idle time after which common load balancers close a connection.
    pub(super) const COMMON: Self = Self {
        first_byte: None,
        idle: Duration::from_secs(60),
    };

    pub(crate) fn config(self) -> Result<BodyTimeoutConfig, InvalidConfig> {
        let config = BodyTimeoutConfig::builder().idle(self.idle);
        match self.first_byte {
            Some(first_byte) => config.first_byte(first_byte).build(),
            None => config.build(),
        }
    }
}
