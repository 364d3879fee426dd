//! Waits, bans and usage beyond reason: bounded where they are read, counted and emitted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::time::Duration;

use http::{Response, StatusCode};
use seawall_core::{
    Classify, EventKind, Events, InstanceHandle, Outcome, QuotaSignal, ReadQuotaSignals, Received,
    Scope, Unit,
};
use seawall_http::quota::{
    HttpFeedback, LARGEST_USAGE, LimitHeaders, RateLimitHeaders, ResetFormat, Usage,
};
use seawall_http::{HttpClassifier, LONGEST_BAN, LONGEST_WAIT};

const DATE: (&str, &str) = ("date", "Tue, 21 Mar 2023 15:13:07 GMT");
const TEN: Duration = Duration::from_secs(10);

fn response(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap()
}

fn signals<C>(feedback: &HttpFeedback<C>, response: &Response<()>) -> Vec<QuotaSignal>
where
    HttpFeedback<C>: ReadQuotaSignals<Response<()>, io::Error>,
{
    let mut signals = Vec::new();
    feedback.read_signals(Ok(response), &mut |signal| signals.push(signal));
    signals
}

/// The pause that the response of a provider asks for.
fn pause(headers: RateLimitHeaders, response: &Response<()>) -> Option<Duration> {
    match signals(&HttpFeedback::new("test", headers), response).pop() {
        Some(QuotaSignal::Pause { lasts, .. }) => lasts,
        other => panic!("no pause: {other:?}"),
    }
}

#[test]
fn absurd_waits_are_bounded_counted_and_emitted() {
    let feedback = HttpFeedback::new("bounded", RateLimitHeaders::new());
    let events = Events::new(8);
    let mut subscription = events.subscribe();
    feedback.handle().attach(&events);

    for (status, applied, what) in [(429, LONGEST_WAIT, "wait_ms"), (418, LONGEST_BAN, "ban_ms")] {
        let absurd = response(status, &[("retry-after", "31536000")]);
        let lasts = Some(applied);
        let scope = Scope::Upstream;
        let expected = match status {
            418 => QuotaSignal::Ban { lasts, scope },
            _ => QuotaSignal::Pause { lasts, scope },
        };
        assert_eq!(signals(&feedback, &absurd), [expected]);
        let Some(Received::Event(event)) = subscription.try_next() else {
            panic!("no event");
        };
        assert_eq!(
            (event.pattern, event.name.as_str()),
            ("http_feedback", "bounded")
        );
        let bounded = EventKind::Bounded {
            what,
            reported: 31_536_000_000,
            applied: u64::try_from(applied.as_millis()).unwrap(),
        };
        assert_eq!(event.kind, bounded);
    }
    // A failure that asks to wait is read by the breaker and by the retry.
    assert_eq!(
        signals(&feedback, &response(503, &[("retry-after", "9999999")])),
        []
    );
    assert_eq!(feedback.handle().counts().bounded_wait, 3);

    for sane in ["0", "900", "soon"] {
        signals(&feedback, &response(429, &[("retry-after", sane)]));
    }
    signals(&feedback, &response(200, &[("retry-after", "31536000")]));
    assert_eq!(feedback.handle().counts().bounded_wait, 3);
}

#[test]
fn the_bound_is_that_of_the_classifier() {
    let hour = Duration::from_secs(3_600);
    let classifier = HttpClassifier::new().with_longest_wait(hour).unwrap();
    let feedback = HttpFeedback::new("own", RateLimitHeaders::new()).classify(classifier);
    let lasts = |seconds| {
        let throttle = response(429, &[("retry-after", seconds)]);
        match signals(&feedback, &throttle)[..] {
            [QuotaSignal::Pause { lasts, .. }] => lasts,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(lasts("3000"), Some(Duration::from_secs(3_000)));
    assert_eq!(feedback.handle().counts().bounded_wait, 0);
    assert_eq!(lasts("4000"), Some(hour));
    assert_eq!(feedback.handle().counts().bounded_wait, 1);
}

#[test]
fn absurd_usage_is_bounded_counted_and_emitted() {
    let feedback = HttpFeedback::new("usage", RateLimitHeaders::new());
    let events = Events::new(8);
    let mut subscription = events.subscribe();
    feedback.handle().attach(&events);
    let used = |input, output| {
        let mut response = response(200, &[]);
        response.extensions_mut().insert(Usage::new(input, output));
        signals(&feedback, &response)
    };
    let spent = |unit, amount| QuotaSignal::Used { unit, amount };
    let expected = [
        spent(Unit::Tokens, LARGEST_USAGE),
        spent(Unit::InputTokens, LARGEST_USAGE),
        spent(Unit::OutputTokens, 1),
    ];
    assert_eq!(used(1_000_000_000_000_000, 1), expected);
    assert_eq!(used(LARGEST_USAGE, 0).len(), 3);
    assert_eq!(feedback.handle().counts().bounded_usage, 1);
    let Some(Received::Event(event)) = subscription.try_next() else {
        panic!("no event");
    };
    let bounded = EventKind::Bounded {
        what: "usage",
        reported: 1_000_000_000_000_001,
        applied: LARGEST_USAGE,
    };
    assert_eq!(event.kind, bounded);
    assert!(subscription.try_next().is_none());
}

/// The reset of each common header in every form.
#[test]
fn every_common_reset_is_read_in_every_form() {
    let limit = |name| {
        let limit = LimitHeaders::new(Unit::Requests).remaining("x-left");
        RateLimitHeaders::new()
            .and(limit.reset(name, ResetFormat::Auto))
            .unwrap()
    };
    for name in [
        "x-ratelimit-reset",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-reset-project-tokens",
        "x-ratelimit-expiry",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-input-tokens-reset",
        "anthropic-ratelimit-output-tokens-reset",
        "cb-ratelimit-reset",
        "ratelimit-reset",
    ] {
        for text in [
            "10",
            "10.0",
            "10s",
            "9s1000ms",
            "1679411597",
            "1679411597000",
            "2023-03-21T15:13:17Z",
            "Tue, 21 Mar 2023 15:13:17 GMT",
        ] {
            let throttle = response(429, &[DATE, (name, text)]);
            let mut reported = None;
            limit(name).read(throttle.headers(), |limit| reported = limit.resets_in);
            assert_eq!(reported, Some(TEN), "{name}: {text}");
            // Without anything that reports what is left, by the limit and by the retry alike.
            assert_eq!(pause(limit(name), &throttle), Some(TEN), "{name}: {text}");
            let asked = HttpClassifier::new().retry_after(Ok::<_, &io::Error>(&throttle));
            assert_eq!(asked, Some(TEN), "{name}: {text}");
        }
    }
}

#[test]
fn a_throttle_waits_for_a_limit_whose_headers_only_the_feedback_knows() {
    let renews = |name| {
        let limit = LimitHeaders::new(Unit::Requests)
            .remaining("x-quota-left")
            .reset(name, ResetFormat::Auto);
        RateLimitHeaders::new().and(limit).unwrap()
    };
    let seconds = response(429, &[("x-quota-renews", "10")]);
    assert_eq!(pause(renews("x-quota-renews"), &seconds), Some(TEN));
    let millis = response(429, &[("x-quota-renews-ms", "10000")]);
    assert_eq!(pause(renews("x-quota-renews-ms"), &millis), Some(TEN));
    let left = response(429, &[("x-quota-renews", "10"), ("x-quota-left", "3")]);
    assert_eq!(pause(renews("x-quota-renews"), &left), Some(TEN));
    let month = response(429, &[("x-quota-renews", "2592000")]);
    assert_eq!(pause(renews("x-quota-renews"), &month), Some(LONGEST_WAIT));
}

#[test]
fn a_throttle_that_was_found_in_the_body_waits_for_what_the_headers_name() {
    let mut throttle = response(429, &[("x-ratelimit-reset", "10")]);
    throttle.extensions_mut().insert(Outcome::Throttled {
        retry_after: None,
        scope: Scope::Account,
    });
    assert_eq!(pause(RateLimitHeaders::new(), &throttle), Some(TEN));
    *throttle.status_mut() = StatusCode::OK;
    assert_eq!(
        pause(RateLimitHeaders::new(), &throttle),
        None,
        "it may be of another limit"
    );
}
