//! A request body that can be sent more than once.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

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
    Full {
        data: Bytes,
        sent: bool,
    },
    Stream {
        shared: Arc<Mutex<Shared<B>>>,
        /// How many of the kept bytes this reader has sent; the most there can be when it has
        /// sent everything.
        sent: usize,
        /// The stream itself, while this reader is the one that reads it.
        source: Option<B>,
    },
}

/// What the copies of a streamed body share.
struct Shared<B> {
    source: Source<B>,
    kept: BytesMut,
    cap: usize,
    lost: Option<Lost>,
    trailers: Option<HeaderMap>,
}

/// Why the beginning of a stream is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    TooLong,
    Broken,
}

impl<E> From<Lost> for ReplayError<E> {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::TooLong => Self::TooLong,
            Lost::Broken => Self::Broken,
        }
    }
}

enum Source<B> {
    /// No reader has it: the next one that has sent what was kept takes it.
    Free(B),
    /// Some copy reads.
    Lent,
    Ended,
}

/// Why a [`ReplayBody`] could not be read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError<E> {
    /// The stream failed.
    Body(E),
    /// The stream was longer than the cap, so what was sent is not kept any more.
    TooLong,
    /// The stream failed while another copy read it.
    Broken,
    /// Another copy is in the middle of the stream.
    InUse,
}

impl<E> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body(_) => "the stream of the request body failed",
            Self::TooLong => "the request body is too long to be sent again",
            Self::Broken => "the stream of the request body failed in another attempt",
            Self::InUse => "the request body is still being sent by another attempt",
        })
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ReplayError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Body(error) => Some(error),
            Self::TooLong | Self::Broken | Self::InUse => None,
        }
    }
}

impl<B> ReplayBody<B> {
    /// A body of bytes; it can always be sent again.
    pub fn full(data: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Full {
                data: data.into(),
                sent: false,
            },
        }
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
        Self {
            kind: Kind::Stream {
                shared: Arc::new(Mutex::new(Shared {
                    source: Source::Free(body),
                    kept: BytesMut::new(),
                    cap,
                    lost: None,
                    trailers: None,
                })),
                sent: 0,
                source: None,
            },
        }
    }

    /// The data of a body of bytes, from its beginning.
    ///
    /// # Errors
    ///
    /// The body itself when it is a stream.
    #[cfg(feature = "reqwest")]
    pub(crate) fn into_full(self) -> Result<Bytes, Self> {
        match &self.kind {
            Kind::Full { data, .. } => Ok(data.clone()),
            Kind::Stream { .. } => Err(self),
        }
    }

    /// The same body from its beginning; `None` when it is too long to be kept or its stream has
    /// failed, and while it is being sent.
    #[must_use]
    pub fn copy(&self) -> Option<Self>
    where
        B: Body,
    {
        let kind = match &self.kind {
            Kind::Full { data, .. } => Kind::Full {
                data: data.clone(),
                sent: false,
            },
            Kind::Stream { shared, .. } => {
                let state = lock(shared);
                if state.lost.is_some() {
                    return None;
                }
                match &state.source {
                    Source::Lent => return None,
                    Source::Free(body) if state.will_be_too_long(body) => return None,
                    Source::Free(_) | Source::Ended => {}
                }
                Kind::Stream {
                    shared: Arc::clone(shared),
                    sent: 0,
                    source: None,
                }
            }
        };
        Some(Self { kind })
    }
}

fn lock<B>(shared: &Mutex<Shared<B>>) -> MutexGuard<'_, Shared<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> Shared<B> {
    /// Whether the stream has announced more than can be kept.
    fn will_be_too_long(&self, body: &B) -> bool
    where
        B: Body,
    {
        let whole = body
            .size_hint()
            .lower()
            .saturating_add(self.kept.len() as u64);
        whole > self.cap as u64
    }

    fn keep(&mut self, data: &Bytes) {
        if self.lost.is_some() {
            return;
        }
        if data.len() > self.cap.saturating_sub(self.kept.len()) {
            self.lose(Lost::TooLong);
        } else {
            self.kept.extend_from_slice(data);
        }
    }

    fn lose(&mut self, lost: Lost) {
        self.lost = Some(lost);
        self.kept = BytesMut::new();
    }

    /// What was kept beyond the first `sent` bytes.
    fn rest(&self, sent: usize) -> &[u8] {
        self.kept.get(sent..).unwrap_or_default()
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        if let Kind::Stream { shared, source, .. } = &mut self.kind {
            // Dropped in the middle: the next copy reads further from here.
            if let Some(source) = source.take() {
                lock(shared).source = Source::Free(source);
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
            Kind::Stream {
                shared,
                sent,
                source,
            } => {
                if source.is_none() {
                    let mut state = lock(shared);
                    let rest = state.rest(*sent);
                    if !rest.is_empty() {
                        let data = Bytes::copy_from_slice(rest);
                        *sent += data.len();
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    if *sent == usize::MAX {
                        return Poll::Ready(None);
                    }
                    if let Some(lost) = state.lost {
                        return Poll::Ready(Some(Err(lost.into())));
                    }
                    match std::mem::replace(&mut state.source, Source::Lent) {
                        Source::Free(body) => *source = Some(body),
                        Source::Lent => return Poll::Ready(Some(Err(ReplayError::InUse))),
                        Source::Ended => {
                            state.source = Source::Ended;
                            *sent = usize::MAX;
                            let trailers = state.trailers.clone();
                            return Poll::Ready(trailers.map(|t| Ok(Frame::trailers(t))));
                        }
                    }
                }
                let Some(body) = source.as_mut() else {
                    return Poll::Ready(None);
                };
                let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(cx));
                let ended = body.is_end_stream();
                let mut state = lock(shared);
                match &frame {
                    Some(Ok(frame)) => {
                        if let Some(data) = frame.data_ref() {
                            state.keep(data);
                        } else if let Some(trailers) = frame.trailers_ref() {
                            state.trailers = Some(trailers.clone());
                        }
                    }
                    Some(Err(_)) => state.lose(Lost::Broken),
                    None => {}
                }
                if frame.is_none() || ended {
                    state.source = Source::Ended;
                    *sent = usize::MAX;
                    *source = None;
                }
                Poll::Ready(frame.map(|f| f.map_err(ReplayError::Body)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full { data, sent } => *sent || data.is_empty(),
            Kind::Stream {
                shared,
                sent,
                source,
            } => match source {
                Some(body) => body.is_end_stream(),
                None if *sent == usize::MAX => true,
                None => {
                    let state = lock(shared);
                    let rest = !state.rest(*sent).is_empty() || state.lost.is_some();
                    !rest
                        && match &state.source {
                            Source::Free(body) => body.is_end_stream(),
                            Source::Lent => false,
                            Source::Ended => state.trailers.is_none(),
                        }
                }
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full { sent: true, .. } => SizeHint::with_exact(0),
            Kind::Full { data, .. } => SizeHint::with_exact(data.len() as u64),
            Kind::Stream {
                shared,
                sent,
                source,
            } => match source {
                Some(body) => body.size_hint(),
                None if *sent == usize::MAX => SizeHint::with_exact(0),
                None => {
                    let state = lock(shared);
                    let kept = state.rest(*sent).len();
                    match &state.source {
                        Source::Free(body) => add(body.size_hint(), kept as u64),
                        Source::Ended if state.lost.is_none() => SizeHint::with_exact(kept as u64),
                        Source::Ended | Source::Lent => SizeHint::default(),
                    }
                }
            },
        }
    }
}

/// A hint for `more` bytes before those of `hint`.
pub(crate) fn add(hint: SizeHint, more: u64) -> SizeHint {
    let mut sum = SizeHint::new();
    sum.set_lower(hint.lower().saturating_add(more));
    if let Some(upper) = hint.upper().and_then(|upper| upper.checked_add(more)) {
        sum.set_upper(upper);
    }
    sum
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
            Kind::Stream { shared, source, .. } => {
                let state = lock(shared);
                debug
                    .field("kept", &state.kept.len())
                    .field("lost", &state.lost)
                    .field("reading", &source.is_some())
            }
        };
        debug.finish_non_exhaustive()
    }
}
