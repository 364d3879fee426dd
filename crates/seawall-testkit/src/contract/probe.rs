//! Polling by hand, with a waker that counts.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tower_service::Service;

use super::{BoxError, Check, MockHandle, Violation};

/// How long a law waits, in Tokio time, before it says "stuck".
///
/// Longer than any back-off of a sane test, and free of cost when the clock is paused.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);

/// A subject that wakes its own task this often while nothing changes spins.
const SPINS: usize = 16;

#[derive(Debug, Default)]
struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled by hand, without an executor, and counts how often it was woken.
///
/// ```
/// use seawall_testkit::contract::{self, Probe};
/// use tower::ServiceExt as _;
///
/// let (mock, handle) = contract::mock();
/// handle.set_pending();
/// let mut waiting = Probe::new(mock.oneshot(1));
/// assert!(waiting.poll().is_pending());
/// assert_eq!(waiting.wakes(), 0);
///
/// handle.set_ready();
/// assert_eq!(waiting.wakes(), 1);
/// assert!(waiting.poll().is_ready());
/// ```
#[derive(Debug)]
pub struct Probe<F> {
    future: Pin<Box<F>>,
    wakes: Arc<WakeCount>,
}

impl<F: Future> Probe<F> {
    /// Takes a future that was not polled yet.
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            wakes: Arc::default(),
        }
    }

    /// Polls once.
    pub fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// How often its waker was woken since it was made.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }
}

pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

/// The service under test with the law it is tried for: each step turns a panic into a violation.
#[derive(Debug)]
pub(super) struct Subject<S> {
    service: S,
    law: Check,
    wakes: Arc<WakeCount>,
}

impl<S: Clone> Subject<S> {
    pub(super) fn sibling(&self) -> Self {
        Self::new(self.law, self.service.clone())
    }
}

impl<S> Subject<S> {
    pub(super) fn new(law: Check, service: S) -> Self {
        Self {
            service,
            law,
            wakes: Arc::default(),
        }
    }

    pub(super) fn inner(&mut self) -> &mut S {
        &mut self.service
    }

    pub(super) fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }

    /// Polls from now on as another task, whose waker was never woken.
    pub(super) fn change_task(&mut self) {
        self.wakes = Arc::default();
    }

    fn guard<T>(&self, step: &str, result: std::thread::Result<T>) -> Result<T, Violation> {
        result.map_err(|payload| {
            let text = panic_text(payload.as_ref());
            Violation::new(self.law, format!("{step} panicked: {text}"))
        })
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
        self.guard("poll_ready", polled)
    }

    /// One poll by hand that must not fail; says whether the subject is ready.
    pub(super) fn try_ready(&mut self) -> Result<bool, Violation> {
        match self.poll_ready()? {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(error)) => Err(Violation::new(
                self.law,
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
            Err(Violation::new(self.law, format!("not ready {when}")))
        }
    }

    pub(super) async fn ready(&mut self) -> Result<Result<(), BoxError>, Violation> {
        let law = self.law;
        let polled = poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| self.service.poll_ready(cx)))
                .map_or_else(|payload| Poll::Ready(Err(payload)), |poll| poll.map(Ok))
        });
        let polled = tokio::time::timeout(PATIENCE, polled).await;
        let polled = polled.or(Err(Violation::new(law, "poll_ready pends for ever")))?;
        self.guard("poll_ready", polled)
    }

    pub(super) fn call(&mut self, request: u32) -> Result<Flight<S::Future>, Violation> {
        let called = catch_unwind(AssertUnwindSafe(|| self.service.call(request)));
        let future = self.guard("call", called)?;
        Ok(Flight {
            probe: Probe::new(future),
            law: self.law,
        })
    }

    /// Readiness and call, as a caller would; `Err` in the answer is the subject's error.
    pub(super) async fn request(
        &mut self,
        request: u32,
    ) -> Result<Result<u32, BoxError>, Violation> {
        if let Err(error) = self.ready().await? {
            return Ok(Err(error));
        }
        self.call(request)?.finish().await
    }

    /// A request that must be answered with its echo.
    pub(super) async fn must_answer(&mut self, request: u32, when: &str) -> Result<(), Violation> {
        let law = self.law;
        let broken = |what: String| Err(Violation::new(law, format!("{what} {when}")));
        match self.request(request).await {
            Ok(Ok(answer)) if answer == request => Ok(()),
            Ok(Ok(answer)) => broken(format!("request {request} was answered with {answer}")),
            Ok(Err(error)) => broken(format!("request {request} failed with `{error}`")),
            Err(violation) => broken(violation.what().to_owned()),
        }
    }
}

/// A response future of the subject.
#[derive(Debug)]
pub(super) struct Flight<F> {
    probe: Probe<F>,
    law: Check,
}

impl<F: Future<Output = Result<u32, BoxError>>> Flight<F> {
    pub(super) fn wakes(&self) -> usize {
        self.probe.wakes()
    }

    pub(super) fn change_task(&mut self) {
        self.probe.wakes = Arc::default();
    }

    /// One poll by hand.
    pub(super) fn poll(&mut self) -> Result<Poll<F::Output>, Violation> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.probe.poll()));
        guard(self.law, polled)
    }

    pub(super) fn must_pend(&mut self, when: &str) -> Result<(), Violation> {
        match self.poll()? {
            Poll::Pending => Ok(()),
            Poll::Ready(answer) => Err(Violation::new(
                self.law,
                format!("the future answered {answer:?} {when}"),
            )),
        }
    }

    /// Waits for the answer and keeps the future.
    pub(super) async fn finish_by_ref(&mut self) -> Result<F::Output, Violation> {
        let polled = poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| self.probe.future.as_mut().poll(cx)))
                .map_or_else(|payload| Poll::Ready(Err(payload)), |poll| poll.map(Ok))
        });
        let polled = tokio::time::timeout(PATIENCE, polled).await;
        let polled = polled.or(Err(Violation::new(self.law, "the future pends for ever")))?;
        guard(self.law, polled)
    }

    pub(super) async fn finish(mut self) -> Result<F::Output, Violation> {
        self.finish_by_ref().await
    }
}

fn guard<T>(law: Check, result: std::thread::Result<T>) -> Result<T, Violation> {
    result.map_err(|payload| {
        let text = panic_text(payload.as_ref());
        Violation::new(law, format!("the future panicked: {text}"))
    })
}

/// Polls while the subject wakes its own task, and finds out whether it ever stops.
pub(super) fn poll_until_quiet<T>(
    law: Check,
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
    Err(Violation::new(law, what))
}

/// The mock must have been reached, and nobody may have broken the contract with it.
pub(super) fn verdict(law: Check, mock: &MockHandle) -> Result<(), Violation> {
    if let Some(what) = mock.violations().into_iter().next() {
        return Err(Violation::new(law, what));
    }
    if mock.calls() == 0 {
        return Err(Violation::new(law, "never reached the inner service"));
    }
    Ok(())
}

/// Fails with `what` unless `holds`.
pub(super) fn ensure(
    law: Check,
    holds: bool,
    what: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation::new(law, what()))
    }
}
