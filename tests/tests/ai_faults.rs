//! The faults of providers of models, over real sockets and through a complete stack: each call is
//! answered, or fails with a clear error in time. None hangs, and no text comes twice.

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::BodyExt;
use seawall::http_client::TransportError;
use seawall::{BulkheadConfig, Error, Outcome, RateLimitConfig, Reason};
use seawall_ai::stream::{StreamConfig, StreamError, StreamErrorKind as Kind, StreamLayer};
use seawall_ai::{ErrorClass, ErrorTable};
use seawall_tests::provider;
use support::ai_server::{AiServer, JSON, Script, Wire, chunk, end, events, response, stream};
use support::{Body, hyper_client, quick};
use tokio::time::{Instant, timeout};
use tower::{Layer, ServiceExt};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What a provider sends, in its dialect.
struct Provider {
    name: &'static str,
    path: &'static str,
    table: fn() -> ErrorTable,
    /// Before any content.
    begin: &'static str,
    ping: &'static str,
    content: &'static str,
    end: &'static str,
    /// An error as an event, its status before any content, and its class.
    error: (&'static str, u16, ErrorClass),
    wrong_key: &'static str,
    too_long: (&'static str, &'static str),
    no_money: (&'static str, &'static str),
    limited: &'static str,
}

const CHAT: Provider = Provider {
    name: "openai",
    path: "/v1/chat/completions",
    table: ErrorTable::openai,
    begin: "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    ping: ": keep-alive\n\n",
    content: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n",
    end: "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    error: (
        "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
        500,
        ErrorClass::Server,
    ),
    wrong_key: r#"{"error":{"message":"Incorrect API key provided: sk-no.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
    too_long: (
        "400 Bad Request",
        r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    no_money: (
        "429 Too Many Requests",
        r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
    ),
    limited: r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
};

const RESPONSES: Provider = Provider {
    path: "/v1/responses",
    begin: "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"error\":null}}\n\n",
    ping: "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"response\":{\"id\":\"resp_1\",\"error\":null}}\n\n",
    content: "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n",
    end: "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\"}}\n\n",
    error: (
        "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"error\":{\"code\":\"server_error\",\"message\":\"oh\"}}}\n\n",
        500,
        ErrorClass::Server,
    ),
    ..CHAT
};

const MESSAGES: Provider = Provider {
    name: "anthropic",
    path: "/v1/messages",
    table: ErrorTable::anthropic,
    begin: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"content\":[]}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    ping: "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    content: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
    end: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    error: (
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        529,
        ErrorClass::Overload,
    ),
    wrong_key: r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
    too_long: (
        "400 Bad Request",
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"}}"#,
    ),
    no_money: (
        "400 Bad Request",
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
    ),
    limited: r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account's rate limit."}}"#,
};

const ALL: [&Provider; 3] = [&CHAT, &RESPONSES, &MESSAGES];

impl Provider {
    /// A stream that does well.
    fn well(&self) -> Script {
        events(&[self.begin, self.content, self.end])
    }

    fn text(&self) -> String {
        [self.begin, self.content, self.end].concat()
    }
}

/// How a call went: what came of the body, and what was wrong with it.
#[derive(Debug)]
enum Went {
    Answered(u16, String),
    NoResponse(Error<seawall_ai::stream::CallError<hyper_util::client::legacy::Error>>),
    BrokeOff(String, Error<StreamError>),
}

struct Desk {
    server: AiServer,
    went: Went,
    took: Duration,
    failures: u64,
    /// Of one permit.
    is_free: bool,
}

impl Desk {
    /// It was answered in full, after so many requests.
    fn answered(&self, provider: &Provider, requests: usize) {
        match &self.went {
            Went::Answered(200, text) => assert_eq!(*text, provider.text(), "{}", provider.path),
            other => panic!("{}: {other:?}", provider.path),
        }
        self.requests(requests);
    }

    fn requests(&self, requests: usize) {
        assert_eq!(self.server.asked().len(), requests, "{:?}", self.went);
        assert!(self.is_free, "a permit is held");
    }

    fn status(&self, requests: usize) -> (u16, &str) {
        self.requests(requests);
        match &self.went {
            Went::Answered(status, text) => (*status, text),
            other => panic!("{other:?}"),
        }
    }

    /// There was content, and then that: nothing was sent again.
    fn broke_off(&self, provider: &Provider) -> &StreamError {
        self.requests(1);
        match &self.went {
            Went::BrokeOff(text, error) => {
                let begin = [provider.begin, provider.content].concat();
                assert!(text.starts_with(&begin), "{text}");
                assert_eq!(text.matches(provider.content).count(), 1, "twice: {text}");
                assert_eq!(self.failures, 1, "a failure for the breaker");
                error.inner().expect("of the stream")
            }
            other => panic!("{other:?}"),
        }
    }
}

fn limits(provider: &Provider) -> StreamConfig {
    let config = StreamConfig::builder()
        .errors((provider.table)())
        .first_content(SECOND)
        .between_contents(SECOND);
    config.build().expect("valid")
}

/// One call through all of the provider's stack, three attempts of it at most.
async fn ask(of: &Provider, scripts: impl IntoIterator<Item = Script>) -> Desk {
    let server = AiServer::start(scripts).await;
    let one = BulkheadConfig::builder().max_concurrent(1).max_waiting(0);
    // A throttle without a hint pauses the rate limit, and the next attempt waits there.
    let rate = RateLimitConfig::builder().rate(10_000, SECOND).burst(1_000);
    let rate = rate
        .max_waiting(8)
        .max_wait(10 * SECOND)
        .default_pause(100 * MS);
    let stack = quick(provider(of.name, "desk"))
        .bulkhead(one.build().expect("valid"))
        .rate_limit(rate.build().expect("valid"));
    let stack = stack.build().expect("valid").inspect((of.table)());
    let handles = stack.handles();
    let streams = StreamLayer::new("desk", limits(of));
    let client = stack.layer(streams.layer(hyper_client()));
    let request = Request::post(format!("{}{}", server.url(), of.path))
        .header("content-type", "application/json")
        .body(Body::from(r#"{"model":"m","stream":true,"messages":[]}"#))
        .expect("a request");
    let start = Instant::now();
    let call = async {
        let response = match client.oneshot(request).await {
            Ok(response) => response,
            Err(error) => return Went::NoResponse(error),
        };
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut text = Vec::new();
        loop {
            match body.frame().await {
                None => break,
                Some(Ok(frame)) => {
                    text.extend_from_slice(&frame.into_data().unwrap_or_else(|_| Bytes::new()));
                }
                Some(Err(error)) => {
                    return Went::BrokeOff(String::from_utf8(text).expect("text"), error);
                }
            }
        }
        Went::Answered(status, String::from_utf8(text).expect("text"))
    };
    let went = timeout(30 * SECOND, call).await.expect("it hangs");
    Desk {
        took: Instant::now() - start,
        failures: handles.breaker.snapshot().counts.failure,
        is_free: handles.bulkhead.snapshot().in_flight == 0,
        server,
        went,
    }
}

#[tokio::test]
async fn transient_errors_are_tried_again() {
    for provider in ALL {
        for status in ["500 Oh", "502 Bad Gateway", "503 Busy", "529 Overloaded"] {
            let failed = response(status, &[JSON], "{}");
            let desk = ask(provider, [failed.clone(), provider.well()]).await;
            desk.answered(provider, 2);
            let desk = ask(provider, [failed.clone(), failed, provider.well()]).await;
            desk.answered(provider, 3);
        }
    }
}

#[tokio::test]
async fn an_error_that_stays_is_the_answer_after_all_attempts() {
    for provider in ALL {
        let desk = ask(provider, [response("529 Overloaded", &[JSON], "{}")]).await;
        assert_eq!(desk.status(3).0, 529);
    }
}

/// In every form of the hint, the next request is not sent before.
#[tokio::test]
async fn a_throttle_is_waited_out_by_every_hint() {
    let soon = httpdate::fmt_http_date(std::time::SystemTime::now() + 2 * SECOND);
    let hints: &[(&[(&str, &str)], Duration)] = &[
        (&[("retry-after", "1")], SECOND),
        (&[("retry-after", "0.4")], 400 * MS),
        (&[("retry-after", &soon)], 500 * MS),
        (
            &[("retry-after-ms", "300"), ("retry-after", "60")],
            300 * MS,
        ),
        (
            &[
                ("x-ratelimit-limit-requests", "60"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "400ms"),
            ],
            400 * MS,
        ),
        (&[], 100 * MS),
    ];
    let of_chat = hints.iter().map(|(hint, wait)| (&CHAT, *hint, *wait));
    let of_messages = hints[..4]
        .iter()
        .map(|(hint, wait)| (&MESSAGES, *hint, *wait));
    join_all(
        of_chat
            .chain(of_messages)
            .map(|(provider, hint, wait)| async move {
                let headers: Vec<_> = hint.iter().copied().chain([JSON]).collect();
                let limited = response("429 Too Many Requests", &headers, provider.limited);
                let desk = ask(provider, [limited, provider.well()]).await;
                desk.answered(provider, 2);
                let asked = desk.server.asked();
                assert!(asked[1] - asked[0] >= wait, "{hint:?}");
                assert!(desk.took < 10 * SECOND, "{hint:?}");
                assert_eq!(desk.failures, 0, "no failure of the provider");
            }),
    )
    .await;
}

#[tokio::test]
async fn silence_before_and_after_the_first_byte_is_tried_again() {
    let silent = ALL.into_iter().flat_map(|provider| {
        [
            (provider, vec![Wire::Hang]),
            (provider, vec![stream(), Wire::Hang]),
            (provider, vec![stream(), chunk(provider.begin), Wire::Hang]),
        ]
    });
    join_all(silent.map(|(provider, silent)| async move {
        let desk = ask(provider, [silent.clone(), provider.well()]).await;
        desk.answered(provider, 2);
        assert!(desk.took < 10 * SECOND, "{:?}", desk.took);
        // Nobody ever says anything: an error in time.
        let desk = ask(provider, [silent]).await;
        desk.requests(3);
        let Went::NoResponse(error) = &desk.went else {
            panic!("{:?}", desk.went)
        };
        assert_eq!(error.outcome(), Outcome::Unknown);
        let boxed: &(dyn std::error::Error + 'static) = error;
        let rejection = seawall::find_rejection(boxed).expect("in the chain");
        assert_eq!(rejection.reason(), Reason::AttemptTimeout);
        assert!(desk.took < 10 * SECOND, "{:?}", desk.took);
    }))
    .await;
}

#[tokio::test]
async fn a_connection_that_is_reset_before_content_is_tried_again() {
    for provider in ALL {
        for reset in [
            vec![Wire::Reset],
            vec![Wire::Close],
            vec![
                Wire::Send("HTTP/1.1 200 OK\r\ncontent-t".to_owned()),
                Wire::Reset,
            ],
            vec![stream(), Wire::Wait(20 * MS), Wire::Reset],
            vec![
                stream(),
                chunk(provider.begin),
                Wire::Wait(20 * MS),
                Wire::Reset,
            ],
            vec![stream(), chunk(provider.begin), Wire::Close],
        ] {
            let desk = ask(provider, [reset, provider.well()]).await;
            desk.answered(provider, 2);
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_after_content_is_an_error_and_nothing_comes_twice() {
    for provider in ALL {
        let begun = [stream(), chunk(provider.begin), chunk(provider.content)];
        for last in [
            vec![Wire::Wait(20 * MS), Wire::Reset],
            vec![Wire::Close],
            vec![Wire::Send("5\r\nda".to_owned()), Wire::Close],
        ] {
            let script = begun.iter().cloned().chain(last).collect();
            let desk = ask(provider, [script, provider.well()]).await;
            let error = desk.broke_off(provider);
            assert_eq!(
                (error.kind(), error.class()),
                (Kind::Disconnected, ErrorClass::Network)
            );
        }
    }
}

#[tokio::test]
async fn an_error_in_a_stream_is_tried_again_before_content_and_is_one_of_the_body_after_it() {
    for provider in ALL {
        let (event, status, class) = provider.error;
        let early = events(&[provider.begin, provider.ping, event]);
        let desk = ask(provider, [early.clone(), provider.well()]).await;
        desk.answered(provider, 2);
        assert_eq!(desk.failures, 1);
        // It stays: the answer is the error, with its status.
        let desk = ask(provider, [early]).await;
        let (got, body) = desk.status(3);
        assert_eq!(got, status);
        assert!(body.contains("\"error\":{"), "{body}");

        let late = events(&[provider.begin, provider.content, event]);
        let desk = ask(provider, [late, provider.well()]).await;
        let error = desk.broke_off(provider);
        assert_eq!((error.kind(), error.class()), (Kind::Reported, class));
        assert!(error.report().is_some_and(|report| event.contains(report)));
    }
}

/// The connection ends as it should, and the stream does not.
#[tokio::test]
async fn a_stream_that_is_cut_off_is_no_answer() {
    for provider in ALL {
        let early = events(&[provider.begin, provider.ping]);
        ask(provider, [early, provider.well()])
            .await
            .answered(provider, 2);
        let late = events(&[provider.begin, provider.content]);
        let desk = ask(provider, [late, provider.well()]).await;
        assert_eq!(desk.broke_off(provider).kind(), Kind::CutOff);
    }
}

#[tokio::test]
async fn a_chunk_that_is_no_json_is_no_answer() {
    let broken = "data: {\"choices\":[{\"index\":0,\"delta\":{\"con\n\n";
    for provider in ALL {
        let early = events(&[provider.begin, broken, provider.content, provider.end]);
        ask(provider, [early, provider.well()])
            .await
            .answered(provider, 2);
        let late = events(&[provider.begin, provider.content, broken, provider.end]);
        let desk = ask(provider, [late, provider.well()]).await;
        assert_eq!(desk.broke_off(provider).kind(), Kind::Malformed);
    }
}

#[tokio::test]
async fn an_empty_body_is_no_answer() {
    for provider in ALL {
        for empty in [
            response("200 OK", &[], ""),
            response("200 OK", &[JSON], ""),
            response("200 OK", &[("content-type", "text/event-stream")], ""),
            vec![stream(), end()],
            events(&[provider.ping]),
        ] {
            let desk = ask(provider, [empty.clone(), provider.well()]).await;
            desk.answered(provider, 2);
            let desk = ask(provider, [empty]).await;
            assert!(matches!(desk.went, Went::NoResponse(_)), "{:?}", desk.went);
            desk.requests(3);
        }
    }
}

#[tokio::test]
async fn a_page_of_html_is_no_answer() {
    let page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    let html = ("content-type", "text/html");
    for provider in ALL {
        for page in [
            response("502 Bad Gateway", &[html], page),
            response("200 OK", &[html], page),
            response("200 OK", &[("content-type", "text/event-stream")], page),
        ] {
            let desk = ask(provider, [page, provider.well()]).await;
            desk.answered(provider, 2);
        }
        let desk = ask(provider, [response("200 OK", &[html], page)]).await;
        let Went::NoResponse(Error::Inner(error)) = &desk.went else {
            panic!("{:?}", desk.went)
        };
        assert_eq!(
            error.stream_error().map(StreamError::kind),
            Some(Kind::Html)
        );
    }
}

/// Neither a retry nor a wait helps: the answer is there at once, and no vote of the breaker.
#[tokio::test]
async fn what_no_retry_helps_is_sent_once() {
    for provider in ALL {
        for (status, body) in [
            ("401 Unauthorized", provider.wrong_key),
            provider.too_long,
            provider.no_money,
        ] {
            let failed = response(status, &[JSON], body);
            let desk = ask(provider, [failed, provider.well()]).await;
            let (got, text) = desk.status(1);
            assert!(status.starts_with(&got.to_string()));
            assert_eq!(text, body, "as the provider has sent it");
            assert_eq!(desk.failures, 0, "{body}");
        }
    }
    // The same in a stream.
    let spent = "data: {\"error\":{\"message\":\"no\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}\n\n";
    let desk = ask(&CHAT, [events(&[CHAT.begin, spent]), CHAT.well()]).await;
    assert_eq!(desk.status(1).0, 429);
    assert_eq!(desk.failures, 0);
}

#[tokio::test]
async fn a_slow_first_token_is_waited_for() {
    for provider in ALL {
        let mut slow = vec![stream(), chunk(provider.begin)];
        for _ in 0..4 {
            slow.extend([Wire::Wait(50 * MS), chunk(provider.ping)]);
        }
        slow.extend([
            chunk(provider.content),
            Wire::Wait(200 * MS),
            chunk(provider.end),
            end(),
        ]);
        let desk = ask(provider, [slow]).await;
        desk.requests(1);
        let Went::Answered(200, text) = &desk.went else {
            panic!("{:?}", desk.went)
        };
        assert!(text.ends_with(provider.end));
        assert!(desk.took >= 400 * MS);
    }
}

#[tokio::test]
async fn pings_alone_do_not_keep_a_stream_alive() {
    join_all(ALL.into_iter().map(|provider| async move {
        let pings = || {
            let pair = [chunk(provider.ping), Wire::Wait(20 * MS)];
            pair.into_iter().cycle().take(2_000)
        };
        let begin = [stream(), chunk(provider.begin)];
        let early: Script = begin.into_iter().chain(pings()).collect();
        let desk = ask(provider, [early.clone(), provider.well()]).await;
        desk.answered(provider, 2);
        let desk = ask(provider, [early]).await;
        assert!(matches!(desk.went, Went::NoResponse(_)));
        desk.requests(3);
        assert!(desk.took < 10 * SECOND, "{:?}", desk.took);

        let begun = [stream(), chunk(provider.begin), chunk(provider.content)];
        let late: Script = begun.into_iter().chain(pings()).collect();
        let desk = ask(provider, [late, provider.well()]).await;
        assert_eq!(desk.broke_off(provider).kind(), Kind::BetweenContents);
        assert!(desk.took < 10 * SECOND, "{:?}", desk.took);
    }))
    .await;
}

/// What is sent once is not sent again after a failure either.
#[tokio::test]
async fn a_request_that_may_not_be_repeated_is_not() {
    let files = Provider {
        path: "/v1/files",
        ..CHAT
    };
    let desk = ask(&files, [events(&[CHAT.begin]), CHAT.well()]).await;
    desk.requests(1);
    assert!(matches!(desk.went, Went::NoResponse(_)), "{:?}", desk.went);
}

/// What the stack knows of the provider is enough: it sees no difference to a status.
#[tokio::test]
async fn a_stack_needs_no_table_for_it() {
    for of in ALL {
        let early = events(&[of.begin, of.error.0]);
        let server = AiServer::start([early, of.well()]).await;
        let stack = quick(provider(of.name, "desk")).build().expect("valid");
        let handles = stack.handles();
        let streams = StreamLayer::new("desk", limits(of));
        let client = stack.layer(streams.layer(hyper_client()));
        let request = Request::post(format!("{}{}", server.url(), of.path));
        let request = request.body(Body::default()).expect("a request");
        let response = client.oneshot(request).await.expect("a response");
        assert_eq!(response.status(), 200);
        let text = response.into_body().collect().await.expect("all of it");
        assert_eq!(text.to_bytes(), of.text());
        assert_eq!(handles.breaker.snapshot().counts.failure, 1);
    }
}
