//! The result of one run of a check.

use std::fmt;

use crate::threshold::CheckOutcome;

/// The most bytes of a message that are kept: it stands in reports, alerts and logs.
const MESSAGE: usize = 1_000;

/// A message, cut where it is too long.
pub(crate) fn bounded(message: impl Into<String>) -> String {
    let mut message = message.into();
    if message.len() > MESSAGE {
        let mut end = MESSAGE;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.shrink_to_fit();
        message.push_str(" ...");
    }
    message
}

/// The result of one run of a check: healthy, degraded, failed or inconclusive, with a message.
///
/// A message of more than 1,000 bytes is cut.
///
/// A check may return anything that becomes one: a `bool`, a `Result<(), E>`, a
/// `Result<CheckResult, E>`, `()`.
///
/// ```
/// use seawall_health::CheckResult;
///
/// let result = CheckResult::from(Err::<(), _>("no route to host"));
/// assert!(result.is_failure());
/// assert_eq!(result.message(), Some("no route to host"));
/// assert!(!CheckResult::from(true).is_failure());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// `None` when it was inconclusive.
    pub(crate) outcome: Option<CheckOutcome>,
    pub(crate) message: Option<String>,
}

impl CheckResult {
    /// It works.
    pub const fn healthy() -> Self {
        Self {
            outcome: Some(CheckOutcome::Passed),
            message: None,
        }
    }

    /// It works, but not as it should, for the reason in `message`.
    pub fn degraded(message: impl Into<String>) -> Self {
        Self {
            outcome: Some(CheckOutcome::Degraded),
            message: Some(bounded(message)),
        }
    }

    /// It does not work, for the reason in `message`.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            outcome: Some(CheckOutcome::Failed),
            message: Some(bounded(message)),
        }
    }

    /// It could not be found out, for the reason in `message`. The run is recorded; the status
    /// stays what it was, and no row of failures or successes is broken.
    ///
    /// ```
    /// use seawall_health::{CheckConfig, CheckResult, Depth, HealthMonitor, Status};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let monitor = HealthMonitor::new("desk");
    /// let closed = || async { CheckResult::inconclusive("the exchange is closed") };
    /// monitor.register("quotes", CheckConfig::default(), closed).unwrap();
    /// let report = monitor.run(Depth::Deep).await;
    /// assert_eq!((report.checks[0].runs, report.checks[0].status), (1, Status::Unknown));
    /// # }
    /// ```
    pub fn inconclusive(message: impl Into<String>) -> Self {
        Self {
            outcome: None,
            message: Some(bounded(message)),
        }
    }

    /// Adds a message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(bounded(message));
        self
    }

    /// Whether it does not work.
    pub fn is_failure(&self) -> bool {
        self.outcome == Some(CheckOutcome::Failed)
    }

    /// The message.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl From<()> for CheckResult {
    fn from((): ()) -> Self {
        Self::healthy()
    }
}

impl From<bool> for CheckResult {
    fn from(works: bool) -> Self {
        if works {
            Self::healthy()
        } else {
            Self::failed("the check returned false")
        }
    }
}

impl<T: Into<CheckResult>, E: fmt::Display> From<Result<T, E>> for CheckResult {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(result) => result.into(),
            Err(error) => Self::failed(error.to_string()),
        }
    }
}
