//! Headers, dates and bodies of an upstream that makes mistakes, or none of it in good faith.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use seawall_core::{Outcome, Unit};
use seawall_http::inspect::InspectLayer;
use seawall_http::quota::{LONGEST_RESET, LimitHeaders, RateLimitHeaders, ResetFormat};
use seawall_http::{HttpClassifier, LONGEST_BAN, retry_after};
use tower::{Layer, ServiceExt, service_fn};

fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn asked(values: &[&[u8]], now: SystemTime) -> Option<Duration> {
    let pairs: Vec<_> = values.iter().map(|value| ("retry-after", *value)).collect();
    retry_after(&headers(&pairs), now)
}

#[test]
fn garbage_in_retry_after_is_no_wait_and_no_panic() {
    let now = SystemTime::now();
    for garbage in [
        &b"-1"[..],
        b"+5",
        b"1e3",
        b"NaN",
        b"inf",
        b"",
        b" ",
        b"\xff\xfe",
        b"1 2",
        b"0x10",
        b"1,5",
        b"Sun, 06 Nov",
        b"Sun, 31 Feb 2024 00:00:00 GMT",
        "\u{663}".as_bytes(),
    ] {
        assert_eq!(asked(&[garbage], now), None, "{garbage:?}");
    }
    let huge = b"1000000000000000000000000000000";
    assert_eq!(asked(&[huge], now), Some(Duration::MAX));
    let past = b"Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(asked(&[past], now), Some(Duration::ZERO));
}

/// RFC 9110, section 5.6.7: a second has two digits, and 60 is a leap second.
#[test]
fn a_leap_second_in_retry_after_is_read() {
    let ten_before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_483_228_790);
    let wait = asked(&[b"Sat, 31 Dec 2016 23:59:60 GMT"], ten_before);
    assert_eq!(wait, Some(Duration::from_secs(10)));
}

#[test]
fn the_longer_of_two_retry_after_headers_counts() {
    let now = SystemTime::now();
    let two_minutes = Some(Duration::from_secs(120));
    assert_eq!(asked(&[b"0", b"120"], now), two_minutes);
    assert_eq!(asked(&[b"120", b"0"], now), two_minutes);
    assert_eq!(asked(&[b"120", b"99999999999"], now), two_minutes);
}

const NAMES: [&str; 20] = [
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-used",
    "x-ratelimit-expiry",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-remaining",
    "date",
    "age",
    "x-used-weight-1m",
    "x-used-weight-99999999999d",
    "x-should-retry",
    "content-type",
];

const PIECES: [&[u8]; 37] = [
    b"0",
    b"1",
    b"9",
    b"99999999999999999999",
    b".",
    b"-",
    b"+",
    b":",
    b":60",
    b"T",
    b"Z",
    b"ms",
    b"s",
    b"m",
    b"h",
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b" ",
    b"r",
    b"t",
    b"q",
    b"w",
    b"qu",
    b"GMT",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sat, 31 Dec 2016 23:59:60 GMT",
    b"2024-04-30T15:56:17Z",
    b"1795219200",
    b"\xff",
    b"\xc3\xa9",
    b"?1",
    b"(",
    b")",
    b"*",
];

fn text(rng: &mut fastrand::Rng, most: usize) -> Vec<u8> {
    let pieces = (0..rng.usize(0..most)).flat_map(|_| PIECES[rng.usize(0..PIECES.len())]);
    pieces.copied().collect()
}

#[test]
fn random_pieces_in_every_header_never_panic_and_ask_for_no_absurd_wait() {
    let mut rng = fastrand::Rng::with_seed(7);
    let limit = |remaining: &str, reset: &str, format| {
        let limit = LimitHeaders::new(Unit::Requests).remaining(remaining);
        RateLimitHeaders::new()
            .and(limit.reset(reset, format))
            .unwrap()
    };
    let per_window = RateLimitHeaders::new().and_used_per_window("x-used-weight-", Unit::Cost);
    let readers = [
        RateLimitHeaders::x_ratelimit(ResetFormat::Auto),
        RateLimitHeaders::x_ratelimit(ResetFormat::SecondsLeft),
        limit(
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
            ResetFormat::GoDuration,
        ),
        limit(
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-requests-reset",
            ResetFormat::Rfc3339,
        ),
        per_window.unwrap(),
        RateLimitHeaders::ietf(),
    ];
    let statuses = [200, 400, 418, 429, 503].map(|n| StatusCode::from_u16(n).unwrap());
    let mut reported = 0_u64;
    let mut waits = 0_u64;
    for _ in 0..60_000 {
        let mut headers = HeaderMap::new();
        for _ in 0..rng.usize(1..5) {
            let Ok(value) = HeaderValue::from_bytes(&text(&mut rng, 8)) else {
                continue;
            };
            headers.append(NAMES[rng.usize(0..NAMES.len())], value);
        }
        let _ = retry_after(&headers, SystemTime::now());
        for reader in &readers {
            reader.read(&headers, |limit| {
                reported += 1;
                assert!(limit.resets_in.is_none_or(|reset| reset <= LONGEST_RESET));
            });
        }
        let mut response = Response::new(());
        *response.status_mut() = statuses[rng.usize(0..statuses.len())];
        *response.headers_mut() = headers;
        let outcome = HttpClassifier::new().judge_response(&response);
        waits += u64::from(outcome.retry_after().is_some());
        assert!(
            outcome.retry_after().is_none_or(|wait| wait <= LONGEST_BAN),
            "{outcome:?}"
        );
    }
    assert!(
        reported > 100 && waits > 100,
        "{reported} limits, {waits} waits"
    );
}

#[test]
fn random_pieces_in_every_format_never_panic() {
    use ResetFormat::*;
    let mut rng = fastrand::Rng::with_seed(8);
    let formats = [
        Auto,
        AutoMillis,
        Rfc3339,
        GoDuration,
        HttpDate,
        EpochAuto,
        EpochSeconds,
        EpochMillis,
        SecondsLeft,
    ];
    for _ in 0..60_000 {
        let text = text(&mut rng, 6);
        let text = String::from_utf8_lossy(&text);
        for format in formats {
            let left = format.resets_in(&text, SystemTime::now());
            assert!(
                left.is_none_or(|left| left <= LONGEST_RESET),
                "{format:?} {text}"
            );
        }
    }
}

/// One-byte frames into the inspected body: the cap holds, nothing is lost.
#[tokio::test]
async fn a_body_in_single_bytes_is_inspected_and_complete() {
    fn look(_: &http::response::Parts, body: &[u8]) -> Option<Outcome> {
        let found = body.windows(4).any(|part| part == b"limi");
        found.then_some(Outcome::Ignored)
    }
    for length in [0_u8, 1, 15, 16, 17, 64, 255] {
        let sent: Vec<u8> = (0..length).map(|i| b'a' + i % 26).collect();
        let frames: Vec<_> = sent
            .iter()
            .map(|byte| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(vec![*byte]))))
            .collect();
        let mut frames = Some(frames);
        let client = InspectLayer::new(16, look).layer(service_fn(move |_: ()| {
            let frames = frames.take().unwrap();
            async move {
                let body = StreamBody::new(stream_of(frames));
                let response = Response::builder().header("content-type", "application/json");
                Ok::<_, std::io::Error>(response.body(body).unwrap())
            }
        }));
        let response = client.oneshot(()).await.unwrap();
        let received = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&received[..], &sent[..]);
    }
}

/// A stream of what is there already.
fn stream_of<T: Unpin>(items: Vec<T>) -> impl futures_core::Stream<Item = T> + Unpin {
    struct Ready<T>(std::vec::IntoIter<T>);
    impl<T: Unpin> futures_core::Stream for Ready<T> {
        type Item = T;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<T>> {
            std::task::Poll::Ready(self.0.next())
        }
    }
    Ready(items.into_iter())
}

#[cfg(feature = "usage")]
mod usage {
    use seawall_http::quota::{Usage, UsageReader, usage_of};

    const STREAMS: [&str; 4] = [
        "data: {\"choices\":[{\"delta\":{\"content\":\"h\u{e9}llo \u{1f980}\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21}}\n\ndata: [DONE]\n\n",
        "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\r\n\r\nevent: message_delta\r\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\r\n\r\n",
        "\u{feff}data:{\"usage\":{\"prompt_tokens\":1,\ndata:\"completion_tokens\":2}}\n\n",
        ": ping\n\ndata: {\"a\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":999}\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
    ];

    #[test]
    fn usage_in_pieces_is_usage_in_one() {
        let mut rng = fastrand::Rng::with_seed(3);
        for stream in STREAMS {
            let complete = usage_of(stream.as_bytes());
            assert!(complete.is_some(), "{stream}");
            for _ in 0..300 {
                let mut reader = UsageReader::new();
                let mut rest = stream.as_bytes();
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(rng.usize(1..=rest.len().min(7)));
                    reader.push(piece);
                    reader.push(b"");
                    rest = after;
                }
                assert_eq!(reader.finish(), complete);
            }
        }
    }

    /// 64 MiB without an end of the event, and a text that is nested a million deep.
    #[test]
    fn a_huge_event_and_a_deep_one_cost_no_memory_and_no_stack() {
        let mut reader = UsageReader::new();
        reader.push(b"data: {\"x\":\"");
        let piece = vec![b'a'; 1 << 20];
        for _ in 0..64 {
            reader.push(&piece);
        }
        let usage = b"\"}\n\ndata: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
        reader.push(usage);
        assert_eq!(reader.finish().map(Usage::total), Some(7));

        let mut reader = UsageReader::new();
        reader.push(b"{");
        for _ in 0..1_000_000 {
            reader.push(b"[{\"usage\":");
        }
        assert_eq!(reader.finish(), None);
    }

    /// The value itself may be nested, up to 8 KiB of it: a parser reads it.
    #[test]
    fn a_deeply_nested_usage_does_not_overflow_the_stack() {
        let (open, close) = ("[".repeat(3_000), "]".repeat(3_000));
        let text = format!("{{\"usage\":{{\"a\":{open}1{close}}}}}");
        assert_eq!(usage_of(text.as_bytes()), None);
    }
}
