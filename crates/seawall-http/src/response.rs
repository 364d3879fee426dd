//! A rejection as an HTTP response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use seawall_core::{Reason, Rejection, Sent};

/// The longest wait that a response asks for: a day. A client comes back to see whether an
/// operator or a quota has changed meanwhile.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The header with the number of the order that a rejection is about, in the journal of order safety:
/// [`Rejection::reference`].
pub const ORDER_REFERENCE: &str = "x-seawall-order-reference";

/// The wait of a rejection that has none although waiting helps.
const ESTIMATE: Duration = Duration::from_secs(1);

/// The status for a rejection.
///
/// | rejection | status |
/// |---|---|
/// | rate limited, throttled by the client, quota exhausted, paused for a known time | 429 |
/// | too expensive: never accepted, however long one waits | 413 |
/// | request not valid, held back by a guard of orders | 422 |
/// | not executed, not allowed in this trading mode | 409 |
/// | of order safety, and the order may have been executed ([`is_final`](Rejection::is_final)) | 409 |
/// | attempt timed out, deadline exceeded, body timed out | 504 |
/// | outcome unknown, panicked | 502 |
/// | any other: circuit open, not ready, bulkhead full, queue timeout, budget exhausted, no route, paused without an end | 503 |
///
/// Rejections of order safety have no status that a client sends again by itself, since the same order
/// might be executed twice, or later than it is wanted. 409 is one that SDKs of AI models try again
/// without `x-should-retry: false`, which [`rejection_response`] adds.
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
        Reason::InvalidRequest | Reason::Guarded => StatusCode::UNPROCESSABLE_ENTITY,
        Reason::NotExecuted | Reason::TradingMode => StatusCode::CONFLICT,
        _ if rejection.is_final() => StatusCode::CONFLICT,
        Reason::RateLimited | Reason::ClientThrottled | Reason::QuotaExhausted => {
            StatusCode::TOO_MANY_REQUESTS
        }
        Reason::TooExpensive => StatusCode::PAYLOAD_TOO_LARGE,
        // A throttle of the upstream is passed on as one, and is no failure of this server.
        Reason::Paused if rejection.retry_after().is_some() => StatusCode::TOO_MANY_REQUESTS,
        Reason::AttemptTimeout | Reason::DeadlineExceeded | Reason::BodyTimeout => {
            StatusCode::GATEWAY_TIMEOUT
        }
        // The upstream gave no response that can be passed on.
        Reason::OutcomeUnknown | Reason::Panicked => StatusCode::BAD_GATEWAY,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The seconds for the header `Retry-After` of a rejection: rounded up, so that nobody comes
/// back too early, and at most [`MAX_RETRY_AFTER`].
///
/// A full bulkhead and a queue timeout do not know when a permit will be free. For them it is one
/// second, the shortest wait that the header can express: calls are short beside it, and a client
/// that comes back at once only finds the bulkhead full again. Any other rejection without a wait
/// has none here, and one that is [final](Rejection::is_final) never has one.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Reason, Rejection};
/// use seawall_http::retry_after_seconds;
///
/// let full = Rejection::new(Reason::BulkheadFull, "orders");
/// assert_eq!(retry_after_seconds(&full), Some(1));
/// let open = Rejection::new(Reason::CircuitOpen, "orders");
/// assert_eq!(retry_after_seconds(&open), None);
/// let open = open.with_retry_after(Duration::from_millis(1_200));
/// assert_eq!(retry_after_seconds(&open), Some(2));
/// ```
pub fn retry_after_seconds(rejection: &Rejection) -> Option<u64> {
    if rejection.is_final() {
        return None;
    }
    let wait = match (rejection.retry_after(), rejection.reason()) {
        (Some(wait), _) => wait.min(MAX_RETRY_AFTER),
        (None, Reason::BulkheadFull | Reason::QueueTimeout) => ESTIMATE,
        (None, _) => return None,
    };
    Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// Whether a client should send a rejected request again: only where it was certainly not sent, and
/// waiting for at most a minute helps.
///
/// It is the header `x-should-retry` of [`rejection_response`]. The SDKs of OpenAI and Anthropic follow
/// it before any other sign, and try again by themselves without it, after half a second to eight
/// where `Retry-After` asks for more than a minute: behind a gateway that has retried already, every
/// attempt would be multiplied.
///
/// Source: `_should_retry` and `_calculate_retry_timeout` of
/// <https://github.com/openai/openai-python> and <https://github.com/anthropics/anthropic-sdk-python>.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Reason, Rejection};
/// use seawall_http::should_retry;
///
/// let limited = Rejection::new(Reason::RateLimited, "openai");
/// assert!(should_retry(&limited.with_retry_after(Duration::from_secs(20))));
/// assert!(!should_retry(&limited.with_retry_after(Duration::from_secs(90))));
/// assert!(!should_retry(&Rejection::new(Reason::QuotaExhausted, "openai")));
/// ```
pub fn should_retry(rejection: &Rejection) -> bool {
    /// The longest `Retry-After` that these SDKs wait for.
    const MOST: u64 = 60;
    let helps = !matches!(
        rejection.reason(),
        Reason::QuotaExhausted | Reason::TooExpensive | Reason::BudgetExhausted
    );
    let wait = retry_after_seconds(rejection);
    helps && rejection.sent() == Sent::No && wait.is_some_and(|seconds| seconds <= MOST)
}

/// A 429 that passes, nobody knows when. With `x-should-retry: false` it would be read as an
/// exhausted quota, by [`StatusClassifier`](crate::StatusClassifier) too, and shut the client for long.
fn is_throttle_without_wait(rejection: &Rejection) -> bool {
    status_of(rejection) == StatusCode::TOO_MANY_REQUESTS
        && rejection.retry_after().is_none()
        && !matches!(rejection.reason(), Reason::QuotaExhausted)
}

/// A rejection as a response: the status of [`status_of`], the reason as a line of plain text,
/// `Retry-After` as [`retry_after_seconds`] has it, and `x-should-retry` by [`should_retry`]. A 429
/// without a wait has no `x-should-retry` unless the quota is exhausted: `false` there means a quota.
/// Of a rejection that is about an entry of a journal of orders, its number is in [`ORDER_REFERENCE`].
///
/// The name of the layer instance is not sent.
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
/// let response = rejection_response::<Full<Bytes>>(&rejected);
/// assert_eq!(response.status(), 429);
/// assert_eq!(response.headers()["retry-after"], "2");
/// ```
pub fn rejection_response<B: From<Bytes>>(rejection: &Rejection) -> Response<B> {
    let text = format!("{}\n", rejection.reason());
    let mut response = Response::new(B::from(Bytes::from(text)));
    *response.status_mut() = status_of(rejection);
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    if let Some(seconds) = retry_after_seconds(rejection) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(number) = rejection.reference() {
        headers.insert(ORDER_REFERENCE, HeaderValue::from(number));
    }
    if should_retry(rejection) {
        headers.insert("x-should-retry", HeaderValue::from_static("true"));
    } else if !is_throttle_without_wait(rejection) {
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[test]
    fn only_what_was_not_sent_and_passes_within_a_minute_is_to_be_sent_again() {
        let sent = |rejection: Rejection| {
            let response = rejection_response::<Full<Bytes>>(&rejection);
            let header = response.headers().get("x-should-retry");
            header.map(|value| value.as_bytes() == b"true")
        };
        let header = |rejection| sent(rejection) == Some(true);
        let of = |reason| Rejection::new(reason, "x");
        let minute = Duration::from_secs(60);
        for reason in [Reason::RateLimited, Reason::Paused, Reason::CircuitOpen] {
            assert!(header(of(reason).with_retry_after(minute)), "{reason}");
            let longer = minute + Duration::from_nanos(1);
            assert!(!header(of(reason).with_retry_after(longer)), "{reason}");
            assert!(!header(of(reason)), "{reason}: nobody knows when");
            let sent = of(reason).with_retry_after(minute).with_sent(Sent::Maybe);
            assert!(!header(sent), "{reason}: it may have been sent");
        }
        assert!(header(of(Reason::BulkheadFull)), "a second is estimated");
        for reason in [Reason::RateLimited, Reason::ClientThrottled] {
            assert_eq!(sent(of(reason)), None, "{reason}: no exhausted quota");
        }
        for reason in [Reason::QuotaExhausted, Reason::CircuitOpen, Reason::Paused] {
            assert_eq!(sent(of(reason)), Some(false), "{reason}");
        }
        for reason in [
            Reason::QuotaExhausted,
            Reason::TooExpensive,
            Reason::BudgetExhausted,
        ] {
            assert!(!header(of(reason).with_retry_after(minute)), "{reason}");
        }
    }

    #[test]
    fn every_reason_has_a_status_that_says_whose_fault_it_is() {
        for reason in Reason::ALL {
            let status = status_of(&Rejection::new(reason, "x")).as_u16();
            let expected = match reason {
                Reason::RateLimited | Reason::ClientThrottled | Reason::QuotaExhausted => 429,
                Reason::TooExpensive => 413,
                Reason::InvalidRequest | Reason::Guarded => 422,
                Reason::NotExecuted | Reason::TradingMode => 409,
                Reason::AttemptTimeout | Reason::DeadlineExceeded | Reason::BodyTimeout => 504,
                Reason::OutcomeUnknown | Reason::Panicked => 502,
                _ => 503,
            };
            assert_eq!(status, expected, "{reason:?}");
        }
    }

    #[test]
    fn no_client_sends_an_order_again_by_itself() {
        let orders = |reason| Rejection::new(reason, "broker").with_pattern("orders");
        let rejections = [
            (orders(Reason::InvalidRequest), 422),
            (orders(Reason::Guarded), 422),
            (orders(Reason::TradingMode), 409),
            (orders(Reason::NotExecuted), 409),
            (orders(Reason::NotExecuted).with_sent(Sent::Maybe), 409),
            (orders(Reason::OutcomeUnknown), 409),
            (orders(Reason::OutcomeUnknown).with_sent(Sent::Maybe), 409),
            (orders(Reason::DeadlineExceeded).with_sent(Sent::Maybe), 409),
            (orders(Reason::BulkheadFull).with_sent(Sent::Maybe), 409),
        ];
        for (rejected, status) in rejections {
            for rejected in [
                rejected,
                rejected.with_reference(42),
                rejected.with_retry_after(Duration::from_secs(1)),
            ] {
                let response = rejection_response::<Full<Bytes>>(&rejected);
                assert_eq!(response.status(), status, "{rejected}");
                let headers = response.headers();
                assert_eq!(headers["x-should-retry"], "false", "{rejected}");
                assert!(!headers.contains_key(RETRY_AFTER), "{rejected}");
                let reference = headers.get("x-seawall-order-reference");
                let expected = rejected.reference().map(HeaderValue::from);
                assert_eq!(reference, expected.as_ref(), "{rejected}");
            }
        }
        let unsent = orders(Reason::DeadlineExceeded);
        assert_eq!(status_of(&unsent), 504, "certainly not sent");
        let retry = Rejection::new(Reason::OutcomeUnknown, "broker").with_pattern("retry");
        assert_eq!(status_of(&retry), 502, "not of order safety");
    }

    #[test]
    fn a_pause_with_an_end_is_passed_on_as_a_used_up_rate_is() {
        let wait = Duration::from_millis(1_200);
        for reason in [Reason::Paused, Reason::RateLimited] {
            let rejected = Rejection::new(reason, "x").with_retry_after(wait);
            assert_eq!(status_of(&rejected), 429);
            assert_eq!(header(&rejected).as_deref(), Some("2"));
        }
        assert_eq!(status_of(&Rejection::new(Reason::Paused, "x")), 503);
    }

    fn header(rejected: &Rejection) -> Option<String> {
        let response = rejection_response::<Full<Bytes>>(rejected);
        let value = response.headers().get(RETRY_AFTER)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn waits_are_whole_seconds_never_too_short_and_at_most_a_day() {
        for (wait, seconds) in [
            (Duration::ZERO, "0"),
            (Duration::from_nanos(1), "1"),
            (Duration::from_secs(2), "2"),
            (MAX_RETRY_AFTER - Duration::from_nanos(1), "86400"),
            (Duration::MAX, "86400"),
        ] {
            let rejected = Rejection::new(Reason::CircuitOpen, "x").with_retry_after(wait);
            assert_eq!(header(&rejected).as_deref(), Some(seconds), "{wait:?}");
        }
    }

    #[test]
    fn a_full_bulkhead_has_an_estimate_and_its_own_wait_comes_first() {
        for reason in Reason::ALL {
            let estimated = matches!(reason, Reason::BulkheadFull | Reason::QueueTimeout);
            let rejected = Rejection::new(reason, "x");
            assert_eq!(
                header(&rejected),
                estimated.then(|| "1".into()),
                "{reason:?}"
            );
            let known = rejected.with_retry_after(Duration::from_secs(7));
            let expected = (!known.is_final()).then_some("7");
            assert_eq!(header(&known).as_deref(), expected, "{reason:?}");
        }
    }

    #[test]
    fn the_name_of_the_instance_is_not_sent() {
        let rejected = Rejection::new(Reason::CircuitOpen, "alpaca-orders");
        let response = rejection_response::<Bytes>(&rejected);
        assert_eq!(response.body(), "the circuit is open\n");
    }
}
