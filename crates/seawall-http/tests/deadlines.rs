//! Deadlines that travel by header.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use proptest::prelude::*;
use seawall_core::{Command, InstanceHandle, Reason, Rejection, Replay, RequestMeta, Value};
use seawall_http::LayerState;
use seawall_http::deadline::{
    DeadlineHeader, DeadlineRead, ReadDeadline, ReadDeadlineConfig, ReadDeadlineLayer,
    RequestDeadline, RequestTimeout, WriteDeadline, WriteDeadlineLayer, deadline_of,
    propagate_deadline, read_deadline, request_timeout, write_deadline,
};
use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer, DeadlineConfig, DeadlineLayer};
use static_assertions::assert_impl_all;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const NAME: &str = "x-envoy-expected-rq-timeout-ms";

fn with_deadline(at: Instant) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(RequestDeadline(at));
    request
}

/// What goes over a wire: the head without its extensions.
fn over_the_wire(mut request: Request<()>) -> Request<()> {
    request.extensions_mut().clear();
    request
}

/// The client calls one server, that one calls another after two seconds, and so on. Each sees
/// less than the one before, and none works longer than its caller waits.
#[tokio::test(start_paused = true)]
async fn what_is_left_shrinks_from_hop_to_hop() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = |seen: &Mutex<Vec<Duration>>, request: &Request<()>| {
        let left = deadline_of(request).unwrap() - Instant::now();
        seen.lock().unwrap().push(left);
    };
    let last = {
        let seen = Arc::clone(&seen);
        ServiceBuilder::new()
            .map_request(over_the_wire)
            .layer(ReadDeadlineLayer::new(
                "last",
                ReadDeadlineConfig::default(),
            ))
            .layer(
                DeadlineLayer::new("last", DeadlineConfig::new(60 * SECOND).unwrap())
                    .propagate(propagate_deadline::<()>),
            )
            .service(service_fn(move |request: Request<()>| {
                record(&seen, &request);
                async move {
                    sleep(3_600 * SECOND).await;
                    Ok::<_, Rejection>(Response::new(()))
                }
            }))
    };
    let to_last = ServiceBuilder::new()
        .layer(WriteDeadlineLayer::new())
        .service(last);
    let middle = {
        let seen = Arc::clone(&seen);
        ServiceBuilder::new()
            .map_request(over_the_wire)
            .layer(ReadDeadlineLayer::new(
                "middle",
                ReadDeadlineConfig::default(),
            ))
            .layer(
                DeadlineLayer::new("middle", DeadlineConfig::new(60 * SECOND).unwrap())
                    .propagate(propagate_deadline::<()>),
            )
            .service(service_fn(move |request: Request<()>| {
                record(&seen, &request);
                let to_last = to_last.clone();
                async move {
                    sleep(2 * SECOND).await;
                    let mut next = Request::new(());
                    if let Some(at) = deadline_of(&request) {
                        propagate_deadline(&mut next, at);
                    }
                    to_last.oneshot(next).await
                }
            }))
    };
    let client = ServiceBuilder::new()
        .layer(
            DeadlineLayer::new("client", DeadlineConfig::new(10 * SECOND).unwrap())
                .propagate(propagate_deadline::<()>),
        )
        .layer(WriteDeadlineLayer::new())
        .service(middle);
    let start = Instant::now();
    let rejected = client.oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(rejected.reason(), Reason::DeadlineExceeded);
    assert_eq!(
        (Instant::now() - start),
        10 * SECOND,
        "not a minute, and not two"
    );
    assert_eq!(*seen.lock().unwrap(), [10 * SECOND, 8 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_sends_what_is_left_then() {
    let mut client = WriteDeadlineLayer::new();
    let mut request = with_deadline(Instant::now() + 5 * SECOND);
    for left in ["5000", "3000"] {
        client = client.clone();
        let echo = service_fn(|request: Request<()>| {
            ready(Ok::<_, Rejection>(request.headers()[NAME].clone()))
        });
        let copy = request.clone();
        let service = ServiceBuilder::new().layer(client.clone()).service(echo);
        assert_eq!(service.oneshot(copy).await.unwrap(), left);
        sleep(2 * SECOND).await;
    }
    // A header with more than is left now is written again.
    write_deadline(&mut request, &DeadlineHeader::default());
    sleep(500 * MS).await;
    write_deadline(&mut request, &DeadlineHeader::default());
    assert_eq!(request.headers()[NAME], "500");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_deadline_is_left_alone_and_a_shorter_header_stays() {
    let header = DeadlineHeader::default();
    let mut request = Request::new(());
    assert_eq!(write_deadline(&mut request, &header), None);
    assert!(request.headers().is_empty());
    request.headers_mut().insert(NAME, "7".parse().unwrap());
    assert_eq!(write_deadline(&mut request, &header), None);
    let in_a_second = Instant::now() + SECOND;
    request
        .extensions_mut()
        .insert(RequestDeadline(in_a_second));
    assert_eq!(write_deadline(&mut request, &header), Some(SECOND));
    assert_eq!(request.headers()[NAME], "7");
    for worse in ["2000", "garbage", "0"] {
        request.headers_mut().insert(NAME, worse.parse().unwrap());
        write_deadline(&mut request, &header);
        assert_eq!(request.headers()[NAME], "1000");
    }
    let mut passed = with_deadline(Instant::now() - MS);
    assert_eq!(write_deadline(&mut passed, &header), Some(Duration::ZERO));
    assert_eq!(
        passed.headers()[NAME],
        "1",
        "zero means no timeout with Envoy"
    );
}

/// Who reads two of them believes neither.
#[tokio::test(start_paused = true)]
async fn of_several_headers_the_one_that_is_written_stays() {
    let header = DeadlineHeader::default();
    for (present, left) in [
        (["7", "9000"], "7"),
        (["9000", "7"], "7"),
        (["5000", "soon"], "1000"),
    ] {
        let mut request = with_deadline(Instant::now() + SECOND);
        for value in present {
            request.headers_mut().append(NAME, value.parse().unwrap());
        }
        write_deadline(&mut request, &header);
        let values: Vec<_> = request.headers().get_all(NAME).iter().collect();
        assert_eq!(values, [left], "{present:?}");
        let read = read_deadline(&mut over_the_wire(request), &header, YEAR);
        assert!(matches!(read, DeadlineRead::Set(_)), "{present:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_layers_that_write_the_inner_one_counts() {
    let echo = service_fn(|request: Request<()>| {
        let values = request.headers().get_all(NAME).iter().cloned();
        ready(Ok::<_, Rejection>(values.collect::<Vec<_>>()))
    });
    let service = ServiceBuilder::new()
        .layer(WriteDeadlineLayer::new())
        .map_request(|mut request: Request<()>| {
            // A layer between the two that knows of less.
            propagate_deadline(&mut request, Instant::now() + 200 * MS);
            request
        })
        .layer(WriteDeadlineLayer::new())
        .service(echo);
    let request = with_deadline(Instant::now() + SECOND);
    assert_eq!(service.oneshot(request).await.unwrap(), ["200"]);
}

#[tokio::test(start_paused = true)]
async fn garbage_and_absurd_headers_change_nothing_and_are_counted() {
    let layer = ReadDeadlineLayer::new("api", ReadDeadlineConfig::default());
    let handle = layer.handle();
    let server = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(|r: Request<()>| {
            ready(Ok::<_, Rejection>(deadline_of(&r)))
        }));
    let call = |values: &[&str]| {
        let mut request = Request::get("/");
        for value in values {
            request = request.header(NAME, *value);
        }
        server.clone().oneshot(request.body(()).unwrap())
    };
    let huge = "9".repeat(30);
    let over_a_year = (366_u64 * 24 * 3_600_000).to_string();
    let garbage = [
        "soon",
        "",
        "-1",
        "1.5",
        "0",
        huge.as_str(),
        over_a_year.as_str(),
    ];
    for value in garbage {
        assert_eq!(call(&[value]).await.unwrap(), None, "{value:?}");
    }
    assert_eq!(call(&["5", "7"]).await.unwrap(), None, "which of the two?");
    assert_eq!(handle.counts().ignored, 8);
    assert_eq!(call(&[]).await.unwrap(), None);
    assert_eq!(call(&["5"]).await.unwrap(), Some(Instant::now() + 5 * MS));
    assert_eq!(handle.counts().ignored, 8);
    let mut samples = Vec::new();
    handle.samples(&mut seawall_core::Samples::new(&mut |sample| {
        samples.push((sample.metric.to_owned(), sample.value));
    }));
    let counted = (
        "seawall_deadline_headers_ignored_total".to_owned(),
        Value::Counter(8),
    );
    assert_eq!(samples, [counted]);
}

#[tokio::test(start_paused = true)]
async fn settings_and_commands_apply_to_services_in_use() {
    let layer = ReadDeadlineLayer::new("api", ReadDeadlineConfig::default());
    let handle = layer.handle();
    let server = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(|r: Request<()>| {
            ready(Ok::<_, Rejection>(deadline_of(&r)))
        }));
    let call = || {
        let request = Request::get("/").header(NAME, "2000").body(()).unwrap();
        server.clone().oneshot(request)
    };
    let at = Some(Instant::now() + 2 * SECOND);
    assert_eq!(call().await.unwrap(), at);
    let short = ReadDeadlineConfig::new(SECOND).unwrap();
    handle.configure(short).unwrap();
    assert_eq!((handle.config(), call().await.unwrap()), (short, None));
    assert_eq!(handle.counts().ignored, 1);
    handle.configure(ReadDeadlineConfig::default()).unwrap();

    handle.control(Command::Bypass).unwrap();
    assert_eq!(call().await.unwrap(), None);
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.state, LayerState::Bypassed);
    assert_eq!(
        (snapshot.name.as_str(), snapshot.counts.ignored),
        ("api", 1)
    );
    handle.control(Command::Reset).unwrap();
    assert_eq!(call().await.unwrap(), at);
    assert!(handle.control(Command::Block).is_err());
    let rejected = ReadDeadlineConfig::new(Duration::ZERO).unwrap_err();
    assert_eq!(rejected.field(), "max_timeout");
}

#[tokio::test(start_paused = true)]
async fn of_a_header_and_an_own_deadline_the_earlier_counts() {
    let now = Instant::now();
    let header = DeadlineHeader::default();
    let mut request = with_deadline(now + SECOND);
    request.headers_mut().insert(NAME, "5000".parse().unwrap());
    assert_eq!(
        read_deadline(&mut request, &header, YEAR),
        DeadlineRead::Set(now + SECOND)
    );
    request.headers_mut().insert(NAME, "500".parse().unwrap());
    assert_eq!(
        read_deadline(&mut request, &header, YEAR),
        DeadlineRead::Set(now + 500 * MS)
    );
    assert_eq!(deadline_of(&request), Some(now + 500 * MS));
    let meta = RequestMeta::new(Replay::Safe).with_deadline(now + 100 * MS);
    request.extensions_mut().insert(meta);
    assert_eq!(deadline_of(&request), Some(now + 100 * MS));
    assert_eq!(deadline_of(&Request::new(())), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_has_the_timeout_of_its_attempts() {
    let layer = AttemptTimeoutLayer::new("a", AttemptTimeoutConfig::fixed(SECOND).unwrap())
        .per_request(request_timeout::<()>);
    let service = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(|_| async {
            sleep(2 * SECOND).await;
            Ok::<_, Rejection>(())
        }));
    let mut long = Request::new(());
    long.extensions_mut().insert(RequestTimeout(3 * SECOND));
    assert!(service.clone().oneshot(long).await.is_ok());
    assert!(service.oneshot(Request::new(())).await.is_err());
}

proptest! {
    #[test]
    fn no_header_makes_a_server_panic(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut request = Request::new(());
        if let Ok(value) = http::HeaderValue::from_bytes(&value) {
            request.headers_mut().insert(NAME, value);
        }
        let read = read_deadline(&mut request, &DeadlineHeader::default(), YEAR);
        let set = matches!(read, DeadlineRead::Set(_));
        prop_assert_eq!(deadline_of(&request).is_some(), set);
    }
}

assert_impl_all!(WriteDeadline<()>: Send, Sync, Clone, Unpin);
assert_impl_all!(ReadDeadline<()>: Send, Sync, Clone, Unpin);
