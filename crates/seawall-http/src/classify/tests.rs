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
    let unknown = HttpClassifier::new().ban_on(StatusCode::FORBIDDEN, Duration::ZERO);
    let judged = unknown.classify(Ok::<_, &io::Error>(&response(403, &[])));
    assert_eq!(judged, Outcome::Banned { lasts: None });
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
fn a_status_can_be_a_ban_of_a_time_or_of_that_of_the_response() {
    let banned = |seconds| Outcome::Banned {
        lasts: Some(Duration::from_secs(seconds)),
    };
    const DAY: Duration = Duration::from_secs(86_400);
    let vendor = HttpClassifier::new()
        .ban_on(StatusCode::IM_A_TEAPOT, Duration::from_secs(120))
        .ban_on(StatusCode::from_u16(999).unwrap(), Duration::from_secs(900));
    let of = |classifier: &HttpClassifier, status, headers| {
        classifier.judge_response(&response(status, headers))
    };
    assert_eq!(of(&vendor, 418, &[]), banned(120), "no teapot");
    assert_eq!(of(&vendor, 418, &[("retry-after", "600")]), banned(600));
    assert_eq!(of(&vendor, 999, &[]), banned(900));
    let throttle = of(&vendor, 429, &[("retry-after", "10")]);
    assert_eq!(throttle.retry_after(), TEN);
    // Of two bounds each holds for what it is about, and the rules stay.
    let long = vendor.with_longest_ban(3 * DAY).unwrap();
    let days = [("retry-after", "999999999")];
    assert_eq!(of(&long, 418, &days), banned(3 * 86_400));
    assert_eq!(of(&long, 429, &days).retry_after(), MINUTES_15);
    assert_eq!(of(&long, 418, &[]), banned(120));
    // The last rule for a status counts, and those for others stay.
    let own = long.status(StatusCode::IM_A_TEAPOT, Outcome::Ignored);
    assert_eq!(of(&own, 418, &[]), Outcome::Ignored);
    assert_eq!(of(&own, 999, &[]), banned(900));
}

/// Every 429 is a quota of hours.
fn hours() -> HttpClassifier {
    HttpClassifier::new().quota_on(StatusCode::TOO_MANY_REQUESTS, Duration::from_secs(900))
}

#[test]
fn a_status_can_be_an_exhausted_quota() {
    let vendor = HttpClassifier::new().quota_on(StatusCode::PAYMENT_REQUIRED, Duration::ZERO);
    let of = |classifier: &HttpClassifier, status, headers| {
        classifier.judge_response(&response(status, headers))
    };
    let exhausted = |renews_in| Outcome::QuotaExhausted { renews_in };
    assert_eq!(of(&vendor, 402, &[]), exhausted(None));
    assert_eq!(of(&vendor, 402, &[("retry-after", "10")]), exhausted(TEN));
    let quarter = Some(Duration::from_secs(900));
    assert_eq!(of(&hours(), 429, &[]), exhausted(quarter));
    assert_eq!(of(&hours(), 404, &[]), Outcome::Ignored);
    // A quota of hours does not renew in a second, whether the status or the body shows it.
    for (asked, renews_in) in [("1", quarter), ("3600", Some(Duration::from_secs(3_600)))] {
        let mut limited = response(429, &[("retry-after", asked)]);
        for _ in 0..2 {
            let outcome = hours().judge_response(&limited);
            assert_eq!(outcome, exhausted(renews_in));
            limited.extensions_mut().insert(exhausted(None));
        }
    }
}

#[test]
fn a_throttle_can_be_of_an_endpoint_and_reads_what_any_other_reads() {
    let vendor = HttpClassifier::new()
        .throttle_on(StatusCode::TOO_MANY_REQUESTS, None, Scope::Endpoint)
        .throttle_on(StatusCode::CONFLICT, None, Scope::Account);
    let of = |status, headers| vendor.judge_response(&response(status, headers));
    let throttled = |retry_after, scope| Outcome::Throttled { retry_after, scope };
    for (headers, wait) in [
        (&[][..], None),
        (&[("retry-after", "10")], TEN),
        (&[("x-ratelimit-reset", "10")], TEN),
    ] {
        assert_eq!(of(429, headers), throttled(wait, Scope::Endpoint));
        let at_retry = vendor.retry_after(Ok::<_, &io::Error>(&response(429, headers)));
        assert_eq!(at_retry, wait);
    }
    let never = [("x-should-retry", "false")];
    assert_eq!(of(429, &never), Outcome::QuotaExhausted { renews_in: None });
    let wait = [("retry-after", "10")];
    assert_eq!(of(409, &wait), throttled(TEN, Scope::Account));
    let five = Some(Duration::from_secs(5));
    let known = vendor.throttle_on(StatusCode::CONFLICT, five, Scope::Account);
    let of = |headers| known.judge_response(&response(409, headers));
    assert_eq!(
        of(&[]),
        throttled(five, Scope::Account),
        "no time is asked for"
    );
    assert_eq!(
        of(&wait),
        throttled(TEN, Scope::Account),
        "what is asked for holds"
    );
}

const MINUTES_15: Option<Duration> = Some(Duration::from_secs(900));

#[test]
fn no_wait_is_longer_than_the_bound_and_no_ban_longer_than_a_day() {
    let day = Some(Duration::from_secs(86_400));
    let huge = "1000000000000000000000000000000";
    for absurd in [
        huge,
        "1764386400",
        "31536000",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let wait = [("retry-after", absurd)];
        assert_eq!(judged(429, &wait).retry_after(), MINUTES_15, "{absurd}");
        assert_eq!(asked(429, &wait), MINUTES_15, "{absurd}");
        assert_eq!(asked(503, &wait), MINUTES_15, "{absurd}");
        assert_eq!(
            judged(418, &wait),
            Outcome::Banned { lasts: day },
            "{absurd}"
        );
        let quota = hours().judge_response(&response(429, &wait));
        assert_eq!(quota, Outcome::QuotaExhausted { renews_in: day });
    }
    let ten_hours = [("retry-after", "36000")];
    let lasts = Some(Duration::from_secs(36_000));
    assert_eq!(judged(418, &ten_hours), Outcome::Banned { lasts });
}

#[test]
fn an_outcome_found_in_the_body_is_bounded_and_takes_the_wait_of_the_headers() {
    let of = |outcome: Outcome, headers| {
        let mut response = response(200, headers);
        response.extensions_mut().insert(outcome);
        HttpClassifier::new().judge_response(&response)
    };
    let throttled = |retry_after| Outcome::Throttled {
        retry_after,
        scope: Scope::Endpoint,
    };
    let years = Some(Duration::from_secs(1 << 40));
    assert_eq!(of(throttled(years), &[]), throttled(MINUTES_15));
    assert_eq!(
        of(throttled(None), &[("retry-after", "10")]),
        throttled(TEN)
    );
    let own = Some(Duration::from_secs(12));
    assert_eq!(of(throttled(own), &[("retry-after", "10")]), throttled(own));
    let lasts = Some(Duration::from_secs(86_400));
    assert_eq!(
        of(Outcome::Banned { lasts: years }, &[]),
        Outcome::Banned { lasts }
    );
    let ban = Outcome::Banned { lasts: None };
    assert_eq!(
        of(ban, &[("retry-after", "10")]),
        Outcome::Banned { lasts: TEN }
    );
    let quota = |renews_in| Outcome::QuotaExhausted { renews_in };
    assert_eq!(of(quota(years), &[]), quota(lasts));
}

#[test]
fn the_bounds_are_settings() {
    let hour = Duration::from_secs(3_600);
    let classifier = HttpClassifier::new()
        .with_longest_wait(hour)
        .and_then(|classifier| classifier.with_longest_ban(2 * hour))
        .unwrap();
    assert_eq!(classifier.longest_wait(), hour);
    assert_eq!(classifier.longest_ban(), 2 * hour);
    let year = [("retry-after", "31536000")];
    let of = |status| {
        classifier
            .judge_response(&response(status, &year))
            .retry_after()
    };
    assert_eq!(of(429), Some(hour));
    assert_eq!(of(418), Some(2 * hour));
    let set = HttpClassifier::new().status(
        StatusCode::BAD_REQUEST,
        Outcome::Banned {
            lasts: Some(100 * hour),
        },
    );
    let banned = set.judge_response(&response(400, &[]));
    assert_eq!(
        banned.retry_after(),
        Some(100 * hour),
        "set here, not there"
    );

    let field = |result: Result<HttpClassifier, InvalidConfig>| {
        let error = result.unwrap_err();
        assert_eq!(error.accepted(), "more than zero and at most 49 days");
        error.field().to_owned()
    };
    let fifty_days = Duration::from_secs(50 * 86_400);
    for bad in [Duration::ZERO, fifty_days, Duration::MAX] {
        assert_eq!(
            field(HttpClassifier::new().with_longest_wait(bad)),
            "longest_wait"
        );
        assert_eq!(
            field(HttpClassifier::new().with_longest_ban(bad)),
            "longest_ban"
        );
    }
}

#[test]
fn a_throttle_with_a_reset_alone_asks_to_wait_for_it() {
    for (name, value) in [
        ("x-ratelimit-reset-requests", "10"),
        ("x-ratelimit-reset-requests", "10.0"),
        ("x-ratelimit-reset-tokens", "10s"),
        ("x-ratelimit-reset-project-tokens", "10000ms"),
        ("x-ratelimit-reset", "10"),
        ("x-ratelimit-expiry", "1679411597000"),
        ("x-ratelimit-reset", "1679411597"),
        ("cb-ratelimit-reset", "10"),
        ("anthropic-ratelimit-tokens-reset", "2023-03-21T15:13:17Z"),
        ("anthropic-ratelimit-requests-reset", "10"),
        ("anthropic-ratelimit-input-tokens-reset", "1679411597"),
        ("ratelimit-reset", "10"),
        ("ratelimit", "\"burst\";t=10"),
    ] {
        let headers = [("date", "Tue, 21 Mar 2023 15:13:07 GMT"), (name, value)];
        assert_eq!(judged(429, &headers).retry_after(), TEN, "{name}: {value}");
        assert_eq!(asked(429, &headers), TEN, "{name}: {value}");
        assert_eq!(
            asked(503, &headers),
            None,
            "the limit is not what is overloaded"
        );
        let mut both = headers.to_vec();
        both.push(("retry-after", "3"));
        assert_eq!(asked(429, &both), Some(Duration::from_secs(3)), "{name}");
    }
    let month = [("x-ratelimit-reset", "2592000")];
    assert_eq!(judged(429, &month).retry_after(), MINUTES_15);
}

#[test]
fn a_throttle_waits_for_the_limit_that_it_is_about() {
    let wait = |headers: &[(&'static str, &'static str)]| judged(429, headers).retry_after();
    // Tokens: 2 % are left, too few for the request; of the requests nearly all.
    let tokens = [
        ("x-ratelimit-limit-requests", "5000"),
        ("x-ratelimit-remaining-requests", "4999"),
        ("x-ratelimit-reset-requests", "12ms"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-tokens", "600"),
        ("x-ratelimit-reset-tokens", "10s"),
    ];
    assert_eq!(wait(&tokens), TEN);
    let used_up = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "10s"),
        ("x-ratelimit-remaining-tokens", "9"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    assert_eq!(wait(&used_up), TEN);
}

#[test]
fn the_headers_of_a_limit_can_be_chosen() {
    let shop = crate::quota::LimitHeaders::new(seawall_core::Unit::Requests)
        .remaining("x-quota-left")
        .reset("x-quota-renews-ms", crate::quota::ResetFormat::Auto);
    let shop = RateLimitHeaders::new().and(shop).unwrap();
    let classifier = HttpClassifier::new().with_limit_headers(shop);
    let throttle = response(
        429,
        &[("x-quota-renews-ms", "10000"), ("x-ratelimit-reset", "5")],
    );
    let judged = classifier.classify(Ok::<_, &io::Error>(&throttle));
    assert_eq!(judged.retry_after(), TEN);
}

#[test]
fn every_reader_measures_a_date_by_the_date_of_the_response() {
    // Ten seconds by the clock of the server.
    let headers = [
        ("date", "Tue, 21 Mar 2023 15:13:07 GMT"),
        ("retry-after", "Tue, 21 Mar 2023 15:13:17 GMT"),
    ];
    fn ten_minutes_behind() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_679_411_587 - 600)
    }
    fn ten_minutes_ahead() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_679_411_587 + 600)
    }
    for clock in [ten_minutes_behind, ten_minutes_ahead] {
        let classifier = HttpClassifier::new().with_clock(clock);
        for status in [429, 418] {
            let response = response(status, &headers);
            let wait = classifier.judge_response(&response).retry_after();
            assert_eq!(wait, TEN, "{status}");
        }
        for status in [429, 503, 529, 418] {
            let response = response(status, &headers);
            let wait = classifier.retry_after(Ok::<_, &io::Error>(&response));
            assert_eq!(wait, TEN, "{status}");
        }
    }
}
