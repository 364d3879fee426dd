//! What the limits on bodies promise, one sentence each.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::future::{Future, pending, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{
    Command, Complete, Error, EventKind, Events, FailureKind, InstanceHandle, Outcome, Reason,
    Received, Rejectable, Rejection, Sent, TrackCompletion, Value, find_rejection,
};
use seawall_http::body_timeout::{
    BodyTimeout, BodyTimeoutConfig, BodyTimeoutHandle, BodyTimeoutLayer, TimedBody,
};
use seawall_http::deadline::RequestDeadline;
use seawall_http::{CompleteOnBodyEnd, GuardedBody, LayerState, body_timeout};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::time::{Instant, Sleep, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Step {
    Data(&'static str),
    Trailers,
    Fail,
    Pause(Duration),
    /// Nothing to read, once.
    Wait,
    /// Nothing to read, forever.
    Stall,
    /// The same frame forever, at once.
    Endless(&'static str),
}

use Step::{Data, Endless, Fail, Pause, Stall, Trailers, Wait};

/// A body with one step after another, which is counted while it lives.
#[derive(Debug)]
struct Script {
    steps: VecDeque<Step>,
    pause: Option<Pin<Box<Sleep>>>,
    alive: Arc<AtomicUsize>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            let data = |text: &'static str| Frame::data(Bytes::from_static(text.as_bytes()));
            return Poll::Ready(match self.steps.pop_front() {
                None => None,
                Some(Data(text)) => Some(Ok(data(text))),
                Some(Endless(text)) => {
                    self.steps.push_front(Endless(text));
                    Some(Ok(data(text)))
                }
                Some(Trailers) => Some(Ok(Frame::trailers(HeaderMap::new()))),
                Some(Fail) => Some(Err(std::io::Error::other("broken"))),
                Some(Pause(pause)) => {
                    self.pause = Some(Box::pin(sleep(pause)));
                    continue;
                }
                Some(Wait) => return Poll::Pending,
                Some(Stall) => {
                    self.steps.push_front(Stall);
                    return Poll::Pending;
                }
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.pause.is_none()
    }
}

#[derive(Clone, Default)]
struct Upstream {
    alive: Arc<AtomicUsize>,
}

impl Upstream {
    fn body(&self, steps: &[Step]) -> Script {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Script {
            steps: steps.iter().copied().collect(),
            pause: None,
            alive: Arc::clone(&self.alive),
        }
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
}

fn config() -> seawall_http::body_timeout::BodyTimeoutConfigBuilder {
    BodyTimeoutConfig::builder().without_idle()
}

fn idle(limit: Duration) -> BodyTimeoutConfig {
    config().idle(limit).build().unwrap()
}

/// The body of those steps, within those limits, of a request with a deadline.
async fn body_of(
    config: BodyTimeoutConfig,
    steps: &[Step],
    until: Option<Duration>,
) -> (TimedBody<Script>, BodyTimeoutHandle, Upstream) {
    let upstream = Upstream::default();
    let layer = BodyTimeoutLayer::new("ai", config);
    let body = upstream.body(steps);
    let mut body = Some(body);
    let inner = service_fn(move |_: Request<()>| {
        ready(Ok::<_, Rejection>(Response::new(body.take().unwrap())))
    });
    let mut request = Request::new(());
    if let Some(until) = until {
        let at = Instant::now() + until;
        request.extensions_mut().insert(RequestDeadline(at));
    }
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    (response.into_body(), layer.handle(), upstream)
}

/// A service of bodies that stall after their first frame.
fn stalling(
    layer: &BodyTimeoutLayer,
) -> (
    Upstream,
    impl Service<Request<()>, Response = Response<TimedBody<Script>>, Error = Rejection>,
) {
    let upstream = Upstream::default();
    let bodies = upstream.clone();
    let inner = service_fn(move |_: Request<()>| {
        let body = bodies.body(&[Data("The"), Stall]);
        ready(Ok::<_, Rejection>(Response::new(body)))
    });
    (upstream, layer.layer(inner))
}

/// Reads to the end or the first error; returns what was read.
async fn read<B>(body: &mut B) -> (String, Option<B::Error>)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().unwrap_or_default();
                text.push_str(std::str::from_utf8(&data).unwrap());
            }
            Err(error) => return (text, Some(error)),
        }
    }
    (text, None)
}

fn reason(error: Option<Error<std::io::Error>>) -> Reason {
    let error = error.expect("an error");
    let found = find_rejection(&error).expect("found through the sources");
    assert_eq!(found.sent(), Sent::Maybe);
    assert_eq!(found.name().as_str(), "ai");
    found.reason()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_ends_with_an_error_and_its_connection() {
    let steps = [Data("The"), Pause(900 * MS), Data(" answer"), Stall];
    let (mut body, handle, upstream) = body_of(idle(SECOND), &steps, None).await;
    let start = Instant::now();
    let (text, error) = read(&mut body).await;
    assert_eq!(text, "The answer");
    assert_eq!(reason(error), Reason::BodyTimeout);
    assert_eq!((Instant::now() - start), 1_900 * MS);
    assert_eq!(upstream.alive(), 0, "closed while the body is still kept");
    assert!(body.frame().await.is_none());
    assert!(body.is_end_stream() && body.get_ref().is_none());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert_eq!((handle.counts().idle, handle.counts().timed_out()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_keeps_coming_never_times_out_by_its_idle_time() {
    let steps = [Data("."), Pause(999 * MS)].repeat(500);
    let (mut body, handle, _) = body_of(idle(SECOND), &steps, None).await;
    let (text, error) = read(&mut body).await;
    assert_eq!((text.len(), error.is_none()), (500, true));
    assert_eq!(handle.counts().timed_out(), 0);
    assert!(!body.is_timing(), "a body that has ended has no timer");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_an_idle_upstream() {
    let steps = [Data("a"), Pause(MS), Data("b")];
    let (mut body, _, _) = body_of(idle(SECOND), &steps, None).await;
    assert!(body.frame().await.unwrap().is_ok());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
    advance(10 * MS).await;
    sleep(900 * MS).await;
    assert!(
        body.frame().await.unwrap().is_ok(),
        "what came in time wins"
    );
    sleep(10 * SECOND).await;
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn empty_pieces_do_not_keep_a_dead_stream_alive() {
    let steps = [Data("a"), Pause(400 * MS), Data("")];
    let steps = [&steps[..], &[Pause(400 * MS), Data("")].repeat(5)].concat();
    let (mut body, _, _) = body_of(idle(SECOND), &steps, None).await;
    let start = Instant::now();
    assert_eq!(reason(read(&mut body).await.1), Reason::BodyTimeout);
    assert_eq!((Instant::now() - start), SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_time_to_the_first_byte_counts_from_the_calls_first_poll() {
    let limits = config()
        .first_byte(3 * SECOND)
        .idle(SECOND)
        .build()
        .unwrap();
    let upstream = Upstream::default();
    let layer = BodyTimeoutLayer::new("ai", limits);
    let inner = {
        let upstream = upstream.clone();
        service_fn(move |request: Request<Vec<Step>>| {
            let body = upstream.body(request.body());
            async move {
                sleep(2 * SECOND).await;
                Ok::<_, Rejection>(Response::new(body))
            }
        })
    };
    let mut service = layer.layer(inner);
    let mut respond = |steps: &[Step]| service.call(Request::new(steps.to_vec()));

    // A second is left after the head, and idle time does not count before the first byte.
    let call = respond(&[Stall]);
    advance(5 * SECOND).await;
    let start = Instant::now();
    let mut body = call.await.unwrap().into_body();
    assert_eq!(reason(read(&mut body).await.1), Reason::BodyTimeout);
    assert_eq!((Instant::now() - start), 3 * SECOND);
    assert_eq!(layer.handle().counts().first_byte, 1);

    // After the first byte it is over, and idle time counts.
    let mut body = respond(&[Data("a"), Pause(900 * MS), Data("b"), Stall])
        .await
        .unwrap()
        .into_body();
    let start = Instant::now();
    assert_eq!(reason(read(&mut body).await.1), Reason::BodyTimeout);
    assert_eq!((Instant::now() - start), 1_900 * MS);
    assert_eq!(layer.handle().counts().idle, 1);
    assert_eq!(upstream.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_head_fails_itself_and_drops_the_inner_call_first() {
    let held = Arc::new(());
    let inner = {
        let held = Arc::clone(&held);
        service_fn(move |_: Request<()>| {
            let held = Arc::clone(&held);
            async move {
                pending::<()>().await;
                drop(held);
                Ok::<_, Rejection>(Response::new(Full::<Bytes>::default()))
            }
        })
    };
    let layer = BodyTimeoutLayer::new("ai", config().first_byte(SECOND).build().unwrap());
    let mut call = Box::pin(layer.layer(inner).call(Request::new(())));
    let start = Instant::now();
    let rejected = call.as_mut().await.unwrap_err();
    assert_eq!(
        (rejected.reason(), rejected.sent()),
        (Reason::AttemptTimeout, Sent::Maybe)
    );
    assert_eq!((Instant::now() - start), SECOND);
    // The finished future is still here: the service's handler holds one, this test the other.
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(layer.handle().counts().head, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_takes_no_longer_than_it_may_in_total() {
    let steps = [Data("."), Pause(900 * MS)].repeat(100);
    let limits = config().idle(SECOND).total(10 * SECOND).build().unwrap();
    let (mut body, handle, _) = body_of(limits, &steps, None).await;
    let start = Instant::now();
    let (text, error) = read(&mut body).await;
    assert_eq!(reason(error), Reason::BodyTimeout);
    assert_eq!((text.len(), (Instant::now() - start)), (12, 10 * SECOND));
    assert_eq!(handle.counts().total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_is_ended_too() {
    let limits = config().total(SECOND).build().unwrap();
    let (mut body, handle, _) = body_of(limits, &[Endless("x")], None).await;
    for _ in 0..10 {
        assert!(body.frame().await.unwrap().is_ok());
        advance(100 * MS).await;
    }
    assert!(
        body.frame().await.unwrap().is_ok(),
        "together with the end: it came in time"
    );
    advance(MS).await;
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.rejection().unwrap().reason(), Reason::BodyTimeout);
    assert_eq!(handle.counts().total, 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_piece_passes_however_late_it_is_asked_for() {
    let limits = config().total(SECOND).build().unwrap();
    let (mut body, handle, _) = body_of(limits, &[Data("a")], None).await;
    advance(5 * SECOND).await;
    assert_eq!(read(&mut body).await.0, "a");
    assert_eq!(handle.counts().timed_out(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_request_ends_the_body_where_that_is_wanted() {
    let steps = [Data("."), Pause(900 * MS)].repeat(5);
    let within = config().within_deadline(true).build().unwrap();
    let (mut body, handle, _) = body_of(within, &steps, Some(2 * SECOND)).await;
    let start = Instant::now();
    assert_eq!(reason(read(&mut body).await.1), Reason::DeadlineExceeded);
    assert_eq!(
        ((Instant::now() - start), handle.counts().deadline),
        (2 * SECOND, 1)
    );
    let (mut body, handle, _) = body_of(idle(SECOND), &steps, Some(2 * SECOND)).await;
    assert!(read(&mut body).await.1.is_none());
    assert_eq!(handle.counts().timed_out(), 0);
}

#[tokio::test(start_paused = true)]
async fn errors_trailers_and_the_end_of_the_inner_body_pass() {
    let (mut body, handle, _) = body_of(idle(SECOND), &[Data("a"), Trailers], None).await;
    assert!(body.frame().await.unwrap().is_ok());
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    assert!(body.frame().await.is_none());
    let (mut body, _, _) = body_of(idle(SECOND), &[Pause(MS), Fail, Stall], None).await;
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.into_inner().unwrap().to_string(), "broken");
    assert!(!body.is_timing());
    assert_eq!(handle.counts().timed_out(), 0);
}

/// The response to a HEAD request, a 204: a caller that sees the end does not read it.
#[tokio::test(start_paused = true)]
async fn a_response_without_a_body_has_ended_and_is_never_late() {
    let limits = config().idle(MS).first_byte(MS).total(MS).build().unwrap();
    let layer = BodyTimeoutLayer::new("ai", limits);
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Rejection>(Response::new(Full::<Bytes>::default())))
    });
    let response = layer.layer(inner).oneshot(Request::new(())).await.unwrap();
    let mut body = response.into_body();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    advance(SECOND).await;
    assert!(body.frame().await.is_none() && !body.is_timing());
    assert_eq!(layer.handle().counts().timed_out(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_read_on_after_its_own_error_is_limited_no_more() {
    let steps = [Fail, Pause(5 * SECOND), Data("more")];
    let (mut body, handle, upstream) = body_of(idle(SECOND), &steps, None).await;
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(read(&mut body).await.0, "more");
    assert_eq!((handle.counts().timed_out(), upstream.alive()), (0, 1));
}

#[test]
fn no_timer_no_runtime_and_no_memory_while_pieces_are_ready() {
    // No Tokio runtime here: arming a timer would panic.
    let limits = config().idle(SECOND).first_byte(SECOND).total(SECOND);
    let layer = BodyTimeoutLayer::new("ai", limits.build().unwrap());
    let inner = service_fn(|request: Request<Full<Bytes>>| {
        ready(Ok::<_, Rejection>(Response::new(request.into_body())))
    });
    let mut service = layer.layer(inner);
    let mut once = |request| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut call = pin!(service.call(request));
        let Poll::Ready(Ok(response)) = call.as_mut().poll(&mut cx) else {
            panic!("not ready");
        };
        let mut body = response.into_body();
        for expected in [true, false] {
            let frame = Pin::new(&mut body).poll_frame(&mut cx);
            assert_eq!(matches!(frame, Poll::Ready(Some(Ok(_)))), expected);
        }
        assert!(!body.is_timing());
    };
    once(Request::new(Full::from("abc")));
    let request = Request::new(Full::from("abc"));
    let mut request = Some(request);
    let counted = seawall_testkit::alloc::count(|| once(request.take().unwrap()));
    assert_eq!(counted.allocations, 0);
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn one_timer_in_one_allocation_serves_a_complete_stream() {
    let steps = [Data("."), Wait].repeat(101);
    let (mut body, _, _) = body_of(idle(SECOND), &steps, None).await;
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let mut allocations = 0;
    for _ in 0..100 {
        let counted = seawall_testkit::alloc::count(|| {
            assert!(Pin::new(&mut body).poll_frame(&mut cx).is_ready());
            assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        });
        allocations += counted.allocations;
        advance(10 * MS).await;
    }
    assert!(allocations <= 1, "{allocations}");
    let wakes = wakes.0.load(Ordering::SeqCst);
    assert!(wakes <= 1, "one per idle time, not per piece: {wakes}");
}

#[tokio::test(start_paused = true)]
async fn a_timer_of_an_earlier_wait_does_not_end_a_later_one() {
    let steps = [
        Data("a"),
        Pause(700 * MS),
        Data("b"),
        Pause(700 * MS),
        Data("c"),
        Stall,
    ];
    let (mut body, _, _) = body_of(idle(SECOND), &steps, None).await;
    let start = Instant::now();
    let (text, error) = read(&mut body).await;
    assert_eq!(text, "abc");
    assert_eq!(reason(error), Reason::BodyTimeout);
    assert_eq!((Instant::now() - start), 2_400 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_first_byte_limit_longer_than_the_idle_one_leaves_the_shorter_one_in_force() {
    let limits = config()
        .first_byte(60 * SECOND)
        .idle(SECOND)
        .build()
        .unwrap();
    let (mut body, _, _) = body_of(limits, &[Pause(MS), Data("a"), Stall], None).await;
    let start = Instant::now();
    assert_eq!(reason(read(&mut body).await.1), Reason::BodyTimeout);
    assert_eq!((Instant::now() - start), 1_001 * MS);
}

#[tokio::test(start_paused = true)]
async fn sixty_four_stalled_responses_do_not_keep_sixty_four_permits_forever() {
    let upstream = Upstream::default();
    let permits = BulkheadConfig::builder()
        .max_concurrent(64)
        .max_waiting(0)
        .build();
    let bulkhead =
        BulkheadLayer::new("permits", permits.unwrap()).track_completion(CompleteOnBodyEnd);
    let handle = bulkhead.handle();
    let limits = BodyTimeoutLayer::new("ai", idle(20 * SECOND));
    let inner = {
        let upstream = upstream.clone();
        service_fn(move |_: Request<()>| {
            let body = upstream.body(&[Data("The"), Stall]);
            ready(Ok::<_, Rejection>(Response::new(body)))
        })
    };
    let service = bulkhead.layer(limits.layer(inner));
    let mut readers = Vec::new();
    for _ in 0..64 {
        let response = service.clone().oneshot(Request::new(())).await.unwrap();
        readers.push(tokio::spawn(async move {
            let mut body = response.into_body();
            let error = read(&mut body).await.1;
            // The body is kept after its error, as some readers do.
            (error, body)
        }));
    }
    sleep(19 * SECOND).await;
    assert_eq!((handle.in_flight(), upstream.alive()), (64, 64));
    let full = service.clone().oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(full.reason(), Reason::BulkheadFull);
    sleep(2 * SECOND).await;
    assert_eq!((handle.in_flight(), upstream.alive()), (0, 0));
    assert_eq!(limits.handle().counts().idle, 64);
    assert!(service.clone().oneshot(Request::new(())).await.is_ok());
    for reader in readers {
        assert_eq!(reason(reader.await.unwrap().0), Reason::BodyTimeout);
    }
}

/// Notes what became of a call.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Outcome>>>);

impl Complete for Recorder {
    fn complete(self, outcome: Outcome) {
        self.0.lock().unwrap().push(outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_around_the_body_sees_the_stall_as_a_failure() {
    let (body, _, _) = body_of(idle(SECOND), &[Data("The"), Stall], None).await;
    let recorder = Recorder::default();
    let guarded =
        CompleteOnBodyEnd.track_completion(recorder.clone(), Outcome::Success, Response::new(body));
    let mut body: GuardedBody<_, _> = guarded.into_body();
    assert!(read(&mut body).await.1.is_some());
    assert_eq!(
        *recorder.0.lock().unwrap(),
        [Outcome::Failure(FailureKind::Body)]
    );
    assert!(!body.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_ticket_inside_of_the_limits_is_given_back_too() {
    let (recorder, upstream) = (Recorder::default(), Upstream::default());
    let layer = BodyTimeoutLayer::new("ai", idle(SECOND));
    let inner = service_fn(|_: Request<()>| {
        let response = Response::new(upstream.body(&[Stall]));
        let held = CompleteOnBodyEnd.track_completion(recorder.clone(), Outcome::Success, response);
        ready(Ok::<_, Rejection>(held))
    });
    let mut body = layer
        .layer(inner)
        .oneshot(Request::new(()))
        .await
        .unwrap()
        .into_body();
    assert!(read(&mut body).await.1.is_some());
    assert_eq!(recorder.0.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_and_bodies_that_are_dropped_count_for_nothing_and_leave_nothing() {
    let upstream = Upstream::default();
    let layer = BodyTimeoutLayer::new(
        "ai",
        config().first_byte(SECOND).idle(SECOND).build().unwrap(),
    );
    let inner = service_fn(|request: Request<Duration>| {
        let body = upstream.body(&[Data("a"), Stall]);
        async move {
            sleep(*request.body()).await;
            Ok::<_, Rejection>(Response::new(body))
        }
    });
    let mut service = layer.layer(inner);
    drop(service.call(Request::new(SECOND)));
    let call = service.call(Request::new(10 * SECOND));
    assert!(tokio::time::timeout(500 * MS, call).await.is_err());
    let body = service.call(Request::new(MS)).await.unwrap().into_body();
    advance(10 * SECOND).await;
    drop(body);
    let mut body = service.call(Request::new(MS)).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert!(tokio::time::timeout(500 * MS, body.frame()).await.is_err());
    advance(10 * SECOND).await;
    drop(body);
    assert_eq!(
        (upstream.alive(), layer.handle().counts().timed_out()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_uses_up_the_tasks_budget_is_ended_all_the_same() {
    struct Busy;
    impl Body for Busy {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            while tokio::task::coop::has_budget_remaining() {
                let mut unit = pin!(tokio::task::coop::consume_budget());
                let _ = unit.as_mut().poll(cx);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    let layer = BodyTimeoutLayer::new("ai", idle(SECOND));
    let inner = service_fn(|_: Request<()>| ready(Ok::<_, Rejection>(Response::new(Busy))));
    let response = layer.layer(inner).oneshot(Request::new(())).await.unwrap();
    let reader = tokio::spawn(async move { read(&mut response.into_body()).await.1 });
    for _ in 0..20 {
        advance(SECOND / 4).await;
    }
    assert!(reader.is_finished());
    assert_eq!(reason(reader.await.unwrap()), Reason::BodyTimeout);
}

#[tokio::test(start_paused = true)]
async fn the_longest_limits_do_not_panic() {
    let max = Duration::MAX;
    let limits = config()
        .first_byte(max)
        .idle(max)
        .total(max)
        .build()
        .unwrap();
    let (mut body, _, _) =
        body_of(limits, &[Pause(9_999 * SECOND), Data("a"), Pause(MS)], None).await;
    assert!(read(&mut body).await.1.is_none());
}

#[tokio::test(start_paused = true)]
async fn timeouts_are_emitted_and_published() {
    let events = Events::new(8);
    let mut subscription = events.subscribe();
    let layer = BodyTimeoutLayer::new("ai", idle(SECOND));
    layer.handle().attach(&events);
    let upstream = Upstream::default();
    let inner = service_fn(|_: Request<()>| {
        ready(Ok::<_, Rejection>(Response::new(upstream.body(&[Stall]))))
    });
    let mut service = layer.layer(inner);
    let mut body = service.call(Request::new(())).await.unwrap().into_body();
    assert!(read(&mut body).await.1.is_some());
    let Some(Received::Event(event)) = subscription.try_next() else {
        panic!("nothing was emitted");
    };
    assert!(
        matches!(event.kind, EventKind::Rejected(rejected) if rejected.reason() == Reason::BodyTimeout)
    );
    let mut seen = Vec::new();
    layer
        .handle()
        .samples(&mut seawall_core::Samples::new(&mut |sample| {
            if sample.value == Value::Counter(1) {
                seen.push((
                    sample.metric.to_owned(),
                    sample.labels.last().unwrap().1.to_owned(),
                ));
            }
        }));
    let counted = [
        ("seawall_rejections_total", "body_timeout"),
        ("seawall_body_timeouts_total", "idle"),
    ];
    assert_eq!(
        seen,
        counted.map(|(metric, label)| (metric.to_owned(), label.to_owned()))
    );
    let settings = layer.handle().settings();
    assert_eq!(settings[1], ("idle", "1s".to_owned()));
    assert_eq!(settings[2], ("total", "none".to_owned()));
}

#[test]
fn limits_of_zero_are_rejected_by_name() {
    let zero = Duration::ZERO;
    for (builder, field) in [
        (config().first_byte(zero), "first_byte"),
        (config().idle(zero), "idle"),
        (config().total(zero), "total"),
    ] {
        let rejected = builder.build().unwrap_err();
        assert_eq!((rejected.field(), rejected.value()), (field, "0s"));
    }
}

#[test]
fn an_idle_time_without_effect_is_rejected_and_the_default_gives_way() {
    let builder = BodyTimeoutConfig::builder().total(SECOND);
    let rejected = builder.idle(2 * SECOND).build().unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "`idle` is 2s, accepted is at most `total`, 1s"
    );
    assert_eq!(builder.build().unwrap().idle(), None);
    let long = builder.total(61 * SECOND).build().unwrap();
    assert_eq!(long.idle(), Some(60 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn limits_change_while_services_are_in_use() {
    let layer = BodyTimeoutLayer::new("ai", idle(SECOND));
    let handle = layer.handle();
    let (upstream, mut service) = stalling(&layer);
    handle.configure(idle(5 * SECOND)).unwrap();
    assert_eq!(handle.config(), idle(5 * SECOND));
    let start = Instant::now();
    let request = Request::new(());
    let mut body = service.call(request).await.unwrap().into_body();
    let (_, error) = read(&mut body).await;
    assert_eq!(reason(error), Reason::BodyTimeout);
    assert_eq!(Instant::now() - start, 5 * SECOND);
    assert_eq!((handle.counts().idle, upstream.alive()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_bypass_lifts_the_limits_of_new_responses_until_it_is_reset() {
    let layer = BodyTimeoutLayer::new("ai", idle(SECOND));
    let handle = layer.handle();
    let (_, mut service) = stalling(&layer);
    let begun = service.call(Request::new(())).await.unwrap();
    handle.control(Command::Bypass).unwrap();
    assert_eq!(handle.snapshot().state, LayerState::Bypassed);
    assert_eq!(InstanceHandle::state(&handle), "bypassed");
    // Settings are kept, and do not end the bypass.
    handle.configure(idle(2 * SECOND)).unwrap();
    let mut body = service.call(Request::new(())).await.unwrap().into_body();
    let unlimited = tokio::time::timeout(3_600 * SECOND, read(&mut body));
    assert!(unlimited.await.is_err(), "it stalls");
    let (_, error) = read(&mut begun.into_body()).await;
    assert_eq!(reason(error), Reason::BodyTimeout, "it had its limits");

    handle.control(Command::Reset).unwrap();
    assert_eq!(handle.snapshot().state, LayerState::Active);
    let mut body = service.call(Request::new(())).await.unwrap().into_body();
    let start = Instant::now();
    assert_eq!(reason(read(&mut body).await.1), Reason::BodyTimeout);
    assert_eq!(Instant::now() - start, 2 * SECOND);
    assert!(handle.control(Command::Block).is_err());
}

#[cfg(feature = "serde")]
#[test]
fn a_snapshot_is_serialized() {
    let layer = BodyTimeoutLayer::new("ai", idle(SECOND));
    let json = serde_json::to_value(layer.handle().snapshot()).unwrap();
    let zero = serde_json::json!({
        "head": 0, "first_byte": 0, "idle": 0, "total": 0, "deadline": 0,
    });
    let expected = serde_json::json!({"name": "ai", "state": "active", "counts": zero});
    assert_eq!(json, expected);
}

#[test]
fn a_layer_can_respond_to_a_rejection_where_timed_bodies_are_expected() {
    let rejected = Rejection::new(Reason::CircuitOpen, "x");
    let response = seawall_http::rejection_response::<TimedBody<Full<Bytes>>>(&rejected);
    assert!(response.body().get_ref().is_some());
    assert!(TimedBody::<Full<Bytes>>::default().is_end_stream());
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after it has completed")]
async fn a_future_polled_after_it_has_completed_panics() {
    let layer = BodyTimeoutLayer::new("ai", idle(SECOND));
    let inner = service_fn(|_: Request<()>| ready(Ok::<_, Rejection>(Response::new(()))));
    let mut call = Box::pin(layer.layer(inner).call(Request::new(())));
    let _ = call.as_mut().await;
    let _ = call.as_mut().await;
}

type Ready<B> = std::future::Ready<Result<Response<B>, Rejection>>;
type Local = std::rc::Rc<()>;

assert_impl_all!(BodyTimeout<()>: Send, Sync, Clone, Unpin);
assert_impl_all!(BodyTimeoutHandle: Send, Sync, Clone);
assert_impl_all!(TimedBody<Full<Bytes>>: Send, Sync, Unpin);
assert_impl_all!(body_timeout::BodyTimeoutFuture<Ready<()>>: Send, Sync);
assert_not_impl_any!(TimedBody<Local>: Send, Sync);
assert_not_impl_any!(BodyTimeout<Local>: Send, Sync);
assert_not_impl_any!(body_timeout::BodyTimeoutFuture<Ready<Local>>: Send, Sync);
#[cfg(feature = "hyper")]
assert_impl_all!(TimedBody<hyper::body::Incoming>: Body<Data = Bytes, Error = Error<hyper::Error>>, Send, Unpin);
#[cfg(feature = "reqwest")]
assert_impl_all!(TimedBody<reqwest::Body>: Body<Data = Bytes, Error = Error<reqwest::Error>>, Send, Unpin);
