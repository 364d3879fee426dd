//! The mock itself is strict.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use seawall_testkit::contract::{Mock, MockError, MockHandle, PolledFuture, Stage, mock};
use tower::{Service as _, ServiceExt as _};

fn poll_ready(mock: &mut Mock) -> Poll<bool> {
    let mut cx = Context::from_waker(Waker::noop());
    mock.poll_ready(&mut cx).map(|ready| ready.is_ok())
}

fn call_panics(mock: &mut Mock) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(mock.call(1)))).is_err()
}

#[test]
fn unready_call_panics_and_is_recorded() {
    let (mut mock, handle) = mock();
    assert!(call_panics(&mut mock));
    assert_eq!(handle.violations().len(), 1);
    assert_eq!(handle.calls(), 0);
}

#[test]
fn one_readiness_is_good_for_one_call() {
    let (mut mock, handle) = mock();
    assert_eq!(poll_ready(&mut mock), Poll::Ready(true));
    assert!(!call_panics(&mut mock));
    assert!(call_panics(&mut mock));
    assert_eq!((handle.calls(), handle.violations().len()), (1, 1));
}

#[test]
fn clone_resets_readiness_and_keeps_that_of_the_original() {
    let (mut mock, handle) = mock();
    assert_eq!(poll_ready(&mut mock), Poll::Ready(true));
    let mut clone = mock.clone();
    assert_eq!(handle.instances(), 2);
    assert!(call_panics(&mut clone));
    assert!(!call_panics(&mut mock));
}

#[test]
fn ready_instance_that_turned_pending_must_not_be_called() {
    let (mut mock, handle) = mock();
    assert_eq!(poll_ready(&mut mock), Poll::Ready(true));
    handle.set_pending();
    assert_eq!(poll_ready(&mut mock), Poll::Pending);
    assert!(call_panics(&mut mock));
}

#[test]
fn reservations_are_shared_and_released() {
    let (mut one, handle) = mock();
    handle.set_capacity(1);
    handle.hold_responses();
    let mut two = one.clone();
    assert_eq!(poll_ready(&mut one), Poll::Ready(true));
    assert_eq!(poll_ready(&mut one), Poll::Ready(true));
    assert_eq!(handle.reserved(), 1);
    assert_eq!(poll_ready(&mut two), Poll::Pending);
    assert_eq!(handle.waiting(), 1);

    // The instance passes its reservation to the future, which holds it until completion.
    let mut future = PolledFuture::new(one.call(1));
    assert!(future.poll().is_pending());
    assert_eq!(poll_ready(&mut two), Poll::Pending);
    assert_eq!((handle.in_flight(), handle.wakes()), (1, 0));
    handle.respond(0, Ok(()));
    assert_eq!(future.wakes(), 1);
    assert!(future.poll().is_ready());
    assert_eq!((handle.in_flight(), handle.wakes()), (0, 1));
    assert_eq!((handle.reserved(), handle.futures()), (0, 1));

    assert_eq!(poll_ready(&mut two), Poll::Ready(true));
    drop(two);
    assert_eq!((handle.reserved(), handle.instances()), (0, 1));
}

#[test]
fn completed_future_must_not_be_polled() {
    let (mut mock, handle) = mock();
    assert_eq!(poll_ready(&mut mock), Poll::Ready(true));
    let mut future = PolledFuture::new(mock.call(1));
    assert!(future.poll().is_ready());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(future.poll()))).is_err());
    assert_eq!(handle.violations().len(), 1);
}

#[test]
fn peak_counts_open_calls_only() {
    let (mut mock, handle) = mock();
    handle.hold_responses();
    let mut futures = Vec::new();
    for _ in 0..3 {
        assert_eq!(poll_ready(&mut mock), Poll::Ready(true));
        futures.push(mock.call(1));
    }
    futures.clear();
    assert_eq!(poll_ready(&mut mock), Poll::Ready(true));
    drop(mock.call(1));
    assert_eq!((handle.in_flight(), handle.peak_in_flight()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn results_follow_the_script_and_then_echo() {
    let (mut mock, handle) = mock();
    handle.script([Ok(()), Err(MockError::Failed(5))]);
    let mut results = Vec::new();
    for request in 1..=3 {
        let result = mock.ready().await.expect("ready").call(request).await;
        results.push(result.map_err(|error| error.downcast_ref::<MockError>().copied()));
    }
    assert_eq!(results, [Ok(1), Err(Some(MockError::Failed(5))), Ok(3)]);
    assert_eq!(handle.requests(), [1, 2, 3]);
}

#[test]
fn requested_panics_come_once_and_leak_nothing() {
    let (mut mock, handle) = mock();
    handle.panic_at(Stage::PollReady);
    assert!(catch_unwind(AssertUnwindSafe(|| poll_ready(&mut mock))).is_err());
    assert_eq!(poll_ready(&mut mock), Poll::Ready(true));
    handle.panic_at(Stage::Call);
    assert!(call_panics(&mut mock));
    assert_eq!(poll_ready(&mut mock), Poll::Ready(true));
    handle.panic_at(Stage::Poll);
    let mut future = PolledFuture::new(mock.call(1));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(future.poll()))).is_err());
    drop(future);
    assert_eq!((handle.reserved(), handle.in_flight()), (0, 0));
    assert_eq!(handle.violations(), Vec::<String>::new());
}

#[test]
fn failed_readiness_wakes_waiters() {
    let (mock, handle) = mock();
    handle.set_pending();
    let mut waiting = PolledFuture::new(mock.oneshot(1));
    assert!(waiting.poll().is_pending());
    handle.set_failed();
    assert_eq!((waiting.wakes(), handle.wakes()), (1, 1));
    assert!(matches!(waiting.poll(), Poll::Ready(Err(_))));
}

/// A waker that asks the handle when it is dropped, as one does that owns its task.
struct Asks(MockHandle);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Asks {
    fn drop(&mut self) {
        let _ = (self.0.calls(), self.0.waiting());
    }
}

#[test]
fn a_waker_that_is_replaced_or_left_behind_may_ask_the_handle() {
    let (mut mock, handle) = mock();
    handle.hold_responses();
    let asks = || Waker::from(Arc::new(Asks(handle.clone())));
    let poll = |mock: &mut Mock| {
        let polled = mock.poll_ready(&mut Context::from_waker(&asks()));
        polled.is_ready()
    };
    handle.set_pending();
    assert!(!poll(&mut mock) && !poll(&mut mock));
    assert_eq!(handle.waiting(), 1);
    handle.set_ready();
    assert!(poll(&mut mock));
    let mut call = Box::pin(mock.call(1));
    for _ in 0..2 {
        let polled = call.as_mut().poll(&mut Context::from_waker(&asks()));
        assert!(polled.is_pending());
    }
    handle.respond(0, Ok(()));
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(&asks()))
            .is_ready()
    );
    handle.set_pending();
    assert!(!poll(&mut mock));
    drop(mock);
    assert_eq!((handle.waiting(), handle.instances()), (0, 0));
}
