//! A rejection as an HTTP answer.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use seawall_core::{Reason, Rejection};

/// The status that says what a rejection says.
///
/// | rejection | status |
/// |---|---|
/// | circuit open, not ready, bulkhead full, queue timeout, budget exhausted | 503 |
/// | rate limited, too expensive, throttled by the client, quota exhausted | 429 |
/// | attempt timed out, deadline exceeded, body timed out | 504 |
/// | outcome unknown, panicked | 502 |
///
/// ```
/// use http::StatusCode;
/// use seawall_core::{Reason, Rejection};
/// use seawall_http::status_of;
///
/// let rejected = Rejection::new(Reason::CircuitOpen, "alpaca");
/// assert_eq!(status_of(&rejected), StatusCode::SERVICE_UNAVAILABLE);
/// ```
pub const fn status_of(rejection: &Rejection) -> StatusCode {
    match rejection.reason() {
        Reason::RateLimited
        | Reason::TooExpensive
        | Reason::ClientThrottled
        | Reason::QuotaExhausted => StatusCode::TOO_MANY_REQUESTS,
        Reason::AttemptTimeout | Reason::DeadlineExceeded | Reason::BodyTimeout => {
            StatusCode::GATEWAY_TIMEOUT
        }
        // The upstream gave no answer that can be passed on.
        Reason::OutcomeUnknown | Reason::Panicked => StatusCode::BAD_GATEWAY,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A rejection as an answer: the status of [`status_of`], the reason as a line of plain text, and
/// `Retry-After` in whole seconds, rounded up, where the layer knows when to come back.
///
/// The name of the layer instance stays inside.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use seawall_core::{Reason, Rejection};
/// use seawall_http::rejection_response;
///
/// let rejected = Rejection::new(Reason::RateLimited, "alpaca")
///     .with_retry_after(Duration::from_millis(1_200));
/// let answer = rejection_response::<Full<Bytes>>(&rejected);
/// assert_eq!(answer.status(), 429);
/// assert_eq!(answer.headers()["retry-after"], "2");
/// ```
pub fn rejection_response<B: From<Bytes>>(rejection: &Rejection) -> Response<B> {
    let text = format!("{}\n", rejection.reason());
    let mut response = Response::new(B::from(Bytes::from(text)));
    *response.status_mut() = status_of(rejection);
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    if let Some(wait) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    response
}

/// Seconds, rounded up: nobody is to come back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[test]
    fn every_reason_has_a_status_that_tells_whose_fault_it_is() {
        for reason in Reason::ALL {
            let status = status_of(&Rejection::new(reason, "x")).as_u16();
            let expected = match reason {
                Reason::RateLimited
                | Reason::TooExpensive
                | Reason::ClientThrottled
                | Reason::QuotaExhausted => 429,
                Reason::AttemptTimeout | Reason::DeadlineExceeded | Reason::BodyTimeout => 504,
                Reason::OutcomeUnknown | Reason::Panicked => 502,
                _ => 503,
            };
            assert_eq!(status, expected, "{reason:?}");
        }
    }

    #[test]
    fn waits_are_whole_seconds_and_never_too_short() {
        let wait = |wait| {
            let rejected = Rejection::new(Reason::CircuitOpen, "secret").with_retry_after(wait);
            let answer = rejection_response::<Full<Bytes>>(&rejected);
            answer.headers()[RETRY_AFTER].to_str().unwrap().to_owned()
        };
        assert_eq!(wait(Duration::ZERO), "0");
        assert_eq!(wait(Duration::from_nanos(1)), "1");
        assert_eq!(wait(Duration::from_secs(2)), "2");
        assert_eq!(wait(Duration::MAX), "18446744074");
        let silent = rejection_response::<Full<Bytes>>(&Rejection::new(Reason::CircuitOpen, "x"));
        assert!(!silent.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn the_name_of_the_instance_is_not_told() {
        let answer =
            rejection_response::<Vec8>(&Rejection::new(Reason::CircuitOpen, "alpaca-orders"));
        assert_eq!(answer.body().0, "the circuit is open\n");
    }

    struct Vec8(Bytes);
    impl From<Bytes> for Vec8 {
        fn from(data: Bytes) -> Self {
            Self(data)
        }
    }
}
