//! The body of a response that has to come in time.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_core::{Clock, Error};
use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};

use super::limit::BodyLimit;
use super::state::LocalState;
use super::watch::Watch;

pin_project! {
    /// A body that ends with an error when it does not come in time; see the
    /// [module](crate::body_timeout).
    ///
    /// Data, trailers and the announced length are those of the inner body, and so are its errors,
    /// as [`Error::Inner`].
    ///
    /// # Panics
    ///
    /// When it has to arm its timer outside of a Tokio runtime with time enabled.
    pub struct TimedBody<B> {
        // `None` after a timeout.
        #[pin]
        inner: Option<B>,
        // Boxed, so that the body is `Unpin` when the inner body is.
        timer: Option<Pin<Box<Sleep>>>,
        watch: Watch,
        // `None` without limits, and after the end.
        state: Option<LocalState>,
    }
}

impl<B> TimedBody<B> {
    pub(super) const fn new(inner: B, watch: Watch, state: LocalState) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            watch,
            state: Some(state),
        }
    }

    /// A body without limits.
    pub(super) const fn unlimited(inner: B) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            watch: Watch::NOTHING,
            state: None,
        }
    }

    /// The inner body, unless it has timed out.
    pub const fn get_ref(&self) -> Option<&B> {
        self.inner.as_ref()
    }

    /// Whether a timer is armed.
    pub const fn is_timing(&self) -> bool {
        self.timer.is_some()
    }
}

type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, Error<<B as Body>::Error>>>>;

impl<B: Body> Body for TimedBody<B> {
    type Data = B::Data;
    type Error = Error<B::Error>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<B> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = inner.as_mut().poll_frame(cx);
        let Some(state) = this.state.as_ref() else {
            return frame.map_err(Error::Inner);
        };
        let clock = state.common().clock;
        let (ended, limit) = match &frame {
            Poll::Ready(Some(Ok(_))) if inner.is_end_stream() => (true, None),
            Poll::Ready(Some(Ok(frame))) => {
                // Empty frames are no progress: they would keep a dead stream alive.
                if frame.data_ref().is_none_or(Buf::has_remaining) {
                    this.watch.progress();
                }
                let timed = this.watch.times_frames();
                let over = timed
                    .then(|| this.watch.over(clock.instant_now()))
                    .flatten();
                (false, over)
            }
            // A body that ends at the very moment of its limit has come in time.
            Poll::Ready(Some(Err(_)) | None) => (true, None),
            Poll::Pending => (false, poll_watch(this.watch, this.timer, clock, cx)),
        };
        if !ended && limit.is_none() {
            return frame.map_err(Error::Inner);
        }
        *this.timer = None;
        match (limit, this.state.take()) {
            (Some(limit), Some(state)) => {
                // The connection is closed before the reader sees the error.
                drop(frame);
                this.inner.set(None);
                let rejection = state.common().time_out(limit);
                Poll::Ready(Some(Err(rejection.into())))
            }
            _ => frame.map_err(Error::Inner),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// There is nothing to read: arms the timer if it is not armed, and returns the limit that is over.
fn poll_watch(
    watch: &mut Watch,
    timer: &mut Option<Pin<Box<Sleep>>>,
    clock: Clock,
    cx: &mut Context<'_>,
) -> Option<BodyLimit> {
    let (at, limit) = watch.waits(|| clock.instant_now())?;
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    // A timer of an earlier wait fires early and is reset then; one that would be late is reset now.
    if timer.deadline() > at {
        timer.as_mut().reset(at);
    }
    while poll_timer(timer.as_mut(), cx).is_ready() {
        if timer.deadline() >= at {
            return Some(limit);
        }
        timer.as_mut().reset(at);
    }
    None
}

/// Polls a timer, also when the body has used up the task's budget of progress.
pub(super) fn poll_timer(mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    if coop::has_budget_remaining() {
        timer.as_mut().poll(cx)
    } else {
        Pin::new(&mut coop::unconstrained(timer)).poll(cx)
    }
}

/// A body without limits, so that a layer can respond to a rejection where timed bodies are
/// expected.
impl<B: From<Bytes>> From<Bytes> for TimedBody<B> {
    fn from(data: Bytes) -> Self {
        Self::unlimited(B::from(data))
    }
}

impl<B: Default> Default for TimedBody<B> {
    fn default() -> Self {
        Self::unlimited(B::default())
    }
}

seawall_core::impl_debug!(TimedBody<B> where [B: std::fmt::Debug]: |this|
    inner = this.inner,
    watch = this.watch,
    is_timing = this.is_timing());
