//! Which deployments a call has tried.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_core::{InstanceName, Reason};

use crate::ErrorClass;

/// What a call has tried, in order; in the extensions of the response of each call that needed more
/// than one attempt.
///
/// An error has no extensions: for those, and for calls that were given up, see [`RouteRecorder`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTrace {
    attempts: Vec<RouteAttempt>,
}

/// One attempt of a call.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteAttempt {
    /// The model.
    pub model: InstanceName,
    /// The deployment.
    pub deployment: InstanceName,
    /// The provider of the deployment.
    pub provider: InstanceName,
    /// When it began, from the beginning of the call.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// What became of it.
    pub outcome: RouteOutcome,
}

/// What became of an attempt.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteOutcome {
    /// It is the one that the caller got a response of.
    Success,
    /// It failed.
    Failed(ErrorClass),
    /// A layer of the deployment's own stack has rejected it, and nothing was sent.
    Rejected(Reason),
}

impl RouteTrace {
    /// The attempts, the first one first.
    pub fn attempts(&self) -> &[RouteAttempt] {
        &self.attempts
    }

    /// The deployment that was tried last: that of the response which has this trace.
    pub fn last(&self) -> Option<&RouteAttempt> {
        self.attempts.last()
    }

    pub(crate) fn add(&mut self, attempt: RouteAttempt) {
        self.attempts.push(attempt);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }
}

/// Receives the [`RouteTrace`] of a call, also of one that ends with an error or is given up: put a
/// clone into the extensions of its request. A client's request takes one by
/// `.extension(recorder.clone())`.
///
/// ```
/// use http::Request;
/// use seawall_ai::route::RouteRecorder;
///
/// let recorder = RouteRecorder::new();
/// let mut request = Request::post("/v1/chat/completions").body(())?;
/// request.extensions_mut().insert(recorder.clone());
/// // After the call, whatever came of it:
/// assert!(recorder.trace().attempts().is_empty());
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RouteRecorder {
    trace: Arc<Mutex<RouteTrace>>,
}

impl RouteRecorder {
    /// A recorder without attempts.
    pub fn new() -> Self {
        Self::default()
    }

    /// The attempts so far that are over.
    pub fn trace(&self) -> RouteTrace {
        let trace = self.trace.lock();
        trace.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add(&self, attempt: RouteAttempt) {
        let trace = self.trace.lock();
        trace.unwrap_or_else(PoisonError::into_inner).add(attempt);
    }
}
