//! The answer of a breaker per key: waits for a probe's place if it must, and runs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{
    CircuitCause, Classify, Complete, Rejectable, Rejection, TrackCompletion, judge,
};
use tower_service::Service;

use super::single::Held;
use super::ticket::CircuitPermit;
use crate::call::{enter, reject};
use crate::circuit::Asks;
use crate::circuits::Circuits;
use crate::parking::Parked;
use crate::patience::{Patience, Waited};
use crate::ticket::Admitted;

pin_project! {
    /// The answer of a [`KeyedBreaker`](crate::KeyedBreaker).
    ///
    /// Dropped before it has answered, it counts as abandoned; dropped while it waits for a
    /// probe's place, nothing has happened. Once it has answered it holds nothing.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered; and, if it has to wait, outside of a Tokio
    /// runtime with time enabled.
    pub struct KeyedBreakerFuture<S, Req, K, C, H>
    where
        S: Service<Req>,
        K: ToOwned,
        K: ?Sized,
    {
        #[pin]
        step: Step<S, Req, K, C, H, S::Future>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<S, Req, K, C, H, F>
    where
        K: ToOwned,
        K: ?Sized,
    {
        Calling {
            #[pin]
            inner: F,
            ticket: CircuitPermit<K>,
            classify: C,
            hold: H,
        },
        Rejected { rejection: Rejection },
        // Boxed, so that the futures of those who need not wait stay small.
        Waiting { waiting: Box<Waiting<S, Req, K, C, H>> },
        Done,
    }
}

struct Waiting<S, Req, K: ToOwned + ?Sized, C, H> {
    // First, so that it leaves the parking lots before the service and the request are dropped.
    patience: Patience,
    parked: Parked,
    held: Held<K>,
    service: S,
    req: Option<Req>,
    classify: C,
    hold: H,
}

/// Whether a call that was rejected so may wait.
#[cold]
pub(crate) fn may_wait<K: ToOwned + ?Sized>(held: &Held<K>, cause: Option<CircuitCause>) -> bool {
    cause == Some(CircuitCause::Probing) && held.common().waits.load(Ordering::Relaxed)
}

impl<S: Service<Req>, Req, K: ToOwned + ?Sized, C, H> KeyedBreakerFuture<S, Req, K, C, H> {
    #[inline]
    pub(crate) fn calling(
        call: impl FnOnce() -> S::Future,
        ticket: impl FnOnce() -> CircuitPermit<K>,
        classify: C,
        hold: H,
    ) -> Self {
        Self {
            step: Step::Calling {
                inner: call(),
                ticket: ticket(),
                classify,
                hold,
            },
        }
    }

    #[cold]
    pub(crate) fn rejected(held: &Held<K>, rejection: Rejection) -> Self {
        reject(held, &rejection);
        Self {
            step: Step::Rejected { rejection },
        }
    }

    #[cold]
    pub(crate) fn waiting(service: S, req: Req, held: Held<K>, classify: C, hold: H) -> Self {
        let waiting = Box::new(Waiting {
            patience: Patience::default(),
            parked: Parked::new(),
            held,
            service,
            req: Some(req),
            classify,
            hold,
        });
        Self {
            step: Step::Waiting { waiting },
        }
    }
}

/// The step after the wait, or the error of the inner service.
type Next<S, Req, K, C, H> =
    Result<Step<S, Req, K, C, H, <S as Service<Req>>::Future>, <S as Service<Req>>::Error>;

impl<S, Req, K: ToOwned + ?Sized, C, H> Waiting<S, Req, K, C, H>
where
    S: Service<Req> + Clone,
    C: Clone,
    H: Clone,
{
    /// A place first, then readiness, and then both at once: nothing is held while the other is
    /// waited for.
    #[cold]
    #[inline(never)]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next<S, Req, K, C, H>> {
        loop {
            let common = self.held.common();
            let word = common.word();
            if !word.is_passing()
                && let Some(rejection) = common.would_reject(word, Asks::Breaker)
            {
                let waits = may_wait(&self.held, rejection.cause());
                if waits
                    && ready!(self.patience.poll(&self.held, Asks::Breaker, cx)) == Waited::AskAgain
                {
                    continue;
                }
                reject(&self.held, &rejection);
                return Poll::Ready(Ok(Step::Rejected { rejection }));
            }
            // Parked first: a circuit that opens wakes who waits for an unready service too.
            self.parked.park(common.parking(), cx.waker());
            match self.service.poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending if common.word() == word => return Poll::Pending,
                Poll::Pending => continue,
            }
            match enter(&self.held) {
                // The ticket is made first: if the inner service panics, a probe's place is free.
                Ok(stub) => {
                    let ticket = CircuitPermit::new(Held::<K>::clone(&self.held), stub);
                    let Some(req) = self.req.take() else {
                        unreachable!("a call departs once");
                    };
                    return Poll::Ready(Ok(Step::Calling {
                        inner: self.service.call(req),
                        ticket,
                        classify: self.classify.clone(),
                        hold: self.hold.clone(),
                    }));
                }
                // Another was quicker. What the service has reserved is for others meanwhile.
                Err(_) => self.service = self.service.clone(),
            }
        }
    }
}

impl<S, Req, K, C, H> Future for KeyedBreakerFuture<S, Req, K, C, H>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    K: ToOwned + ?Sized,
    C: Classify<S::Response, S::Error> + Clone,
    H: TrackCompletion<CircuitPermit<K>, S::Response> + Clone,
{
    type Output = Result<H::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            let answer = match step.as_mut().project() {
                StepProj::Calling {
                    inner,
                    ticket,
                    classify,
                    hold,
                } => {
                    let answer = ready!(inner.poll(cx));
                    // A classifier that panics leaves the ticket here, to be abandoned.
                    let outcome = judge(classify, &answer);
                    let ticket = ticket.take();
                    match answer {
                        Ok(response) => Ok(hold.track_completion(ticket, outcome, response)),
                        Err(error) => {
                            ticket.complete(outcome);
                            Err(error)
                        }
                    }
                }
                StepProj::Rejected { rejection } => Err(S::Error::from(*rejection)),
                StepProj::Waiting { waiting } => match ready!(waiting.poll(cx)) {
                    Ok(next) => {
                        step.set(next);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                StepProj::Done => panic!("polled after it has answered"),
            };
            step.set(Step::Done);
            return Poll::Ready(answer);
        }
    }
}

impl<S: Service<Req>, Req, K: ToOwned + ?Sized, C, H> fmt::Debug
    for KeyedBreakerFuture<S, Req, K, C, H>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.step {
            Step::Calling { .. } => "calling",
            Step::Rejected { .. } => "rejected",
            Step::Waiting { .. } => "waiting",
            Step::Done => "done",
        };
        f.debug_struct("PerKeyFuture")
            .field("state", &state)
            .finish()
    }
}
