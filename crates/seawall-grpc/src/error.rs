//! A status that can carry a rejection.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use seawall_core::{Reason, Rejectable, Rejection, find_rejection};
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
        _ => Code::Unavailable,
    }
}

/// A rejection as a status: the code of [`code_of`] (`RESOURCE_EXHAUSTED` for a pause whose end is
/// known, which is passed on as a used-up rate is), the reason as its message, the time to come
/// back as `grpc-retry-pushback-ms`, and the [`Rejection`] as its source.
///
/// The name of the layer instance is in the source alone, which is not sent over the wire.
pub fn status_of(rejection: &Rejection) -> Status {
    let reason = rejection.reason();
    let code = match (reason, rejection.retry_after()) {
        (Reason::Paused, Some(_)) => Code::ResourceExhausted,
        _ => code_of(reason),
    };
    let mut status = Status::new(code, reason.to_string());
    status.set_source(Arc::new(*rejection));
    if let Some(pushback) = Pushback::in_rejection(rejection)
        && let Ok(value) = MetadataValue::try_from(pushback.to_text())
    {
        status.metadata_mut().insert(RETRY_PUSHBACK_MS, value);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
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
                Reason::TooExpensive => Pushback::Never,
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
