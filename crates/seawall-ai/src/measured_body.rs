//! A body that reports what it has used when it is over.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_http::quota::{Usage, UsageReader};

use crate::delivered::Delivered;

/// How a body was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// It has ended.
    Complete,
    /// It broke off, or was dropped.
    BrokenOff,
}

/// What waits for the end of a body; dropped without it where there is none.
pub(crate) trait AwaitEnd: Send + Sync {
    /// The body is over, having reported that, and delivered so many tokens of a stream.
    fn body_ended(self: Box<Self>, end: BodyEnd, usage: Option<Usage>, delivered: u32);
}

pin_project! {
    /// The body of a response whose use of tokens is of interest: that of
    /// [`EstimateService`](crate::estimate::EstimateService) and
    /// [`SpendService`](crate::spend::SpendService).
    ///
    /// Data, trailers, errors and the announced length are those of the inner body.
    pub struct MeasuredBody<B> {
        #[pin]
        inner: B,
        meter: Meter,
    }
}

/// What is read of the body, until it is over; when it is dropped, at the latest.
#[derive(Default)]
struct Meter {
    usage: UsageReader,
    delivered: Delivered,
    waiting: Option<Box<dyn AwaitEnd>>,
}

impl Meter {
    fn push(&mut self, data: &[u8]) {
        if self.waiting.is_some() {
            self.usage.push(data);
            self.delivered.push(data);
        }
    }

    fn end(&mut self, end: BodyEnd) {
        if let Some(waiting) = self.waiting.take() {
            waiting.body_ended(end, self.usage.usage(), self.delivered.tokens());
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(BodyEnd::BrokenOff);
    }
}

impl<B: Body> MeasuredBody<B> {
    pub(crate) fn new(inner: B, waiting: Option<Box<dyn AwaitEnd>>) -> Self {
        let mut meter = Meter::default();
        meter.waiting = waiting;
        if inner.is_end_stream() {
            meter.end(BodyEnd::Complete);
        }
        Self { inner, meter }
    }
}

impl<B> MeasuredBody<B> {
    /// The inner body.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    fn idle(inner: B) -> Self {
        let meter = Meter::default();
        Self { inner, meter }
    }
}

impl<B: Body<Data = Bytes>> Body for MeasuredBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.meter.push(data);
                }
                // Readers that know the length do not poll for the end after the last frame.
                if this.inner.is_end_stream() {
                    this.meter.end(BodyEnd::Complete);
                }
            }
            Some(Err(_)) => this.meter.end(BodyEnd::BrokenOff),
            None => this.meter.end(BodyEnd::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that reports nothing, so that a layer outside can answer a rejection with one.
impl<B: From<Bytes>> From<Bytes> for MeasuredBody<B> {
    fn from(data: Bytes) -> Self {
        Self::idle(B::from(data))
    }
}

impl<B: Default> Default for MeasuredBody<B> {
    fn default() -> Self {
        Self::idle(B::default())
    }
}

seawall_core::impl_debug!(MeasuredBody<B> where [B: std::fmt::Debug]: |this|
    inner = this.inner,
    reported = this.meter.waiting.is_none());
