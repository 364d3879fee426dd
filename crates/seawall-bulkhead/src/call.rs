//! The steps of a call, whatever its permits are like: waits for its turn if it must, runs,
//! releases the permit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::queue::{InnerService, QueuedCall, Stopped, Waiter};
use seawall_core::{
    Classify, Complete, EventSource, FailureKind, Outcome, Policies, Reason, Rejectable, Rejection,
    TrackCompletion, classify_result,
};
use tower_service::Service;

use crate::counts::BulkheadStripe;

/// A permit of a call, or of one that has none.
pub(crate) trait HeldPermit: Complete {
    /// No permit.
    const NONE: Self;

    /// Takes the permit out of where it is.
    fn take(&mut self) -> Self;
}

/// A queued call, which counts what becomes of it.
pub(crate) trait CountedCall: QueuedCall<Permit: HeldPermit> {
    /// Leaves the queue, if it is in it.
    fn leave(&mut self);

    /// What counts and emits its end.
    fn counted_by(&self) -> (&BulkheadStripe, &EventSource);

    /// Leaves the queue without a permit.
    fn reject_for(&mut self, reason: Reason) -> Rejection {
        self.leave();
        let (stripe, source) = self.counted_by();
        stripe.reject(source, reason)
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
    /// A call at one of its steps.
    pub(crate) struct BoundedCall<S, Req, X, F, W>
    where
        W: CountedCall,
        X: Policies,
    {
        #[pin]
        step: Step<S, Req, F, W>,
        // Beside the step and not in one variant with the inner future, which would then be moved when
        // it is made.
        permit: W::Permit,
        ending: Option<Ending<X>>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<S, Req, F, W> {
        Running { #[pin] inner: F },
        // Boxed, so that the futures of calls that need not wait stay small.
        Waiting { call: Pin<Box<WaitingCall<S, Req, W>>> },
        Rejected { rejection: Rejection },
        Done,
    }
}

pin_project! {
    pub(crate) struct WaitingCall<S, Req, W> {
        // First, so that it leaves the queue before the service and the request are dropped.
        #[pin]
        waiter: Waiter<W>,
        service: S,
        req: Option<Req>,
    }
}

impl<S: Service<Req>, Req, X: Policies, W: CountedCall> BoundedCall<S, Req, X, S::Future, W> {
    /// Makes a call, and takes its permit when it is made.
    #[inline(always)]
    pub(crate) fn running(
        call: impl FnOnce() -> S::Future,
        permit: &mut W::Permit,
        ending: Ending<X>,
    ) -> Self {
        Self {
            step: Step::Running { inner: call() },
            permit: permit.take(),
            ending: Some(ending),
        }
    }

    #[cold]
    pub(crate) fn waiting(service: S, req: Req, queued: W, ending: Ending<X>) -> Self {
        let call = Box::pin(WaitingCall {
            waiter: Waiter::new(queued),
            service,
            req: Some(req),
        });
        Self {
            step: Step::Waiting { call },
            permit: W::Permit::NONE,
            ending: Some(ending),
        }
    }

    #[cold]
    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: Step::Rejected { rejection },
            permit: W::Permit::NONE,
            ending: None,
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self.step {
            Step::Running { .. } => "running",
            Step::Waiting { .. } => "waiting",
            Step::Rejected { .. } => "rejected",
            Step::Done => "done",
        }
    }
}

/// The call that was made with a permit, or why there was none.
type Started<S, Req, P> = Result<(<S as Service<Req>>::Future, P), <S as Service<Req>>::Error>;

impl<S, Req, W> WaitingCall<S, Req, W>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    W: CountedCall,
{
    /// Waits for the turn, then makes the call in the same poll.
    // Never inlined: only calls that wait come here, and the others should not carry it.
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Started<S, Req, W::Permit>> {
        let mut this = self.project();
        let mut target = InnerService::new(this.service);
        Poll::Ready(match ready!(this.waiter.as_mut().poll(cx, &mut target)) {
            Ok(permit) => {
                let req = this.req.take().expect("a request is sent once");
                Ok((this.service.call(req), permit))
            }
            Err(Stopped::Rejected(rejection)) => Err(rejection.into()),
            Err(Stopped::Failed(error)) => {
                let call = this.waiter.call_mut();
                call.inner_failed(&outcome_of(&error));
                Err(error)
            }
        })
    }
}

/// What an error of `poll_ready` means: classifiers take results of calls alone.
pub(crate) fn outcome_of(error: &impl Rejectable) -> Outcome {
    let rejection = error.rejection();
    rejection.map_or(Outcome::Failure(FailureKind::Other), Rejection::outcome)
}

impl<S, Req, X, W> Future for BoundedCall<S, Req, X, S::Future, W>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Completion: TrackCompletion<W::Permit, S::Response>,
    X::Classifier: Classify<S::Response, S::Error>,
    W: CountedCall,
{
    type Output =
        Result<<X::Completion as TrackCompletion<W::Permit, S::Response>>::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProj::Running { inner } => {
                    let result = ready!(inner.poll(cx));
                    // The inner future is dropped first, the permit released next, and the result
                    // returned last.
                    this.step.set(Step::Done);
                    let permit = this.permit.take();
                    let ending = this.ending.take().expect("a call that runs ends once");
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
                StepProj::Waiting { call } => match ready!(call.as_mut().poll(cx)) {
                    Ok((inner, permit)) => {
                        *this.permit = permit;
                        this.step.set(Step::Running { inner });
                    }
                    Err(error) => {
                        this.step.set(Step::Done);
                        *this.ending = None;
                        return Poll::Ready(Err(error));
                    }
                },
                StepProj::Rejected { rejection } => {
                    let error = S::Error::from(*rejection);
                    this.step.set(Step::Done);
                    return Poll::Ready(Err(error));
                }
                StepProj::Done => panic!("the future of a call was polled after completion"),
            }
        }
    }
}
