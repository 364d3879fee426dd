//! The settings of a stack.

use std::time::Duration;

use seawall_breaker::BreakerConfig;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::InvalidConfig;
#[cfg(feature = "http")]
use seawall_http::body_timeout::BodyTimeoutConfig;
use seawall_ratelimit::RateLimitConfig;
use seawall_retry::RetryConfig;
use seawall_telemetry::TelemetryConfig;
use seawall_timeout::{AttemptTimeoutConfig, DeadlineConfig};

/// The settings of every layer that a stack always has, outermost first.
///
/// They come from a [`StackBuilder`](crate::StackBuilder) or from the
/// [handles](crate::StackHandles::settings) of a running stack, and go back to it by
/// [`StackHandles::configure`](crate::StackHandles::configure).
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is measured of calls and attempts.
    pub telemetry: TelemetryConfig,
    /// How long one call may take with all its waits and attempts; longer than one attempt may.
    pub deadline: DeadlineConfig,
    /// Attempts, backoff, hints.
    pub retry: RetryConfig,
    /// Permits and queue.
    pub bulkhead: BulkheadConfig,
    /// Rate, burst and the longest wait for a token.
    pub rate_limit: RateLimitConfig,
    /// When the circuit opens and closes.
    pub breaker: BreakerConfig,
    /// How long one attempt may take; where that is learned, at most.
    pub attempt_timeout: AttemptTimeoutConfig,
    /// How long the body of a response may take: for [`HttpStack`](crate::HttpStack)s alone.
    #[cfg(feature = "http")]
    pub body_timeout: BodyTimeoutConfig,
}

impl Settings {
    /// Checks what one layer alone cannot see: that no setting is without effect because of
    /// another layer's.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`]
    ///
    /// * `attempt_timeout`, when it is not shorter than the deadline. A call that ends at the
    ///   deadline is no vote: with an upstream that hangs the circuit would never open.
    /// * `overall_timeout` of the retry, when it is not shorter than the deadline.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        check_attempt(self.attempt_timeout, self.deadline)?;
        let deadline = self.deadline.timeout();
        match self.retry.overall_timeout() {
            Some(overall) if overall >= deadline => Err(InvalidConfig::new(
                "overall_timeout",
                format!("{overall:?}"),
                format!("shorter than the deadline, {deadline:?}"),
            )),
            _ => Ok(()),
        }
    }
}

pub(crate) fn check_attempt(
    attempt_timeout: AttemptTimeoutConfig,
    deadline: DeadlineConfig,
) -> Result<(), InvalidConfig> {
    let longest = attempt_timeout.timeout();
    let deadline = deadline.timeout();
    // A deadline of "forever" ends no call.
    if longest < deadline || deadline == Duration::MAX {
        return Ok(());
    }
    Err(InvalidConfig::new(
        "attempt_timeout",
        format!("{longest:?}"),
        format!("shorter than the deadline, {deadline:?}"),
    ))
}
