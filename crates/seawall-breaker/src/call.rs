//! A circuit without Tower: admissions, and futures that are guarded.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Complete, Error, ErrorIsFailure, Rejection, on_unwind};

use crate::access::{CircuitRef, Single};
use crate::admission::Admit;
use crate::entry_point::EntryPoint;
use crate::future::may_ask;
use crate::handle::CircuitHandle;
use crate::permit::Permit;
use crate::probe_wait::{ProbeWait, Waited, may_wait};

impl<D: CircuitRef> CircuitHandle<D> {
    /// Guards a future, in one line: rejected while the circuit is open, and otherwise run and
    /// counted, with an error as a failure. The future is not polled before it is admitted.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] when the circuit rejects, [`Error::Inner`] with the future's own error.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerLayer};
    ///
    /// async fn fetch(symbol: &str) -> Result<f64, std::io::Error> {
    ///     Ok(symbol.len() as f64)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let breaker = BreakerLayer::new("quotes", BreakerConfig::default()).handle();
    /// let price = breaker.call(fetch("AAPL")).await?;
    /// assert_eq!(price, 4.0);
    /// # Ok(()) }
    /// ```
    pub fn call<F, T, E>(&self, future: F) -> GuardedFuture<F, ErrorIsFailure, D>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.call_with(ErrorIsFailure, future)
    }

    /// As [`call`](Self::call), with the outcome found by `classifier`.
    ///
    /// # Errors
    ///
    /// As those of [`call`](Self::call).
    pub fn call_with<F, C, T, E>(&self, classifier: C, future: F) -> GuardedFuture<F, C, D>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        GuardedFuture {
            stage: Stage::Admission {
                circuit: self.circuit.clone(),
                wait: ProbeWait::default(),
                future: Some(future),
            },
            classifier,
        }
    }

    /// Guards an async function: each call of the returned function is [guarded](Self::call).
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerLayer};
    ///
    /// async fn fetch(symbol: &'static str) -> Result<f64, std::io::Error> {
    ///     Ok(symbol.len() as f64)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let breaker = BreakerLayer::new("quotes", BreakerConfig::default()).handle();
    /// let fetch = breaker.wrap(fetch);
    /// assert_eq!(fetch("AAPL").await?, 4.0);
    /// # Ok(()) }
    /// ```
    pub fn wrap<A, F, Fut, T, E>(
        &self,
        function: F,
    ) -> impl Fn(A) -> GuardedFuture<Fut, ErrorIsFailure, D> + use<A, F, Fut, T, E, D>
    where
        F: Fn(A) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let handle = self.clone();
        move |argument| handle.call(function(argument))
    }

    /// Admits a call: complete the permit with the outcome. Waits where
    /// [calls wait while probes are in flight](crate::HalfOpenPolicy::Wait).
    ///
    /// # Errors
    ///
    /// The rejection of the circuit.
    ///
    /// # Panics
    ///
    /// If it has to wait outside of a Tokio runtime with time enabled.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerLayer, Complete, Outcome};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), seawall_breaker::Rejection> {
    /// let breaker = BreakerLayer::new("feed", BreakerConfig::default()).handle();
    /// let permit = breaker.admit().await?;
    /// // ... call the upstream in any way ...
    /// permit.complete(Outcome::Success);
    /// # Ok(()) }
    /// ```
    pub async fn admit(&self) -> Result<Permit<D>, Rejection> {
        let mut wait = ProbeWait::default();
        let permit = poll_fn(|cx| poll_admit(&self.circuit, &mut wait, cx)).await?;
        Ok(permit.watched())
    }

    /// Admits a call without waiting.
    ///
    /// # Errors
    ///
    /// The rejection of the circuit.
    pub fn try_admit(&self) -> Result<Permit<D>, Rejection> {
        let held = self.circuit.held();
        match held.admit() {
            Ok(record) => Ok(Permit::new(held, record).watched()),
            Err(rejection) => Err(reject(&held, rejection)),
        }
    }
}

#[cold]
fn reject(held: &impl Admit, rejection: Rejection) -> Rejection {
    held.count_rejection(EntryPoint::Breaker, rejection);
    rejection
}

fn poll_admit<D: CircuitRef>(
    circuit: &D,
    wait: &mut ProbeWait,
    cx: &mut Context<'_>,
) -> Poll<Result<Permit<D>, Rejection>> {
    loop {
        let held = circuit.held();
        let rejection = match held.admit() {
            Ok(record) => {
                wait.end();
                return Poll::Ready(Ok(Permit::new(held, record)));
            }
            Err(rejection) => rejection,
        };
        if may_wait(&held, &rejection)
            && ready!(wait.poll(&held, EntryPoint::Breaker, cx)) == Waited::TryAgain
        {
            continue;
        }
        wait.end();
        return Poll::Ready(Err(reject(&held, rejection)));
    }
}

pin_project! {
    /// A future that is guarded by a circuit; see [`CircuitHandle::call`].
    ///
    /// It is admitted at its first poll; dropped before that, it has changed nothing. Dropped after
    /// it, the call counts as abandoned.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, and when it has to wait for probes outside of a
    /// Tokio runtime with time enabled.
    #[must_use = "futures do nothing unless polled"]
    pub struct GuardedFuture<F, C = ErrorIsFailure, D: CircuitRef = Single> {
        #[pin]
        stage: Stage<F, D>,
        classifier: C,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, D: CircuitRef> {
        Admission {
            circuit: D,
            wait: ProbeWait,
            future: Option<F>,
        },
        Calling {
            #[pin]
            inner: F,
            permit: Option<Permit<D>>,
        },
        Done,
    }
}

impl<F, C, D, R, E> Future for GuardedFuture<F, C, D>
where
    F: Future<Output = Result<R, E>>,
    C: Classify<R, E>,
    D: CircuitRef,
{
    type Output = Result<R, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut stage = this.stage;
        loop {
            match stage.as_mut().project() {
                StageProj::Admission {
                    circuit,
                    wait,
                    future,
                } => match ready!(poll_admit(circuit, wait, cx)) {
                    Ok(permit) => {
                        let inner = future.take().expect("a future is admitted once");
                        let permit = Some(permit);
                        stage.set(Stage::Calling { inner, permit });
                    }
                    Err(rejection) => {
                        stage.set(Stage::Done);
                        return Poll::Ready(Err(Error::Rejected(rejection)));
                    }
                },
                StageProj::Calling { inner, permit } => {
                    let unwound = || permit.iter_mut().for_each(Permit::panicked);
                    let Poll::Ready(result) = on_unwind(|| inner.poll(cx), unwound) else {
                        permit.iter_mut().for_each(Permit::watch);
                        return Poll::Pending;
                    };
                    // A classifier that panics leaves the permit here, to be abandoned.
                    let outcome = this.classifier.classify(result.as_ref());
                    if let Some(mut permit) = permit.take() {
                        if may_ask(&outcome)
                            && let Some(wait) = this.classifier.retry_after(result.as_ref())
                        {
                            permit.delay_probe(wait);
                        }
                        permit.complete(outcome);
                    }
                    stage.set(Stage::Done);
                    return Poll::Ready(result.map_err(Error::Inner));
                }
                StageProj::Done => panic!("polled after it has completed"),
            }
        }
    }
}

impl<F, C, D: CircuitRef> fmt::Debug for GuardedFuture<F, C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Admission { .. } => "admission",
            Stage::Calling { .. } => "calling",
            Stage::Done => "done",
        };
        f.debug_struct("GuardedFuture")
            .field("stage", &stage)
            .finish()
    }
}
