//! The strict service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tower_service::Service;

use super::state::{Call, Readiness, Shared, Slot, State};
use super::{BoxError, MockError, MockHandle, Stage};

/// A mock service and the handle that drives and observes it.
///
/// It starts ready, without a limit, and responds to each call immediately, with the request itself.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use tower::ServiceExt as _;
///
/// let (mut mock, handle) = seawall_testkit::contract::mock();
/// let response = mock.ready().await.expect("ready").call(7).await;
/// # use tower::Service as _;
/// assert_eq!(response.expect("echo"), 7);
/// assert_eq!(handle.requests(), [7]);
/// assert_eq!(handle.peak_in_flight(), 1);
/// # }
/// ```
#[must_use]
pub fn mock() -> (Mock, MockHandle) {
    let shared = Shared::new();
    (Mock::fresh(&shared), MockHandle::new(shared))
}

/// A service that enforces the Tower contract to the letter.
///
/// - It panics, and records a violation, when an instance is called that was not polled
///   `Ready(Ok)` since its last call, and when its future is polled after completion.
/// - A clone starts unready, whatever the original was.
/// - `poll_ready` reserves one unit of a count that all clones share
///   ([`MockHandle::set_capacity`]); the instance holds it until it is called or dropped, then the
///   response future until it has completed or is dropped.
/// - It can turn unready after it was ready ([`MockHandle::set_pending`]); an instance that has
///   seen this must not be called.
///
/// Made by [`mock`].
#[derive(Debug)]
pub struct Mock {
    shared: Arc<Shared>,
    instance: u64,
    ready: bool,
    slot: Option<Slot>,
}

impl Mock {
    fn fresh(shared: &Arc<Shared>) -> Self {
        let mut state = shared.lock();
        state.instances += 1;
        state.next_instance += 1;
        Self {
            shared: Arc::clone(shared),
            instance: state.next_instance,
            ready: false,
            slot: None,
        }
    }
}

/// A clone shares the count and the handle, never the readiness: that belongs to the instance.
impl Clone for Mock {
    fn clone(&self) -> Self {
        Self::fresh(&self.shared)
    }
}

impl Mock {
    fn reserve(&mut self, state: &mut State, waker: Waker) -> Poll<Result<(), BoxError>> {
        let admitted = match state.readiness {
            Readiness::Failed => return Poll::Ready(Err(MockError::NotReady.into())),
            Readiness::Pending => false,
            Readiness::Ready => self.slot.is_some() || state.has_capacity(),
        };
        if !admitted {
            state.waiting.push((self.instance, waker));
            return Poll::Pending;
        }
        if self.slot.is_none() {
            self.slot = Some(Slot::reserve(&self.shared, state));
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.instances -= 1;
        let left = state.leave(self.instance);
        drop(state);
        drop(left);
    }
}

impl Service<u32> for Mock {
    type Response = u32;
    type Error = BoxError;
    type Future = MockFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // This poll decides, whatever an earlier one returned.
        self.ready = false;
        self.shared.lock().readiness_polls += 1;
        self.shared.panic_if_requested(Stage::PollReady);
        // Outside the lock: a waker that is cloned or dropped may ask the handle.
        let waker = cx.waker().clone();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let left = state.leave(self.instance);
        let polled = self.reserve(&mut state, waker);
        drop(state);
        drop(left);
        polled
    }

    fn call(&mut self, request: u32) -> Self::Future {
        if !self.ready {
            self.shared.violation(&format!(
                "instance {} was called with request {request} without having been polled ready",
                self.instance
            ));
        }
        self.ready = false;
        let slot = self.slot.take();
        self.shared.panic_if_requested(Stage::Call);
        let mut state = self.shared.lock();
        let reply = if state.hold_responses {
            None
        } else {
            let result = state.script.pop_front().unwrap_or(Ok(()));
            Some(result.map(|()| request))
        };
        state.calls.push(Call {
            request,
            reply,
            waker: None,
        });
        state.futures += 1;
        state.in_flight += 1;
        state.peak_in_flight = state.peak_in_flight.max(state.in_flight);
        MockFuture {
            shared: Arc::clone(&self.shared),
            call: state.calls.len() - 1,
            slot,
            done: false,
        }
    }
}

/// The response of a [`Mock`].
///
/// It counts as in flight until it has completed or is dropped, and as alive until it is dropped.
#[derive(Debug)]
pub struct MockFuture {
    shared: Arc<Shared>,
    call: usize,
    slot: Option<Slot>,
    done: bool,
}

impl MockFuture {
    fn finish(&mut self) {
        if !self.done {
            self.done = true;
            self.shared.lock().in_flight -= 1;
            self.slot = None;
        }
    }
}

impl Future for MockFuture {
    type Output = Result<u32, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.done {
            let call = self.call;
            self.shared.violation(&format!(
                "the future of call {call} was polled after completion"
            ));
        }
        self.shared.panic_if_requested(Stage::Poll);
        let mut waker = Some(cx.waker().clone());
        let reply = {
            let mut state = self.shared.lock();
            let call = &mut state.calls[self.call];
            if call.reply.is_none() {
                std::mem::swap(&mut call.waker, &mut waker);
            }
            call.reply
        };
        drop(waker);
        match reply {
            None => Poll::Pending,
            Some(reply) => {
                self.finish();
                Poll::Ready(reply.map_err(BoxError::from))
            }
        }
    }
}

impl Drop for MockFuture {
    fn drop(&mut self) {
        self.finish();
        self.shared.lock().futures -= 1;
    }
}
