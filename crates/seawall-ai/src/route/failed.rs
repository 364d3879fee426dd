//! What a failed attempt means: the class, whether it may have been executed, how long to wait.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use http::{Response, StatusCode};
use seawall_core::{
    Classify, CostClass, FailureKind, Outcome, Reason, Rejectable, Rejection, RequestMeta, Sent,
};
use seawall_http::{HttpClassifier, TransportError, retry_after};

use crate::ErrorClass;

/// A failed attempt, as far as it matters for the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Failed {
    pub(crate) kind: Kind,
    /// Whether the request may have been executed.
    pub(crate) executed: bool,
    /// Whether the attempt may have been sent.
    pub(crate) sent: bool,
    /// Whether no response came in time, which is true of the provider, and not of one key.
    pub(crate) timed_out: bool,
    /// Whether the same deployment may succeed after a moment.
    pub(crate) may_return: bool,
    /// How long the provider, or a layer below, asks to wait.
    pub(crate) wait: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The provider, its client or the request.
    Class(ErrorClass),
    /// A layer of the deployment's own stack; nothing was sent.
    Rejected(Reason),
}

impl Failed {
    /// A response that reports an error of that class.
    pub(crate) fn response<R>(response: &Response<R>, class: ErrorClass) -> Self {
        let found = response.extensions().get().and_then(Outcome::retry_after);
        let asked = asked_wait(response).or(found);
        Self {
            kind: Kind::Class(class),
            executed: may_be_executed(response.status(), class),
            sent: true,
            timed_out: class == ErrorClass::Network,
            may_return: class == ErrorClass::Server && asked != Some(NEVER),
            wait: asked.filter(|wait| *wait != NEVER),
        }
    }

    /// An error in place of a response.
    pub(crate) fn error<E: Rejectable + TransportError>(error: &E) -> Self {
        match error.rejection() {
            Some(rejection) => Self::rejection(rejection),
            None => Self::outcome(&error.outcome()),
        }
    }

    /// A readiness that failed, or did not come.
    pub(crate) fn not_ready(reason: Reason) -> Self {
        Self {
            kind: Kind::Rejected(reason),
            executed: false,
            sent: false,
            timed_out: false,
            may_return: false,
            wait: None,
        }
    }

    fn rejection(rejection: &Rejection) -> Self {
        let (reason, wait) = (rejection.reason(), rejection.retry_after());
        let sent = rejection.sent() == Sent::Maybe;
        let kind = match reason {
            _ if !sent => Kind::Rejected(reason),
            Reason::Panicked => Kind::Class(ErrorClass::Server),
            _ => Kind::Class(ErrorClass::Network),
        };
        let panicked = kind == Kind::Class(ErrorClass::Server);
        Self {
            kind,
            executed: sent,
            sent,
            timed_out: sent && !panicked,
            may_return: panicked,
            wait,
        }
    }

    fn outcome(outcome: &Outcome) -> Self {
        let sent = *outcome != Outcome::Failure(FailureKind::NotSent);
        let timed_out = *outcome == Outcome::Failure(FailureKind::Timeout);
        let class = match outcome {
            // The body of the request failed.
            Outcome::Ignored => ErrorClass::InvalidRequest,
            Outcome::Throttled { .. } => ErrorClass::RateLimit,
            Outcome::QuotaExhausted { .. } => ErrorClass::QuotaExhausted,
            Outcome::Banned { .. } => ErrorClass::Credential,
            Outcome::Failure(FailureKind::Overloaded) => ErrorClass::Overload,
            Outcome::Failure(FailureKind::Server) => ErrorClass::Server,
            _ => ErrorClass::Network,
        };
        Self {
            kind: Kind::Class(class),
            executed: sent && !matches!(outcome, Outcome::Throttled { .. }),
            sent,
            timed_out,
            may_return: !timed_out && matches!(class, ErrorClass::Server | ErrorClass::Network),
            wait: outcome.retry_after(),
        }
    }

    /// Whether the request may go elsewhere, as far as sending it twice is concerned.
    pub(crate) fn may_be_repeated(&self, meta: &RequestMeta) -> bool {
        meta.replay.is_safe() || !self.executed
    }

    /// What another attempt is charged as.
    pub(crate) const fn cost_class(&self) -> CostClass {
        match self.kind {
            Kind::Class(ErrorClass::RateLimit | ErrorClass::QuotaExhausted) => CostClass::Throttled,
            Kind::Class(ErrorClass::Network) => CostClass::Timeout,
            _ => CostClass::Transient,
        }
    }
}

/// A provider that answers with a 4xx has turned the request away, and 529 is a capacity that it has
/// not: neither was executed. A 503 may come from a proxy that has lost the response.
fn may_be_executed(status: StatusCode, class: ErrorClass) -> bool {
    let turned_away = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
    let is_class = !matches!(class, ErrorClass::Server | ErrorClass::Network);
    !(is_class && (turned_away || status.as_u16() == 529))
}

/// Asked for by a response that must not be retried: it means this request, not the others.
const NEVER: Duration = Duration::MAX;

fn asked_wait<R>(response: &Response<R>) -> Option<Duration> {
    let asked = retry_after(response.headers(), SystemTime::now());
    let by_limits = || {
        const CLASSIFIER: HttpClassifier = HttpClassifier::new();
        CLASSIFIER.retry_after(Ok::<_, &Infallible>(response))
    };
    asked.or_else(by_limits)
}

#[cfg(test)]
mod tests {
    use seawall_core::{Error, Replay};

    use super::*;

    fn response(status: u16) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        response
    }

    #[test]
    fn what_was_certainly_not_executed_may_go_elsewhere() {
        let never = RequestMeta::new(Replay::Never);
        let repeated =
            |status, class| Failed::response(&response(status), class).may_be_repeated(&never);
        for (status, class) in [
            (401, ErrorClass::Credential),
            (429, ErrorClass::RateLimit),
            (429, ErrorClass::QuotaExhausted),
            (400, ErrorClass::ContextLength),
            (404, ErrorClass::ModelUnavailable),
            (529, ErrorClass::Overload),
        ] {
            assert!(repeated(status, class), "{status}");
        }
        for (status, class) in [
            (503, ErrorClass::Overload),
            (500, ErrorClass::Server),
            (408, ErrorClass::Network),
            (504, ErrorClass::Network),
            (200, ErrorClass::Overload),
        ] {
            assert!(!repeated(status, class), "{status}");
            let safe = RequestMeta::new(Replay::Safe);
            assert!(Failed::response(&response(status), class).may_be_repeated(&safe));
        }
    }

    #[test]
    fn a_rejection_counts_by_whether_it_was_sent() {
        let of = |reason, sent| {
            let rejection = Rejection::new(reason, "below").with_sent(sent);
            Failed::error(&Error::<std::io::Error>::from(rejection))
        };
        let local = of(Reason::CircuitOpen, Sent::No);
        assert_eq!(local.kind, Kind::Rejected(Reason::CircuitOpen));
        assert!(!local.sent && !local.executed);
        let late = of(Reason::AttemptTimeout, Sent::Maybe);
        assert_eq!(late.kind, Kind::Class(ErrorClass::Network));
        assert!(late.sent && late.executed && late.timed_out && !late.may_return);
        let panicked = of(Reason::Panicked, Sent::Maybe);
        assert_eq!(panicked.kind, Kind::Class(ErrorClass::Server));
    }

    #[test]
    fn the_wait_is_that_of_the_headers() {
        let of = |response: &Response<()>| Failed::response(response, ErrorClass::Server);
        let mut throttled = response(429);
        assert_eq!(of(&throttled).wait, None);
        throttled
            .headers_mut()
            .insert("retry-after", "7".parse().expect("a value"));
        assert_eq!(of(&throttled).wait, Some(Duration::from_secs(7)));
        let mut never = response(500);
        never
            .headers_mut()
            .insert("x-should-retry", "false".parse().expect("a value"));
        assert_eq!((of(&never).wait, of(&never).may_return), (None, false));
    }
}
