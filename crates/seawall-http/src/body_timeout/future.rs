//! The answer of a call whose body is to come in time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use seawall_core::striped::Local;
use seawall_core::{Rejectable, deadline};
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::poll_timer;
use super::handle::Common;
use super::watch::Watch;
use super::{BodyLimit, TimedBody};

pin_project! {
    /// The answer of a [`BodyTimeout`](super::BodyTimeout).
    ///
    /// # Panics
    ///
    /// When it is polled again after it has answered, and when it has to arm its timer outside of
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
            common: Local<Common, ()>,
            began: Option<Instant>,
            until: Option<Instant>,
        },
        Done,
    }
}

impl<F> BodyTimeoutFuture<F> {
    pub(super) const fn new(inner: F, common: Local<Common, ()>, until: Option<Instant>) -> Self {
        Self {
            state: State::Called {
                inner,
                timer: None,
                common,
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
        let answer = match state.as_mut().project() {
            StateProj::Called {
                inner,
                timer,
                common,
                began,
                ..
            } => {
                let first_byte = common.common().config.first_byte();
                if first_byte.is_some() && began.is_none() {
                    *began = Some(Instant::now());
                }
                match inner.poll(cx) {
                    Poll::Ready(answer) => Some(answer),
                    Poll::Pending => {
                        let end = first_byte.zip(*began);
                        let end = end.map(|(limit, began)| deadline(began, limit));
                        ready!(poll_head(timer, end, cx));
                        None
                    }
                }
            }
            StateProj::Done => panic!("a body timeout's future was polled after it had answered"),
        };
        // The work ends before the caller hears of it.
        let StateOwned::Called {
            common,
            began,
            until,
            ..
        } = state.project_replace(State::Done)
        else {
            return Poll::Pending;
        };
        Poll::Ready(match answer {
            Some(Ok(response)) => {
                let config = &common.common().config;
                let watch = Watch::new(config, began, until, Instant::now);
                Ok(response.map(|body| TimedBody::new(body, watch, common)))
            }
            Some(Err(error)) => Err(error),
            None => Err(common.common().timeouts_by(BodyLimit::Head).into()),
        })
    }
}

/// Ready when there is to be no more waiting for the head.
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

impl<F> fmt::Debug for BodyTimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Called { timer: None, .. } => "called",
            State::Called { .. } => "called, timer armed",
            State::Done => "done",
        };
        f.debug_struct("BodyTimeoutFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
