//! The body of a response that faults may hit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_chaos::{Alteration, ChaosError};

use super::alter::Changes;
use super::record::Recorder;

pin_project! {
    /// The body of a response that passed a chaos layer: the client's own, one with faults, or one that
    /// a fault made.
    ///
    /// It is `Unpin` when the client's is. One with faults announces no length.
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a Tokio runtime with time enabled.
    #[derive(Debug)]
    pub struct ChaosBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProj]
    enum Kind<B> {
        Plain { #[pin] inner: B },
        Made { data: Bytes },
        Altered { #[pin] inner: B, changes: Box<Changes> },
        Recorded { #[pin] inner: B, recorder: Option<Box<Recorder>> },
        Ended,
    }
}

impl<B> ChaosBody<B> {
    #[inline]
    pub(super) const fn plain(inner: B) -> Self {
        Self {
            kind: Kind::Plain { inner },
        }
    }
}

impl<B: Body<Data = Bytes>> ChaosBody<B> {
    pub(super) fn altered(inner: B, alterations: Vec<Alteration>) -> Self {
        let changes = Box::new(Changes::new(alterations));
        Self {
            kind: Kind::Altered { inner, changes },
        }
    }

    pub(super) fn recorded(inner: B, recorder: Recorder) -> Self {
        if inner.is_end_stream() {
            // Nobody may poll it.
            recorder.keep();
            return Self::plain(inner);
        }
        let recorder = Some(Box::new(recorder));
        Self {
            kind: Kind::Recorded { inner, recorder },
        }
    }
}

impl<B> From<Bytes> for ChaosBody<B> {
    fn from(data: Bytes) -> Self {
        Self {
            kind: Kind::Made { data },
        }
    }
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, ChaosError<E>>>>;

impl<B: Body<Data = Bytes>> Body for ChaosBody<B> {
    type Data = Bytes;
    type Error = ChaosError<B::Error>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<B::Error> {
        let mut kind = self.project().kind;
        match kind.as_mut().project() {
            KindProj::Plain { inner } => inner.poll_frame(cx).map_err(ChaosError::Client),
            KindProj::Made { data } => {
                let data = std::mem::take(data);
                Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
            }
            KindProj::Altered { inner, changes } => {
                let polled = ready!(poll_altered(inner, changes, cx));
                if !matches!(polled, Some(Ok(_))) {
                    // The connection is closed before the reader sees the error.
                    kind.set(Kind::Ended);
                }
                Poll::Ready(polled)
            }
            KindProj::Recorded { inner, recorder } => poll_recorded(inner, recorder, cx),
            KindProj::Ended => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Plain { inner } | Kind::Recorded { inner, .. } => inner.is_end_stream(),
            Kind::Made { data } => data.is_empty(),
            // It may have to break off behind the last frame.
            Kind::Altered { .. } => false,
            Kind::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Plain { inner } | Kind::Recorded { inner, .. } => inner.size_hint(),
            Kind::Made { data } => SizeHint::with_exact(data.len() as u64),
            // What is held is not counted by the inner body any more.
            Kind::Altered { .. } => SizeHint::new(),
            Kind::Ended => SizeHint::with_exact(0),
        }
    }
}

fn poll_altered<B: Body<Data = Bytes>>(
    mut inner: Pin<&mut B>,
    changes: &mut Changes,
    cx: &mut Context<'_>,
) -> Polled<B::Error> {
    loop {
        if let Some(frame) = ready!(changes.poll(cx)) {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(injected) = changes.take_cut() {
            return Poll::Ready(Some(Err(ChaosError::Injected(injected))));
        }
        match ready!(inner.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => {
                let is_last = inner.is_end_stream();
                changes.put(frame, is_last);
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(ChaosError::Client(error)))),
            None => {
                changes.end();
                let cut = changes.take_cut();
                return Poll::Ready(cut.map(|injected| Err(ChaosError::Injected(injected))));
            }
        }
    }
}

fn poll_recorded<B: Body<Data = Bytes>>(
    mut inner: Pin<&mut B>,
    recorder: &mut Option<Box<Recorder>>,
    cx: &mut Context<'_>,
) -> Polled<B::Error> {
    let polled = ready!(inner.as_mut().poll_frame(cx));
    let (can_keep, is_last) = match &polled {
        Some(Ok(frame)) => {
            let can_keep = (recorder.as_mut()).is_some_and(|recorder| recorder.note(frame));
            (can_keep, inner.is_end_stream())
        }
        Some(Err(_)) => (false, true),
        None => (true, true),
    };
    if !can_keep {
        *recorder = None;
    } else if is_last && let Some(recorder) = recorder.take() {
        recorder.keep();
    }
    Poll::Ready(polled.map(|frame| frame.map_err(ChaosError::Client)))
}
