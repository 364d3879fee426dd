//! A status that can carry a rejection.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use seawall_core::{Reason, Rejectable, Rejection, find_rejection};
use seawall_http::ORDER_REFERENCE;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::pushback::{Pushback, RETRY_PUSHBACK_MS};

/// A [`Status`] that can carry a rejection: the error of a stack of layers around a tonic channel.
///
/// The status is the `source` of this error, where tonic's generated clients look for one, so its
/// code and metadata survive. The [`Rejection`] is the source of the status.
///
/// ```
/// use seawall_core::{Reason, Rejectable, Rejection};
/// use seawall_grpc::GrpcError;
/// use tonic::{Code, Status};
///
/// let rejected = GrpcError::from(Rejection::new(Reason::RateLimited, "quotes"));
/// assert_eq!(rejected.status().code(), Code::ResourceExhausted);
/// assert!(rejected.rejection().is_some());
/// assert!(GrpcError::from(Status::not_found("no such symbol")).rejection().is_none());
/// ```
#[derive(Debug)]
pub struct GrpcError(Status);

impl GrpcError {
    /// The status.
    pub const fn status(&self) -> &Status {
        &self.0
    }

    /// The status, by value.
    pub fn into_status(self) -> Status {
        self.0
    }
}

impl From<Status> for GrpcError {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl From<GrpcError> for Status {
    fn from(error: GrpcError) -> Self {
        error.0
    }
}

impl From<Rejection> for GrpcError {
    fn from(rejection: Rejection) -> Self {
        Self(status_of(&rejection))
    }
}

impl Rejectable for GrpcError {
    fn rejection(&self) -> Option<&Rejection> {
        find_rejection(&self.0)
    }
}

impl fmt::Display for GrpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for GrpcError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// The code for a rejection.
///
/// | rejection | code |
/// |---|---|
/// | circuit open, not ready, budget exhausted, no route, paused, draining | `UNAVAILABLE` |
/// | rate limited, too expensive, throttled by the client, quota exhausted, bulkhead full, queue timeout | `RESOURCE_EXHAUSTED` |
/// | attempt timed out, deadline exceeded, body timed out | `DEADLINE_EXCEEDED` |
/// | outcome unknown, panicked | `UNKNOWN` |
/// | request not valid | `INVALID_ARGUMENT` |
/// | not executed, not allowed in this trading mode, held back by a guard of orders | `FAILED_PRECONDITION` |
///
/// Not `ABORTED` where an order was not executed: clients such as Google's of Pub/Sub retry that, as they
/// do `UNKNOWN`, and a program should place such an order again only if it is still wanted.
pub const fn code_of(reason: Reason) -> Code {
    match reason {
        Reason::RateLimited
        | Reason::TooExpensive
        | Reason::ClientThrottled
        | Reason::QuotaExhausted
        | Reason::BulkheadFull
        | Reason::QueueTimeout => Code::ResourceExhausted,
        Reason::AttemptTimeout | Reason::DeadlineExceeded | Reason::BodyTimeout => {
            Code::DeadlineExceeded
        }
        Reason::OutcomeUnknown | Reason::Panicked => Code::Unknown,
        Reason::InvalidRequest => Code::InvalidArgument,
        Reason::NotExecuted | Reason::TradingMode | Reason::Guarded => Code::FailedPrecondition,
        _ => Code::Unavailable,
    }
}

/// A rejection as a status: the code of [`code_of`] (`RESOURCE_EXHAUSTED` for a pause whose end is
/// known, which is passed on as a used-up rate is), the reason as its message, the time to come
/// back as `grpc-retry-pushback-ms`, and the [`Rejection`] as its source.
///
/// Where the same request must not be sent again ([`Rejection::is_final`]), the pushback is -1, which
/// ends a client's retries, and an order that may have been executed is `FAILED_PRECONDITION`, since
/// some clients retry `UNKNOWN`. The number of an order is in the metadata, as in HTTP
/// ([`ORDER_REFERENCE`]).
///
/// The name of the layer instance is in the source alone, which is not sent over the wire.
pub fn status_of(rejection: &Rejection) -> Status {
    let reason = rejection.reason();
    let code = match (reason, rejection.retry_after()) {
        (Reason::Paused, Some(_)) => Code::ResourceExhausted,
        (Reason::InvalidRequest, _) => Code::InvalidArgument,
        _ if rejection.is_final() => Code::FailedPrecondition,
        _ => code_of(reason),
    };
    let mut status = Status::new(code, reason.to_string());
    status.set_source(Arc::new(*rejection));
    if let Some(pushback) = Pushback::in_rejection(rejection)
        && let Ok(value) = MetadataValue::try_from(pushback.to_text())
    {
        status.metadata_mut().insert(RETRY_PUSHBACK_MS, value);
    }
    if let Some(number) = rejection.reference() {
        let number = MetadataValue::from(number);
        status.metadata_mut().insert(ORDER_REFERENCE, number);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::{Outcome, Sent};
    use std::time::Duration;

    #[test]
    fn a_rejection_keeps_its_code_through_a_generated_client() {
        // Generated clients box the error of their transport and call `Status::from_error`.
        for reason in Reason::ALL {
            let rejected = Rejection::new(reason, "x").with_retry_after(Duration::from_millis(7));
            let seen = Status::from_error(GrpcError::from(rejected).into());
            let code = match reason {
                Reason::Paused => Code::ResourceExhausted, // its end is known
                reason => code_of(reason),
            };
            assert_eq!(seen.code(), code, "{reason:?}");
            assert_eq!(seen.message(), reason.to_string());
            assert_eq!(find_rejection(&seen), Some(&rejected));
            let pushback = Pushback::of(&seen.metadata().clone().into_headers());
            let expected = match reason {
                Reason::TooExpensive
                | Reason::InvalidRequest
                | Reason::NotExecuted
                | Reason::TradingMode
                | Reason::Guarded => Pushback::Never,
                _ => Pushback::After(Duration::from_millis(7)),
            };
            assert_eq!(pushback, Some(expected));
        }
    }

    #[test]
    fn codes_show_whether_a_retry_can_help() {
        assert_eq!(code_of(Reason::CircuitOpen), Code::Unavailable);
        assert_eq!(code_of(Reason::BulkheadFull), Code::ResourceExhausted);
        assert_eq!(code_of(Reason::DeadlineExceeded), Code::DeadlineExceeded);
        assert_eq!(code_of(Reason::BodyTimeout), Code::DeadlineExceeded);
        assert_eq!(code_of(Reason::OutcomeUnknown), Code::Unknown);
    }

    /// Codes that clients retry by common service configs: `UNAVAILABLE`, `RESOURCE_EXHAUSTED`,
    /// `ABORTED`, `UNKNOWN`, `INTERNAL`, `DEADLINE_EXCEEDED`.
    #[test]
    fn no_client_sends_an_order_again_by_itself() {
        let orders = |reason| Rejection::new(reason, "broker").with_pattern("orders");
        for (rejected, code) in [
            (orders(Reason::InvalidRequest), Code::InvalidArgument),
            (orders(Reason::Guarded), Code::FailedPrecondition),
            (orders(Reason::TradingMode), Code::FailedPrecondition),
            (
                orders(Reason::NotExecuted).with_sent(Sent::Maybe),
                Code::FailedPrecondition,
            ),
            (orders(Reason::OutcomeUnknown), Code::FailedPrecondition),
            (
                orders(Reason::DeadlineExceeded).with_sent(Sent::Maybe),
                Code::FailedPrecondition,
            ),
        ] {
            let status = status_of(&rejected.with_reference(42));
            assert_eq!(status.code(), code, "{rejected}");
            assert_eq!(status.metadata().get(RETRY_PUSHBACK_MS).unwrap(), "-1");
            let reference = status.metadata().get("x-seawall-order-reference").unwrap();
            assert_eq!(reference, "42");
            assert!(
                !status_of(&rejected)
                    .metadata()
                    .contains_key(ORDER_REFERENCE)
            );
            assert_eq!(crate::outcome_of(&status), rejected.outcome());
            // What a layer on the other side of the wire makes of it.
            let sent = Status::new(status.code(), status.message());
            assert_eq!(crate::outcome_of(&sent), Outcome::Ignored);
        }
    }

    #[test]
    fn a_status_of_the_upstream_stays_what_it_is() {
        let error = GrpcError::from(Status::not_found("no such symbol"));
        assert!(error.rejection().is_none());
        let status = Status::from(error);
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "no such symbol");
        assert!(Pushback::of(&status.metadata().clone().into_headers()).is_none());
    }

    #[test]
    fn the_name_of_the_instance_is_not_sent() {
        let status = status_of(&Rejection::new(Reason::CircuitOpen, "alpaca-orders"));
        let response = status.into_http::<()>();
        let sent = format!("{:?}", response.headers());
        assert!(!sent.contains("alpaca"), "{sent}");
    }
}
