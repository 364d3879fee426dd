//! One reader of a stream whose beginning is kept for the others.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::error::{Lost, ReplayError};
use crate::size_hint::longer_by;

/// What the copies of a streamed body share.
struct Shared<B> {
    source: Source<B>,
    kept: BytesMut,
    cap: usize,
    lost: Option<Lost>,
    trailers: Option<HeaderMap>,
}

enum Source<B> {
    /// No reader has it: the next one that has sent what was kept takes it.
    Free(B),
    /// Some copy reads.
    Lent,
    Ended,
}

impl<B> Shared<B> {
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

pub(super) struct Reader<B> {
    shared: Arc<Mutex<Shared<B>>>,
    /// How many of the kept bytes this reader has sent; `usize::MAX` when it has sent everything.
    sent: usize,
    /// The stream itself, while this reader is the one that reads it.
    source: Option<B>,
}

const EVERYTHING: usize = usize::MAX;

impl<B> Reader<B> {
    pub(super) fn new(body: B, cap: usize) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                source: Source::Free(body),
                kept: BytesMut::new(),
                cap,
                lost: None,
                trailers: None,
            })),
            sent: 0,
            source: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared<B>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much is kept, why it is not, and whether this reader reads the stream.
    pub(super) fn state(&self) -> (usize, Option<Lost>, bool) {
        let shared = self.lock();
        (shared.kept.len(), shared.lost, self.source.is_some())
    }
}

impl<B: Body> Reader<B> {
    /// A reader from the beginning.
    pub(super) fn copy(&self) -> Option<Self> {
        let shared = self.lock();
        let can_be_kept = |body: &B| {
            let kept = shared.kept.len() as u64;
            body.size_hint().lower().saturating_add(kept) <= shared.cap as u64
        };
        let available = match &shared.source {
            Source::Lent => false,
            Source::Free(body) => can_be_kept(body),
            Source::Ended => true,
        };
        (available && shared.lost.is_none()).then(|| Self {
            shared: Arc::clone(&self.shared),
            sent: 0,
            source: None,
        })
    }

    pub(super) fn is_end_stream(&self) -> bool {
        if let Some(body) = &self.source {
            return body.is_end_stream();
        }
        if self.sent == EVERYTHING {
            return true;
        }
        let shared = self.lock();
        let has_more = !shared.rest(self.sent).is_empty() || shared.lost.is_some();
        !has_more
            && match &shared.source {
                Source::Free(body) => body.is_end_stream(),
                Source::Lent => false,
                Source::Ended => shared.trailers.is_none(),
            }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        if let Some(body) = &self.source {
            return body.size_hint();
        }
        if self.sent == EVERYTHING {
            return SizeHint::with_exact(0);
        }
        let shared = self.lock();
        let kept = shared.rest(self.sent).len() as u64;
        match &shared.source {
            Source::Free(body) => longer_by(&body.size_hint(), kept),
            Source::Ended if shared.lost.is_none() => SizeHint::with_exact(kept),
            Source::Ended | Source::Lent => SizeHint::default(),
        }
    }
}

type NextFrame<B> = Option<Result<Frame<Bytes>, ReplayError<<B as Body>::Error>>>;

impl<B: Body<Data = Bytes> + Unpin> Reader<B> {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<NextFrame<B>> {
        if self.source.is_none()
            && let Some(frame) = self.replay()
        {
            return Poll::Ready(frame);
        }
        let Some(body) = self.source.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        let ended = frame.is_none() || body.is_end_stream();
        {
            let mut shared = self.lock();
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        shared.keep(data);
                    } else if let Some(trailers) = frame.trailers_ref() {
                        shared.trailers = Some(trailers.clone());
                    }
                }
                Some(Err(_)) => shared.lose(Lost::Broken),
                None => {}
            }
            if ended {
                shared.source = Source::Ended;
            }
        }
        if ended {
            self.sent = EVERYTHING;
            self.source = None;
        }
        Poll::Ready(frame.map(|f| f.map_err(ReplayError::Body)))
    }

    /// The next frame of what was kept; `None` when this reader has just taken the stream itself.
    fn replay(&mut self) -> Option<NextFrame<B>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = shared.rest(self.sent);
        if !rest.is_empty() {
            self.sent += rest.len();
            return Some(Some(Ok(Frame::data(Bytes::copy_from_slice(rest)))));
        }
        if self.sent == EVERYTHING {
            return Some(None);
        }
        if let Some(lost) = shared.lost {
            return Some(Some(Err(lost.into())));
        }
        match std::mem::replace(&mut shared.source, Source::Lent) {
            Source::Free(body) => {
                self.source = Some(body);
                None
            }
            Source::Lent => Some(Some(Err(ReplayError::InUse))),
            Source::Ended => {
                shared.source = Source::Ended;
                self.sent = EVERYTHING;
                let trailers = shared.trailers.clone();
                Some(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        // Dropped in the middle: the next copy reads further from here.
        if let Some(source) = self.source.take() {
            self.lock().source = Source::Free(source);
        }
    }
}
