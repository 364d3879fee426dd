//! The bodies of responses.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response through an [`OrderService`](super::OrderService): that of the service below,
    /// or the bytes of a response to an order, which was read.
    #[derive(Debug)]
    pub struct OrderBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<B> {
        Passed { #[pin] inner: B },
        Read { data: Bytes },
    }
}

impl<B> OrderBody<B> {
    pub(super) const fn passed(inner: B) -> Self {
        Self {
            kind: Kind::Passed { inner },
        }
    }

    pub(super) const fn read(data: Bytes) -> Self {
        Self {
            kind: Kind::Read { data },
        }
    }
}

/// For what responds in place of the layer, as `RejectionResponseLayer` does in a server.
impl<B> From<Bytes> for OrderBody<B> {
    fn from(data: Bytes) -> Self {
        Self::read(data)
    }
}

impl<B: Body<Data = Bytes>> Body for OrderBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Passed { inner } => inner.poll_frame(cx),
            KindProj::Read { data } => {
                let data = std::mem::take(data);
                Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Passed { inner } => inner.is_end_stream(),
            Kind::Read { data } => data.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Passed { inner } => inner.size_hint(),
            Kind::Read { data } => SizeHint::with_exact(data.len() as u64),
        }
    }
}
