//! The limits of a response: what counts as progress, and how long and how large it may be.

mod support;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use seawall_ai::stream::{StreamConfig, StreamError, StreamErrorKind as Kind, StreamLayer};
use seawall_core::{Outcome, Reason, find_rejection};
use seawall_http::TransportError;
use support::*;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn pings_are_no_content_and_content_is() {
    let limits = || {
        with(|config| {
            config
                .first_content(30 * SECOND)
                .between_contents(10 * SECOND)
        })
    };
    for (sample, ping) in SAMPLES
        .iter()
        .zip([": ping\n\n", RESPONSE_IN_PROGRESS, PING])
    {
        let pings = |n: usize| {
            let pair = [data(ping), Step::Wait(SECOND)];
            pair.into_iter().cycle().take(2 * n).collect::<Vec<_>>()
        };
        // Nothing but pings, forever.
        let mut all = steps(sample.before);
        all.extend(pings(1_000));
        let start = Instant::now();
        let error = call(&limits(), all).await.no_response();
        assert_eq!(error.kind(), Kind::FirstContent);
        assert_eq!(Instant::now() - start, 30 * SECOND);
        let rejection = find_rejection(&error).expect("in the chain");
        assert_eq!(rejection.reason(), Reason::AttemptTimeout);
        assert_eq!(error.outcome(), Outcome::Unknown);

        // Content, and then pings.
        let mut all = steps(sample.before);
        all.push(data(sample.content));
        all.extend(pings(1_000));
        let start = Instant::now();
        let (text, error) = call(&limits(), all).await.broke_off();
        assert_eq!(error.kind(), Kind::BetweenContents);
        assert_eq!(Instant::now() - start, 10 * SECOND);
        assert!(text.ends_with(ping), "what came is passed on");
        let rejection = find_rejection(&error).expect("in the chain");
        assert_eq!(rejection.reason(), Reason::BodyTimeout);

        // Content now and then, for a long time.
        let mut all = steps(sample.before);
        for _ in 0..20 {
            all.extend([data(sample.content), Step::Wait(9 * SECOND)]);
        }
        all.extend(steps(sample.end));
        call(&limits(), all).await.well();
    }
}

#[tokio::test(start_paused = true)]
async fn thoughts_tools_and_refusals_are_content() {
    let chat = |delta: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n"
        )
    };
    let response =
        |kind: &str| format!("data: {{\"type\":\"response.{kind}.delta\",\"delta\":\"x\"}}\n\n");
    let message = |delta: &str| {
        format!("data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}\n\n")
    };
    let mut all = vec![
        chat(r#"{"reasoning_content":"so"}"#),
        chat(r#"{"refusal":"no"}"#),
        chat(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#),
        chat(r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}"#),
        message(r#"{"type":"input_json_delta","partial_json":"{\"l"}"#),
        message(r#"{"type":"thinking_delta","thinking":"Let me"}"#),
        message(r#"{"type":"signature_delta","signature":"EqQB"}"#),
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}}\n\n".to_owned(),
    ];
    all.extend(
        [
            "output_text",
            "refusal",
            "reasoning_text",
            "reasoning_summary_text",
            "function_call_arguments",
            "custom_tool_call_input",
            "audio",
        ]
        .map(response),
    );
    for event in all {
        let (text, error) = call(&layer(), vec![data(event.clone()), Step::Hang])
            .await
            .broke_off();
        assert_eq!((text, error.kind()), (event, Kind::BetweenContents));
    }
    let nothing = [
        chat(r#"{"role":"assistant"}"#),
        chat("{}"),
        chat(r#"{"content":""}"#),
        chat(r#"{"tool_calls":[{"index":0,"type":"function","function":{"arguments":""}}]}"#),
        message(r#"{"type":"text_delta","text":""}"#),
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\"}\n\n".to_owned(),
    ];
    for event in nothing {
        let error = call(&layer(), vec![data(event.clone()), Step::Hang])
            .await
            .no_response();
        assert_eq!(error.kind(), Kind::FirstContent, "{event}");
    }
}

/// A tool that the provider runs for the caller sends no content, and is at work.
#[tokio::test(start_paused = true)]
async fn steps_show_that_a_stream_goes_on_and_are_no_first_content() {
    let search = "data: {\"type\":\"response.web_search_call.searching\",\"item_id\":\"ws_1\"}\n\n";
    let limits = || {
        with(|config| {
            config
                .first_content(30 * SECOND)
                .between_contents(10 * SECOND)
        })
    };
    let mut all = steps(&[RESPONSE_CREATED, RESPONSE_HI]);
    for _ in 0..3 {
        all.extend([Step::Wait(9 * SECOND), data(search)]);
    }
    all.extend(steps(&[RESPONSE_HI, RESPONSE_COMPLETED]));
    call(&limits(), all).await.well();
    let mut all = steps(&[RESPONSE_CREATED]);
    for _ in 0..9 {
        all.extend([Step::Wait(9 * SECOND), data(search)]);
    }
    let error = call(&limits(), all).await.no_response();
    assert_eq!(error.kind(), Kind::FirstContent);
}

/// A reader that does not read is slow, not the provider.
#[tokio::test(start_paused = true)]
async fn while_nobody_reads_no_time_runs_but_that_of_the_whole() {
    let all: Vec<_> = SAMPLES[2]
        .before
        .iter()
        .chain([&MESSAGE_HI])
        .map(|event| data(*event))
        .collect();
    let open = std::sync::Arc::default();
    let client = |layer: StreamLayer, all: Vec<Step>| {
        let open = std::sync::Arc::clone(&open);
        layer.layer(service_fn(move |_: Request<()>| {
            let response = Response::builder().header("content-type", "text/event-stream");
            let response = response.body(Script::new(&all, &open)).expect("a response");
            std::future::ready(Ok::<_, io::Error>(response))
        }))
    };
    let mut whole = all.clone();
    whole.extend(steps(&[MESSAGE_HI, MESSAGE_STOP]));
    let limits = with(|config| config.between_contents(SECOND));
    let response = client(limits, whole.clone())
        .oneshot(Request::new(()))
        .await
        .expect("a stream");
    tokio::time::sleep(3_600 * SECOND).await;
    assert!(matches!(read(response).await, Went::Well(200, _)));

    let limits = with(|config| config.total(60 * SECOND));
    let response = client(limits, whole)
        .oneshot(Request::new(()))
        .await
        .expect("a stream");
    tokio::time::sleep(3_600 * SECOND).await;
    let (_, error) = read(response).await.broke_off();
    assert_eq!(error.kind(), Kind::Total);
}

#[tokio::test(start_paused = true)]
async fn the_total_time_is_of_all_of_a_response() {
    let limits = || {
        with(|config| {
            config
                .first_content(10 * SECOND)
                .between_contents(10 * SECOND)
                .total(60 * SECOND)
        })
    };
    let mut all = Vec::new();
    for _ in 0..100 {
        all.extend([data(CHAT_HI), Step::Wait(SECOND)]);
    }
    let start = Instant::now();
    let (_, error) = call(&limits(), all).await.broke_off();
    assert_eq!(
        (error.kind(), Instant::now() - start),
        (Kind::Total, 60 * SECOND)
    );
    // Of what is no stream, too.
    let json = || Response::builder().header("content-type", "application/json");
    let start = Instant::now();
    let (text, error) = call_with(&limits(), json(), vec![data("{"), Step::Hang])
        .await
        .broke_off();
    assert_eq!((&*text, error.kind()), ("{", Kind::Total));
    assert_eq!(Instant::now() - start, 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_late_content() {
    let client =
        with(|config| config.first_content(5 * SECOND)).layer(service_fn(|_: Request<()>| {
            std::future::pending::<Result<Response<Full<Bytes>>, io::Error>>()
        }));
    let start = Instant::now();
    let error = client
        .oneshot(Request::new(()))
        .await
        .expect_err("too late");
    let error = error.stream_error().expect("ours");
    assert_eq!(
        error.to_string(),
        "stream `model`: there was no content in time (`first_content` is 5s)"
    );
    let rejection = find_rejection(error).expect("a limit of time");
    assert_eq!(
        rejection.to_string(),
        "stream `model`: the attempt timed out (after 5 s); the request may have been sent"
    );
    assert_eq!(
        (error.kind(), Instant::now() - start),
        (Kind::FirstContent, 5 * SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_begins_before_its_head_is_passed_on() {
    let layer = || with(|config| config.first_content(5 * SECOND));
    let json = || Response::builder().header("content-type", "application/json");
    for nothing in [
        vec![],
        vec![data("")],
        vec![Step::Trailers],
        vec![Step::Wait(SECOND), data("")],
    ] {
        let error = call_with(&layer(), json(), nothing).await.no_response();
        assert_eq!((error.kind(), error.delivered().bytes), (Kind::Empty, 0));
    }
    let breaks = vec![Step::Wait(SECOND), Step::Break];
    let error = call_with(&layer(), json(), breaks).await.no_response();
    assert_eq!(error.kind(), Kind::Disconnected);
    let start = Instant::now();
    let late = vec![data(""), Step::Wait(9 * SECOND), data("{}")];
    let error = call_with(&layer(), json(), late).await.no_response();
    assert_eq!(
        (error.kind(), Instant::now() - start),
        (Kind::FirstContent, 5 * SECOND)
    );
    let good = vec![
        data(""),
        Step::Wait(SECOND),
        data("{"),
        Step::Wait(9 * SECOND),
        data("}"),
    ];
    assert_eq!(call_with(&layer(), json(), good).await.well(), "{}");
}

#[tokio::test]
async fn what_was_read_before_the_head_is_part_of_the_body() {
    let client = layer().layer(service_fn(|_: Request<()>| async {
        let body = Script::new(&[data("{"), data("}")], &Arc::default());
        Ok::<_, io::Error>(Response::new(body))
    }));
    let response = client.oneshot(Request::new(())).await.expect("a response");
    let body = response.into_body();
    assert_eq!((body.size_hint().lower(), body.is_end_stream()), (1, false));
    let all = body.collect().await.expect("a body");
    assert_eq!(all.to_bytes(), "{}");
}

#[tokio::test(start_paused = true)]
async fn a_response_has_a_longest_length() {
    let limits = || with(|config| config.max_bytes(1_000));
    let all = std::iter::repeat_n(data(CHAT_HI), 50).collect();
    let (text, error) = call(&limits(), all).await.broke_off();
    assert_eq!(error.kind(), Kind::TooLong);
    assert!(text.len() <= 1_000);
    let json = || Response::builder().header("content-type", "application/json");
    let all = std::iter::repeat_n(data("x".repeat(300)), 50).collect();
    let (text, error) = call_with(&limits(), json(), all).await.broke_off();
    assert_eq!((text.len(), error.kind()), (900, Kind::TooLong));
    // One that announces it is not read at all.
    let client = limits().layer(service_fn(|_: Request<()>| async {
        Ok::<_, io::Error>(Response::new(Full::<Bytes>::from("x".repeat(1_001))))
    }));
    let error = client
        .oneshot(Request::new(()))
        .await
        .expect_err("too long");
    assert_eq!(
        error.stream_error().map(StreamError::kind),
        Some(Kind::TooLong)
    );
    // An event.
    let limits = with(|config| config.max_event(200));
    let long = format!("data: {{\"x\":\"{}\"}}\n\n", "x".repeat(500));
    let (_, error) = call(&limits, vec![data(CHAT_HI), data(long)])
        .await
        .broke_off();
    assert_eq!(error.kind(), Kind::EventTooLong);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_held_back_than_may_be() {
    for limits in [
        with(|config| config.held_bytes(100)),
        with(|config| config.held_events(3)),
    ] {
        let mut all: Vec<_> = std::iter::repeat_n(data(PING), 20).collect();
        all.push(data(OVERLOADED));
        let (text, error) = call(&limits, all).await.broke_off();
        assert_eq!(error.kind(), Kind::Reported);
        assert_eq!(text, PING.repeat(20), "released, so that nothing is lost");
        assert_eq!(limits.handle().counts().released, 1);
    }
    // Not even in frames of one byte.
    let comments = std::iter::repeat_n(data(":\n"), 10_000);
    let bytes = comments.flat_map(|_| [data(":"), data("\n")]);
    let limits = layer();
    let (text, error) = call(&limits, bytes.collect()).await.broke_off();
    assert_eq!((text.len(), error.kind()), (20_000, Kind::Empty));
    assert_eq!(limits.handle().counts().released, 1);
}

#[tokio::test(start_paused = true)]
async fn after_the_final_event_a_connection_that_stays_open_is_not_waited_for() {
    for (events, longest) in [(CHAT, 5), (MESSAGES, 5), (&[CHAT_HI, CHAT_STOP][..], 60)] {
        let mut all = steps(events);
        all.push(Step::Hang);
        let start = Instant::now();
        call(&layer(), all).await.well();
        assert_eq!(Instant::now() - start, longest * SECOND);
    }
}

#[test]
fn settings_that_have_no_effect_are_rejected() {
    let field = |build: seawall_ai::stream::StreamConfigBuilder| {
        build
            .build()
            .map_err(|error| error.field().to_owned())
            .err()
    };
    let config = StreamConfig::builder;
    assert_eq!(
        field(config().first_content(Duration::ZERO)).as_deref(),
        Some("first_content")
    );
    assert_eq!(
        field(config().between_contents(Duration::ZERO)).as_deref(),
        Some("between_contents")
    );
    assert_eq!(
        field(config().total(Duration::ZERO)).as_deref(),
        Some("total")
    );
    assert_eq!(field(config().max_event(0)).as_deref(), Some("max_event"));
    assert_eq!(field(config().held_bytes(0)).as_deref(), Some("held_bytes"));
    assert_eq!(
        field(config().held_events(0)).as_deref(),
        Some("held_events")
    );
    let long = config().first_content(2 * SECOND).total(SECOND);
    assert_eq!(field(long).as_deref(), Some("first_content"));
    let long = config().total(SECOND).between_contents(2 * SECOND);
    assert_eq!(field(long).as_deref(), Some("between_contents"));
    assert_eq!(
        field(config().max_event(9).max_bytes(8)).as_deref(),
        Some("max_event")
    );
    // What was not set follows.
    let short = config().total(SECOND).max_bytes(8).build().expect("valid");
    assert_eq!(
        (short.first_content(), short.between_contents()),
        (None, None)
    );
    assert_eq!((short.max_event(), short.held_bytes()), (8, 8));
    assert_eq!(
        field(config().held_bytes(9).max_bytes(8)).as_deref(),
        Some("held_bytes")
    );
    assert_eq!(
        field(config().total(Duration::MAX).first_content(Duration::MAX)),
        None
    );
}
