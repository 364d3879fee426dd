//! What was reported to the desk, counted during the run.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::client::CallResult;

/// What a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Quotes,
    Opinions,
    Positions,
    Orders,
}

/// How a call ended for the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallStatus {
    Ok,
    /// Answered, not by the provider: how old what it was answered with is, where it was known before.
    Degraded(Option<Duration>),
    Failed(String),
    /// By one of our own layers, not sent.
    Rejected(&'static str),
}

impl CallStatus {
    /// A success is a 2xx with what was asked for in it.
    pub(crate) fn of(result: &CallResult, mut useful: impl FnMut(&Value) -> bool) -> Self {
        match result {
            CallResult::Response(status, body) if status.is_success() => {
                match serde_json::from_slice(body) {
                    Ok(body) if useful(&body) => Self::Ok,
                    _ => Self::Failed("200 without the expected content".to_owned()),
                }
            }
            CallResult::Degraded(body, degradation) => match serde_json::from_slice(body) {
                Ok(body) if useful(&body) => Self::Degraded(degradation.age),
                _ => Self::Failed("a degraded answer without the expected content".to_owned()),
            },
            CallResult::Response(status, _) => Self::Failed(format!("status {}", status.as_u16())),
            CallResult::Rejected(why) => Self::Rejected(why),
            CallResult::NotSent => Self::Failed("no connection".to_owned()),
            CallResult::Unknown(why) => Self::Failed((*why).to_owned()),
        }
    }
}

/// What the desk knows of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderResult {
    Placed,
    /// The broker rejected it.
    Rejected,
    /// It never left.
    NotSent,
    /// It may have been placed. A 5xx counts here: it may come after the execution.
    InDoubt,
}

impl OrderResult {
    pub(crate) fn of(result: &CallResult, status: &CallStatus) -> Self {
        match result {
            _ if *status == CallStatus::Ok => Self::Placed,
            CallResult::Response(status, _) if status.is_client_error() => Self::Rejected,
            CallResult::Response(..) | CallResult::Degraded(..) | CallResult::Unknown(_) => {
                Self::InDoubt
            }
            CallResult::NotSent | CallResult::Rejected(_) => Self::NotSent,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) ok: u64,
    pub(crate) degraded: u64,
    /// How old the oldest answer was that was known before, in milliseconds.
    pub(crate) oldest_ms: u64,
    pub(crate) failed: u64,
    pub(crate) rejected: u64,
}

impl Counts {
    fn add(&mut self, status: &CallStatus) {
        *match status {
            CallStatus::Ok => &mut self.ok,
            CallStatus::Degraded(age) => {
                let age = age.unwrap_or_default().as_millis();
                self.oldest_ms = self.oldest_ms.max(u64::try_from(age).unwrap_or(u64::MAX));
                &mut self.degraded
            }
            CallStatus::Failed(_) => &mut self.failed,
            CallStatus::Rejected(_) => &mut self.rejected,
        } += 1;
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Calls {
    #[serde(flatten)]
    pub(crate) total: Counts,
    pub(crate) by_kind: BTreeMap<Kind, Counts>,
    pub(crate) failures: BTreeMap<String, u64>,
    /// By layer and reason.
    pub(crate) rejections: BTreeMap<&'static str, u64>,
}

/// Counts during the run.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    record: Mutex<Record>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) calls: Calls,
    /// How long each call took.
    pub(crate) times: Vec<(Kind, Duration)>,
    /// What the desk knows of each order, by client order id.
    pub(crate) order_results: Vec<(String, OrderResult)>,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn call(&self, kind: Kind, status: CallStatus, took: Duration) {
        let mut record = self.lock();
        record.times.push((kind, took));
        let calls = &mut record.calls;
        calls.total.add(&status);
        calls.by_kind.entry(kind).or_default().add(&status);
        match status {
            CallStatus::Ok | CallStatus::Degraded(_) => {}
            CallStatus::Failed(why) => *calls.failures.entry(why).or_default() += 1,
            CallStatus::Rejected(why) => *calls.rejections.entry(why).or_default() += 1,
        }
    }

    pub(crate) fn order(&self, id: String, order_result: OrderResult) {
        self.lock().order_results.push((id, order_result));
    }

    pub(crate) fn so_far(&self) -> Counts {
        self.lock().calls.total.clone()
    }

    pub(crate) fn record(&self) -> Record {
        self.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn response(status: u16, body: &'static str) -> CallResult {
        let status = StatusCode::from_u16(status).expect("valid");
        CallResult::Response(status, body.into())
    }

    #[test]
    fn a_server_error_leaves_an_order_in_doubt_and_a_client_error_does_not() {
        let order_result = |result: &CallResult| {
            OrderResult::of(
                result,
                &CallStatus::of(result, |body| body["id"].is_string()),
            )
        };
        assert_eq!(
            order_result(&response(200, r#"{"id": "7"}"#)),
            OrderResult::Placed
        );
        assert_eq!(order_result(&response(200, "{")), OrderResult::InDoubt);
        assert_eq!(order_result(&response(422, "{}")), OrderResult::Rejected);
        assert_eq!(order_result(&response(504, "{}")), OrderResult::InDoubt);
        assert_eq!(
            order_result(&CallResult::Unknown("timeout")),
            OrderResult::InDoubt
        );
        assert_eq!(order_result(&CallResult::NotSent), OrderResult::NotSent);
        assert_eq!(
            order_result(&CallResult::Rejected("breaker")),
            OrderResult::NotSent
        );
    }
}
