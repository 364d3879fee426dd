//! The future of a measured call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Rejectable, TrackCompletion, classify_result, is_large};

use crate::OpenCall;

pin_project! {
    /// The response of a [`Telemetry`](crate::Telemetry) service.
    ///
    /// Dropped before it has completed, it counts as abandoned. Once it has completed it holds
    /// nothing, even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled again after it has completed.
    pub struct ResponseFuture<F, C, T> {
        #[pin]
        inner: Inner<F, C, T>,
        open: OpenCall,
    }
}

pin_project! {
    #[project = InnerProj]
    #[project_replace = InnerDone]
    enum Inner<F, C, T> {
        Called {
            #[pin]
            future: F,
            classifier: C,
            completion: T,
        },
        Done,
    }
}

impl<F, C, T> ResponseFuture<F, C, T> {
    /// Makes the inner call, and takes `open` when it is made.
    #[inline(always)]
    pub(crate) fn calling(
        call: impl FnOnce() -> F,
        open: &mut OpenCall,
        classifier: C,
        completion: T,
    ) -> Self {
        if is_large::<F>() {
            return Self::calling_in_place(call, open, classifier, completion);
        }
        Self {
            inner: Inner::Called {
                future: call(),
                classifier,
                completion,
            },
            open: open.take(),
        }
    }

    /// The same with a large inner future, which is built where it stays.
    // In here nothing is to be dropped should the call panic: else the inner future would be put
    // somewhere first, and copied from there.
    #[inline(never)]
    fn calling_in_place(
        call: impl FnOnce() -> F,
        open: &mut OpenCall,
        classifier: C,
        completion: T,
    ) -> Self {
        Self {
            inner: Inner::Called {
                future: call(),
                classifier,
                completion,
            },
            open: open.take(),
        }
    }
}

impl<F, Res, E, C, T> Future for ResponseFuture<F, C, T>
where
    F: Future<Output = Result<Res, E>>,
    E: Rejectable,
    C: Classify<Res, E>,
    T: TrackCompletion<OpenCall, Res>,
{
    type Output = Result<T::Response, E>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = match this.inner.as_mut().project() {
            InnerProj::Called { future, .. } => {
                let running = this.open.enter();
                let polled = future.poll(cx);
                this.open.leave(running);
                match polled {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        this.open.wait();
                        return Poll::Pending;
                    }
                }
            }
            InnerProj::Done => panic!("polled after it has completed"),
        };
        // The inner future goes first: what it holds is free before the call is over.
        let InnerDone::Called {
            classifier,
            completion,
            ..
        } = this.inner.project_replace(Inner::Done)
        else {
            unreachable!("it was called")
        };
        let outcome = classify_result(&classifier, &result);
        Poll::Ready(match result {
            Ok(response) => {
                // In place where that is all: a guard that is passed on through memory costs more than
                // counting.
                let open = if T::ON_RESPONSE {
                    this.open.succeed_or_fail(outcome);
                    OpenCall::over()
                } else {
                    this.open.wait();
                    this.open.take()
                };
                Ok(completion.track_completion(open, outcome, response))
            }
            Err(error) => {
                this.open.fail(outcome, error.rejection());
                Err(error)
            }
        })
    }
}

seawall_core::impl_debug!(ResponseFuture<F, C, T>: |this| done = matches!(this.inner, Inner::Done));
