//! The steps of a call, whatever its permits are like: waits for its turn if it must, runs,
//! releases the permit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, Complete, EventSource, FailureKind, Outcome, Policies, Reason, Rejectable, Rejection,
    TrackCompletion, classify_result,
};
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::counts::BulkheadStripe;
use crate::semaphore::Turn;

/// A call in a queue. Dropped without a permit, it leaves the queue and counts as abandoned.
pub(crate) trait Waiter {
    type Permit: Complete;

    /// Whether its turn has come; joins the queue the first time. At its `last_chance`, whether a
    /// permit is available at all.
    fn turn(&mut self, last_chance: bool, waker: &Waker) -> Result<Turn, Rejection>;

    /// Acquires the permit, if it is its turn or its `last_chance`.
    fn acquire(&mut self, last_chance: bool, waker: &Waker) -> Option<Self::Permit>;

    /// Lets others pass while its own service is not ready.
    fn skip(&self);

    /// When its wait ends, if it begins now.
    fn waits_until(&self) -> Instant;

    /// Whether the deadline of its request has passed.
    fn is_expired(&self) -> bool;

    /// Leaves the queue, if it is in it.
    fn leave(&mut self);

    /// What counts and emits its end.
    fn counted_by(&self) -> (&BulkheadStripe, &EventSource);

    /// Leaves the queue without a permit.
    fn reject(&mut self, reason: Reason) -> Rejection {
        self.leave();
        let (stripe, source) = self.counted_by();
        stripe.reject(source, reason)
    }

    /// Leaves the queue without a permit, since its wait has ended.
    fn time_out(&mut self) -> Rejection {
        self.reject(if self.is_expired() {
            Reason::DeadlineExceeded
        } else {
            Reason::QueueTimeout
        })
    }

    /// Leaves the queue, since the service that it was to go to has failed.
    fn inner_failed(&mut self, outcome: &Outcome) {
        self.leave();
        self.counted_by().0.completed(outcome);
    }
}

/// What is left to do when a call has its result: the parts of a policy that it needs.
pub(crate) struct Ending<X: Policies> {
    completion: X::Completion,
    classifier: X::Classifier,
}

impl<X: Policies> Ending<X> {
    #[inline]
    pub(crate) fn of(policy: &X) -> Self
    where
        X::Completion: Clone,
        X::Classifier: Clone,
    {
        Self {
            completion: policy.completion().clone(),
            classifier: policy.classifier().clone(),
        }
    }
}

pin_project! {
    #[project = StepProj]
    #[project_replace = StepDone]
    pub(crate) enum CallStep<S, Req, X, F, W>
    where
        W: Waiter,
        X: Policies,
    {
        Running { #[pin] inner: F, permit: W::Permit, ending: Ending<X> },
        // Boxed, so that the futures of calls that need not wait stay small.
        Waiting { call: Pin<Box<WaitingCall<S, Req, W>>>, ending: Option<Ending<X>> },
        Rejected { rejection: Rejection },
        Done,
    }
}

pin_project! {
    pub(crate) struct WaitingCall<S, Req, W> {
        // First, so that it leaves the queue before the service and the request are dropped.
        waiter: W,
        service: S,
        req: Option<Req>,
        #[pin]
        timeout: Option<Sleep>,
    }
}

impl<S: Service<Req>, Req, X: Policies, W: Waiter> CallStep<S, Req, X, S::Future, W> {
    #[cold]
    pub(crate) fn waiting(service: S, req: Req, waiter: W, ending: Ending<X>) -> Self {
        let call = Box::pin(WaitingCall {
            waiter,
            service,
            req: Some(req),
            timeout: None,
        });
        let ending = Some(ending);
        Self::Waiting { call, ending }
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::Waiting { .. } => "waiting",
            Self::Rejected { .. } => "rejected",
            Self::Done => "done",
        }
    }
}

/// The call that was made with a permit, or why there was none.
type Started<S, Req, P> = Result<(<S as Service<Req>>::Future, P), <S as Service<Req>>::Error>;

impl<S, Req, W> WaitingCall<S, Req, W>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    W: Waiter,
{
    /// Waits for the turn, then makes the call: readiness first, the permit last, and the call in
    /// the same poll, so that no permit is held by a call that cannot go.
    // Never inlined: only calls that wait come here, and the others should not carry it.
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Started<S, Req, W::Permit>> {
        let mut this = self.project();
        let mut last_chance = false;
        loop {
            let turn = this.waiter.turn(last_chance, cx.waker())?;
            let mut skipped = false;
            if turn == Turn::Go {
                match this.service.poll_ready(cx) {
                    Poll::Pending => {
                        this.waiter.skip();
                        skipped = true;
                    }
                    Poll::Ready(Err(error)) => {
                        this.waiter.inner_failed(&outcome_of(&error));
                        return Poll::Ready(Err(error));
                    }
                    Poll::Ready(Ok(())) => {
                        if let Some(permit) = this.waiter.acquire(last_chance, cx.waker()) {
                            let req = this.req.take().expect("a request is sent once");
                            return Poll::Ready(Ok((this.service.call(req), permit)));
                        }
                        // It was skipped, or a waiter of a higher rank came back and took the
                        // permit. It waits for the next one without what it has reserved below.
                        let fresh = this.service.clone();
                        *this.service = fresh;
                    }
                }
            }
            if this.timeout.is_none() {
                let until = this.waiter.waits_until();
                this.timeout.set(Some(sleep_until(until)));
            }
            if let Some(timeout) = this.timeout.as_mut().as_pin_mut()
                && !last_chance
            {
                ready!(timeout.poll(cx));
            }
            if last_chance || skipped {
                return Poll::Ready(Err(this.waiter.time_out().into()));
            }
            // The last chance: it takes a permit that is available, ahead of waiters that were
            // woken for it and are not polled.
            last_chance = true;
        }
    }
}

/// What an error of `poll_ready` means: classifiers take results of calls alone.
pub(crate) fn outcome_of(error: &impl Rejectable) -> Outcome {
    let rejection = error.rejection();
    rejection.map_or(Outcome::Failure(FailureKind::Other), Rejection::outcome)
}

impl<S, Req, X, W> Future for CallStep<S, Req, X, S::Future, W>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Completion: TrackCompletion<W::Permit, S::Response>,
    X::Classifier: Classify<S::Response, S::Error>,
    W: Waiter,
{
    type Output =
        Result<<X::Completion as TrackCompletion<W::Permit, S::Response>>::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self;
        loop {
            match step.as_mut().project() {
                StepProj::Running { inner, .. } => {
                    let result = ready!(inner.poll(cx));
                    // The inner future is dropped first, the permit released next, and the result
                    // returned last.
                    let StepDone::Running { permit, ending, .. } =
                        step.as_mut().project_replace(Self::Done)
                    else {
                        unreachable!("it was running")
                    };
                    let outcome = classify_result(&ending.classifier, &result);
                    return Poll::Ready(match result {
                        Ok(response) => Ok(ending
                            .completion
                            .track_completion(permit, outcome, response)),
                        Err(error) => {
                            permit.complete(outcome);
                            Err(error)
                        }
                    });
                }
                StepProj::Waiting { call, ending } => match ready!(call.as_mut().poll(cx)) {
                    Ok((inner, permit)) => {
                        let ending = ending.take().expect("a call starts once");
                        step.set(Self::Running {
                            inner,
                            permit,
                            ending,
                        });
                    }
                    Err(error) => {
                        step.set(Self::Done);
                        return Poll::Ready(Err(error));
                    }
                },
                StepProj::Rejected { rejection } => {
                    let error = S::Error::from(*rejection);
                    step.set(Self::Done);
                    return Poll::Ready(Err(error));
                }
                StepProj::Done => panic!("the future of a call was polled after completion"),
            }
        }
    }
}
