//! The body of a response that has something in it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use seawall_core::InstanceName;
use tokio::time::Instant;

use super::error::{BoxError, Delivered, StreamError, StreamErrorKind};
use super::state::LocalState;
use super::streaming::Streaming;
use super::timer::Timer;

/// A body that ends with a [`StreamError`] where it does not come to its end, or not in time; see the
/// [module](crate::stream).
///
/// Data, trailers and, of what is no stream, the announced length are those of the inner body, whose
/// errors become a [`StreamError`] with them as its source.
///
/// # Panics
///
/// When it has to arm its timer outside of a Tokio runtime with time enabled.
pub struct StreamBody<B> {
    kind: Kind<B>,
}

enum Kind<B> {
    /// Boxed once per stream: all that reading one needs.
    Stream(Box<Streaming<B>>),
    Plain(Plain<B>),
    /// Without limits, of a layer that is bypassed.
    Open(B, InstanceName),
    /// A body that a layer has made.
    Made(Bytes),
}

/// A body that is no stream, with its limits.
pub(super) struct Plain<B> {
    /// `None` after an error.
    pub(super) inner: Option<B>,
    /// What was read of it before the head was passed on.
    pub(super) first: Option<Bytes>,
    /// How many bytes were read.
    pub(super) read: u64,
    pub(super) max_bytes: u64,
    /// Whether there must be something in it.
    pub(super) is_expected: bool,
    pub(super) until: Option<Instant>,
    /// The limit that ends then.
    pub(super) total: Option<Duration>,
    pub(super) timer: Timer,
    pub(super) state: LocalState,
}

impl<B> StreamBody<B> {
    pub(super) const fn stream(stream: Box<Streaming<B>>) -> Self {
        Self {
            kind: Kind::Stream(stream),
        }
    }

    pub(super) const fn plain(plain: Plain<B>) -> Self {
        Self {
            kind: Kind::Plain(plain),
        }
    }

    pub(super) const fn open(inner: B, name: InstanceName) -> Self {
        Self {
            kind: Kind::Open(inner, name),
        }
    }

    /// Whether it is read as a stream of events.
    pub const fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream(_))
    }
}

impl<B> Plain<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let is_late = |until: Option<Instant>, state: &LocalState| {
            until.is_some_and(|until| until < state.common().clock.instant_now())
        };
        let kind = match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.read = self.read.saturating_add(length as u64);
                if self.read > self.max_bytes {
                    StreamErrorKind::TooLong
                } else if is_late(self.until, &self.state) && !self.is_over() {
                    StreamErrorKind::Total
                } else {
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let failure = self.fail(StreamErrorKind::Disconnected);
                return Poll::Ready(Some(Err(failure.with_source(error))));
            }
            Poll::Ready(None) if self.is_expected && self.read == 0 => StreamErrorKind::Empty,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                let Some(until) = self.until else {
                    return Poll::Pending;
                };
                ready!(self.timer.poll(until, cx));
                StreamErrorKind::Total
            }
        };
        Poll::Ready(Some(Err(self.fail(kind))))
    }

    /// Reads until there is something in the body, and keeps that for the reader. An end or a failure
    /// before is one of the call.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        loop {
            let frame = ready!(self.poll_next(cx)).transpose()?;
            match frame.map(Frame::into_data) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    self.first = Some(data);
                    return Poll::Ready(Ok(()));
                }
                // Trailers, or no more.
                Some(Err(_)) | None => {
                    return Poll::Ready(Err(self.fail(StreamErrorKind::Empty)));
                }
            }
        }
    }

    /// Whether the reader needs no more than it has.
    fn is_over(&self) -> bool {
        let inner = self.inner.as_ref();
        let is_enough = !self.is_expected || self.read > 0;
        self.first.is_none() && inner.is_none_or(|inner| inner.is_end_stream() && is_enough)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, Bytes::len) as u64;
        let rest = match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        };
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint.set_lower(rest.lower().saturating_add(first));
        hint
    }

    /// Closes the connection, before the reader sees the error, and makes that.
    fn fail(&mut self, kind: StreamErrorKind) -> StreamError {
        self.inner = None;
        let bytes = self.read;
        let delivered = Delivered { bytes, contents: 0 };
        let limit = self.total.filter(|_| kind == StreamErrorKind::Total);
        self.state.common().fail(kind, delivered, "", limit)
    }
}

impl<B> Body for StreamBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        match &mut self.kind {
            Kind::Stream(stream) => stream.poll_next(cx),
            Kind::Plain(plain) => plain.poll_next(cx),
            Kind::Open(inner, name) => {
                let frame = ready!(Pin::new(inner).poll_frame(cx));
                let failure = || StreamError::new(StreamErrorKind::Disconnected, *name);
                let failed = |error| failure().with_source(error);
                Poll::Ready(frame.map(|frame| frame.map_err(failed)))
            }
            Kind::Made(data) if data.is_empty() => Poll::Ready(None),
            Kind::Made(data) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(data))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Stream(stream) => stream.is_over(),
            Kind::Plain(plain) => plain.is_over(),
            Kind::Open(inner, _) => inner.is_end_stream(),
            Kind::Made(data) => data.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Stream(stream) if stream.is_over() => SizeHint::with_exact(0),
            Kind::Stream(_) => SizeHint::new(),
            Kind::Plain(plain) => plain.size_hint(),
            Kind::Open(inner, _) => inner.size_hint(),
            Kind::Made(data) => SizeHint::with_exact(data.len() as u64),
        }
    }
}

/// A body that is there, so that a layer can respond to a rejection, or with the error that a stream
/// has reported.
impl<B> From<Bytes> for StreamBody<B> {
    fn from(data: Bytes) -> Self {
        Self {
            kind: Kind::Made(data),
        }
    }
}

impl<B> Default for StreamBody<B> {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

seawall_core::impl_debug!(StreamBody<B> where []: |this|
    is_stream = this.is_stream());
