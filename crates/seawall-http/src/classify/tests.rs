//! Statuses and headers, and what they mean.

use std::io;

use super::*;

fn response(status: u16, headers: &[(&'static str, &'static str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(*name, value);
    }
    response
}

fn judged(status: u16, headers: &[(&'static str, &'static str)]) -> Outcome {
    let response = response(status, headers);
    HttpClassifier::new().classify(Ok::<_, &io::Error>(&response))
}

fn asked(status: u16, headers: &[(&'static str, &'static str)]) -> Option<Duration> {
    let response = response(status, headers);
    HttpClassifier::new().retry_after(Ok::<_, &io::Error>(&response))
}

const TEN: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn statuses_mean_what_the_table_says() {
    for status in [200, 204, 301, 304, 101] {
        assert_eq!(judged(status, &[]), Outcome::Success, "{status}");
    }
    for status in [400, 401, 403, 404, 409, 418, 422] {
        assert_eq!(judged(status, &[]), Outcome::Ignored, "{status}");
    }
    for (status, kind) in [
        (408, FailureKind::Timeout),
        (504, FailureKind::Timeout),
        (503, FailureKind::Overloaded),
        (529, FailureKind::Overloaded),
        (500, FailureKind::Server),
        (502, FailureKind::Server),
        (599, FailureKind::Server),
    ] {
        assert_eq!(judged(status, &[]), Outcome::Failure(kind), "{status}");
    }
}

#[test]
fn throttles_and_bans_carry_the_wait_asked_for() {
    let wait = [("retry-after", "10")];
    let throttled = |retry_after| Outcome::Throttled {
        retry_after,
        scope: Scope::Upstream,
    };
    assert_eq!(judged(429, &wait), throttled(TEN));
    assert_eq!(judged(429, &[]), throttled(None));
    assert_eq!(judged(418, &wait), Outcome::Banned { lasts: TEN });
}

#[test]
fn an_overloaded_upstream_counts_as_failed_also_with_retry_after() {
    let wait = [("retry-after", "10")];
    for status in [503, 529] {
        let overloaded = Outcome::Failure(FailureKind::Overloaded);
        assert_eq!(judged(status, &wait), overloaded, "{status}");
        assert_eq!(asked(status, &wait), TEN);
    }
}

#[test]
fn the_header_that_says_whether_to_retry_is_applied() {
    let no = [("x-should-retry", "false")];
    assert_eq!(
        judged(429, &no),
        Outcome::QuotaExhausted { renews_in: None }
    );
    assert_eq!(judged(500, &no), Outcome::Failure(FailureKind::Server));
    assert_eq!(asked(500, &no), Some(Duration::MAX), "never");
    let yes = [("x-should-retry", "true")];
    assert_eq!(judged(500, &yes), Outcome::Failure(FailureKind::Server));
    let lock_timeout = Outcome::Throttled {
        retry_after: None,
        scope: Scope::Endpoint,
    };
    assert_eq!(judged(409, &yes), lock_timeout);
}

#[test]
fn own_rules_come_before_the_table_and_the_last_one_counts() {
    let five_minutes = Duration::from_secs(300);
    let classifier = HttpClassifier::new()
        .status(StatusCode::FORBIDDEN, Outcome::Success)
        .ban_on(StatusCode::FORBIDDEN, five_minutes)
        .status(StatusCode::NOT_FOUND, Outcome::Success);
    let judge = |response: &Response<()>| classifier.classify(Ok::<_, &io::Error>(response));
    let lasts = Some(five_minutes);
    assert_eq!(judge(&response(403, &[])), Outcome::Banned { lasts });
    let with_wait = response(403, &[("retry-after", "10")]);
    assert_eq!(judge(&with_wait), Outcome::Banned { lasts: TEN });
    assert_eq!(judge(&response(404, &[])), Outcome::Success);
    assert_eq!(judge(&response(405, &[])), Outcome::Ignored);
}

#[test]
fn an_outcome_found_in_the_body_wins() {
    let mut response = response(200, &[]);
    let found = Outcome::QuotaExhausted { renews_in: None };
    response.extensions_mut().insert(found);
    let classifier = HttpClassifier::new().status(StatusCode::OK, Outcome::Success);
    assert_eq!(classifier.judge_response(&response), found);
}

#[test]
fn errors_are_judged_by_the_chain_or_by_a_function() {
    let classify = |e: io::ErrorKind| {
        let error = seawall_core::Error::Inner(io::Error::from(e));
        HttpClassifier::new().classify(Err::<&Response<()>, _>(&error))
    };
    assert_eq!(classify(io::ErrorKind::ConnectionReset), Outcome::Unknown);

    fn own(error: &u8) -> Outcome {
        assert_eq!(*error, 7);
        Outcome::Ignored
    }
    let by_function = HttpClassifier::new().with_errors(own as fn(&u8) -> Outcome);
    let judged = by_function.classify(Err::<&Response<()>, _>(&7));
    assert_eq!(judged, Outcome::Ignored);
}

#[test]
fn dates_are_measured_against_the_clock_that_was_given() {
    fn clock() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_767)
    }
    let response = response(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    let classifier = HttpClassifier::new().with_clock(clock);
    assert_eq!(classifier.judge_response(&response).retry_after(), TEN);
}

#[test]
fn the_bans_of_providers_are_found_by_their_status() {
    let judged = |classifier: HttpClassifier, status, headers: &[(&'static str, &'static str)]| {
        classifier.judge_response(&response(status, headers))
    };
    let banned = |seconds| Outcome::Banned {
        lasts: Some(Duration::from_secs(seconds)),
    };
    for status in [403, 429] {
        assert_eq!(
            judged(HttpClassifier::sec_edgar(), status, &[]),
            banned(600)
        );
    }
    for status in [429, 999] {
        assert_eq!(
            judged(HttpClassifier::yahoo_finance(), status, &[]),
            banned(900)
        );
    }
    let penalty = judged(HttpClassifier::interactive_brokers(), 429, &[]);
    assert_eq!(penalty, banned(900));
    assert_eq!(judged(HttpClassifier::binance(), 418, &[]), banned(120));
    assert_eq!(judged(HttpClassifier::binance(), 403, &[]), banned(300));
    let days = [("retry-after", "259200")];
    assert_eq!(
        judged(HttpClassifier::binance(), 418, &days),
        banned(259_200)
    );
    let throttle = judged(HttpClassifier::binance(), 429, &days);
    assert!(
        matches!(throttle, Outcome::Throttled { .. }),
        "{throttle:?}"
    );
    // A rule of one's own beside those of a provider.
    let own = HttpClassifier::sec_edgar().status(StatusCode::FORBIDDEN, Outcome::Ignored);
    assert_eq!(judged(own.clone(), 403, &[]), Outcome::Ignored);
    assert_eq!(judged(own, 429, &[]), banned(600));
}

#[test]
fn a_status_can_be_an_exhausted_quota() {
    let vendor = HttpClassifier::new().quota_on(StatusCode::PAYMENT_REQUIRED);
    let of = |classifier: &HttpClassifier, status, headers| {
        classifier.judge_response(&response(status, headers))
    };
    let exhausted = |renews_in| Outcome::QuotaExhausted { renews_in };
    assert_eq!(of(&vendor, 402, &[]), exhausted(None));
    assert_eq!(of(&vendor, 402, &[("retry-after", "10")]), exhausted(TEN));
    assert_eq!(of(&HttpClassifier::news_api(), 429, &[]), exhausted(None));
    assert_eq!(of(&HttpClassifier::news_api(), 404, &[]), Outcome::Ignored);
}
