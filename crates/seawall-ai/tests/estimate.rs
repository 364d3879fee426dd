//! What becomes of the estimate of a call, however it ends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use seawall_ai::NoteDeparture;
use seawall_ai::estimate::{EstimateConfig, EstimateHandle, EstimateLayer, Prompt};
use seawall_core::{
    DepartureLayer, Error, LateUsage, PartitionKey, TokenCount, Unit, WrapErrorLayer,
};
use seawall_http::quota::{TokenEstimate, Usage};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const PROMPT: &str = r#"{"model":"m","max_tokens":100,"prompt":"A text of 24 bytes. Yes!"}"#;

/// A body of pieces, of which `None` is an error.
struct Pieces(Vec<Option<&'static str>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match self.0.remove(0) {
            Some(piece) => Ok(Frame::data(Bytes::from(piece))),
            None => Err(io::Error::other("broken")),
        }))
    }
}

type Corrections = Arc<Mutex<Vec<(Unit, u64)>>>;

/// A response whose estimate is corrected late, into that list.
fn streamed(pieces: &[Option<&'static str>], corrections: &Corrections) -> Response<Pieces> {
    let mut response = Response::new(Pieces(pieces.to_vec()));
    let corrections = Arc::clone(corrections);
    response
        .extensions_mut()
        .insert(LateUsage::new(move |used| {
            corrections
                .lock()
                .expect("no panic")
                .extend_from_slice(used);
        }));
    response
}

fn request() -> Request<Full<Bytes>> {
    Request::new(Full::from(PROMPT))
}

/// Reads so many frames of such a response, drops it, and says what was corrected.
async fn run(
    config: EstimateConfig,
    pieces: &'static [Option<&'static str>],
    frames: usize,
) -> (EstimateHandle, Vec<(Unit, u64)>) {
    let corrections = Corrections::default();
    let layer = EstimateLayer::new("m", config);
    let (handle, inner) = (layer.handle(), Arc::clone(&corrections));
    let service = layer.layer(service_fn(move |_: Request<Full<Bytes>>| {
        let response = streamed(pieces, &inner);
        async move { Ok::<_, Infallible>(response) }
    }));
    let mut body = service.oneshot(request()).await.unwrap().into_body();
    for _ in 0..frames {
        if !matches!(body.frame().await, Some(Ok(_))) {
            break;
        }
    }
    drop(body);
    let corrections = corrections.lock().expect("no panic").clone();
    (handle, corrections)
}

const ALL: usize = usize::MAX;
const CHAT: &[Option<&str>] = &[
    Some("data: {\"choices\":[{\"delta\":{\"content\":\"eight by\"}}]}\n\n"),
    Some("data: {\"choices\":[{\"delta\":{\"content\":\"te\"}}]}\n\ndata: [DONE]\n\n"),
];

fn of(input: u64, output: u64) -> Vec<(Unit, u64)> {
    Usage::new(input, output).units().to_vec()
}

#[tokio::test]
async fn a_stream_that_reports_its_usage_is_settled_by_it() {
    const PIECES: &[Option<&str>] = &[
        Some("data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"usage\":{\"prom"),
        Some("pt_tokens\":9,\"completion_tokens\":12}}\n\ndata: [DONE]\n\n"),
    ];
    let (handle, corrections) = run(EstimateConfig::default(), PIECES, ALL).await;
    assert_eq!(corrections, of(9, 12));
    assert_eq!(handle.counts().settled, 1);
    assert_eq!(handle.snapshot().models[0].responses, 1);
}

#[tokio::test]
async fn a_stream_without_usage_counts_what_was_delivered() {
    let (handle, corrections) = run(EstimateConfig::default(), CHAT, ALL).await;
    // Twenty-four bytes of prompt are 6 tokens, or 8 of three bytes.
    assert_eq!(corrections, of(8, 2 + 1));
    assert_eq!(handle.counts().delivered, 1);
    let kept = EstimateConfig::builder().count_delivered(false).build();
    let (handle, corrections) = run(kept.unwrap(), CHAT, ALL).await;
    assert_eq!(corrections, of(8, 100));
    assert_eq!(handle.counts().without_usage, 1);
    assert_eq!(handle.snapshot().models[0].responses, 0);
}

#[tokio::test]
async fn a_stream_that_is_dropped_or_breaks_keeps_its_output_and_corrects_its_input() {
    const STARTED: &[Option<&str>] = &[
        Some(
            "event: message_start\n\
             data: {\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n",
        ),
        Some("data: {\"delta\":{\"text\":\"Hello\"}}\n\n"),
        None,
    ];
    for frames in [1, 2, 3, ALL] {
        let (handle, corrections) = run(EstimateConfig::default(), STARTED, frames).await;
        assert_eq!(corrections, of(25, 100), "{frames} frames");
        assert_eq!(handle.counts().broken_off, 1);
        let model = &handle.snapshot().models;
        assert!(model.iter().all(|m| m.responses == 0 && m.in_flight == 0));
    }
    let (handle, corrections) = run(EstimateConfig::default(), CHAT, 0).await;
    assert_eq!((corrections, handle.counts().broken_off), (of(8, 100), 1));
}

#[tokio::test]
async fn what_was_delivered_beyond_what_is_reserved_counts() {
    let piece = format!(
        "data: {{\"delta\":{{\"text\":\"{}\"}}}}\n\n",
        "x".repeat(1_000)
    );
    let pieces: &'static [Option<&str>] = Box::leak(Box::new([Some(&*piece.leak()), None]));
    let (_, corrections) = run(EstimateConfig::default(), pieces, ALL).await;
    assert_eq!(corrections, of(8, 250));
}

#[tokio::test]
async fn hostile_usage_is_bounded_and_a_missing_one_is_none() {
    const HUGE: &[Option<&str>] = &[Some(
        "{\"usage\":{\"prompt_tokens\":9223372036854775808,\
         \"completion_tokens\":18446744073709551615}}",
    )];
    const NEGATIVE: &[Option<&str>] = &[Some(
        "{\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":-1}}",
    )];
    const ZERO: &[Option<&str>] = &[Some(
        "{\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}",
    )];
    const MISSING: &[Option<&str>] = &[Some("{\"usage\":null}")];
    let (handle, corrections) = run(EstimateConfig::default(), HUGE, ALL).await;
    assert_eq!(corrections, of(16_384, 100));
    assert_eq!(handle.counts().settled, 1);
    for pieces in [NEGATIVE, MISSING, ZERO] {
        let (handle, corrections) = run(EstimateConfig::default(), pieces, ALL).await;
        assert_eq!(corrections, of(8, 100));
        assert_eq!(handle.counts().without_usage, 1);
    }
}

#[tokio::test]
async fn an_error_and_the_status_of_one_teach_nothing() {
    for status in [None, Some(429), Some(400), Some(503)] {
        let layer = EstimateLayer::new("m", EstimateConfig::default());
        let service = layer.layer(service_fn(move |_: Request<Full<Bytes>>| async move {
            let Some(status) = status else {
                return Err(io::Error::other("lost"));
            };
            let mut response = Response::new(Full::<Bytes>::from("{}"));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(response)
        }));
        let _ = service.oneshot(request()).await;
        assert_eq!(layer.handle().counts().failed, 1, "{status:?}");
        let models = layer.handle().snapshot().models;
        assert_eq!((models[0].responses, models[0].in_flight), (0, 0));
    }
}

#[tokio::test]
async fn usage_that_the_stack_has_read_settles_before_the_body() {
    let layer = EstimateLayer::new("m", EstimateConfig::default());
    let service = layer.layer(service_fn(|_: Request<Full<Bytes>>| async {
        let mut response = Response::new(Full::<Bytes>::from("{}"));
        response.extensions_mut().insert(Usage::new(7, 5));
        Ok::<_, Infallible>(response)
    }));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(layer.handle().counts().settled, 1);
    drop(response);
    assert_eq!(layer.handle().counts().broken_off, 0);
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_ready())).await
}

/// Dropped after each number of polls, and never polled: nothing stays in flight.
#[tokio::test]
async fn a_call_that_is_dropped_anywhere_leaves_nothing_in_flight() {
    for polls in 0..6 {
        let layer = EstimateLayer::new("m", EstimateConfig::default());
        let mut service = layer.layer(service_fn(|_: Request<Full<Bytes>>| async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("{}")))
        }));
        let mut call = Box::pin(service.ready().await.unwrap().call(request()));
        let mut done = false;
        for _ in 0..polls {
            done = done || poll_once(&mut call).await;
        }
        let in_flight = || layer.handle().snapshot().models[0].in_flight;
        // The response that has come was dropped with its body.
        assert_eq!(in_flight(), u32::from(!done), "{polls} polls");
        drop(call);
        assert_eq!(in_flight(), 0, "{polls} polls");
        let counts = layer.handle().counts();
        assert_eq!(
            (counts.abandoned, counts.broken_off),
            (u64::from(!done), u64::from(done))
        );
        assert_eq!(done, polls >= 4);
    }
}

/// A body that is not there at once.
#[derive(Clone)]
struct Slow;

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(3_000)
    }
}

async fn estimate_of<B>(layer: EstimateLayer, body: B) -> (TokenCount, Option<PartitionKey>)
where
    B: Body<Data = Bytes> + Clone + Unpin,
{
    let seen = Mutex::new(None);
    let client = layer.layer(service_fn(|request: Request<B>| {
        let TokenEstimate(tokens) = request.extensions().get().expect("estimated");
        let key = request.extensions().get::<PartitionKey>().copied();
        *seen.lock().expect("no panic") = Some((*tokens, key));
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    client.oneshot(Request::new(body)).await.unwrap();
    seen.lock().expect("no panic").expect("called")
}

#[tokio::test]
async fn a_body_that_cannot_be_read_counts_by_its_length() {
    let layer = || EstimateLayer::new("m", EstimateConfig::default());
    let (tokens, key) = estimate_of(layer(), Slow).await;
    assert_eq!((tokens, key), (TokenCount::new(1_000, 4_096), None));
    let text = Full::<Bytes>::from("no JSON at all: 30 bytes long.");
    let (tokens, _) = estimate_of(layer(), text).await;
    assert_eq!(tokens, TokenCount::new(11, 4_096));
}

#[tokio::test]
async fn a_group_and_a_tokenizer_are_the_users_own() {
    let layer = EstimateLayer::new("m", EstimateConfig::default())
        .group(PartitionKey::of)
        .tokenizer(|prompt: &Prompt<'_>| prompt.text_bytes as u32 * 3);
    let (tokens, key) = estimate_of(layer, Full::from(PROMPT)).await;
    assert_eq!(tokens, TokenCount::new(24 * 3 * 4 / 3, 100));
    assert_eq!(key, Some(PartitionKey::of("m")));
}

/// With the hook, a call is in flight from its departure on, and not while it waits.
#[tokio::test]
async fn a_call_that_waits_is_not_in_flight() {
    let gate = Arc::new(tokio::sync::Semaphore::new(1));
    let layer = EstimateLayer::new("m", EstimateConfig::default());
    let handle = layer.handle();
    let departing = ServiceBuilder::new()
        .layer(DepartureLayer::new(NoteDeparture))
        .layer(WrapErrorLayer)
        .service(service_fn(|_: Request<Full<Bytes>>| async {
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));
    let waiting = Arc::clone(&gate);
    let client = layer.layer(service_fn(move |request| {
        let (gate, departing) = (Arc::clone(&waiting), departing);
        async move {
            gate.acquire().await.unwrap().forget();
            let response: Result<_, Error<Infallible>> = departing.oneshot(request).await;
            response
        }
    }));
    let settle = || async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        handle.snapshot().models[0].in_flight
    };
    let first = tokio::spawn(client.clone().oneshot(request()));
    assert_eq!(settle().await, 1);
    let second = tokio::spawn(client.oneshot(request()));
    assert_eq!(settle().await, 1);
    gate.add_permits(1);
    assert_eq!(settle().await, 2);
    first.abort();
    second.abort();
    assert_eq!(settle().await, 0);
}

/// Calls a model whose call succeeds if its name is short, and is a 404 otherwise.
async fn call_model(layer: &EstimateLayer, model: &str) {
    let exists = model.len() == 1;
    let service = layer.layer(service_fn(move |_: Request<Full<Bytes>>| async move {
        let text = "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}";
        let mut response = Response::new(Full::<Bytes>::from(text));
        if !exists {
            response = Response::new(Full::from("{}"));
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        Ok::<_, Infallible>(response)
    }));
    let body = PROMPT.replace("\"m\"", &format!("\"{model}\""));
    let response = service.oneshot(Request::new(Full::from(body))).await;
    response.unwrap().into_body().collect().await.unwrap();
}

fn responses(layer: &EstimateLayer) -> Vec<(String, u64)> {
    let models = layer.handle().snapshot().models;
    models.into_iter().map(|m| (m.model, m.responses)).collect()
}

#[tokio::test]
async fn names_that_are_no_models_leave_room_for_those_that_are() {
    let config = EstimateConfig::builder().max_models(2).build().unwrap();
    let layer = EstimateLayer::new("m", config);
    call_model(&layer, "a").await;
    for number in 0..10 {
        call_model(&layer, &format!("none-{number}")).await;
        assert!(responses(&layer).len() <= 2);
    }
    for _ in 0..2 {
        call_model(&layer, "b").await;
    }
    // What was learned stays, whatever comes.
    call_model(&layer, "none-again").await;
    call_model(&layer, "c").await;
    let of = |name: &str, responses| (name.to_owned(), responses);
    assert_eq!(responses(&layer), [of("a", 1), of("b", 2), of("", 1)]);
}

#[tokio::test]
async fn a_model_whose_first_call_is_in_flight_keeps_its_place() {
    let config = EstimateConfig::builder().max_models(1).build().unwrap();
    let layer = EstimateLayer::new("m", config);
    let never = layer.layer(service_fn(|_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    }));
    let mut first = Box::pin(never.oneshot(request()));
    assert!(!poll_once(&mut first).await);
    call_model(&layer, "a").await;
    let of = |name: &str, responses| (name.to_owned(), responses);
    assert_eq!(responses(&layer), [of("m", 0), of("", 1)]);
    drop(first);
    call_model(&layer, "a").await;
    assert_eq!(responses(&layer), [of("a", 1), of("", 1)]);
}

#[tokio::test]
async fn settings_commands_and_models_beyond_the_bound() {
    let config = EstimateConfig::builder().max_models(2).build().unwrap();
    let layer = EstimateLayer::new("m", config);
    for model in ["a", "b", "c", "d"] {
        call_model(&layer, model).await;
    }
    let handle = layer.handle();
    let of = |name: &str, responses| (name.to_owned(), responses);
    assert_eq!(responses(&layer), [of("a", 1), of("b", 1), of("", 2)]);
    handle.reset();
    assert!(handle.snapshot().models.is_empty());
    assert_eq!(handle.counts().settled, 4);
    for (invalid, field) in [
        (EstimateConfig::builder().deviations(f64::NAN), "deviations"),
        (EstimateConfig::builder().deviations(101.0), "deviations"),
        (
            EstimateConfig::builder().default_output(0),
            "default_output",
        ),
        (
            EstimateConfig::builder().longest_output(0),
            "longest_output",
        ),
        (
            EstimateConfig::builder().longest_output(4_095),
            "default_output",
        ),
        (EstimateConfig::builder().max_models(0), "max_models"),
    ] {
        assert_eq!(invalid.build().unwrap_err().field(), field);
    }
}
