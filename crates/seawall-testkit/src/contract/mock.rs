//! The strict service and its handle.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::BoxError;
use super::state::{Call, Readiness, Shared, Slot};

/// The error that a [`Mock`] gives, inside a [`BoxError`].
///
/// A subject that passes errors through lets the caller downcast to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MockError {
    /// `poll_ready` failed, see [`MockHandle::set_failed`].
    NotReady,
    /// A call was answered with this error; the number is the user's own.
    Failed(u32),
}

impl fmt::Display for MockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MockError::NotReady => f.write_str("mock failed to become ready"),
            MockError::Failed(code) => write!(f, "mock answered with error {code}"),
        }
    }
}

impl Error for MockError {}

/// Where a [`Mock`] can be told to panic, see [`MockHandle::panic_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// In `Service::poll_ready`.
    PollReady,
    /// In `Service::call`, after the reservation of the instance was used up.
    Call,
    /// In `Future::poll` of the response future.
    Poll,
}

/// A mock service and the handle that drives and watches it.
///
/// It starts ready, without a limit, and answers each call at once with the request itself.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use tower::ServiceExt as _;
///
/// let (mut mock, handle) = seawall_testkit::contract::mock();
/// let answer = mock.ready().await.expect("ready").call(7).await;
/// # use tower::Service as _;
/// assert_eq!(answer.expect("echo"), 7);
/// assert_eq!(handle.requests(), [7]);
/// assert_eq!(handle.peak_in_flight(), 1);
/// # }
/// ```
#[must_use]
pub fn mock() -> (Mock, MockHandle) {
    let shared = Shared::new();
    (Mock::fresh(&shared), MockHandle { shared })
}

/// A service that holds its callers to the letter of the Tower contract.
///
/// - It panics, and writes a violation down, when it is called without having answered
///   `Ready(Ok)` to this very instance since its last call, and when its future is polled after
///   it has answered.
/// - A clone starts unready, whatever the original was.
/// - `poll_ready` reserves one unit of a count that all clones share
///   ([`MockHandle::set_capacity`]); the instance holds it until it is called or dropped, then the
///   response future until it has answered or is dropped.
/// - It can turn unready after it was ready ([`MockHandle::set_pending`]); an instance that was
///   told so must not be called.
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

impl Drop for Mock {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.instances -= 1;
        let instance = self.instance;
        state.waiting.retain(|(id, _)| *id != instance);
    }
}

impl Service<u32> for Mock {
    type Response = u32;
    type Error = BoxError;
    type Future = MockFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Whatever was promised before, this poll decides anew.
        self.ready = false;
        self.shared.lock().readiness_polls += 1;
        self.shared.panic_if_ordered(Stage::PollReady);
        let mut state = self.shared.lock();
        let admitted = match state.readiness {
            Readiness::Failed => return Poll::Ready(Err(MockError::NotReady.into())),
            Readiness::Pending => false,
            Readiness::Ready => self.slot.is_some() || state.has_room(),
        };
        let instance = self.instance;
        state.waiting.retain(|(id, _)| *id != instance);
        if !admitted {
            state.waiting.push((instance, cx.waker().clone()));
            return Poll::Pending;
        }
        if self.slot.is_none() {
            self.slot = Some(Slot::reserve(&self.shared, &mut state));
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        if !self.ready {
            self.shared.violation(format!(
                "instance {} was called with request {request} without having been polled ready",
                self.instance
            ));
        }
        self.ready = false;
        let slot = self.slot.take();
        self.shared.panic_if_ordered(Stage::Call);
        let mut state = self.shared.lock();
        let reply = if state.hold {
            None
        } else {
            let answer = state.script.pop_front().unwrap_or(Ok(()));
            Some(answer.map(|()| request))
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
/// It counts as in flight until it has answered or is dropped, and as alive until it is dropped.
#[derive(Debug)]
pub struct MockFuture {
    shared: Arc<Shared>,
    call: usize,
    slot: Option<Slot>,
    done: bool,
}

impl MockFuture {
    fn settle(&mut self) {
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
            self.shared.violation(format!(
                "the future of call {call} was polled after it had answered"
            ));
        }
        self.shared.panic_if_ordered(Stage::Poll);
        let reply = {
            let mut state = self.shared.lock();
            let call = &mut state.calls[self.call];
            if call.reply.is_none() {
                call.waker = Some(cx.waker().clone());
            }
            call.reply
        };
        match reply {
            None => Poll::Pending,
            Some(reply) => {
                self.settle();
                Poll::Ready(reply.map_err(BoxError::from))
            }
        }
    }
}

impl Drop for MockFuture {
    fn drop(&mut self) {
        self.settle();
        self.shared.lock().futures -= 1;
    }
}

/// Drives a [`Mock`] with all its clones, and tells what they saw.
///
/// Made by [`mock`]. Clones drive the same mock.
#[derive(Debug, Clone)]
pub struct MockHandle {
    shared: Arc<Shared>,
}

/// What the mock shall do.
impl MockHandle {
    /// Lets `poll_ready` succeed as far as the [capacity](Self::set_capacity) allows (the default),
    /// and wakes those who wait.
    pub fn set_ready(&self) {
        self.shared
            .change(|state| state.readiness = Readiness::Ready);
    }

    /// Makes every further `poll_ready` pend, also on an instance that was ready. Such an instance
    /// keeps its reservation; if it is polled again, it must not be called.
    pub fn set_pending(&self) {
        self.shared
            .change(|state| state.readiness = Readiness::Pending);
    }

    /// Makes every further `poll_ready` fail with [`MockError::NotReady`], and wakes those who
    /// wait.
    pub fn set_failed(&self) {
        self.shared
            .change(|state| state.readiness = Readiness::Failed);
    }

    /// Sets how many reservations can be held at once by all instances and response futures;
    /// `None` (the default) for any number. What is reserved already stays so.
    pub fn set_capacity(&self, capacity: impl Into<Option<usize>>) {
        let capacity = capacity.into();
        self.shared.change(|state| state.capacity = capacity);
    }

    /// Leaves each further call open until [`respond`](Self::respond) answers it.
    pub fn hold(&self) {
        self.shared.lock().hold = true;
    }

    /// Answers each further call when it is made (the default). Calls that are open stay open.
    pub fn answer_at_once(&self) {
        self.shared.lock().hold = false;
    }

    /// Sets what the next calls are answered with, when they are answered at once: `Ok(())` echoes
    /// the request. Calls beyond the script are echoed.
    pub fn script(&self, answers: impl IntoIterator<Item = Result<(), MockError>>) {
        let answers: Vec<_> = answers.into_iter().collect();
        self.shared.lock().script.extend(answers);
    }

    /// Answers the open call number `call` (from 0, in order of arrival), with `Ok(())` for an
    /// echo. An answered or dropped call stays as it is.
    ///
    /// # Panics
    ///
    /// If there was no such call.
    pub fn respond(&self, call: usize, answer: Result<(), MockError>) {
        let waker = {
            let mut state = self.shared.lock();
            let arrived = state.calls.len();
            assert!(
                call < arrived,
                "mock: asked to answer call {call}, but {arrived} arrived"
            );
            let call = &mut state.calls[call];
            let request = call.request;
            call.reply.get_or_insert(answer.map(|()| request));
            call.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Answers all open calls with an echo.
    pub fn respond_to_all(&self) {
        for call in 0..self.calls() {
            self.respond(call, Ok(()));
        }
    }

    /// Orders one panic in the next run of `stage`.
    pub fn panic_at(&self, stage: Stage) {
        self.shared.lock().panic_at = Some(stage);
    }
}

/// What the mock has seen.
impl MockHandle {
    /// How many calls arrived.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.lock().calls.len()
    }

    /// The requests that arrived, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<u32> {
        let state = self.shared.lock();
        state.calls.iter().map(|call| call.request).collect()
    }

    /// How often `poll_ready` was asked, over all instances.
    #[must_use]
    pub fn readiness_polls(&self) -> usize {
        self.shared.lock().readiness_polls
    }

    /// How many wakers the mock woke because readiness or room came back.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.shared.lock().wakes
    }

    /// How many instances wait for readiness.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// How many calls are open: neither answered to the caller nor dropped.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.lock().in_flight
    }

    /// The most calls that were open at the same time.
    #[must_use]
    pub fn peak_in_flight(&self) -> usize {
        self.shared.lock().peak_in_flight
    }

    /// How many reservations are held by instances and response futures.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.shared.lock().reserved
    }

    /// How many instances of the mock are alive.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.shared.lock().instances
    }

    /// How many response futures are alive, those that have answered included.
    #[must_use]
    pub fn futures(&self) -> usize {
        self.shared.lock().futures
    }

    /// What callers did against the contract, in order; empty when all was well. Each entry was a
    /// panic too.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().violations.clone()
    }
}
