//! A body that settles an estimate when it is over.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_http::quota::UsageReader;

use super::delivered::Delivered;
use super::settling::{End, Settling};

pin_project! {
    /// The body of a response of an [`EstimateService`](super::EstimateService).
    ///
    /// Data, trailers, errors and the announced length are those of the inner body.
    pub struct EstimateBody<B> {
        #[pin]
        inner: B,
        meter: Meter,
    }
}

/// What is read of the body, until it is over; when it is dropped, at the latest.
struct Meter {
    usage: UsageReader,
    delivered: Delivered,
    settling: Option<Settling>,
}

impl Meter {
    fn push(&mut self, data: &[u8]) {
        if self.settling.is_some() {
            self.usage.push(data);
            self.delivered.push(data);
        }
    }

    fn end(&mut self, end: End) {
        if let Some(settling) = self.settling.take() {
            settling.end(end, self.usage.usage(), self.delivered.tokens());
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(End::BrokenOff);
    }
}

impl<B: Body> EstimateBody<B> {
    pub(super) fn new(inner: B, settling: Option<Settling>) -> Self {
        let mut meter = Meter {
            usage: UsageReader::new(),
            delivered: Delivered::default(),
            settling,
        };
        if inner.is_end_stream() {
            meter.end(End::Complete);
        }
        Self { inner, meter }
    }
}

impl<B> EstimateBody<B> {
    /// The inner body.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }
}

impl<B: Body<Data = Bytes>> Body for EstimateBody<B> {
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
                    this.meter.end(End::Complete);
                }
            }
            Some(Err(_)) => this.meter.end(End::BrokenOff),
            None => this.meter.end(End::Complete),
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

/// A body that settles nothing, so that a layer outside can answer a rejection with one.
impl<B: From<Bytes>> From<Bytes> for EstimateBody<B> {
    fn from(data: Bytes) -> Self {
        Self::idle(B::from(data))
    }
}

impl<B: Default> Default for EstimateBody<B> {
    fn default() -> Self {
        Self::idle(B::default())
    }
}

impl<B> EstimateBody<B> {
    fn idle(inner: B) -> Self {
        let meter = Meter {
            usage: UsageReader::new(),
            delivered: Delivered::default(),
            settling: None,
        };
        Self { inner, meter }
    }
}

seawall_core::impl_debug!(EstimateBody<B> where [B: std::fmt::Debug]: |this|
    inner = this.inner,
    settled = this.meter.settling.is_none());
