//! What responses of each provider report about its limits, as its documents and clients show them.

use http::{HeaderMap, HeaderName};
use seawall_core::{ServerLimit, Unit};

use super::*;
use crate::catalog::build;

const DATE: &str = "Tue, 21 Mar 2023 15:13:07 GMT";

fn read(provider: &str, pairs: &[(&str, &str)]) -> Vec<ServerLimit> {
    let data = read::read(provider, text_of(provider)).expect("valid");
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().expect("valid");
        headers.append(name, value.parse().expect("valid"));
    }
    let mut limits = Vec::new();
    let reader = build::http_parts(&data).expect("valid").headers;
    let unreadable = reader.read(&headers, |limit| limits.push(limit));
    assert_eq!(unreadable, 0, "{provider}: {pairs:?}");
    limits
}

fn requests() -> ServerLimit {
    ServerLimit::new(Unit::Requests)
}

const fn seconds(n: u64) -> std::time::Duration {
    std::time::Duration::from_secs(n)
}

#[test]
fn alpaca_and_finnhub_count_seconds_since_1970() {
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
    for provider in ["alpaca", "alpaca-data", "finnhub"] {
        assert_eq!(read(provider, &sample), [expected], "{provider}");
    }
}

#[test]
fn openai_reports_requests_tokens_and_project_tokens_in_go_durations() {
    let sample = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-remaining-project-tokens", "12"),
        ("x-ratelimit-reset-project-tokens", "20s"),
    ];
    let tokens = ServerLimit::new(Unit::Tokens);
    let expected = [
        requests()
            .with_limit(60)
            .with_remaining(59)
            .with_resets_in(seconds(1)),
        tokens
            .with_limit(150_000)
            .with_remaining(149_984)
            .with_resets_in(seconds(360)),
        tokens.with_remaining(12).with_resets_in(seconds(20)),
    ];
    assert_eq!(read("openai", &sample), expected);
}

#[test]
fn anthropic_reports_four_limits_with_times_by_rfc_3339() {
    let mut sample = vec![("date", DATE)];
    let of = |kind: &str| {
        ["limit", "remaining", "reset"].map(|what| format!("anthropic-ratelimit-{kind}-{what}"))
    };
    let names = ["requests", "tokens", "input-tokens", "output-tokens"].map(of);
    for [limit, remaining, reset] in &names {
        sample.push((limit, "400000"));
        sample.push((remaining, "399000"));
        sample.push((reset, "2023-03-21T15:13:37Z"));
    }
    let expected = [
        Unit::Requests,
        Unit::Tokens,
        Unit::InputTokens,
        Unit::OutputTokens,
    ]
    .map(|unit| {
        ServerLimit::new(unit)
            .with_limit(400_000)
            .with_remaining(399_000)
            .with_resets_in(seconds(30))
    });
    assert_eq!(read("anthropic", &sample), expected);
}

#[test]
fn reddit_leaves_a_fraction_and_counts_seconds_from_now() {
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
    assert_eq!(read("reddit", &sample), [expected]);
}

#[test]
fn tradier_counts_milliseconds_or_seconds() {
    for expiry in ["1679411617000", "1679411617"] {
        let sample = [
            ("date", DATE),
            ("X-Ratelimit-Allowed", "120"),
            ("X-Ratelimit-Used", "1"),
            ("X-Ratelimit-Available", "119"),
            ("X-Ratelimit-Expiry", expiry),
        ];
        let expected = requests()
            .with_limit(120)
            .with_used(1)
            .with_remaining(119)
            .with_resets_in(seconds(30));
        assert_eq!(read("tradier", &sample), [expected]);
    }
}

/// Those of the order count are of filled orders as well, which are given back.
#[test]
fn binance_names_the_window_of_the_weight_that_is_used() {
    let sample = [
        ("x-mbx-used-weight", "250"),
        ("x-mbx-used-weight-1m", "250"),
        ("X-MBX-ORDER-COUNT-10S", "3"),
        ("x-mbx-uuid", "5"),
    ];
    let expected = ServerLimit::new(Unit::Cost)
        .with_window(seconds(60))
        .with_used(250);
    assert_eq!(read("binance", &sample), [expected]);
}

#[test]
fn coinbase_is_read_by_either_name() {
    for prefix in ["x-ratelimit", "CB-RATELIMIT"] {
        let name = |what: &str| format!("{prefix}-{what}");
        let [remaining, reset] = ["remaining", "reset"].map(name);
        let sample = [("date", DATE), (&remaining, "7"), (&reset, "1679411617")];
        let expected = requests().with_remaining(7).with_resets_in(seconds(30));
        assert_eq!(read("coinbase", &sample), [expected]);
    }
}

#[test]
fn the_others_report_nothing() {
    let with_headers = [
        "alpaca",
        "alpaca-data",
        "anthropic",
        "binance",
        "coinbase",
        "finnhub",
        "openai",
        "reddit",
        "tradier",
    ];
    for provider in Catalog::embedded().expect("valid").providers() {
        let parts = build::http_parts(&read::read("", text_of(provider.name())).expect("valid"));
        let none = parts.expect("valid").headers.is_empty();
        assert_eq!(
            none,
            !with_headers.contains(&provider.name()),
            "{}",
            provider.name()
        );
    }
}
