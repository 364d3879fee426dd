//! What tables say of bodies.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use proptest::prelude::*;
use seawall_core::{FailureKind, Outcome, Scope};
use seawall_http::inspect::Inspector;

mod bodies;

use self::bodies::{ANTHROPIC, BY_STATUS, COMPATIBLE, Case, OPENAI, OPENAI_MORE};
use super::*;
use crate::error_class::ErrorClass as Class;

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}

fn check(table: &ErrorTable, cases: &[Case]) {
    for (code, body, class) in cases {
        let error = table.classify(status(*code), &HeaderMap::new(), body.as_bytes());
        assert_eq!(error.class, *class, "{code} {body}");
        assert_eq!(error.status, status(*code));
        // The same error as an event of a stream, which has no status.
        let event = table.classify_event(body.as_bytes());
        if event.is_explained {
            assert_eq!(event.class, *class, "as an event: {body}");
        } else {
            assert_eq!(event.class, Class::Server, "as an event: {body}");
        }
    }
}

#[test]
fn the_errors_of_openai() {
    check(&ErrorTable::openai(), OPENAI);
    check(&ErrorTable::openai(), OPENAI_MORE);
}

#[test]
fn the_errors_of_anthropic() {
    check(&ErrorTable::anthropic(), ANTHROPIC);
}

#[test]
fn the_errors_of_all_others_and_of_both() {
    let table = ErrorTable::compatible();
    check(&table, COMPATIBLE);
    check(&table, OPENAI);
    check(&table, OPENAI_MORE);
    check(&table, ANTHROPIC);
}

#[test]
fn what_explains_nothing_is_what_its_status_is() {
    let html = "<html><head><title>429 insufficient_quota</title></head><body>prompt is too long";
    let bodies: [&[u8]; 7] = [
        b"",
        html.as_bytes(),
        b"upstream connect error or disconnect/reset before headers",
        b"\xff\xfe\x00",
        b"{}",
        b"null",
        br#"{"error":null}"#,
    ];
    for table in [
        ErrorTable::openai(),
        ErrorTable::anthropic(),
        ErrorTable::compatible(),
        ErrorTable::by_status(),
    ] {
        for body in bodies {
            for (code, class) in BY_STATUS {
                let error = table.classify(status(*code), &HeaderMap::new(), body);
                assert_eq!((error.class, error.is_explained), (*class, false), "{code}");
            }
        }
    }
    let none: ErrorTable = std::iter::empty().collect();
    let unknown = |code| none.classify(status(code), &HeaderMap::new(), b"").class;
    assert_eq!(unknown(429), Class::InvalidRequest);
    assert_eq!(unknown(500), Class::Server);
}

#[test]
fn a_body_that_was_cut_off_still_says_what_it_is() {
    let table = ErrorTable::compatible();
    let class = |code, body: &str| {
        let error = table.classify(status(code), &HeaderMap::new(), body.as_bytes());
        error.class
    };
    let cut = r#"{"error":{"code":"insufficient_quota","message":"You exceeded your cur"#;
    assert_eq!(class(429, cut), Class::QuotaExhausted);
    let cut = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 2"#;
    assert_eq!(class(400, cut), Class::ContextLength);
    // A code is a complete string.
    let other = r#"{"error":{"message":"insufficient_quota_of_words", "x": "#;
    assert_eq!(class(429, other), Class::RateLimit);
}

/// What a prompt says must not make an error of money out of a wrong argument.
#[test]
fn a_message_counts_for_the_statuses_of_its_rule_alone() {
    let table = ErrorTable::anthropic();
    let body = br#"{"type":"error","error":{"type":"api_error","message":"prompt is too long"}}"#;
    let error = table.classify(status(500), &HeaderMap::new(), body);
    assert_eq!(error.class, Class::Server);
}

#[test]
fn events_have_the_status_that_the_api_gives_such_an_error() {
    let anthropic = ErrorTable::anthropic();
    let of = |table: &ErrorTable, data: &str| {
        let error = table.classify_event(data.as_bytes());
        (error.class, error.status.as_u16())
    };
    let overloaded =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(of(&anthropic, overloaded), (Class::Overload, 529));
    let openai = ErrorTable::openai();
    let failed = r#"{"type":"response.failed","response":{"id":"resp_1","status":"failed","error":{"code":"rate_limit_exceeded","message":"Rate limit reached"}}}"#;
    assert_eq!(of(&openai, failed), (Class::RateLimit, 429));
    let event =
        r#"{"type":"error","code":"server_error","message":"oh","param":null,"sequence_number":3}"#;
    assert_eq!(of(&openai, event), (Class::Server, 500));
    let chunk = r#"{"error":{"message":"overloaded","type":"service_unavailable_error","code":"server_is_overloaded"}}"#;
    assert_eq!(of(&openai, chunk), (Class::Overload, 503));
    assert_eq!(of(&openai, r#"{"error":"no idea"}"#), (Class::Server, 500));
}

#[test]
fn waits_and_hints_are_those_of_the_headers_and_bounded() {
    let table = ErrorTable::openai();
    let with = |pairs: &[(&'static str, &'static str)], body: &str| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        table.classify(StatusCode::TOO_MANY_REQUESTS, &headers, body.as_bytes())
    };
    let limited = OPENAI[10].1;
    let wait = |pairs: &[_]| with(pairs, limited).retry_after;
    assert_eq!(wait(&[]), None);
    assert_eq!(wait(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
    let both = [("retry-after", "2"), ("retry-after-ms", "1500")];
    assert_eq!(wait(&both), Some(Duration::from_millis(1_500)));
    let reset = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "6m0s"),
    ];
    assert_eq!(wait(&reset), Some(Duration::from_secs(360)));
    assert_eq!(
        wait(&[("retry-after", "99999999")]),
        Some(seawall_http::LONGEST_WAIT)
    );

    let of_model = |retry_after| Outcome::Throttled {
        retry_after,
        scope: Scope::Endpoint,
    };
    assert_eq!(with(&[], limited).outcome(), of_model(None));
    let no = with(&[("x-should-retry", "false")], limited);
    assert_eq!(no.outcome(), Outcome::QuotaExhausted { renews_in: None });
    assert!(!no.may_retry());
    let spent = with(&[("retry-after", "99999999")], OPENAI[1].1);
    let longest = Some(seawall_http::LONGEST_BAN);
    assert_eq!(
        spent.outcome(),
        Outcome::QuotaExhausted { renews_in: longest }
    );
    assert!(!spent.may_retry());
    let yes = with(&[("x-should-retry", "true")], OPENAI[5].1);
    assert!(yes.may_retry());
}

#[test]
fn outcomes_are_votes_of_failures_alone() {
    for (class, outcome) in [
        (Class::Overload, Outcome::Failure(FailureKind::Overloaded)),
        (Class::Server, Outcome::Failure(FailureKind::Server)),
        (Class::Network, Outcome::Failure(FailureKind::Timeout)),
        (Class::Credential, Outcome::Ignored),
        (Class::ContentPolicy, Outcome::Ignored),
    ] {
        let error = ApiError {
            class,
            status: class.status(),
            retry_after: None,
            should_retry: None,
            is_explained: true,
        };
        assert_eq!(error.outcome(), outcome);
        assert_eq!(
            error.outcome().vote() == seawall_core::Vote::Failure,
            class.is_failure()
        );
    }
}

#[test]
fn as_an_inspector_it_speaks_where_the_body_does() {
    let table = ErrorTable::compatible();
    let inspect = |code: u16, body: &str| {
        let (head, ()) = Response::builder()
            .status(code)
            .body(())
            .expect("a response")
            .into_parts();
        table.inspect(&head, body.as_bytes())
    };
    let exhausted = Some(Outcome::QuotaExhausted { renews_in: None });
    assert_eq!(inspect(429, OPENAI[1].1), exhausted);
    assert_eq!(inspect(400, ANTHROPIC[3].1), exhausted);
    assert_eq!(inspect(429, "{}"), None, "the status says it");
    // A success is not looked through, unless it begins as an error.
    let text = r#"{"id":"1","choices":[{"message":{"content":"{\"error\":{}}"}}],"error":null}"#;
    assert_eq!(inspect(200, text), None);
    assert_eq!(inspect(200, r#"{"error":null,"id":"resp_1"}"#), None);
    let hidden = r#" { "error" : {"message":"Rate limit reached","code":"rate_limit_exceeded"}}"#;
    let throttled = inspect(200, hidden).map(|outcome| outcome.as_str());
    assert_eq!(throttled, Some("throttled"));
    let overloaded = inspect(200, ANTHROPIC[14].1);
    assert_eq!(overloaded, Some(Outcome::Failure(FailureKind::Overloaded)));
    let unknown = inspect(200, r#"{"error":"upstream is gone"}"#);
    assert_eq!(unknown, Some(Outcome::Failure(FailureKind::Server)));
}

#[test]
fn a_rule_of_ones_own_stands_among_those_of_its_class() {
    let rule = ErrorRule::new(Class::Credential)
        .status(StatusCode::BAD_REQUEST)
        .message("tenant is suspended");
    let table = ErrorTable::openai().rule(rule.clone());
    let body =
        br#"{"error":{"message":"The Tenant is suspended","code":"context_length_exceeded"}}"#;
    let error = table.classify(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
    assert_eq!(error.class, Class::Credential, "it is looked for first");
    assert!(table.rules().any(|known| *known == rule));
    let without: ErrorTable = table
        .rules()
        .filter(|known| **known != rule)
        .cloned()
        .collect();
    assert_eq!(without, ErrorTable::openai());
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(
        code in 100_u16..1000,
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            r#"(\{|\}|\[|\]|"error"|"type"|"code"|:|,|"message"|null|1|"x"){0,20}"#.prop_map(String::into_bytes),
        ],
    ) {
        let table = ErrorTable::compatible();
        let code = StatusCode::from_u16(code).unwrap();
        let _ = table.classify(code, &HeaderMap::new(), &body).outcome();
        let _ = table.classify_event(&body).outcome();
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = code;
        let _ = table.inspect(&head, &body);
    }

    /// Wherever a body is cut off, it is never taken for something worse than it is: what is
    /// missing leaves the class of the status.
    #[test]
    fn a_cut_never_invents_a_class(at in any::<prop::sample::Index>(), case in any::<prop::sample::Index>()) {
        let (code, body, class) = OPENAI[case.index(OPENAI.len())];
        let cut = &body.as_bytes()[..at.index(body.len())];
        let table = ErrorTable::openai();
        let by_status = table.classify(status(code), &HeaderMap::new(), b"").class;
        let found = table.classify(status(code), &HeaderMap::new(), cut).class;
        // `invalid_request_error` may come before the code, `rate_limit_exceeded` never does.
        prop_assert!([class, by_status, Class::InvalidRequest].contains(&found), "{found:?}");
    }
}
