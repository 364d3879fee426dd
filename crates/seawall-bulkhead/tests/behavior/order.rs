//! The order of waiters: the first in, the one that matters most, the newest under overload.

use std::sync::Mutex;

use seawall_bulkhead::BulkheadConfigBuilder;
use seawall_core::{ErrorIsFailure, Policy, Priority, Replay, RequestMeta};

use super::*;

/// The priority of a request: its number by the hundred.
fn by_hundreds(request: &u32) -> RequestMeta {
    let priority = Priority(u8::try_from(request / 100).unwrap_or(u8::MAX));
    RequestMeta::new(Replay::Never).with_priority(priority)
}

const LOW: u32 = 6_400;
const NORMAL: u32 = 12_800;
const HIGH: u32 = 19_200;

type Described = Bulkhead<Mock, Policy<ErrorIsFailure, fn(&u32) -> RequestMeta>>;

fn subject_with(config: BulkheadConfigBuilder) -> (Described, BulkheadHandle, MockHandle) {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = BulkheadLayer::new("ranked", config.build().expect("valid settings"));
    let layer = layer.describe(by_hundreds as fn(&u32) -> RequestMeta);
    (layer.layer(inner), layer.handle(), mock)
}

fn one_permit() -> BulkheadConfigBuilder {
    BulkheadConfig::builder()
        .max_concurrent(1)
        .max_waiting(1_000)
        .priority_aging(SECOND)
}

/// Completes one call after another, and polls the waiters, the last first, until none is left.
fn serve_all<F>(mock: &MockHandle, mut calls: Vec<PolledFuture<F>>)
where
    F: Future<Output = Result<u32, BoxError>>,
{
    let mut served = mock.requests().len() - 1;
    while !calls.is_empty() {
        mock.respond(served, Ok(()));
        served += 1;
        // The one that has ended releases its permit to one of the others, before it or after it.
        for _ in 0..2 {
            let mut kept = Vec::new();
            for mut call in calls.into_iter().rev() {
                if call.poll().is_pending() {
                    kept.push(call);
                }
            }
            kept.reverse();
            calls = kept;
        }
    }
}

fn waits_for<S: Service<u32, Response = u32, Error = BoxError>>(
    svc: &mut S,
    request: u32,
) -> PolledFuture<S::Future> {
    let mut waiter = call(svc, request);
    assert!(waiter.poll().is_pending());
    waiter
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_before_a_notified_waiter_takes_nothing_of_it() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = one_permit().build().expect("valid settings");
    let layer = BulkheadLayer::new("ranked", config);
    let layer = layer.describe(by_hundreds as fn(&u32) -> RequestMeta);
    let mut svc = layer.layer(ConcurrencyLimit::new(inner, 2));
    let mut running = call(&mut svc, NORMAL);
    assert!(running.poll().is_pending());
    let mut notified = waits_for(&mut svc, LOW);
    mock.respond(0, Ok(()));
    assert!(running.poll().is_ready());
    // They would have been notified before that one, had they been there.
    let mut higher = [HIGH, HIGH + 1].map(|request| waits_for(&mut svc, request));
    for waiter in &mut higher {
        assert!(waiter.poll().is_pending());
    }
    // Nor do they keep what they have reserved of the inner service.
    assert!(notified.poll().is_pending());
    assert_eq!(mock.requests(), [NORMAL, LOW]);
    mock.respond(1, Ok(()));
    assert!(notified.poll().is_ready() && higher[0].poll().is_pending());
    assert_eq!(mock.requests(), [NORMAL, LOW, HIGH]);
    assert_eq!(layer.handle().queue_depth(), 1);
}

/// Each instance is ready at its second poll.
#[derive(Debug, Default)]
struct Second {
    polled: bool,
}

impl Clone for Second {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<u32> for Second {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if std::mem::replace(&mut self.polled, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

#[tokio::test(start_paused = true)]
async fn a_skipped_waiter_departs_from_the_instance_that_became_ready() {
    let layer = layer(1, 1);
    let mut svc = layer.layer(Second::default());
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(svc.poll_ready(cx).is_pending());
    let running = call(&mut svc, 0);
    let mut waiter = call(&mut svc, 1);
    assert!(waiter.poll().is_pending());
    drop(running);
    assert!(waiter.poll().is_pending(), "its instance is not ready yet");
    assert!(matches!(waiter.poll(), Poll::Ready(Ok(1))));
}

#[tokio::test(start_paused = true)]
async fn a_higher_priority_goes_first_and_within_one_the_first_in() {
    let (mut svc, handle, mock) = subject_with(one_permit());
    let queued = [
        NORMAL,
        LOW,
        NORMAL + 1,
        LOW + 1,
        NORMAL + 2,
        HIGH,
        LOW + 2,
        HIGH + 1,
    ];
    let calls = queued.map(|request| waits_for(&mut svc, request));
    serve_all(&mock, calls.into());
    assert_eq!(
        mock.requests(),
        [
            NORMAL,
            HIGH,
            HIGH + 1,
            NORMAL + 1,
            NORMAL + 2,
            LOW,
            LOW + 1,
            LOW + 2
        ]
    );
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

/// A step of priority is worth the `priority_aging` in waiting, here one second, not more.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_has_waited_for_longer_than_its_priority_is_worth_is_not_passed() {
    let (mut svc, _handle, mock) = subject_with(one_permit());
    let mut calls = vec![waits_for(&mut svc, NORMAL), waits_for(&mut svc, LOW)];
    tokio::time::advance(Duration::from_millis(990)).await;
    calls.push(waits_for(&mut svc, NORMAL + 1));
    tokio::time::advance(Duration::from_millis(20)).await;
    calls.push(waits_for(&mut svc, NORMAL + 2));
    tokio::time::advance(Duration::from_millis(980)).await;
    calls.push(waits_for(&mut svc, HIGH));
    tokio::time::advance(Duration::from_millis(20)).await;
    calls.push(waits_for(&mut svc, HIGH + 1));
    serve_all(&mock, calls);
    assert_eq!(
        mock.requests(),
        [NORMAL, NORMAL + 1, HIGH, LOW, NORMAL + 2, HIGH + 1]
    );
}

/// However many of a higher priority keep coming: a permit a tenth of a second, a call of high
/// priority for each of them.
#[tokio::test(start_paused = true)]
async fn no_call_starves_under_a_steady_stream_of_higher_priority() {
    let (mut svc, _handle, mock) = subject_with(one_permit());
    let mut running = waits_for(&mut svc, HIGH);
    let mut low = waits_for(&mut svc, LOW);
    let mut rounds = 0;
    while mock.requests().last() != Some(&LOW) {
        tokio::time::advance(Duration::from_millis(100)).await;
        let mut next = waits_for(&mut svc, HIGH);
        mock.respond(rounds, Ok(()));
        assert!(running.poll().is_ready());
        assert!(low.poll().is_pending() && next.poll().is_pending());
        running = next;
        rounds += 1;
        assert!(rounds <= 21, "two steps are worth two seconds");
    }
    assert!(rounds >= 19, "{rounds}");
}

#[tokio::test(start_paused = true)]
async fn under_overload_the_newest_goes_first_and_afterwards_the_oldest() {
    let (mut svc, handle, mock) = subject_with(one_permit().lifo_threshold(2));
    // Two may wait in order, and a call that comes on top of three is the newest.
    let calls = (0..8).map(|n| waits_for(&mut svc, NORMAL + n)).collect();
    serve_all(&mock, calls);
    let order: Vec<_> = mock.requests().iter().map(|r| r - NORMAL).collect();
    assert_eq!(order, [0, 7, 6, 5, 4, 1, 2, 3]);
    assert_eq!(handle.queue_depth(), 0);

    let calls = (10..13).map(|n| waits_for(&mut svc, NORMAL + n)).collect();
    serve_all(&mock, calls);
    let order: Vec<_> = mock.requests()[8..].iter().map(|r| r - NORMAL).collect();
    assert_eq!(order, [10, 11, 12]);
}

/// Never are more than two queued, however many have been served before.
#[tokio::test(start_paused = true)]
async fn calls_that_were_served_are_no_overload() {
    let (mut svc, _handle, mock) = subject_with(one_permit().lifo_threshold(2));
    let mut running = call(&mut svc, NORMAL);
    assert!(running.poll().is_pending());
    let mut first = call(&mut svc, NORMAL + 1);
    assert!(first.poll().is_pending());
    for n in 2..20 {
        let mut next = call(&mut svc, NORMAL + n);
        assert!(next.poll().is_pending());
        drop(running);
        running = first;
        assert!(running.poll().is_pending());
        first = next;
    }
    let order: Vec<_> = mock.requests().iter().map(|r| r - NORMAL).collect();
    assert_eq!(order, (0..19).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn under_overload_priority_still_counts() {
    let (mut svc, _handle, mock) = subject_with(one_permit().lifo_threshold(0));
    let queued = [
        NORMAL,
        NORMAL + 1,
        HIGH,
        NORMAL + 2,
        LOW,
        HIGH + 1,
        NORMAL + 3,
    ];
    let calls = queued.map(|request| waits_for(&mut svc, request));
    serve_all(&mock, calls.into());
    let order = [
        NORMAL,
        HIGH + 1,
        HIGH,
        NORMAL + 3,
        NORMAL + 2,
        LOW,
        NORMAL + 1,
    ];
    assert_eq!(mock.requests(), order);
}

/// Records in which order it was called.
#[derive(Clone)]
struct Recorder(Arc<Mutex<Vec<u32>>>);

impl Service<u32> for Recorder {
    type Response = u32;
    type Error = Error<()>;
    type Future = Ready<Result<u32, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.0.lock().expect("nobody panics").push(request);
        ready(Ok(request))
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_waiters_are_served_in_order_with_few_polls_each() {
    const WAITERS: u32 = 100_000;
    let order = Recorder(Arc::default());
    let layer = layer(1, WAITERS);
    let mut svc = layer.layer(order.clone());
    // Has its permit until it is polled.
    let running = svc.call(0);
    let most = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (1..=WAITERS)
        .map(|request| {
            let mut response = Box::pin(svc.call(request));
            let most = Arc::clone(&most);
            tokio::spawn(async move {
                let mut polls = 0;
                let responded = std::future::poll_fn(|cx| {
                    polls += 1;
                    response.as_mut().poll(cx)
                });
                assert_eq!(responded.await, Ok(request));
                most.fetch_max(polls, Ordering::Relaxed);
            })
        })
        .collect();
    while layer.handle().queue_depth() < WAITERS as usize {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.await, Ok(0));
    for task in tasks {
        task.await.unwrap();
    }
    assert!(order.0.lock().unwrap().iter().copied().eq(0..=WAITERS));
    assert!(most.load(Ordering::Relaxed) <= 3, "{most:?}");
    assert_eq!(layer.handle().in_flight(), 0);
}
