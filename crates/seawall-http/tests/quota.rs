//! What responses report about limits.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use seawall_core::{LateUsage, QuotaSignal, ReadQuotaSignals, Unit};
use seawall_http::quota::{HttpFeedback, LimitHeaders, RateLimitHeaders, ResetFormat, Usage};
use static_assertions::assert_impl_all;

assert_impl_all!(RateLimitHeaders: Clone, Send, Sync, Unpin);
assert_impl_all!(HttpFeedback: Clone, Send, Sync, Unpin);
assert_impl_all!(LimitHeaders: Clone, Send, Sync);
assert_impl_all!(ResetFormat: Copy, Send, Sync);

#[test]
fn reading_a_response_allocates_nothing() {
    let date = "Tue, 21 Mar 2023 15:13:07 GMT";
    let response = Response::builder()
        .header("date", date)
        .header("x-ratelimit-remaining", "7.5")
        .header("x-ratelimit-reset", "1679411617")
        .header("x-ratelimit-reset-tokens", "1h23m31.5s")
        .header("x-renews", "2023-03-21T15:13:37.25Z")
        .header("x-used-weight-1m", "250")
        .header("ratelimit-policy", "\"a\";q=100;w=60")
        .header("ratelimit", "\"a\";r=5;t=3")
        .extension(Usage::new(9, 12))
        .body(())
        .unwrap();
    let limit = |remaining: &str, reset: &str, format| {
        let limit = LimitHeaders::new(Unit::Requests).remaining(remaining);
        RateLimitHeaders::new()
            .and(limit.reset(reset, format))
            .unwrap()
    };
    let readers = [
        RateLimitHeaders::x_ratelimit(ResetFormat::Auto),
        limit(
            "x-left",
            "x-ratelimit-reset-tokens",
            ResetFormat::GoDuration,
        ),
        limit("x-left", "x-renews", ResetFormat::Rfc3339),
        RateLimitHeaders::new()
            .and_used_per_window("x-used-weight-", Unit::Cost)
            .unwrap(),
        RateLimitHeaders::ietf(),
    ];
    for reader in readers {
        let feedback = HttpFeedback::new("test", reader);
        let mut limits = 0;
        let mut used = 0;
        let counted = seawall_testkit::alloc::count(|| {
            let result = Ok::<_, &io::Error>(&response);
            feedback.read_signals(result, &mut |signal| match signal {
                QuotaSignal::Used { .. } => used += 1,
                _ => limits += 1,
            });
        });
        assert_eq!((limits, used), (1, 3), "{feedback:?}");
        assert_eq!(counted.allocations, 0, "{feedback:?}");
    }
}

#[test]
fn classifying_a_response_allocates_nothing_whatever_it_asks_for() {
    use seawall_core::Classify;
    use seawall_http::HttpClassifier;

    let response = |status, headers: &[(&str, &str)]| {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap()
    };
    let date = ("date", "Tue, 21 Mar 2023 15:13:07 GMT");
    let responses = [
        response(200, &[date]),
        response(503, &[("retry-after", "3")]),
        response(
            429,
            &[date, ("retry-after", "Tue, 21 Mar 2023 15:13:60 GMT")],
        ),
        response(429, &[("retry-after", "30"), ("retry-after", "1764386400")]),
        response(429, &[date, ("x-ratelimit-reset-requests", "1m2.5s")]),
        response(
            429,
            &[
                date,
                ("anthropic-ratelimit-tokens-reset", "2023-03-21T15:13:37Z"),
            ],
        ),
        response(418, &[]),
    ];
    let classifier =
        HttpClassifier::new().ban_on(StatusCode::IM_A_TEAPOT, Duration::from_secs(120));
    // The common headers are listed once.
    let _ = classifier.classify(Ok::<_, &io::Error>(&responses[4]));
    for response in &responses {
        let result = Ok::<_, &io::Error>(response);
        let counted = seawall_testkit::alloc::count(|| {
            let _ = classifier.clone();
            let _ = classifier.classify(result);
            let _ = classifier.retry_after(result);
        });
        assert_eq!(counted.allocations, 0, "{response:?}");
    }
}

/// Two limits, each with its feedback: the usage at the end of the stream corrects both, once.
#[test]
fn an_event_stream_carries_what_corrects_its_usage_at_the_end() {
    let feedback = HttpFeedback::new("late", RateLimitHeaders::new());
    let corrected = Arc::new(Mutex::new(Vec::new()));
    let attach = |response: &mut Response<()>, limit: &'static str| {
        let reads = &feedback as &dyn ReadQuotaSignals<Response<()>, io::Error>;
        reads.attach_late_usage(response, &mut || {
            let corrected = Arc::clone(&corrected);
            LateUsage::new(move |used| corrected.lock().unwrap().push((limit, used[0])))
        });
    };
    let mut json = Response::builder()
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    attach(&mut json, "inner");
    assert!(json.extensions().get::<LateUsage>().is_none());
    let mut stream = Response::builder()
        .header("content-type", "text/event-stream; charset=utf-8")
        .body(())
        .unwrap();
    attach(&mut stream, "inner");
    attach(&mut stream, "outer");
    let late = stream.extensions().get::<LateUsage>().unwrap();
    late.correct(&Usage::new(9, 12).units());
    late.correct(&Usage::new(9, 12).units());
    let tokens = (Unit::Tokens, 21);
    let expected = [("inner", tokens), ("outer", tokens)];
    assert_eq!(*corrected.lock().unwrap(), expected);
}
