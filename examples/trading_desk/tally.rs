//! What the desk was told, counted while the run goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::wire::Told;

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
pub(crate) enum Verdict {
    Ok,
    Failed(String),
    /// By one of our own layers, not sent.
    Rejected(&'static str),
}

impl Verdict {
    /// A success is a 2xx with what was asked for in it.
    pub(crate) fn of(told: &Told, mut useful: impl FnMut(&Value) -> bool) -> Self {
        match told {
            Told::Answer(status, body) if status.is_success() => {
                match serde_json::from_slice(body) {
                    Ok(body) if useful(&body) => Self::Ok,
                    _ => Self::Failed("200 without an answer in it".to_owned()),
                }
            }
            Told::Answer(status, _) => Self::Failed(format!("status {}", status.as_u16())),
            Told::Rejected(why) => Self::Rejected(why),
            Told::NotSent => Self::Failed("no connection".to_owned()),
            Told::Unknown(why) => Self::Failed((*why).to_owned()),
        }
    }
}

/// What the desk believes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Placed,
    /// The broker said no.
    Rejected,
    /// It never left.
    NotSent,
    /// It may have been placed. A 5xx counts here: it may come after the execution.
    InDoubt,
}

impl Fate {
    pub(crate) fn of(told: &Told, verdict: &Verdict) -> Self {
        match told {
            _ if *verdict == Verdict::Ok => Self::Placed,
            Told::Answer(status, _) if status.is_client_error() => Self::Rejected,
            Told::Answer(..) | Told::Unknown(_) => Self::InDoubt,
            Told::NotSent | Told::Rejected(_) => Self::NotSent,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) rejected: u64,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Ok => &mut self.ok,
            Verdict::Failed(_) => &mut self.failed,
            Verdict::Rejected(_) => &mut self.rejected,
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

/// Counts while the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) calls: Calls,
    /// How long each call took.
    pub(crate) times: Vec<(Kind, Duration)>,
    /// What the desk believes of each order, by client order id.
    pub(crate) fates: Vec<(String, Fate)>,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn call(&self, kind: Kind, verdict: Verdict, took: Duration) {
        let mut ledger = self.lock();
        ledger.times.push((kind, took));
        let calls = &mut ledger.calls;
        calls.total.add(&verdict);
        calls.by_kind.entry(kind).or_default().add(&verdict);
        match verdict {
            Verdict::Ok => {}
            Verdict::Failed(why) => *calls.failures.entry(why).or_default() += 1,
            Verdict::Rejected(why) => *calls.rejections.entry(why).or_default() += 1,
        }
    }

    pub(crate) fn order(&self, id: String, fate: Fate) {
        self.lock().fates.push((id, fate));
    }

    pub(crate) fn so_far(&self) -> Counts {
        self.lock().calls.total.clone()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn answer(status: u16, body: &'static str) -> Told {
        let status = StatusCode::from_u16(status).expect("valid");
        Told::Answer(status, body.into())
    }

    #[test]
    fn a_server_error_leaves_an_order_in_doubt_and_a_client_error_does_not() {
        let fate = |told: &Told| Fate::of(told, &Verdict::of(told, |body| body["id"].is_string()));
        assert_eq!(fate(&answer(200, r#"{"id": "7"}"#)), Fate::Placed);
        assert_eq!(fate(&answer(200, "{")), Fate::InDoubt);
        assert_eq!(fate(&answer(422, "{}")), Fate::Rejected);
        assert_eq!(fate(&answer(504, "{}")), Fate::InDoubt);
        assert_eq!(fate(&Told::Unknown("timeout")), Fate::InDoubt);
        assert_eq!(fate(&Told::NotSent), Fate::NotSent);
        assert_eq!(fate(&Told::Rejected("breaker")), Fate::NotSent);
    }
}
