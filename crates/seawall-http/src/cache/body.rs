//! The body of a response that is kept, or may be.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::stored::HttpStored;

/// Where a complete body goes.
pub(super) type Sink = Box<dyn FnOnce(HttpStored, u64) + Send>;

pin_project! {
    /// The body of a response: one of the upstream, which is collected as it passes where it may be kept, or one
    /// that is kept.
    ///
    /// Data, trailers, the announced length and errors are those of the inner body.
    #[project = CacheBodyProj]
    pub struct CacheBody<B> {
        #[pin]
        inner: Option<B>,
        kept: Option<Bytes>,
        until_end: Option<UntilEnd>,
    }
}

/// What waits for the end of a body.
enum UntilEnd {
    Collects(Collecting),
    /// It is dropped then.
    Guards(#[expect(dead_code, reason = "it is dropped")] Box<dyn Send>),
}

/// What has passed of a body.
pub(super) struct Collecting {
    pub(super) head: HttpStored,
    pub(super) sink: Sink,
    /// The longest that is kept.
    pub(super) cap: usize,
    /// What its head says that it has.
    pub(super) length: Option<u64>,
    pub(super) data: Data,
}

/// Mostly all of a body comes at once.
#[derive(Default)]
pub(super) enum Data {
    #[default]
    Nothing,
    One(Bytes),
    More(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(data) => data.len(),
            Self::More(data) => data.len(),
        }
    }

    fn append(&mut self, data: &Bytes) {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::One(data.clone()),
            Self::One(first) => {
                let mut all = BytesMut::from(&first[..]);
                all.extend_from_slice(data);
                Self::More(all)
            }
            Self::More(mut all) => {
                all.extend_from_slice(data);
                Self::More(all)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            // Of its own, so that a small body does not keep a large buffer of the connection.
            Self::One(data) => Bytes::copy_from_slice(&data),
            Self::More(data) => data.freeze(),
        }
    }
}

impl Collecting {
    /// The body has come to its good end.
    fn end(self) {
        let data = self.data.into_bytes();
        if self.length.is_none_or(|length| length == data.len() as u64) {
            let stored = self.head.with_body(data);
            let weight = stored.weight();
            (self.sink)(stored, weight);
        }
    }
}

impl<B> CacheBody<B> {
    /// A body of the upstream that is not kept.
    pub const fn passing(inner: B) -> Self {
        Self {
            inner: Some(inner),
            kept: None,
            until_end: None,
        }
    }

    pub(super) fn guarding(inner: B, guard: Box<dyn Send>) -> Self {
        let mut body = Self::passing(inner);
        body.until_end = Some(UntilEnd::Guards(guard));
        body
    }

    pub(super) fn collecting(inner: B, collecting: Collecting) -> Self
    where
        B: Body,
    {
        let mut body = Self::passing(inner);
        match body.inner.as_ref().is_some_and(Body::is_end_stream) {
            true => collecting.end(),
            false => body.until_end = Some(UntilEnd::Collects(collecting)),
        }
        body
    }
}

impl<B> From<Bytes> for CacheBody<B> {
    fn from(data: Bytes) -> Self {
        Self {
            inner: None,
            kept: Some(data),
            until_end: None,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for CacheBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let CacheBodyProj {
            mut inner,
            kept,
            until_end,
        } = self.project();
        let Some(mut body) = inner.as_mut().as_pin_mut() else {
            let data = kept.take().filter(|data| !data.is_empty());
            return Poll::Ready(data.map(|data| Ok(Frame::data(data))));
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        let mut collected = match until_end.take() {
            None => return Poll::Ready(frame),
            Some(UntilEnd::Collects(collected)) => collected,
            Some(guard) => {
                if matches!(frame, Some(Ok(_))) && !body.is_end_stream() {
                    *until_end = Some(guard);
                }
                return Poll::Ready(frame);
            }
        };
        match &frame {
            None => collected.end(),
            // Dropped, it is not kept: it broke off, has trailers, or is too long.
            Some(Err(_)) => {}
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref()
                    && data.len() <= collected.cap - collected.data.len()
                {
                    collected.data.append(data);
                    // A reader may stop here.
                    match body.is_end_stream() {
                        true => collected.end(),
                        false => *until_end = Some(UntilEnd::Collects(collected)),
                    }
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            // Until its end is seen here, too.
            Some(inner) => inner.is_end_stream() && self.until_end.is_none(),
            None => self.kept.as_ref().is_none_or(Bytes::is_empty),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(self.kept.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

seawall_core::impl_debug!(CacheBody<B>: |this|
    is_kept = this.inner.is_none(),
    is_collected = matches!(this.until_end, Some(UntilEnd::Collects(_))));
