//! Bodies: of requests that are read before they leave, and of responses that were read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
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

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is longer than may be read.
    TooLong,
    /// It broke off.
    Broken,
}

/// Reads a body to its end, at most `most` bytes.
pub(super) async fn read<B: Body<Data = Bytes>>(body: B, most: u32) -> Result<Bytes, Unread> {
    let most = most as usize;
    let mut body = std::pin::pin!(body);
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else {
            return Err(Unread::Broken);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > most {
            return Err(Unread::TooLong);
        }
        // Most come in one piece, which is not copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}
