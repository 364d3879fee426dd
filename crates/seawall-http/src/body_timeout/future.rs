//! The future of a call whose body has to come in time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use seawall_core::{Rejectable, deadline};
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::{TimedBody, poll_timer};
use super::limit::BodyLimit;
use super::state::LocalState;
use super::watch::Watch;

pin_project! {
    /// The future of a [`BodyTimeout`](super::BodyTimeout).
    ///
    /// # Panics
    ///
    /// When it is polled again after it has completed, and when it has to arm its timer outside of
    /// a Tokio runtime with time enabled.
    pub struct BodyTimeoutFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateOwned]
    enum State<F> {
        Called {
            #[pin]
            inner: F,
            #[pin]
            timer: Option<Sleep>,
            shared: LocalState,
            began: Option<Instant>,
            until: Option<Instant>,
        },
        Done,
    }
}

impl<F> BodyTimeoutFuture<F> {
    pub(super) const fn new(inner: F, shared: LocalState, until: Option<Instant>) -> Self {
        Self {
            state: State::Called {
                inner,
                timer: None,
                shared,
                began: None,
                until,
            },
        }
    }
}

impl<F, B, E> Future for BodyTimeoutFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Rejectable,
{
    type Output = Result<Response<TimedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProj::Called {
                inner,
                timer,
                shared,
                began,
                ..
            } => {
                let first_byte = shared.common().limits.first_byte();
                if first_byte.is_some() && began.is_none() {
                    *began = Some(shared.common().clock.instant_now());
                }
                match inner.poll(cx) {
                    Poll::Ready(result) => Some(result),
                    Poll::Pending => {
                        let end = first_byte.zip(*began);
                        let end = end.map(|(limit, began)| deadline(began, limit));
                        ready!(poll_head(timer, end, cx));
                        None
                    }
                }
            }
            StateProj::Done => panic!("a body timeout was polled after it has completed"),
        };
        // The inner future is dropped before the caller sees the result.
        let StateOwned::Called {
            shared,
            began,
            until,
            ..
        } = state.project_replace(State::Done)
        else {
            return Poll::Pending;
        };
        Poll::Ready(match result {
            Some(Ok(response)) => {
                let common = shared.common();
                let now = || common.clock.instant_now();
                let watch = Watch::new(&common.limits, began, until, now);
                Ok(response.map(|body| TimedBody::new(body, watch, shared)))
            }
            Some(Err(error)) => Err(error),
            None => Err(shared.common().time_out(BodyLimit::Head).into()),
        })
    }
}

/// Ready when the time for the head is over.
fn poll_head(
    mut timer: Pin<&mut Option<Sleep>>,
    end: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(end) = end else {
        return Poll::Pending;
    };
    if timer.is_none() {
        timer.set(Some(sleep_until(end)));
    }
    match timer.as_pin_mut() {
        Some(timer) => poll_timer(timer, cx),
        None => Poll::Pending,
    }
}

seawall_core::impl_debug!(BodyTimeoutFuture<F>:);
