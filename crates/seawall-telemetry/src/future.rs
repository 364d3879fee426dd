//! The future of a measured call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Rejectable, TrackCompletion, classify_result};

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
        state: State<F, C, T>,
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateDone]
    enum State<F, C, T> {
        Called {
            #[pin]
            inner: F,
            open: OpenCall,
            classifier: C,
            completion: T,
        },
        Done,
    }
}

impl<F, C, T> ResponseFuture<F, C, T> {
    #[inline]
    pub(crate) const fn new(inner: F, open: OpenCall, classifier: C, completion: T) -> Self {
        Self {
            state: State::Called {
                inner,
                open,
                classifier,
                completion,
            },
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
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProj::Called { inner, open, .. } => match open.run(|| inner.poll(cx)) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    open.wait();
                    return Poll::Pending;
                }
            },
            StateProj::Done => panic!("polled after it has completed"),
        };
        // The inner future goes first; if the classifier panics, the call is dropped.
        let StateDone::Called {
            mut open,
            classifier,
            completion,
            ..
        } = state.project_replace(State::Done)
        else {
            unreachable!("it was called")
        };
        let outcome = classify_result(&classifier, &result);
        Poll::Ready(match result {
            Ok(response) => Ok({
                if !T::ON_RESPONSE {
                    open.wait();
                }
                completion.track_completion(open, outcome, response)
            }),
            Err(error) => {
                open.fail(outcome, error.rejection());
                Err(error)
            }
        })
    }
}

seawall_core::impl_debug!(ResponseFuture<F, C, T>: |this| done = matches!(this.state, State::Done));
