//! The body of an answer that is to come in time.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_core::Error;
use seawall_core::striped::Local;
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};

use super::BodyLimit;
use super::handle::Common;
use super::watch::Watch;

pin_project! {
    /// A body that ends with an error when it does not come in time; see the [module](super).
    ///
    /// Data, trailers and the announced length are those of the body below, and so are its errors,
    /// as [`Error::Inner`].
    ///
    /// # Panics
    ///
    /// When it has to arm its timer outside of a Tokio runtime with time enabled.
    pub struct TimedBody<B> {
        // `None` when it was cut off.
        #[pin]
        inner: Option<B>,
        // Boxed, so that the body can be moved where the body below can be.
        timer: Option<Pin<Box<Sleep>>>,
        watch: Watch,
        // `None` when nothing is limited (any more).
        common: Option<Local<Common, ()>>,
    }
}

impl<B> TimedBody<B> {
    pub(super) const fn new(inner: B, watch: Watch, common: Local<Common, ()>) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            watch,
            common: Some(common),
        }
    }

    /// A body without limits.
    const fn unlimited(inner: B) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            watch: Watch::NOTHING,
            common: None,
        }
    }

    /// The body below, unless it was cut off.
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
        if this.common.is_none() {
            return frame.map_err(Error::Inner);
        }
        let (ended, limit) = match &frame {
            Poll::Ready(Some(Ok(_))) if inner.is_end_stream() => (true, None),
            Poll::Ready(Some(Ok(frame))) => {
                // Empty pieces are no progress: they would keep a dead stream alive.
                if frame.data_ref().is_none_or(Buf::has_remaining) {
                    this.watch.progress();
                }
                let timed = this.watch.times_frames();
                let over = timed.then(|| this.watch.over(Instant::now())).flatten();
                (false, over)
            }
            // What ends in time, or together with it, has come in time.
            Poll::Ready(Some(Err(_)) | None) => (true, None),
            Poll::Pending => (false, poll_watch(this.watch, this.timer, cx)),
        };
        if !ended && limit.is_none() {
            return frame.map_err(Error::Inner);
        }
        *this.timer = None;
        match (limit, this.common.take()) {
            (Some(limit), Some(common)) => {
                // The connection is closed before the reader hears of it.
                drop(frame);
                this.inner.set(None);
                let rejection = common.common().timeouts_by(limit);
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

/// There is nothing to read: arms the timer where it is not, and answers the limit that is over.
fn poll_watch(
    watch: &mut Watch,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Option<BodyLimit> {
    let (at, limit) = watch.waits(Instant::now)?;
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    // A timer of an earlier wait fires early and is set anew then; one that is late is set now.
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

/// A body without limits, so that a rejection can be answered where timed bodies are expected.
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

impl<B: fmt::Debug> fmt::Debug for TimedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedBody")
            .field("inner", &self.inner)
            .field("watch", &self.watch)
            .field("timing", &self.is_timing())
            .finish_non_exhaustive()
    }
}
