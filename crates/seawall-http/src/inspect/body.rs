//! The body of a response, complete again after its beginning was read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::rules::Extent;
use crate::size_hint::longer_by;

/// The body of a response that was inspected: what was read, then the rest of it.
///
/// Data, trailers, errors and the announced length are those of the inner body.
pub struct InspectedBody<B: Body> {
    read: Bytes,
    /// What came after the data while it was read: the trailers or the error.
    // Boxed, since hardly any body has it.
    last: Option<Box<Result<HeaderMap, B::Error>>>,
    /// `None` where there never was an inner body.
    rest: Option<B>,
    /// Whether the inner body has ended or failed.
    ended: bool,
}

/// Only the inner body is ever pinned; an error that was kept is not.
impl<B: Body + Unpin> Unpin for InspectedBody<B> {}

impl<B: Body<Data = Bytes> + Unpin> InspectedBody<B> {
    /// A body of which nothing was read.
    pub(crate) fn unread(rest: B) -> Self {
        Self {
            read: Bytes::new(),
            last: None,
            rest: Some(rest),
            ended: false,
        }
    }

    /// Reads further; ready when the body has ended, is longer than `cap`, or is not what `extent`
    /// asks for.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        extent: Extent,
        cap: usize,
    ) -> Poll<()> {
        while !self.ended && self.read.len() <= cap && self.is_wanted(extent) {
            match std::task::ready!(self.poll_rest(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.append(data),
                    Err(frame) => {
                        let last = frame.into_trailers().ok();
                        self.last = last.map(|last| Box::new(Ok(last)));
                    }
                },
                Some(Err(error)) => {
                    self.last = Some(Box::new(Err(error)));
                    self.ended = true;
                }
                None => self.ended = true,
            }
            self.ended |= self.is_rest_over();
        }
        Poll::Ready(())
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_rest_over(&self) -> bool {
        self.rest.as_ref().is_none_or(B::is_end_stream)
    }

    fn has_failed(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.is_err())
    }

    fn rest_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref();
        rest.map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }

    fn append(&mut self, data: Bytes) {
        if self.read.is_empty() {
            // The usual small body comes in one frame: a reference count, no copy.
            self.read = data;
        } else if !data.is_empty() {
            // The second frame copies the first; from then on the buffer is ours and grows.
            let mut longer = std::mem::take(&mut self.read)
                .try_into_mut()
                .unwrap_or_else(|read| BytesMut::from(&read[..]));
            longer.extend_from_slice(&data);
            self.read = longer.freeze();
        }
    }

    /// Whether the body is what `extent` asks for, as far as it was read.
    fn is_wanted(&self, extent: Extent) -> bool {
        extent != Extent::Object || {
            let first = self.read.trim_ascii_start().first();
            first.is_none_or(|first| *first == b'{')
        }
    }

    /// The complete body, when it is what `extent` asks for, all of it was read without an error,
    /// and it is no longer than `cap`.
    pub(super) fn complete(&self, extent: Extent, cap: usize) -> Option<&[u8]> {
        let whole = self.ended && !self.has_failed();
        let complete = whole && self.read.len() <= cap && self.is_wanted(extent);
        complete.then_some(&self.read[..])
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for InspectedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if !this.read.is_empty() {
            let read = std::mem::take(&mut this.read);
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        if let Some(last) = this.last.take() {
            return Poll::Ready(Some((*last).map(Frame::trailers)));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        this.poll_rest(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.last.is_none() && (self.ended || self.is_rest_over())
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.len() as u64;
        // The missing rest of one that failed will not come, but its length was announced.
        if self.ended && !self.has_failed() {
            return SizeHint::with_exact(read);
        }
        longer_by(&self.rest_hint(), read)
    }
}

/// A body that was not inspected, so that a layer can respond to a rejection, or with a body that it
/// has read, where inspected bodies are expected.
impl<B: Body<Data = Bytes> + Unpin> From<Bytes> for InspectedBody<B> {
    fn from(data: Bytes) -> Self {
        Self {
            read: data,
            last: None,
            rest: None,
            ended: true,
        }
    }
}

seawall_core::impl_debug!(InspectedBody<B> where [B: Body + std::fmt::Debug]: |this|
    read = this.read.len(),
    ended = this.ended,
    rest = this.rest);
