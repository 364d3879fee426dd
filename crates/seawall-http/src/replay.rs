//! A request body that can be sent more than once.

mod error;
mod reader;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

pub use error::ReplayError;
use reader::Reader;

/// How much of a stream a [`ReplayBody`] keeps at most by default: 64 KiB.
pub const DEFAULT_REPLAY_CAP: usize = 64 * 1024;

/// A request body of which copies can be made for further attempts.
///
/// From bytes, a copy is a reference count. From a stream, what was read is kept *while it is
/// sent for the first time*, up to a cap; nothing is read ahead. It is kept as a copy in one
/// buffer, since a small frame may be a part of a large buffer that would be kept alive. A copy of
/// the body sends what was kept and then reads further where the first reader stopped.
///
/// There are never two readers of the stream at once: while one is in the middle of it,
/// [`ReplayBody::copy`] gives none, and a copy made before fails with [`ReplayError::InUse`]. So
/// a body is not sent again while the first request is still being written (a response may come
/// before that), and the second connection does not steal its data from the first. Beyond the
/// cap the kept part is dropped and the body cannot be replayed any more: no further copies, and
/// those made before fail with [`ReplayError::TooLong`] before they have sent a byte. A stream
/// that announces a length beyond the cap has no copy from the start. A stream that failed cannot
/// be read again: no further copies, and those made before fail with [`ReplayError::Broken`].
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, Full};
/// use seawall_http::ReplayBody;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let body: ReplayBody = ReplayBody::stream(Full::from("buy 1"));
/// let copy = body.copy().expect("nothing was sent yet");
/// for body in [body, copy] {
///     assert_eq!(body.collect().await.unwrap().to_bytes(), Bytes::from("buy 1"));
/// }
/// # }
/// ```
pub struct ReplayBody<B = Full<Bytes>> {
    kind: Kind<B>,
}

enum Kind<B> {
    Full { data: Bytes, sent: bool },
    Stream(Reader<B>),
}

impl<B> ReplayBody<B> {
    /// A body of bytes; it can always be sent again.
    pub fn full(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        let kind = Kind::Full { data, sent: false };
        Self { kind }
    }

    /// A body without content.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// A body that is read from a stream, of which at most [`DEFAULT_REPLAY_CAP`] is kept.
    pub fn stream(body: B) -> Self {
        Self::stream_with_cap(body, DEFAULT_REPLAY_CAP)
    }

    /// A body that is read from a stream, of which at most `cap` bytes are kept.
    pub fn stream_with_cap(body: B, cap: usize) -> Self {
        let kind = Kind::Stream(Reader::new(body, cap));
        Self { kind }
    }

    /// The data of a body of bytes, from its beginning.
    ///
    /// # Errors
    ///
    /// The body itself when it is a stream.
    #[cfg(any(feature = "reqwest", feature = "reqwest-0-12"))]
    pub(crate) fn into_full(self) -> Result<Bytes, Self> {
        match self.kind {
            Kind::Full { data, .. } => Ok(data),
            Kind::Stream(_) => Err(self),
        }
    }

    /// The same body from its beginning; `None` when it is too long to be kept or its stream has
    /// failed, and while it is being sent.
    #[must_use]
    pub fn copy(&self) -> Option<Self>
    where
        B: Body,
    {
        match &self.kind {
            Kind::Full { data, .. } => Some(Self::full(data.clone())),
            Kind::Stream(reader) => {
                let kind = Kind::Stream(reader.copy()?);
                Some(Self { kind })
            }
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = ReplayError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.kind {
            Kind::Full { data, sent } => {
                let rest = !*sent && !data.is_empty();
                *sent = true;
                Poll::Ready(rest.then(|| Ok(Frame::data(data.clone()))))
            }
            Kind::Stream(reader) => reader.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full { data, sent } => *sent || data.is_empty(),
            Kind::Stream(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full { sent: true, .. } => SizeHint::with_exact(0),
            Kind::Full { data, .. } => SizeHint::with_exact(data.len() as u64),
            Kind::Stream(reader) => reader.size_hint(),
        }
    }
}

impl<B> Default for ReplayBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> From<()> for ReplayBody<B> {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

macro_rules! from_bytes {
    ($($data:ty),*) => {$(
        impl<B> From<$data> for ReplayBody<B> {
            fn from(data: $data) -> Self {
                Self::full(data)
            }
        }
    )*};
}
from_bytes!(Bytes, String, Vec<u8>, &'static str, &'static [u8]);

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ReplayBody");
        match &self.kind {
            Kind::Full { data, .. } => debug.field("bytes", &data.len()),
            Kind::Stream(reader) => {
                let (kept, lost, reading) = reader.state();
                debug
                    .field("kept", &kept)
                    .field("lost", &lost)
                    .field("reading", &reading)
            }
        };
        debug.finish_non_exhaustive()
    }
}
