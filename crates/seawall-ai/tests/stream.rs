//! What a caller sees of streams that do well, and of those that do not.

mod support;

use std::error::Error as _;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use seawall_ai::stream::{CallError, Dialect, StreamConfig, StreamErrorKind as Kind};
use seawall_ai::{ErrorClass, ErrorTable};
use seawall_core::{FailureKind, Outcome};
use seawall_http::TransportError;
use support::*;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn a_complete_stream_passes_as_it_came() {
    for events in [CHAT, RESPONSES, MESSAGES] {
        let layer = layer();
        assert_eq!(call(&layer, steps(events)).await.well(), events.concat());
        // In one piece, too.
        let all = vec![data(events.concat())];
        assert_eq!(call(&layer, all).await.well(), events.concat());
        let counts = layer.handle().counts();
        assert_eq!((counts.streams, counts.completed), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_end_with_a_reason_to_finish_or_without_content() {
    for events in [
        vec![CHAT_ROLE, CHAT_HI, CHAT_STOP],
        vec![CHAT_ROLE, CHAT_STOP, DONE],
        vec![RESPONSE_CREATED, RESPONSE_INCOMPLETE],
        vec![MESSAGE_START, MESSAGE_DELTA, MESSAGE_STOP],
    ] {
        let text = events.concat();
        assert_eq!(call(&layer(), steps(&events)).await.well(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn the_head_is_there_with_the_first_content_and_not_before() {
    for sample in SAMPLES {
        let mut all = Vec::new();
        for event in sample.before {
            all.extend([data(*event), Step::Wait(SECOND)]);
        }
        let before = SECOND * u32::try_from(sample.before.len()).expect("few");
        all.push(data(sample.content));
        all.push(Step::Hang);
        let open = std::sync::Arc::default();
        let client = layer().layer(service_fn(|_: Request<()>| async {
            let response = Response::builder().header("content-type", "text/event-stream");
            Ok::<_, io::Error>(response.body(Script::new(&all, &open)).expect("a response"))
        }));
        let start = Instant::now();
        let mut body = client
            .oneshot(Request::new(()))
            .await
            .expect("a stream")
            .into_body();
        assert_eq!(Instant::now() - start, before);
        // What was held back comes at once, in order.
        for event in sample.before.iter().chain([&sample.content]) {
            let frame = body
                .frame()
                .await
                .expect("there is more")
                .expect("no error");
            assert_eq!(frame.into_data().expect("data"), *event);
        }
        assert_eq!(Instant::now() - start, before);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_first_content_is_the_response_that_it_would_have_been() {
    let anthropic = steps(&[MESSAGE_START, PING, OVERLOADED]);
    let (status, body) = call(&layer(), anthropic).await.status();
    assert_eq!(status, 529);
    assert_eq!(
        body,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#
    );

    let (status, body) = call(&layer(), steps(&[CHAT_ROLE, CHAT_ERROR]))
        .await
        .status();
    assert_eq!(status, 500);
    assert!(
        body.starts_with(r#"{"error":{"message":"The server had"#),
        "{body}"
    );

    let (status, body) = call(&layer(), steps(&[RESPONSE_CREATED, RESPONSE_FAILED]))
        .await
        .status();
    assert_eq!(status, 429);
    let expected = r#"{"error":{"code":"rate_limit_exceeded","message":"Rate limit reached"}}"#;
    assert_eq!(body, expected);

    let (status, body) = call(&layer(), steps(&[RESPONSE_ERROR])).await.status();
    assert_eq!(status, 503);
    let error: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(error["error"]["code"], "server_is_overloaded");

    // A proxy that forgot what it sends.
    let text = r#"{"error":{"message":"no","type":"authentication_error"}}"#;
    let (status, body) = call(&layer(), vec![data(text)]).await.status();
    assert_eq!((status, &*body), (401, text));
}

#[tokio::test(start_paused = true)]
async fn such_a_response_keeps_its_headers_and_says_what_it_is() {
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .header("content-length", "99999")
        .header("x-ratelimit-reset-requests", "7s");
    let event = "data: {\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no money\"}}\n\n";
    let open = std::sync::Arc::default();
    let script = Script::new(&steps(&[CHAT_ROLE, event]), &open);
    let response = std::sync::Mutex::new(Some(response.body(script).expect("a response")));
    let client = layer().layer(service_fn(|_: Request<()>| async {
        Ok::<_, io::Error>(response.lock().expect("no panic").take().expect("once"))
    }));
    let response = client.oneshot(Request::new(())).await.expect("a response");
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    assert_eq!(response.status(), 429);
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("content-length"), None);
    assert_eq!(header("x-ratelimit-reset-requests"), Some("7s"));
    assert_eq!(header("x-should-retry"), Some("false"), "no throttle");
    let error = response
        .extensions()
        .get::<seawall_ai::ApiError>()
        .expect("classified");
    assert_eq!(error.class, ErrorClass::QuotaExhausted);
}

#[tokio::test(start_paused = true)]
async fn an_error_after_content_is_an_error_of_the_body_and_what_came_before_is_there() {
    for (sample, error, class) in [
        (&SAMPLES[0], CHAT_ERROR, ErrorClass::Server),
        (&SAMPLES[1], RESPONSE_FAILED, ErrorClass::RateLimit),
        (&SAMPLES[1], RESPONSE_ERROR, ErrorClass::Overload),
        (&SAMPLES[2], OVERLOADED, ErrorClass::Overload),
    ] {
        let before = [&sample.before.concat(), sample.content].concat();
        let layer = layer();
        // In a piece of its own, and behind content in one.
        for all in [
            vec![data(before.clone()), data(error)],
            vec![data([&*before, error].concat())],
        ] {
            let (text, failed) = call(&layer, all).await.broke_off();
            assert_eq!(text, before);
            assert_eq!((failed.kind(), failed.class()), (Kind::Reported, class));
            let delivered = failed.delivered();
            assert_eq!(
                (delivered.bytes, delivered.contents),
                (before.len() as u64, 1)
            );
            assert!(error.contains(failed.report().expect("as it came")));
        }
        assert_eq!(layer.handle().counts().reported, 2);
        assert_eq!(layer.handle().counts().before_content, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_off_never_ends_well() {
    for sample in SAMPLES {
        let before = sample.before.concat();
        // Before content: there is no response.
        let error = call(&layer(), steps(sample.before)).await.no_response();
        assert_eq!(error.kind(), Kind::CutOff);
        assert_eq!(error.outcome(), Outcome::Failure(FailureKind::Body));
        // After content, at the end of an event and within one.
        for cut in ["", "data: {\"id\":\"chatcm", "event: message_st"] {
            let text = [&*before, sample.content, cut].concat();
            let (got, error) = call(&layer(), vec![data(text.clone())]).await.broke_off();
            assert_eq!((got, error.kind()), (text, Kind::CutOff));
            assert!(!error.expected().is_empty());
        }
        // The connection breaks off.
        let all = vec![data(before.clone()), data(sample.content), Step::Break];
        let (_, error) = call(&layer(), all).await.broke_off();
        assert_eq!(error.kind(), Kind::Disconnected);
        assert!(error.source().expect("the client's").is::<io::Error>());
        let error = call(&layer(), vec![data(before), Step::Break])
            .await
            .no_response();
        assert_eq!(
            (error.kind(), error.class()),
            (Kind::Disconnected, ErrorClass::Network)
        );
        // All of it is there: what becomes of the connection does not matter.
        let all = [sample.before, &[sample.content], sample.end].concat();
        let mut all_steps = steps(&all);
        all_steps.push(Step::Break);
        assert_eq!(call(&layer(), all_steps).await.well(), all.concat());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_empty_or_a_page_is_no_response() {
    for empty in [
        "",
        "\n\n",
        ": ping\n\n: ping\n\n",
        "data: [DONE]\n\n",
        "<html><body>502</body></html>\n\n",
    ] {
        let error = call(&layer(), vec![data(empty)]).await.no_response();
        let expected = if empty.contains("DONE") {
            Kind::CutOff
        } else {
            Kind::Empty
        };
        assert_eq!(error.kind(), expected, "{empty:?}");
    }
    let page = Response::builder().header("content-type", "text/html; charset=utf-8");
    let error = call_with(&layer(), page, vec![data("<html>")])
        .await
        .no_response();
    assert_eq!(
        (error.kind(), error.class()),
        (Kind::Html, ErrorClass::Server)
    );
    assert_eq!(error.outcome(), Outcome::Failure(FailureKind::Server));
    // Of a failure the status says enough.
    let page = Response::builder()
        .status(502)
        .header("content-type", "text/html");
    let (status, body) = call_with(&layer(), page, vec![data("<html>")])
        .await
        .status();
    assert_eq!((status, &*body), (502, "<html>"));
    let json = Response::builder().header("content-type", "application/json");
    let error = call_with(&layer(), json, vec![]).await.no_response();
    assert_eq!(error.kind(), Kind::Empty);
    for status in [201, 202, 204] {
        let accepted = Response::builder().status(status);
        let (got, _) = call_with(&layer(), accepted, vec![]).await.status();
        assert_eq!(got, status, "that is all there is to say");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_no_json_is_a_failure() {
    let broken = "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"del\n\n";
    let error = call(&layer(), steps(&[CHAT_ROLE, broken]))
        .await
        .no_response();
    assert_eq!(error.kind(), Kind::Malformed);
    let (text, error) = call(
        &layer(),
        steps(&[CHAT_ROLE, CHAT_HI, broken, CHAT_STOP, DONE]),
    )
    .await
    .broke_off();
    assert_eq!(text, [CHAT_ROLE, CHAT_HI].concat());
    assert_eq!(
        (error.kind(), error.class()),
        (Kind::Malformed, ErrorClass::Server)
    );
    // First of all, before it is known what the stream is.
    let error = call(&layer(), steps(&[broken])).await.no_response();
    assert_eq!(error.kind(), Kind::Malformed);
}

#[tokio::test(start_paused = true)]
async fn streams_of_no_dialect_may_hold_anything_and_end_anywhere() {
    let candidates = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}\n\n";
    assert_eq!(
        call(&layer(), steps(&[candidates])).await.well(),
        candidates
    );
    let text = with(|config| config.dialect(Dialect::Other));
    assert_eq!(
        call(&text, steps(&["data: hello\n\n"])).await.well(),
        "data: hello\n\n"
    );
    let (_, error) = call(&text, steps(&["data: x\n\n", "event: error\ndata: no\n\n"]))
        .await
        .broke_off();
    assert_eq!(error.kind(), Kind::Reported);
    // But not with its connection, nor by saying nothing more.
    for (last, kind) in [
        (Step::Break, Kind::Disconnected),
        (Step::Hang, Kind::BetweenContents),
    ] {
        let (_, error) = call(&layer(), vec![data(candidates), last])
            .await
            .broke_off();
        assert_eq!(error.kind(), kind);
    }
    // What is set is not detected.
    let anthropic = with(|config| {
        config
            .dialect(Dialect::AnthropicMessages)
            .errors(ErrorTable::anthropic())
    });
    let error = call(&anthropic, steps(&[candidates])).await.no_response();
    assert_eq!(error.kind(), Kind::CutOff);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_says_nothing_decides_no_dialect() {
    let metadata = "data: {\"id\":\"x\",\"created\":1,\"model\":\"m\"}\n\n";
    let chunk = "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\"}\n\n";
    let nested = "data: [[[\"x\"]]]\n\n";
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    for events in [
        vec![metadata],
        vec![chunk],
        vec![nested],
        vec![metadata, nested, metadata],
        vec![metadata, role],
    ] {
        let error = call(&layer(), steps(&events)).await.no_response();
        assert_eq!(error.kind(), Kind::CutOff, "{events:?}");
    }
    let hi = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    let (_, error) = call(&layer(), steps(&[metadata, hi])).await.broke_off();
    assert_eq!(error.kind(), Kind::CutOff);
    let all = [metadata, chunk, nested, hi, "data: [DONE]\n\n"];
    assert_eq!(call(&layer(), steps(&all)).await.well(), all.concat());
}

#[tokio::test(start_paused = true)]
async fn every_choice_of_a_chat_has_to_finish() {
    let chunk = |index: u32, finish: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"x\"}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let both = [chunk(0, "null"), chunk(1, "null"), chunk(0, "\"stop\"")];
    let (_, error) = call(&layer(), both.iter().cloned().map(data).collect())
        .await
        .broke_off();
    assert_eq!(error.kind(), Kind::CutOff);
    let mut both: Vec<_> = both.into_iter().map(data).collect();
    both.push(data(chunk(1, "\"length\"")));
    call(&layer(), both).await.well();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_stream_passes_untouched() {
    let layer = layer();
    let client = layer.layer(service_fn(|_: Request<()>| async {
        let response = Response::builder()
            .status(429)
            .header("content-type", "text/event-stream");
        Ok::<_, io::Error>(
            response
                .body(Full::<Bytes>::from("data: x"))
                .expect("a response"),
        )
    }));
    let response = client.oneshot(Request::new(())).await.expect("a response");
    assert!(!response.body().is_stream(), "the status says it");
    assert_eq!(response.body().size_hint().exact(), Some(7));
    assert_eq!(
        response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes(),
        "data: x"
    );
    // A stream that is compressed cannot be read.
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .header("content-encoding", "gzip");
    let text = call_with(&layer, response, vec![data("\x1f\x08 no text")])
        .await
        .well();
    assert_eq!(text, "\x1f\x08 no text");
    assert_eq!(layer.handle().counts().streams, 0);
    let head = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, io::Error>(Response::new(Full::<Bytes>::default()))
    }));
    let request = Request::head("/").body(()).expect("a request");
    assert!(head.oneshot(request).await.is_ok(), "has no body");
}

#[tokio::test(start_paused = true)]
async fn trailers_come_after_the_data() {
    let mut all = steps(CHAT);
    all.push(Step::Trailers);
    let open = std::sync::Arc::default();
    let client = layer().layer(service_fn(|_: Request<()>| async {
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, io::Error>(response.body(Script::new(&all, &open)).expect("a response"))
    }));
    let body = client
        .oneshot(Request::new(()))
        .await
        .expect("a stream")
        .into_body();
    let collected = body.collect().await.expect("no error");
    assert!(
        collected
            .trailers()
            .is_some_and(|trailers| trailers.contains_key("x-end"))
    );
    assert_eq!(collected.to_bytes(), CHAT.concat());
}

#[tokio::test(start_paused = true)]
async fn it_is_configured_and_bypassed_while_it_runs() {
    let layer = layer();
    let handle = layer.handle();
    let short = StreamConfig::builder()
        .first_content(SECOND)
        .build()
        .expect("valid");
    handle.configure(short.clone()).expect("valid");
    assert_eq!(handle.config(), short);
    let start = Instant::now();
    let error = call(&layer, vec![data(PING), Step::Hang])
        .await
        .no_response();
    assert_eq!(
        (error.kind(), Instant::now() - start),
        (Kind::FirstContent, SECOND)
    );
    handle.bypass();
    let text = call(&layer, steps(&[PING])).await.well();
    assert_eq!(text, PING, "as if it were not there");
    assert_eq!(handle.snapshot().state.as_str(), "bypassed");
    let (_, error) = call(&layer, vec![data(PING), Step::Break])
        .await
        .broke_off();
    assert_eq!(error.name().as_str(), "model");
    handle.reset();
    call(&layer, steps(&[PING])).await.no_response();
    assert_eq!(handle.counts().streams, 2);
    assert_eq!(handle.counts().before_content, 2);
}

/// Dropped at every step, nothing stays behind.
#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_at_any_time() {
    let mut all = Vec::new();
    for event in MESSAGES {
        all.extend([Step::Wait(SECOND), data(*event)]);
    }
    let open = std::sync::Arc::default();
    for after in 0..9_u32 {
        let mut client = layer().layer(service_fn(|_: Request<()>| async {
            tokio::time::sleep(SECOND / 2).await;
            let response = Response::builder().header("content-type", "text/event-stream");
            Ok::<_, io::Error>(response.body(Script::new(&all, &open)).expect("a response"))
        }));
        // Never polled.
        drop(client.call(Request::new(())));
        let reading = async {
            let response = client.call(Request::new(())).await.expect("a stream");
            read(response).await
        };
        let went = tokio::time::timeout(SECOND * after, reading).await;
        assert_eq!(went.is_ok(), after == 8, "{after}");
        assert_eq!(open.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}

/// Called and polled once, and then not any more: nothing runs by itself.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_any_more_does_nothing() {
    let layer = layer();
    let open = std::sync::Arc::default();
    let all = vec![
        data(PING),
        Step::Wait(SECOND),
        data(MESSAGE_HI),
        data(MESSAGE_STOP),
    ];
    let client = layer.layer(service_fn(|_: Request<()>| async {
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, io::Error>(response.body(Script::new(&all, &open)).expect("a response"))
    }));
    let mut call = Box::pin(client.oneshot(Request::new(())));
    assert!(matches!(futures_poll(call.as_mut()).await, Poll::Pending));
    tokio::time::sleep(60 * SECOND).await;
    let response = call
        .await
        .expect("the content is there, whenever it is looked for");
    assert!(matches!(read(response).await, Went::Well(200, _)));
}

async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test]
async fn errors_say_what_happened() {
    let error = call(&layer(), steps(&[CHAT_ROLE])).await.no_response();
    let text = format!(
        "stream `model`: the stream has ended too early, before `[DONE]` or a `finish_reason`; {} bytes with 0 contents came before",
        CHAT_ROLE.len()
    );
    assert_eq!(error.to_string(), text);
    let (_, error) = call(&layer(), steps(&[MESSAGE_HI, OVERLOADED]))
        .await
        .broke_off();
    let text = format!(
        "stream `model`: the API has reported an error: the provider is overloaded (\"Overloaded\"); {} bytes with 1 contents came before",
        MESSAGE_HI.len()
    );
    assert_eq!(error.to_string(), text);
    let error: CallError<io::Error> = CallError::Client(io::ErrorKind::ConnectionRefused.into());
    assert_eq!(error.outcome(), Outcome::Unknown);
}
