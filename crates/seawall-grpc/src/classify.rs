//! What a gRPC response means for the upstream.

use std::error::Error as StdError;
use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use seawall_core::{Classify, FailureKind, InvalidConfig, Outcome, Rejection, Scope};
use seawall_http::{LONGEST_WAIT, was_not_processed};
use tonic::{Code, ConnectError, Status};

use crate::error::GrpcError;
use crate::expired::{code_in, code_of_status};
use crate::pushback::Pushback;

/// Classifies gRPC responses by the status in their head, and errors by their status.
///
/// | code | outcome |
/// |---|---|
/// | `OK`, or no status in the head | success |
/// | `UNAVAILABLE` | failure: overloaded |
/// | `DEADLINE_EXCEEDED`, and tonic's own timeouts ([`correct_timeout`](crate::correct_timeout)) | failure: timeout |
/// | `INTERNAL`, `DATA_LOSS` | failure: server |
/// | `UNKNOWN` | failure: other |
/// | `RESOURCE_EXHAUSTED` | throttled, with the server's pushback; quota exhausted when that is "never" |
/// | any other | ignored: it is about the request |
///
/// A status that was made on this side, from an error of the transport, is a rejection, a request
/// that certainly was not sent (the connection failed, the server refused the stream, or its
/// `GOAWAY` says that it was not processed), or of unknown outcome. A response without a
/// gRPC status and with an HTTP status other than 200 comes from a proxy and is classified by
/// gRPC's table of HTTP statuses. An [`Outcome`] in the extensions of the response comes first.
///
/// The server's pushback beside any other code is in [`Classify::retry_after`]; "never" is the
/// longest wait, which no retry does. Any other pushback is at most
/// [`LONGEST_WAIT`], a quarter of an hour, so that a slip of the server does not stop a client for
/// years; see [`with_longest_wait`](Self::with_longest_wait). What was bounded is counted by
/// [`feedback`](crate::feedback()).
///
/// It classifies `http::Response`s of a channel, whose streams end with a status in their trailers
/// (see [`CompleteOnTrailers`](crate::CompleteOnTrailers)), and `tonic::Response`s of a generated
/// client alike.
///
/// ```
/// use seawall_core::{Classify, FailureKind, Outcome};
/// use seawall_grpc::{GrpcClassifier, GrpcError};
/// use tonic::Status;
///
/// let response: http::Response<()> = Status::unavailable("draining").into_http();
/// let outcome = GrpcClassifier.classify(Ok::<_, &GrpcError>(&response));
/// assert_eq!(outcome, Outcome::Failure(FailureKind::Overloaded));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrpcClassifier;

impl GrpcClassifier {
    /// The same classifier with another longest wait than [`LONGEST_WAIT`].
    ///
    /// The layers that apply a wait have bounds of their own, which a longer one here does not
    /// raise: `max_pause` of the rate limit and `max_retry_after` of the breaker, a quarter of an
    /// hour unless set, and `max_retry_after` of the retry. What they cut they count.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `longest` is zero.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::Classify;
    /// use seawall_grpc::{GrpcClassifier, GrpcError};
    ///
    /// let hour = Duration::from_secs(3_600);
    /// let classifier = GrpcClassifier.with_longest_wait(hour)?;
    /// let response = http::Response::builder()
    ///     .header("grpc-status", "8")
    ///     .header("grpc-retry-pushback-ms", "999999999999")
    ///     .body(())?;
    /// let outcome = classifier.classify(Ok::<_, &GrpcError>(&response));
    /// assert_eq!(outcome.retry_after(), Some(hour));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_longest_wait(
        self,
        longest: Duration,
    ) -> Result<BoundedGrpcClassifier, InvalidConfig> {
        if longest.is_zero() {
            return Err(InvalidConfig::new("longest_wait", "0 s", "more than zero"));
        }
        Ok(BoundedGrpcClassifier {
            longest_wait: longest,
        })
    }
}

/// A [`GrpcClassifier`] with a longest wait of its own; see
/// [`GrpcClassifier::with_longest_wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundedGrpcClassifier {
    longest_wait: Duration,
}

impl BoundedGrpcClassifier {
    /// The longest wait that is applied.
    pub const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }
}

impl<R, E> Classify<R, E> for GrpcClassifier
where
    BoundedGrpcClassifier: Classify<R, E>,
{
    fn classify(&self, result: Result<&R, &E>) -> Outcome {
        DEFAULT.classify(result)
    }

    fn retry_after(&self, result: Result<&R, &E>) -> Option<Duration> {
        DEFAULT.retry_after(result)
    }
}

const DEFAULT: BoundedGrpcClassifier = BoundedGrpcClassifier {
    longest_wait: LONGEST_WAIT,
};

impl<B, E: GrpcFailure> Classify<Response<B>, E> for BoundedGrpcClassifier {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        let outcome = match result {
            Ok(response) => match response.extensions().get::<Outcome>() {
                Some(outcome) => *outcome,
                None => by_head(response.status(), response.headers()),
            },
            Err(error) => error.outcome(),
        };
        bound(outcome, self.longest_wait)
    }

    fn retry_after(&self, result: Result<&Response<B>, &E>) -> Option<Duration> {
        let pushback = match result {
            Ok(response) => Pushback::of(response.headers()),
            Err(error) => error.pushback(),
        };
        Some(pushback?.wait_within(self.longest_wait))
    }
}

impl<T, E: GrpcFailure> Classify<tonic::Response<T>, E> for BoundedGrpcClassifier {
    fn classify(&self, result: Result<&tonic::Response<T>, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => bound(error.outcome(), self.longest_wait),
        }
    }

    fn retry_after(&self, result: Result<&tonic::Response<T>, &E>) -> Option<Duration> {
        let pushback = result.err()?.pushback()?;
        Some(pushback.wait_within(self.longest_wait))
    }
}

/// `outcome` with a wait of at most `longest`.
pub(crate) fn bound(outcome: Outcome, longest: Duration) -> Outcome {
    match outcome {
        Outcome::Throttled {
            retry_after: Some(wait),
            scope,
        } => Outcome::Throttled {
            retry_after: Some(wait.min(longest)),
            scope,
        },
        outcome => outcome,
    }
}

pub(crate) fn by_head(http: StatusCode, headers: &HeaderMap) -> Outcome {
    let code = match code_in(headers) {
        Some(code) => code,
        None => match http.as_u16() {
            200 => Code::Ok,
            // https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        },
    };
    by_code(code, || Pushback::of(headers))
}

pub(crate) fn by_code(code: Code, pushback: impl FnOnce() -> Option<Pushback>) -> Outcome {
    match code {
        Code::Ok => Outcome::Success,
        Code::Unavailable => Outcome::Failure(FailureKind::Overloaded),
        Code::DeadlineExceeded => Outcome::Failure(FailureKind::Timeout),
        Code::Internal | Code::DataLoss => Outcome::Failure(FailureKind::Server),
        Code::Unknown => Outcome::Failure(FailureKind::Other),
        Code::ResourceExhausted => {
            let retry_after = match pushback() {
                Some(Pushback::Never) => return Outcome::QuotaExhausted { renews_in: None },
                Some(Pushback::After(wait)) => Some(wait),
                None => None,
            };
            Outcome::Throttled {
                retry_after,
                scope: Scope::Upstream,
            }
        }
        _ => Outcome::Ignored,
    }
}

/// An error of a gRPC client with a known meaning.
#[diagnostic::on_unimplemented(
    message = "it is not known what a gRPC call that failed with `{Self}` means",
    note = "put `seawall_grpc::WrapStatusLayer` right around the channel: the error becomes a `GrpcError`"
)]
pub trait GrpcFailure {
    /// What this error means for the upstream and the request.
    fn outcome(&self) -> Outcome;

    /// What the server sent with this error about another attempt; nothing unless implemented.
    fn pushback(&self) -> Option<Pushback> {
        None
    }
}

impl GrpcFailure for Status {
    fn outcome(&self) -> Outcome {
        outcome_of(self)
    }

    fn pushback(&self) -> Option<Pushback> {
        pushback_of(self)
    }
}

impl GrpcFailure for GrpcError {
    fn outcome(&self) -> Outcome {
        outcome_of(self)
    }

    fn pushback(&self) -> Option<Pushback> {
        pushback_of(self)
    }
}

impl GrpcFailure for Box<dyn StdError + Send + Sync> {
    fn outcome(&self) -> Outcome {
        outcome_of(&**self)
    }

    fn pushback(&self) -> Option<Pushback> {
        pushback_of(&**self)
    }
}

impl<E: GrpcFailure> GrpcFailure for seawall_core::Error<E> {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected(rejection) => rejection.outcome(),
            Self::Inner(error) => error.outcome(),
        }
    }

    fn pushback(&self) -> Option<Pushback> {
        self.inner().and_then(GrpcFailure::pushback)
    }
}

/// What an error means by itself or by the chain of its sources.
///
/// A [`Status`] without a source came from the server and is classified by its code. One with a
/// source was made on this side: a rejection is classified as such, a connection that could not be
/// made and a stream that the server refused or disowned ([`was_not_processed`]) prove that nothing
/// was sent, and any other is [`Outcome::Unknown`].
pub fn outcome_of(error: &(dyn StdError + 'static)) -> Outcome {
    let outermost = error;
    let mut next = Some(error);
    while let Some(error) = next {
        let source = error.source();
        if let Some(rejection) = error.downcast_ref::<Rejection>() {
            return rejection.outcome();
        }
        // A bare I/O error proves nothing, not even a refused connection: an established one can
        // report that too.
        if error.is::<ConnectError>() {
            return Outcome::Failure(FailureKind::NotSent);
        }
        if let Some(status) = error.downcast_ref::<Status>()
            && source.is_none()
        {
            return by_code(code_of_status(status), || of_status(status));
        }
        next = source;
    }
    if was_not_processed(outermost) {
        Outcome::Failure(FailureKind::NotSent)
    } else {
        Outcome::Unknown
    }
}

fn pushback_of(error: &(dyn StdError + 'static)) -> Option<Pushback> {
    let mut next = Some(error);
    while let Some(error) = next {
        let source = error.source();
        if let Some(status) = error.downcast_ref::<Status>()
            && source.is_none()
        {
            return of_status(status);
        }
        next = source;
    }
    None
}

fn of_status(status: &Status) -> Option<Pushback> {
    Pushback::of(&status.metadata().clone().into_headers())
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::Reason;
    use std::io;
    use std::sync::Arc;

    fn of_response(status: Status) -> Outcome {
        let response = status.into_http::<()>();
        GrpcClassifier.classify(Ok::<_, &GrpcError>(&response))
    }

    const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

    #[test]
    fn a_response_and_an_error_of_the_same_code_mean_the_same() {
        for number in 0..=16 {
            let code = Code::from(number);
            let expected = match code {
                Code::Ok => Outcome::Success,
                Code::Unavailable => Outcome::Failure(FailureKind::Overloaded),
                Code::DeadlineExceeded => Outcome::Failure(FailureKind::Timeout),
                Code::Internal | Code::DataLoss => Outcome::Failure(FailureKind::Server),
                Code::Unknown => Outcome::Failure(FailureKind::Other),
                Code::ResourceExhausted => Outcome::Throttled {
                    retry_after: None,
                    scope: Scope::Upstream,
                },
                _ => Outcome::Ignored,
            };
            assert_eq!(of_response(Status::new(code, "")), expected, "{code:?}");
            let error = GrpcError::from(Status::new(code, ""));
            assert_eq!(error.outcome(), expected, "{code:?}");
        }
    }

    #[test]
    fn the_servers_pushback_is_read() {
        let pushed = |value| {
            let mut status = Status::resource_exhausted("slow down");
            let value = tonic::metadata::MetadataValue::from_static(value);
            status
                .metadata_mut()
                .insert(crate::RETRY_PUSHBACK_MS, value);
            let by_error = GrpcError::from(status.clone()).outcome();
            assert_eq!(of_response(status), by_error);
            by_error
        };
        let wait = Some(Duration::from_millis(250));
        assert_eq!(pushed("250").retry_after(), wait);
        assert_eq!(pushed("-1"), Outcome::QuotaExhausted { renews_in: None });
    }

    #[test]
    fn pushback_beside_any_other_code_is_a_wait() {
        let asked = |value| {
            let mut status = Status::unavailable("draining");
            let value = tonic::metadata::MetadataValue::from_static(value);
            status
                .metadata_mut()
                .insert(crate::RETRY_PUSHBACK_MS, value);
            let response = status.clone().into_http::<()>();
            let of_response = GrpcClassifier.retry_after(Ok::<_, &GrpcError>(&response));
            let error = seawall_core::Error::Inner(GrpcError::from(status));
            let of_error = GrpcClassifier.retry_after(Err::<&Response<()>, _>(&error));
            assert_eq!(of_response, of_error);
            of_response
        };
        assert_eq!(asked("250"), Some(Duration::from_millis(250)));
        assert_eq!(asked("-1"), Some(Duration::MAX));
    }

    #[test]
    fn no_pushback_is_longer_than_the_bound_but_never_is_never() {
        let hour = Duration::from_secs(3_600);
        let bounded = GrpcClassifier.with_longest_wait(hour).unwrap();
        assert_eq!(bounded.longest_wait(), hour);
        for (pushback, default, own) in [
            ("1764386400000", LONGEST_WAIT, hour),
            ("99999999999999999999999", LONGEST_WAIT, hour),
            ("1800000", LONGEST_WAIT, hour / 2),
            (
                "250",
                Duration::from_millis(250),
                Duration::from_millis(250),
            ),
        ] {
            for code in ["8", "14"] {
                let response = Response::builder()
                    .header("grpc-status", code)
                    .header(crate::RETRY_PUSHBACK_MS, pushback)
                    .body(())
                    .unwrap();
                let result = Ok::<_, &GrpcError>(&response);
                assert_eq!(
                    GrpcClassifier.retry_after(result),
                    Some(default),
                    "{pushback}"
                );
                assert_eq!(bounded.retry_after(result), Some(own), "{pushback}");
                if code == "8" {
                    let of = |outcome: Outcome| outcome.retry_after();
                    assert_eq!(of(GrpcClassifier.classify(result)), Some(default));
                    assert_eq!(of(bounded.classify(result)), Some(own));
                }
            }
            let mut status = Status::resource_exhausted("slow down");
            let value = tonic::metadata::MetadataValue::from_static(pushback);
            status
                .metadata_mut()
                .insert(crate::RETRY_PUSHBACK_MS, value);
            let error = Err::<&tonic::Response<()>, _>(&status);
            assert_eq!(GrpcClassifier.classify(error).retry_after(), Some(default));
            assert_eq!(GrpcClassifier.retry_after(error), Some(default));
        }
        let zero = GrpcClassifier
            .with_longest_wait(Duration::ZERO)
            .unwrap_err();
        assert_eq!(
            (zero.field(), zero.accepted()),
            ("longest_wait", "more than zero")
        );
    }

    #[test]
    fn a_servers_own_timeout_is_a_timeout() {
        let timeout = Outcome::Failure(FailureKind::Timeout);
        assert_eq!(of_response(Status::cancelled("Timeout expired")), timeout);
        assert_eq!(of_response(Status::cancelled("stop")), Outcome::Ignored);
    }

    #[test]
    fn a_response_of_a_proxy_is_judged_by_its_http_status() {
        let judged = |http: u16| {
            let response = Response::builder().status(http).body(()).unwrap();
            GrpcClassifier.classify(Ok::<_, &GrpcError>(&response))
        };
        assert_eq!(judged(200), Outcome::Success);
        assert_eq!(judged(503), Outcome::Failure(FailureKind::Overloaded));
        assert_eq!(judged(401), Outcome::Ignored);
        assert_eq!(judged(418), Outcome::Failure(FailureKind::Other));
    }

    #[test]
    fn details_that_are_no_base64_harm_nobody() {
        let response = Response::builder()
            .header("grpc-status", "14")
            .header("grpc-status-details-bin", "!!")
            .body(())
            .unwrap();
        let judged = GrpcClassifier.classify(Ok::<_, &GrpcError>(&response));
        assert_eq!(judged, Outcome::Failure(FailureKind::Overloaded));
    }

    #[test]
    fn only_a_connection_that_was_never_made_proves_that_nothing_was_sent() {
        let local = |source: Arc<dyn StdError + Send + Sync>| {
            let mut status = Status::unavailable("transport");
            status.set_source(source);
            // As a generated client has it, too: wrapped once more.
            let error = GrpcError::from(status);
            let outcome = error.outcome();
            assert_eq!(Status::from_error(error.into()).outcome(), outcome);
            outcome
        };
        let rejected = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(local(Arc::new(rejected())), Outcome::Unknown);
        assert_eq!(local(Arc::new(ConnectError("no route".into()))), NOT_SENT);
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(local(Arc::new(reset)), Outcome::Unknown);
        let rejection = Rejection::new(Reason::RateLimited, "x");
        assert_eq!(local(Arc::new(rejection)), Outcome::Ignored);
    }

    #[test]
    fn a_servers_status_that_was_boxed_is_still_the_servers() {
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(io::Error::other("no status"));
        assert_eq!(boxed.outcome(), Outcome::Unknown);
        let wrapped = GrpcError::from(Status::internal("bug"));
        let seen = Status::from_error(Box::new(wrapped));
        assert_eq!(seen.outcome(), Outcome::Failure(FailureKind::Server));
    }

    #[test]
    fn an_outcome_in_the_extensions_comes_first() {
        let mut response = Status::ok("").into_http::<()>();
        response.extensions_mut().insert(Outcome::Ignored);
        let judged = GrpcClassifier.classify(Ok::<_, &GrpcError>(&response));
        assert_eq!(judged, Outcome::Ignored);
    }
}
