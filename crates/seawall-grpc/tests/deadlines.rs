//! Deadlines that a hostile client sends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use http::{HeaderValue, Request};
use seawall_grpc::{GrpcTimeout, parse_timeout};
use seawall_http::deadline::{DeadlineRead, read_deadline};
use tokio::time::Instant;

#[test]
fn what_is_no_timeout_is_none_and_the_longest_is_read() {
    for garbage in [
        &b""[..],
        b"1",
        b"H",
        b"123456789S",
        b"-1S",
        b"1 S",
        b"1s",
        b"1.5S",
        b"\xffS",
        b"1e3S",
        b"0x1S",
    ] {
        assert_eq!(parse_timeout(garbage), None, "{garbage:?}");
    }
    let longest = Duration::from_secs(99_999_999 * 3_600);
    assert_eq!(parse_timeout(b"99999999H"), Some(longest));
    assert_eq!(parse_timeout(b"00000000n"), Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_is_past_at_once_and_an_endless_one_is_ignored() {
    let hour = Duration::from_secs(3_600);
    let read = |value| {
        let mut request = Request::new(());
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert("grpc-timeout", value);
        read_deadline(&mut request, &GrpcTimeout, hour)
    };
    let past = read("0n");
    assert!(
        matches!(past, DeadlineRead::Set(at) if at <= Instant::now()),
        "{past:?}"
    );
    assert_eq!(read("99999999H"), DeadlineRead::Ignored);
}
