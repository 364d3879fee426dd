//! What one run of a check has found.

use std::fmt;

use crate::threshold::Verdict;

/// What one run of a check has found: fine, degraded, failed or nothing to go by, and a word
/// about it.
///
/// A check may return anything that becomes one: a `bool`, a `Result<(), E>`, a
/// `Result<CheckResult, E>`, `()`.
///
/// ```
/// use seawall_health::CheckResult;
///
/// let found = CheckResult::from(Err::<(), _>("no route to host"));
/// assert!(found.is_failure());
/// assert_eq!(found.message(), Some("no route to host"));
/// assert!(!CheckResult::from(true).is_failure());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// `None` when there was nothing to go by.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) message: Option<String>,
}

impl CheckResult {
    /// All is well.
    pub const fn healthy() -> Self {
        Self {
            verdict: Some(Verdict::Passed),
            message: None,
        }
    }

    /// It works, but not as it should, for the reason in `message`.
    pub fn degraded(message: impl Into<String>) -> Self {
        Self {
            verdict: Some(Verdict::Degraded),
            message: Some(message.into()),
        }
    }

    /// It does not work, for the reason in `message`.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            verdict: Some(Verdict::Failed),
            message: Some(message.into()),
        }
    }

    /// It could not be told, for the reason in `message`. The run is recorded; the status stays
    /// what it was, and no row of failures or successes is broken.
    ///
    /// ```
    /// use seawall_health::{CheckConfig, Depth, CheckResult, HealthMonitor, Status};
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
            verdict: None,
            message: Some(message.into()),
        }
    }

    /// Adds a word to what was found.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Whether it does not work.
    pub fn is_failure(&self) -> bool {
        self.verdict == Some(Verdict::Failed)
    }

    /// The word about it.
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
    fn from(fine: bool) -> Self {
        if fine {
            Self::healthy()
        } else {
            Self::failed("the check said no")
        }
    }
}

impl<T: Into<CheckResult>, E: fmt::Display> From<Result<T, E>> for CheckResult {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(found) => found.into(),
            Err(error) => Self::failed(error.to_string()),
        }
    }
}
