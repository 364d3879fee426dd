//! The service under test, driven step by step.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tower_service::Service;

use super::polled::{PolledFuture, WakeCount};
use super::{BoxError, Check, MockHandle, Violation};

/// How long a check waits, in Tokio time, before it reports that the subject is stuck.
///
/// Longer than any backoff in a test, and free when the clock is paused.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A subject that wakes its own task this often while nothing changes is in a busy loop.
const SPINS: usize = 16;

/// A panic of `step` as a violation.
fn guard<T>(check: Check, step: &str, result: std::thread::Result<T>) -> Result<T, Violation> {
    result.map_err(|payload| {
        let text = panic_text(payload.as_ref());
        Violation::new(check, format!("{step} panicked: {text}"))
    })
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

/// The service under test and the check that runs: each step turns a panic into a violation.
#[derive(Debug)]
pub(super) struct Subject<S> {
    service: S,
    check: Check,
    wakes: Arc<WakeCount>,
}

impl<S: Clone> Subject<S> {
    pub(super) fn sibling(&self) -> Self {
        Self::new(self.check, self.service.clone())
    }
}

impl<S> Subject<S> {
    pub(super) fn new(check: Check, service: S) -> Self {
        Self {
            service,
            check,
            wakes: Arc::default(),
        }
    }

    pub(super) fn inner(&mut self) -> &mut S {
        &mut self.service
    }

    pub(super) fn wakes(&self) -> usize {
        self.wakes.get()
    }

    /// Polls from now on as another task, whose waker was never woken.
    pub(super) fn change_task(&mut self) {
        self.wakes = Arc::default();
    }
}

impl<S> Subject<S>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    /// One poll by hand.
    pub(super) fn poll_ready(&mut self) -> Result<Poll<Result<(), BoxError>>, Violation> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        let mut cx = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| self.service.poll_ready(&mut cx)));
        guard(self.check, "poll_ready", polled)
    }

    /// One poll by hand that must not fail; says whether the subject is ready.
    pub(super) fn try_ready(&mut self) -> Result<bool, Violation> {
        match self.poll_ready()? {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(error)) => Err(Violation::new(
                self.check,
                format!("poll_ready failed: {error}"),
            )),
            Poll::Pending => Ok(false),
        }
    }

    /// One poll by hand that must be ready.
    pub(super) fn must_be_ready(&mut self, when: &str) -> Result<(), Violation> {
        if self.try_ready()? {
            Ok(())
        } else {
            Err(Violation::new(self.check, format!("not ready {when}")))
        }
    }

    pub(super) async fn ready(&mut self) -> Result<Result<(), BoxError>, Violation> {
        let check = self.check;
        let polled = poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| self.service.poll_ready(cx)))
                .map_or_else(|payload| Poll::Ready(Err(payload)), |poll| poll.map(Ok))
        });
        let polled = tokio::time::timeout(LONGEST_WAIT, polled).await;
        let polled = polled.or(Err(Violation::new(check, "poll_ready pends forever")))?;
        guard(self.check, "poll_ready", polled)
    }

    pub(super) fn call(&mut self, request: u32) -> Result<PendingCall<S::Future>, Violation> {
        let called = catch_unwind(AssertUnwindSafe(|| self.service.call(request)));
        let future = guard(self.check, "call", called)?;
        Ok(PendingCall {
            future: PolledFuture::new(future),
            request,
            check: self.check,
        })
    }

    /// Readiness and call, as a caller would; `Err` in the result is the error of the subject.
    pub(super) async fn request(
        &mut self,
        request: u32,
    ) -> Result<Result<u32, BoxError>, Violation> {
        if let Err(error) = self.ready().await? {
            return Ok(Err(error));
        }
        self.call(request)?.finish().await
    }

    /// A request whose response must be its echo.
    pub(super) async fn must_respond(&mut self, request: u32, when: &str) -> Result<(), Violation> {
        let check = self.check;
        let failed = |what: String| Err(Violation::new(check, format!("{what} {when}")));
        match self.request(request).await {
            Ok(Ok(response)) if response == request => Ok(()),
            Ok(Ok(response)) => failed(format!("request {request} got the response {response}")),
            Ok(Err(error)) => failed(format!("request {request} failed with `{error}`")),
            Err(violation) => failed(violation.what().to_owned()),
        }
    }
}

/// A response future of the subject.
#[derive(Debug)]
pub(super) struct PendingCall<F> {
    future: PolledFuture<F>,
    request: u32,
    check: Check,
}

impl<F: Future<Output = Result<u32, BoxError>>> PendingCall<F> {
    pub(super) fn wakes(&self) -> usize {
        self.future.wakes()
    }

    pub(super) fn change_task(&mut self) {
        self.future.change_task();
    }

    /// One poll by hand.
    pub(super) fn poll(&mut self) -> Result<Poll<F::Output>, Violation> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.poll()));
        guard(self.check, "the future", polled)
    }

    pub(super) fn must_pend(&mut self, when: &str) -> Result<(), Violation> {
        match self.poll()? {
            Poll::Pending => Ok(()),
            Poll::Ready(result) => Err(Violation::new(
                self.check,
                format!("the future completed with {result:?} {when}"),
            )),
        }
    }

    /// Waits for the result and keeps the future.
    pub(super) async fn finish_by_ref(&mut self) -> Result<F::Output, Violation> {
        let polled = poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx)))
                .map_or_else(|payload| Poll::Ready(Err(payload)), |poll| poll.map(Ok))
        });
        let polled = tokio::time::timeout(LONGEST_WAIT, polled).await;
        let polled = polled.or(Err(Violation::new(self.check, "the future pends forever")))?;
        guard(self.check, "the future", polled)
    }

    /// Waits for the result, which must be the echo, and keeps the future.
    pub(super) async fn must_echo(&mut self) -> Result<(), Violation> {
        let (check, request) = (self.check, self.request);
        let result = self.finish_by_ref().await?;
        ensure(check, matches!(result, Ok(n) if n == request), || {
            format!("the result of request {request} was {result:?}")
        })
    }

    pub(super) async fn finish(mut self) -> Result<F::Output, Violation> {
        self.finish_by_ref().await
    }
}

/// Polls while the subject wakes its own task, and finds out whether it ever stops.
pub(super) fn poll_until_quiet<T>(
    check: Check,
    mut wakes: impl FnMut(&T) -> usize,
    subject: &mut T,
    mut poll: impl FnMut(&mut T) -> Result<bool, Violation>,
) -> Result<bool, Violation> {
    for _ in 0..SPINS {
        let before = wakes(subject);
        if poll(subject)? {
            return Ok(true);
        }
        if wakes(subject) == before {
            return Ok(false);
        }
    }
    let what = format!("wakes its own task {SPINS} times in a row while nothing changes");
    Err(Violation::new(check, what))
}

/// The mock must have been reached, without a violation of the contract.
pub(super) fn ensure_used(check: Check, mock: &MockHandle) -> Result<(), Violation> {
    if let Some(what) = mock.violations().into_iter().next() {
        return Err(Violation::new(check, what));
    }
    if mock.calls() == 0 {
        return Err(Violation::new(check, "never reached the inner service"));
    }
    Ok(())
}

/// Fails with `what` unless `holds`.
pub(super) fn ensure(
    check: Check,
    holds: bool,
    what: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation::new(check, what()))
    }
}
