//! Headers in each form, and garbage in them.

use std::io;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use proptest::prelude::*;
use seawall_core::{
    Command, InstanceHandle, Outcome, QuotaSignal, ReadQuotaSignals, Scope, ServerLimit, Unit,
};

use super::*;
use crate::{HttpClassifier, LayerState};

const DATE: &str = "Tue, 21 Mar 2023 15:13:07 GMT";

/// [`DATE`], thirty seconds before 1679411617.
const NOW: u64 = 1_679_411_587;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn read(reader: &RateLimitHeaders, pairs: &[(&str, &str)]) -> Vec<ServerLimit> {
    let mut limits = Vec::new();
    reader.read(&headers(pairs), |limit| limits.push(limit));
    limits
}

/// How many fields of `pairs` cannot be read.
fn unreadable(reader: &RateLimitHeaders, pairs: &[(&str, &str)]) -> u32 {
    reader.read(&headers(pairs), |_| ())
}

fn requests() -> ServerLimit {
    ServerLimit::new(Unit::Requests)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A limit in headers with a word in place of `*`.
fn limit(unit: Unit, pattern: &str, format: ResetFormat) -> LimitHeaders {
    let name = |word| pattern.replace('*', word);
    LimitHeaders::new(unit)
        .limit(&name("limit"))
        .remaining(&name("remaining"))
        .reset(&name("reset"), format)
}

fn reader(limits: impl IntoIterator<Item = LimitHeaders>) -> RateLimitHeaders {
    let mut limits = limits.into_iter();
    let all = limits.try_fold(RateLimitHeaders::new(), RateLimitHeaders::and);
    all.unwrap()
}

fn x_ratelimit() -> RateLimitHeaders {
    RateLimitHeaders::x_ratelimit(ResetFormat::Auto)
}

/// Requests and tokens, with times in Go's notation.
fn go_durations() -> RateLimitHeaders {
    reader([
        limit(Unit::Requests, "x-*-requests", ResetFormat::GoDuration),
        limit(Unit::Tokens, "x-*-tokens", ResetFormat::GoDuration),
    ])
}

/// Requests and tokens by their direction, with times of day.
fn times_of_day() -> RateLimitHeaders {
    reader([
        limit(Unit::Requests, "requests-*", ResetFormat::Rfc3339),
        limit(Unit::InputTokens, "input-tokens-*", ResetFormat::Rfc3339),
        limit(Unit::OutputTokens, "output-tokens-*", ResetFormat::Rfc3339),
    ])
}

fn used_per_window() -> RateLimitHeaders {
    RateLimitHeaders::new()
        .and_used_per_window("X-Used-Weight-", Unit::Cost)
        .and_then(|reader| reader.and_used_per_window("x-order-count-", Unit::Other("orders")))
        .unwrap()
}

#[test]
fn seconds_since_1970_are_measured_by_the_date_of_the_response() {
    let sample = [
        ("Date", DATE),
        ("X-Ratelimit-Limit", "200"),
        ("X-Ratelimit-Remaining", "195"),
        ("X-Ratelimit-Reset", "1679411617"),
    ];
    let expected = requests()
        .with_limit(200)
        .with_remaining(195)
        .with_resets_in(seconds(30));
    for format in [ResetFormat::EpochSeconds, ResetFormat::Auto] {
        assert_eq!(
            read(&RateLimitHeaders::x_ratelimit(format), &sample),
            [expected]
        );
    }
}

#[test]
fn limits_of_several_units_are_read_in_go_durations() {
    let sample = [
        ("x-limit-requests", "60"),
        ("x-limit-tokens", "150000"),
        ("x-remaining-requests", "59"),
        ("x-remaining-tokens", "149984"),
        ("x-reset-requests", "20ms"),
        ("x-reset-tokens", "6m0s"),
    ];
    let expected = [
        requests()
            .with_limit(60)
            .with_remaining(59)
            .with_resets_in(Duration::from_millis(20)),
        ServerLimit::new(Unit::Tokens)
            .with_limit(150_000)
            .with_remaining(149_984)
            .with_resets_in(seconds(360)),
    ];
    assert_eq!(read(&go_durations(), &sample), expected);
}

#[test]
fn times_of_day_are_read_for_each_limit() {
    let mut sample = vec![("date", DATE)];
    let names = ["requests", "input-tokens", "output-tokens"]
        .map(|kind| ["limit", "remaining", "reset"].map(|what| format!("{kind}-{what}")));
    for [limit, remaining, reset] in &names {
        sample.push((limit, "400000"));
        sample.push((remaining, "399000"));
        sample.push((reset, "2023-03-21T15:13:37Z"));
    }
    let expected = [Unit::Requests, Unit::InputTokens, Unit::OutputTokens].map(|unit| {
        ServerLimit::new(unit)
            .with_limit(400_000)
            .with_remaining(399_000)
            .with_resets_in(seconds(30))
    });
    assert_eq!(read(&times_of_day(), &sample), expected);
}

#[test]
fn a_fraction_is_left_out_and_seconds_count_from_now() {
    let sample = [
        ("date", DATE),
        ("x-ratelimit-used", "4"),
        ("x-ratelimit-remaining", "996.0"),
        ("x-ratelimit-reset", "43"),
    ];
    let expected = requests()
        .with_used(4)
        .with_remaining(996)
        .with_resets_in(seconds(43));
    for format in [ResetFormat::SecondsLeft, ResetFormat::Auto] {
        assert_eq!(
            read(&RateLimitHeaders::x_ratelimit(format), &sample),
            [expected]
        );
    }
}

#[test]
fn milliseconds_and_seconds_since_1970_are_distinguished() {
    for reset in ["1679411617000", "1679411617"] {
        let sample = [("date", DATE), ("x-left", "119"), ("x-renews", reset)];
        let expected = requests().with_remaining(119).with_resets_in(seconds(30));
        for format in [ResetFormat::EpochAuto, ResetFormat::Auto] {
            let limit = LimitHeaders::new(Unit::Requests).remaining("x-left");
            let reader = reader([limit.reset("x-renews", format)]);
            assert_eq!(read(&reader, &sample), [expected]);
        }
    }
}

#[test]
fn windows_are_read_from_the_names_of_headers() {
    let sample = [
        ("x-used-weight", "250"),
        ("x-used-weight-1m", "250"),
        ("X-ORDER-COUNT-10S", "3"),
        ("X-ORDER-COUNT-1D", "70"),
        ("x-uuid", "5"),
    ];
    let orders = ServerLimit::new(Unit::Other("orders"));
    let expected = [
        ServerLimit::new(Unit::Cost)
            .with_window(seconds(60))
            .with_used(250),
        orders.with_window(seconds(10)).with_used(3),
        orders.with_window(seconds(86_400)).with_used(70),
    ];
    assert_eq!(read(&used_per_window(), &sample), expected);
    for window in [
        "",
        "m",
        "0m",
        "1w",
        "-1m",
        "1",
        "99999999999999999999m",
        "99d",
    ] {
        let name = format!("x-used-weight-{window}");
        let pairs = [(&*name, "1")];
        assert_eq!(read(&used_per_window(), &pairs), []);
        assert_eq!(unreadable(&used_per_window(), &pairs), 1, "{name}");
    }
}

#[test]
fn the_ietf_draft_is_read_by_policy() {
    let sample = [
        (
            "RateLimit-Policy",
            "\"burst\";q=100;w=60, \"daily\";q=1000;w=86400;pk=:c29tZQ==:",
        ),
        (
            "RateLimit-Policy",
            "\"bytes\";qu=\"content-bytes\";q=65536;w=10",
        ),
        (
            "RateLimit-Policy",
            "\"at once\";qu=\"concurrent-requests\";q=5",
        ),
        ("RateLimit", "\"burst\";r=50;t=30,\"at once\";r=1"),
    ];
    let expected = [
        requests()
            .with_window(seconds(60))
            .with_limit(100)
            .with_remaining(50)
            .with_resets_in(seconds(30)),
        requests().with_window(seconds(86_400)).with_limit(1_000),
        ServerLimit::new(Unit::Other("content-bytes"))
            .with_window(seconds(10))
            .with_limit(65_536),
    ];
    assert_eq!(read(&RateLimitHeaders::ietf(), &sample), expected);
    let alone = [("ratelimit", "default;r=5;t=0")];
    let expected = requests().with_remaining(5).with_resets_in(seconds(0));
    assert_eq!(read(&RateLimitHeaders::ietf(), &alone), [expected]);
    let older = [
        ("ratelimit-limit", "100"),
        ("ratelimit-remaining", "0"),
        ("ratelimit-reset", "50"),
    ];
    let expected = requests()
        .with_limit(100)
        .with_remaining(0)
        .with_resets_in(seconds(50));
    assert_eq!(read(&RateLimitHeaders::ietf(), &older), [expected]);
}

#[test]
fn a_malformed_list_of_policies_is_none_and_is_counted() {
    for garbage in [
        "\"fixed window\";\"api\";q=1000;w=300",
        "\"a\";r=5,",
        ",\"a\";r=5",
        "\"a\";r=5 \"b\";r=6",
        "\"a;r=5",
        "\"a\\\";r=5",
        "\"a\";R=5",
        "\"a\";r=",
        "5;r=5",
        ";r=5",
        "\"a\";r=?2",
        "\"a\";r=:c29",
        "\"a\";;r=5",
    ] {
        let pairs = [("ratelimit", garbage)];
        assert_eq!(read(&RateLimitHeaders::ietf(), &pairs), [], "{garbage}");
        let counted = unreadable(&RateLimitHeaders::ietf(), &pairs);
        assert!(counted >= 1, "{garbage}");
    }
    // A parameter that is no amount is left out alone.
    for bad in ["-1", "1.5", "?1", "\"5\"", "1000000000000000"] {
        let value = format!("\"a\";r={bad};t=3");
        let pairs = [("ratelimit", &*value)];
        let limits = read(&RateLimitHeaders::ietf(), &pairs);
        assert_eq!(limits, [requests().with_resets_in(seconds(3))], "{bad}");
        assert_eq!(unreadable(&RateLimitHeaders::ietf(), &pairs), 1, "{bad}");
    }
    let draft_07 = [("ratelimit", "limit=100, remaining=50, reset=30")];
    assert_eq!(read(&RateLimitHeaders::ietf(), &draft_07), []);
}

#[test]
fn more_policies_than_can_be_kept_are_left_out() {
    let many: Vec<String> = (0..40).map(|n| format!("p{n};r=1")).collect();
    let pairs = [("ratelimit", &*many.join(", "))];
    assert_eq!(read(&RateLimitHeaders::ietf(), &pairs).len(), 16);
}

#[test]
fn a_server_whose_clock_is_hours_off_is_read_by_its_own_date() {
    fn long_ago() -> SystemTime {
        SystemTime::UNIX_EPOCH + seconds(NOW - 5 * 3_600)
    }
    let reader = x_ratelimit().with_clock(long_ago);
    let left = |pairs: &[(&str, &str)]| read(&reader, pairs).first().and_then(|l| l.resets_in);
    let reset = ("x-ratelimit-reset", "1679411617");
    assert_eq!(left(&[reset, ("date", DATE)]), Some(seconds(30)));
    assert_eq!(left(&[reset]), Some(seconds(5 * 3_600 + 30)));
    let yesterday = [reset, ("date", "yesterday")];
    assert_eq!(left(&yesterday), Some(seconds(5 * 3_600 + 30)));
    assert_eq!(unreadable(&reader, &yesterday), 1);
}

#[test]
fn what_is_impossible_is_left_out_and_counted_and_the_rest_is_reported() {
    let huge = format!("1{}", "0".repeat(30));
    let reader = RateLimitHeaders::x_ratelimit(ResetFormat::SecondsLeft);
    let limit = ("x-ratelimit-limit", "200");
    for bad in ["201", "-1", "NaN", &huge, "", "ten", "1e2", "5, 5"] {
        let pairs = [limit, ("x-ratelimit-remaining", bad)];
        assert_eq!(read(&reader, &pairs), [requests().with_limit(200)], "{bad}");
        assert_eq!(unreadable(&reader, &pairs), 1, "{bad}");
    }
    for bad in ["-1", "soon", &huge, "2678401", "1679411617"] {
        let pairs = [limit, ("x-ratelimit-reset", bad)];
        assert_eq!(read(&reader, &pairs), [requests().with_limit(200)], "{bad}");
        assert_eq!(unreadable(&reader, &pairs), 1, "{bad}");
    }
    let mut bytes = headers(&[limit]);
    let value = HeaderValue::from_bytes(b"1\xff").unwrap();
    bytes.insert("x-ratelimit-remaining", value);
    let mut limits = Vec::new();
    let counted = reader.read(&bytes, |limit| limits.push(limit));
    assert_eq!((limits, counted), (vec![requests().with_limit(200)], 1));
}

#[test]
fn a_header_that_comes_twice_is_read_when_both_values_agree() {
    let reader = RateLimitHeaders::x_ratelimit(ResetFormat::SecondsLeft);
    let remaining = "x-ratelimit-remaining";
    let same = [(remaining, "7"), (remaining, "7")];
    assert_eq!(read(&reader, &same), [requests().with_remaining(7)]);
    let different = [(remaining, "7"), (remaining, "8")];
    assert_eq!(read(&reader, &different), []);
    assert_eq!(unreadable(&reader, &different), 1);
}

#[test]
fn a_response_out_of_a_cache_reports_nothing() {
    let remaining = ("x-ratelimit-remaining", "7");
    let reader = x_ratelimit();
    assert_eq!(read(&reader, &[remaining, ("age", "30")]), []);
    assert_eq!(read(&reader, &[remaining, ("age", "0")]).len(), 1);
    assert_eq!(read(&reader, &[]), []);
}

#[test]
fn units_can_be_converted() {
    let reader = x_ratelimit()
        .and(LimitHeaders::new(Unit::Tokens).used("x-tokens"))
        .and_then(|reader| reader.and_used_per_window("x-used-", Unit::Requests))
        .unwrap()
        .convert_unit(Unit::Requests, Unit::Cost);
    let sample = [
        ("x-ratelimit-remaining", "7"),
        ("x-tokens", "8"),
        ("x-used-1s", "9"),
    ];
    let expected = [
        ServerLimit::new(Unit::Cost).with_remaining(7),
        ServerLimit::new(Unit::Tokens).with_used(8),
        ServerLimit::new(Unit::Cost)
            .with_window(seconds(1))
            .with_used(9),
    ];
    assert_eq!(read(&reader, &sample), expected);
}

#[test]
fn limits_that_cannot_be_read_are_rejected_by_name() {
    let field = |limit: LimitHeaders| {
        let rejected = RateLimitHeaders::new().and(limit).unwrap_err();
        rejected.field().to_owned()
    };
    let limit = || LimitHeaders::new(Unit::Requests);
    assert_eq!(field(limit()), "headers");
    assert_eq!(field(limit().reset("x", ResetFormat::Auto)), "headers");
    assert_eq!(field(limit().limit("a b")), "limit");
    assert_eq!(field(limit().used("")), "used");
    assert_eq!(field(limit().remaining("\n").limit("x")), "remaining");
    assert_eq!(
        field(limit().limit("x").reset(":", ResetFormat::Auto)),
        "reset"
    );
    assert_eq!(field(limit().limit("x").window(Duration::ZERO)), "window");
    let rejected = RateLimitHeaders::new().and_used_per_window("x y", Unit::Cost);
    assert_eq!(rejected.unwrap_err().field(), "prefix");
}

fn response(status: u16, pairs: &[(&str, &str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    *response.headers_mut() = headers(pairs);
    response
}

fn signals<C>(
    feedback: &HttpFeedback<C>,
    result: Result<&Response<()>, &io::Error>,
) -> Vec<QuotaSignal>
where
    HttpFeedback<C>: ReadQuotaSignals<Response<()>, io::Error>,
{
    let mut signals = Vec::new();
    feedback.read_signals(result, &mut |signal| signals.push(signal));
    signals
}

#[test]
fn a_throttle_pauses_for_the_wait_asked_for_or_until_the_used_up_limits_reset() {
    let feedback = HttpFeedback::new("test", times_of_day());
    let scope = Scope::Upstream;
    let pause = |response: &Response<()>| signals(&feedback, Ok(response)).pop();
    let used_up = [
        ("date", DATE),
        ("requests-remaining", "9"),
        ("requests-reset", "2023-03-21T16:13:07Z"),
        ("input-tokens-remaining", "0"),
        ("input-tokens-reset", "2023-03-21T15:13:37Z"),
        ("output-tokens-remaining", "0"),
        ("output-tokens-reset", "2023-03-21T15:13:27Z"),
    ];
    let lasts = Some(seconds(30));
    assert_eq!(
        pause(&response(429, &used_up)),
        Some(QuotaSignal::Pause { lasts, scope })
    );
    let mut asked = used_up.to_vec();
    asked.push(("retry-after", "7"));
    let lasts = Some(seconds(7));
    assert_eq!(
        pause(&response(429, &asked)),
        Some(QuotaSignal::Pause { lasts, scope })
    );
    let lasts = None;
    assert_eq!(
        pause(&response(429, &[])),
        Some(QuotaSignal::Pause { lasts, scope })
    );
    // Without a date by the clock that was set.
    let clocked = times_of_day().with_clock(|| SystemTime::UNIX_EPOCH + seconds(NOW));
    let clocked = HttpFeedback::new("test", clocked);
    let pausing = signals(&clocked, Ok(&response(429, &used_up[1..]))).pop();
    let lasts = Some(seconds(30));
    assert_eq!(pausing, Some(QuotaSignal::Pause { lasts, scope }));
    let good = pause(&response(200, &used_up));
    assert!(
        matches!(good, Some(QuotaSignal::Limit(_))),
        "no pause: {good:?}"
    );
}

#[test]
fn bans_and_exhausted_quotas_pause_what_they_cover() {
    let feedback = HttpFeedback::new("test", RateLimitHeaders::new());
    let ban = response(418, &[("retry-after", "120")]);
    let lasts = Some(seconds(120));
    let scope = Scope::Upstream;
    assert_eq!(
        signals(&feedback, Ok(&ban)),
        [QuotaSignal::Ban { lasts, scope }]
    );
    let mut quota = response(200, &[]);
    quota.extensions_mut().insert(Outcome::QuotaExhausted {
        renews_in: Some(seconds(3_600)),
    });
    let lasts = Some(seconds(3_600));
    let scope = Scope::Account;
    assert_eq!(
        signals(&feedback, Ok(&quota)),
        [QuotaSignal::Ban { lasts, scope }]
    );
    for status in [200, 404, 500, 503, 529] {
        let response = response(status, &[("retry-after", "120")]);
        assert_eq!(signals(&feedback, Ok(&response)), [], "{status}");
    }
}

#[test]
fn errors_are_judged_by_the_classifier_that_was_given() {
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    let feedback = HttpFeedback::new("test", x_ratelimit());
    assert_eq!(signals(&feedback, Err(&reset)), []);
    let classifier = HttpClassifier::new().with_errors(|_: &io::Error| Outcome::Throttled {
        retry_after: None,
        scope: Scope::Endpoint,
    });
    let pause = QuotaSignal::Pause {
        lasts: None,
        scope: Scope::Endpoint,
    };
    assert_eq!(
        signals(&feedback.classify(classifier), Err(&reset)),
        [pause]
    );
}

#[test]
fn used_tokens_in_the_extensions_are_reported_in_every_unit() {
    let feedback = HttpFeedback::new("test", go_durations());
    let mut response = response(200, &[("x-remaining-requests", "9")]);
    response.extensions_mut().insert(Usage::new(1_200, 300));
    let spent = |unit, amount| QuotaSignal::Used { unit, amount };
    let expected = [
        QuotaSignal::Limit(requests().with_remaining(9)),
        spent(Unit::Tokens, 1_500),
        spent(Unit::InputTokens, 1_200),
        spent(Unit::OutputTokens, 300),
    ];
    assert_eq!(signals(&feedback, Ok(&response)), expected);
    assert_eq!(Usage::new(u64::MAX, 1).total(), u64::MAX);
}

#[test]
fn a_token_has_four_bytes() {
    assert_eq!(estimate_tokens(1), 1);
    assert_eq!(estimate_tokens(4), 1);
    assert_eq!(estimate_tokens(5), 2);
    assert_eq!(estimate_tokens(usize::MAX), u32::MAX);
}

fn readers() -> Vec<(RateLimitHeaders, Vec<&'static str>)> {
    let three = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    let mut more = three.to_vec();
    more.extend(["x-ratelimit-used", "date", "age"]);
    vec![
        (x_ratelimit(), more),
        (
            times_of_day(),
            vec!["requests-reset", "requests-remaining", "input-tokens-limit"],
        ),
        (go_durations(), vec!["x-reset-tokens", "x-limit-requests"]),
        (
            used_per_window(),
            vec!["x-used-weight-1m", "x-order-count-", "x-order-count-9x"],
        ),
        (
            RateLimitHeaders::ietf(),
            vec![
                "ratelimit",
                "ratelimit-policy",
                "ratelimit-limit",
                "ratelimit-reset",
            ],
        ),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..30),
        "[0-9]{1,31}(\\.[0-9]{1,3})?".prop_map(String::into_bytes),
        "[0-9TZhms:.+-]{0,30}".prop_map(String::into_bytes),
        "(\"?[a-z]{1,3}\"?(;(q|w|r|t|qu)=\"?[0-9a-z.-]{1,16}\"?){0,4},? ?){0,3}"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn whatever_is_sent_nothing_panics_and_nothing_absurd_is_reported(
        which in 0..5_usize,
        values in prop::collection::vec((0..8_usize, value()), 0..8),
    ) {
        let (reader, names) = readers().swap_remove(which);
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(names[name % names.len()], value);
            }
        }
        reader.read(&headers, |limit| {
            assert!(limit.resets_in.is_none_or(|left| left <= LONGEST_RESET), "{limit:?}");
            assert!(limit.window.is_none_or(|window| !window.is_zero()), "{limit:?}");
            let both = limit.remaining.zip(limit.limit);
            assert!(both.is_none_or(|(left, quota)| left <= quota), "{limit:?}");
            let numbers = [limit.limit, limit.used, limit.remaining];
            assert!(numbers.iter().any(Option::is_some) || limit.resets_in.is_some());
        });
    }

    #[test]
    fn policies_are_read_as_they_are_written(
        policies in prop::collection::btree_map(
            "[a-z ]{1,8}",
            (1..=999_999_u64, 1..=86_400_u64, 0..=1_000_000_u64, 0..=86_400_u64),
            1..16,
        ),
    ) {
        type Amounts = (u64, u64, u64, u64);
        let list = |text: fn(&str, &Amounts) -> String| {
            let members: Vec<String> = policies.iter().map(|(name, n)| text(name, n)).collect();
            members.join(",")
        };
        let policy = list(|name, (q, w, ..)| format!("\"{name}\";q={q};w={w}"));
        let limit = list(|name, (.., r, t)| format!("\"{name}\";r={r};t={t}"));
        let expected: Vec<ServerLimit> = policies
            .values()
            .map(|(q, w, r, t)| {
                let mut limit = requests()
                    .with_limit(*q)
                    .with_window(seconds(*w))
                    .with_resets_in(seconds(*t));
                limit.remaining = (r <= q).then_some(*r);
                limit
            })
            .collect();
        let pairs = [("ratelimit-policy", &*policy), ("ratelimit", &*limit)];
        prop_assert_eq!(read(&RateLimitHeaders::ietf(), &pairs), expected);
    }
}

#[test]
fn unreadable_headers_are_counted_by_the_instance_that_read_them() {
    let feedback = HttpFeedback::new("counted", x_ratelimit());
    let other = HttpFeedback::new("other", x_ratelimit());
    let bad = [
        ("x-ratelimit-limit", "many"),
        ("x-ratelimit-remaining", "-1"),
        ("retry-after", "soon"),
    ];
    assert_eq!(signals(&feedback, Ok(&response(503, &bad))), []);
    assert_eq!(signals(&feedback.clone(), Ok(&response(200, &bad))), []);
    let counts = feedback.handle().counts();
    assert_eq!(counts.unreadable_rate_limit, 4);
    assert_eq!(counts.unreadable_retry_after, 1, "not of a success");
    assert_eq!(other.handle().counts(), HttpFeedbackCounts::default());
}

#[test]
fn headers_change_while_clones_are_in_use_and_a_bypass_reports_nothing() {
    let feedback = HttpFeedback::new("live", RateLimitHeaders::new());
    let in_use = feedback.clone();
    let handle = feedback.handle();
    drop(feedback);
    let throttle = response(429, &[("x-ratelimit-remaining", "7")]);
    let limit = QuotaSignal::Limit(requests().with_remaining(7));
    let pause = QuotaSignal::Pause {
        lasts: None,
        scope: Scope::Upstream,
    };
    assert_eq!(signals(&in_use, Ok(&throttle)), [pause]);
    handle.configure(x_ratelimit()).unwrap();
    assert_eq!(signals(&in_use, Ok(&throttle)), [limit, pause]);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(signals(&in_use, Ok(&throttle)), [limit, pause]));
    });
    assert!(!handle.config().is_empty());

    handle.control(Command::Bypass).unwrap();
    assert_eq!(signals(&in_use, Ok(&throttle)), []);
    assert_eq!(handle.snapshot().state, LayerState::Bypassed);
    handle.control(Command::Reset).unwrap();
    assert_eq!(signals(&in_use, Ok(&throttle)).len(), 2);
    assert!(handle.control(Command::Block).is_err());
    assert_eq!(handle.name().as_str(), "live");
}
