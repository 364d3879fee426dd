//! The steps of a call, whatever its places are like: waits for its turn if it must, runs, gives
//! the place back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, Complete, FailureKind, Outcome, Rejectable, Rejection, TrackCompletion, judge,
};
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::places::Turn;

/// A call in a line. Dropped without a place, it leaves the line and counts as abandoned.
pub(crate) trait InLine {
    type Permit: Complete;

    /// Asks whether its turn has come; joins the line at the first time. One who is `late` asks
    /// whether there is a place at all.
    fn turn(&mut self, late: bool, waker: &Waker) -> Result<Turn, Rejection>;

    /// Takes the place, if it is its turn or it is `late`.
    fn take(&mut self, late: bool, waker: &Waker) -> Option<Self::Permit>;

    /// Lets others pass while its own service is not ready.
    fn stand_aside(&self);

    /// When its patience ends, if it begins now.
    fn gives_up_at(&self) -> Instant;

    /// Leaves the line without a place, since its patience is over.
    fn give_up(&mut self) -> Rejection;

    /// Leaves the line, since the service that it was to go to has failed.
    fn inner_failed(&mut self, outcome: &Outcome);
}

pin_project! {
    #[project = StepProj]
    #[project_replace = StepDone]
    pub(crate) enum Step<S, Req, H, C, F, W>
    where
        W: InLine,
    {
        Running { #[pin] inner: F, permit: W::Permit, hold: H, classify: C },
        // Boxed, so that the futures of those who need not wait stay small.
        Waiting { line: Pin<Box<Line<S, Req, W>>>, end: Option<(H, C)> },
        Rejected { rejection: Rejection },
        Done,
    }
}

pin_project! {
    pub(crate) struct Line<S, Req, W> {
        // First, so that it leaves the line before the service and the request are dropped.
        waiting: W,
        service: S,
        req: Option<Req>,
        #[pin]
        timeout: Option<Sleep>,
    }
}

impl<S: Service<Req>, Req, H, C, W: InLine> Step<S, Req, H, C, S::Future, W> {
    #[cold]
    pub(crate) fn waiting(service: S, req: Req, waiting: W, hold: H, classify: C) -> Self {
        let line = Box::pin(Line {
            waiting,
            service,
            req: Some(req),
            timeout: None,
        });
        let end = Some((hold, classify));
        Self::Waiting { line, end }
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

/// The call that was made with a place, or why there was none.
type Departure<S, Req, P> = Result<(<S as Service<Req>>::Future, P), <S as Service<Req>>::Error>;

impl<S, Req, W> Line<S, Req, W>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    W: InLine,
{
    /// Waits for the turn, then makes the call: readiness first, the place last, and the call in
    /// the same poll, so that no place is held by a call that cannot go.
    // Never inlined: only calls that wait come here, and the others should not carry it.
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Departure<S, Req, W::Permit>> {
        let mut this = self.project();
        let mut late = false;
        loop {
            let turn = this.waiting.turn(late, cx.waker())?;
            let mut stuck = false;
            if turn == Turn::Go {
                match this.service.poll_ready(cx) {
                    Poll::Pending => {
                        this.waiting.stand_aside();
                        stuck = true;
                    }
                    Poll::Ready(Err(error)) => {
                        this.waiting.inner_failed(&meaning(&error));
                        return Poll::Ready(Err(error));
                    }
                    Poll::Ready(Ok(())) => {
                        if let Some(permit) = this.waiting.take(late, cx.waker()) {
                            let req = this.req.take().expect("a request departs once");
                            return Poll::Ready(Ok((this.service.call(req), permit)));
                        }
                        // It had stood aside, or somebody of a higher rank came back and took
                        // it. It waits for a place without what it has reserved below.
                        let fresh = this.service.clone();
                        *this.service = fresh;
                    }
                }
            }
            if this.timeout.is_none() {
                let at = this.waiting.gives_up_at();
                this.timeout.set(Some(sleep_until(at)));
            }
            if let Some(timeout) = this.timeout.as_mut().as_pin_mut()
                && !late
            {
                ready!(timeout.poll(cx));
            }
            if late || stuck {
                return Poll::Ready(Err(this.waiting.give_up().into()));
            }
            // The last chance: it takes a place that is free, ahead of those who were called for
            // it and are not polled.
            late = true;
        }
    }
}

/// What an error of the inner service means to the one who counts.
fn meaning(error: &impl Rejectable) -> Outcome {
    error
        .rejection()
        .map_or(Outcome::Failure(FailureKind::Other), Rejection::outcome)
}

impl<S, Req, H, C, W> Future for Step<S, Req, H, C, S::Future, W>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    H: TrackCompletion<W::Permit, S::Response>,
    C: Classify<S::Response, S::Error>,
    W: InLine,
{
    type Output = Result<H::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self;
        loop {
            match step.as_mut().project() {
                StepProj::Running { inner, .. } => {
                    let answer = ready!(inner.poll(cx));
                    // The inner future goes first, the place after it, the answer last.
                    let StepDone::Running {
                        permit,
                        hold,
                        classify,
                        ..
                    } = step.as_mut().project_replace(Step::Done)
                    else {
                        unreachable!("it was running")
                    };
                    let outcome = judge(&classify, &answer);
                    return Poll::Ready(match answer {
                        Ok(response) => Ok(hold.track_completion(permit, outcome, response)),
                        Err(error) => {
                            permit.complete(outcome);
                            Err(error)
                        }
                    });
                }
                StepProj::Waiting { line, end } => match ready!(line.as_mut().poll(cx)) {
                    Ok((inner, permit)) => {
                        let (hold, classify) = end.take().expect("a call departs once");
                        step.set(Step::Running {
                            inner,
                            permit,
                            hold,
                            classify,
                        });
                    }
                    Err(error) => {
                        step.set(Step::Done);
                        return Poll::Ready(Err(error));
                    }
                },
                StepProj::Rejected { rejection } => {
                    let error = S::Error::from(*rejection);
                    step.set(Step::Done);
                    return Poll::Ready(Err(error));
                }
                StepProj::Done => panic!("`ResponseFuture` polled after it has answered"),
            }
        }
    }
}
