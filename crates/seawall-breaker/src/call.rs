//! A circuit without Tower: admissions, and futures that are guarded.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{CircuitCause, Classify, Complete, Error, ErrorIsFailure, EventKind, Rejection};

use crate::circuit::Asks;
use crate::circuits::{Circuits, Stub, UNMEASURED};
use crate::handle::BreakerHandle;
use crate::patience::{Patience, Waited};
use crate::shared::Held;
use crate::ticket::Permit;

/// What a call without Tower enters by: the handle of a circuit.
pub(crate) trait Door: Clone {
    type Held: Circuits;
    type Permit: Complete;

    /// The circuit, for the running thread.
    fn held(&self) -> Self::Held;

    fn ticket(held: Self::Held, stub: Stub) -> Self::Permit;
}

impl Door for BreakerHandle {
    type Held = Held;
    type Permit = Permit;

    fn held(&self) -> Held {
        self.root.local()
    }

    fn ticket(held: Held, stub: Stub) -> Permit {
        Permit::new(held, stub)
    }
}

impl BreakerHandle {
    /// Guards a future, in one line: rejected while the circuit is open, and otherwise run and
    /// judged, with an error taken for a failure. The future is not polled before it is admitted.
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
    pub fn call<F, T, E>(&self, future: F) -> GuardedFuture<F>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.call_with(ErrorIsFailure, future)
    }

    /// As [`call`](Self::call), with the answer judged by `classify`.
    ///
    /// # Errors
    ///
    /// As those of [`call`](Self::call).
    pub fn call_with<F, C, T, E>(&self, classify: C, future: F) -> GuardedFuture<F, C>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        GuardedFuture::new(self.clone(), classify, future)
    }

    /// Guards an async function: the returned function has each of its calls
    /// [guarded](Self::call).
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
    ) -> impl Fn(A) -> GuardedFuture<Fut> + use<A, F, Fut, T, E>
    where
        F: Fn(A) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let handle = self.clone();
        move |argument| handle.call(function(argument))
    }

    /// Asks for an admission: settle the ticket with what the call came to. Waits where
    /// [calls wait while probes run](crate::HalfOpenPolicy::Wait).
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
    /// use seawall_breaker::{BreakerConfig, BreakerLayer};
    /// use seawall_core::{Outcome, Complete};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), seawall_core::Rejection> {
    /// let breaker = BreakerLayer::new("feed", BreakerConfig::default()).handle();
    /// let ticket = breaker.admit().await?;
    /// // ... ask the upstream in whatever way ...
    /// ticket.complete(Outcome::Success);
    /// # Ok(()) }
    /// ```
    pub async fn admit(&self) -> Result<Permit, Rejection> {
        admit(self).await
    }

    /// Asks for an admission without waiting.
    ///
    /// # Errors
    ///
    /// The rejection of the circuit.
    pub fn try_admit(&self) -> Result<Permit, Rejection> {
        try_admit(self)
    }
}

/// Admits a call to the circuit, or says why not.
#[inline]
pub(crate) fn enter<X: Circuits>(held: &X) -> Result<Stub, Rejection> {
    let word = held.common().word();
    let start = held.start(word);
    let changed = start != UNMEASURED && held.look(word, start);
    if word.is_passing() && !changed {
        return Ok(held.stub(word, start));
    }
    // No gate has dealt the share of a ramp to this one.
    let word = held.admit_as(Asks::Breaker, true)?;
    Ok(held.stub(word, held.start(word)))
}

/// Counts a rejection and tells who listens.
#[cold]
pub(crate) fn reject<X: Circuits>(held: &X, rejected: &Rejection) {
    let common = held.common();
    common.count_rejection(held.stripe(), Asks::Breaker, rejected.reason());
    common
        .setup
        .observer
        .emit(|| EventKind::Rejected(*rejected));
}

pub(crate) fn try_admit<D: Door>(door: &D) -> Result<D::Permit, Rejection> {
    let held = door.held();
    match enter(&held) {
        Ok(stub) => Ok(D::ticket(held, stub)),
        Err(rejected) => {
            reject(&held, &rejected);
            Err(rejected)
        }
    }
}

pub(crate) async fn admit<D: Door>(door: &D) -> Result<D::Permit, Rejection> {
    let mut patience = Patience::default();
    poll_fn(|cx| poll_admit(door, &mut patience, cx)).await
}

fn poll_admit<D: Door>(
    door: &D,
    patience: &mut Patience,
    cx: &mut Context<'_>,
) -> Poll<Result<D::Permit, Rejection>> {
    loop {
        let held = door.held();
        let rejected = match enter(&held) {
            Ok(stub) => {
                patience.end();
                return Poll::Ready(Ok(D::ticket(held, stub)));
            }
            Err(rejected) => rejected,
        };
        let probing = rejected.cause() == Some(CircuitCause::Probing);
        if probing
            && held.common().waits.load(Ordering::Relaxed)
            && ready!(patience.poll(&held, Asks::Breaker, cx)) == Waited::AskAgain
        {
            continue;
        }
        patience.end();
        reject(&held, &rejected);
        return Poll::Ready(Err(rejected));
    }
}

pin_project! {
    /// A future that is guarded by a circuit; see [`BreakerHandle::call`].
    ///
    /// It asks for admission at its first poll; dropped before that, nothing has happened. Dropped
    /// after it, the call counts as abandoned.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, and when it has to wait for probes outside of a
    /// Tokio runtime with time enabled.
    #[must_use = "futures do nothing unless polled"]
    pub struct GuardedFuture<F, C = ErrorIsFailure, D = BreakerHandle, T = Permit> {
        #[pin]
        stage: Stage<F, D, T>,
        classify: C,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, D, T> {
        Asking {
            door: D,
            patience: Patience,
            future: Option<F>,
        },
        Calling {
            #[pin]
            inner: F,
            ticket: Option<T>,
        },
        Done,
    }
}

impl<F, C, D, T> GuardedFuture<F, C, D, T> {
    pub(crate) fn new(door: D, classify: C, future: F) -> Self {
        Self {
            stage: Stage::Asking {
                door,
                patience: Patience::default(),
                future: Some(future),
            },
            classify,
        }
    }
}

#[allow(
    private_bounds,
    reason = "sealed: only the handles of this crate are doors"
)]
impl<F, C, D, T, R, E> Future for GuardedFuture<F, C, D, T>
where
    F: Future<Output = Result<R, E>>,
    C: Classify<R, E>,
    D: Door<Permit = T>,
    T: Complete,
{
    type Output = Result<R, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut stage = this.stage;
        loop {
            match stage.as_mut().project() {
                StageProj::Asking {
                    door,
                    patience,
                    future,
                } => match ready!(poll_admit(door, patience, cx)) {
                    Ok(ticket) => {
                        let inner = future.take().expect("a future is admitted once");
                        let ticket = Some(ticket);
                        stage.set(Stage::Calling { inner, ticket });
                    }
                    Err(rejected) => {
                        stage.set(Stage::Done);
                        return Poll::Ready(Err(Error::Rejected(rejected)));
                    }
                },
                StageProj::Calling { inner, ticket } => {
                    let answer = ready!(inner.poll(cx));
                    // A classifier that panics leaves the ticket here, to be abandoned.
                    let outcome = this.classify.classify(answer.as_ref());
                    if let Some(ticket) = ticket.take() {
                        ticket.complete(outcome);
                    }
                    stage.set(Stage::Done);
                    return Poll::Ready(answer.map_err(Error::Inner));
                }
                StageProj::Done => panic!("polled after it has answered"),
            }
        }
    }
}

impl<F, C, D, T> fmt::Debug for GuardedFuture<F, C, D, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Asking { .. } => "asking",
            Stage::Calling { .. } => "calling",
            Stage::Done => "done",
        };
        f.debug_struct("Guarded").field("stage", &stage).finish()
    }
}
