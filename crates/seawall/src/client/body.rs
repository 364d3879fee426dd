//! The body of a request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of a client's request: all of its data, so that a copy costs no more than a reference.
#[derive(Debug, Default)]
pub struct RequestBody {
    /// Empty once it was read.
    data: Bytes,
    /// Whether it is JSON, unless the headers say otherwise.
    is_json: bool,
    /// Whether it is that of a further attempt: each is made with a clone of the one before.
    is_copy: bool,
}

impl RequestBody {
    pub(super) const fn new(data: Bytes) -> Self {
        Self {
            data,
            is_json: false,
            is_copy: false,
        }
    }

    pub(super) fn json(data: Vec<u8>) -> Self {
        Self {
            data: data.into(),
            is_json: true,
            is_copy: false,
        }
    }

    /// Whether the attempt is the first of its call: none before it can have been sent.
    pub(super) const fn is_first(&self) -> bool {
        !self.is_copy
    }

    pub(super) const fn is_json(&self) -> bool {
        self.is_json
    }

    /// Its data, as a signature needs it.
    pub const fn data(&self) -> &Bytes {
        &self.data
    }
}

impl Clone for RequestBody {
    fn clone(&self) -> Self {
        Self {
            data: self.data.clone(),
            is_json: self.is_json,
            is_copy: true,
        }
    }
}

/// All of its data; for requests that a layer makes.
impl From<Bytes> for RequestBody {
    fn from(data: Bytes) -> Self {
        Self::new(data)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = std::mem::take(&mut self.data);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}

#[cfg(feature = "reqwest")]
impl seawall_http::IntoReqwestBody for RequestBody {
    fn into_reqwest_body(self) -> reqwest::Body {
        self.data.into()
    }
}

#[cfg(feature = "reqwest-0-12")]
impl seawall_http::reqwest_0_12::IntoReqwestBody for RequestBody {
    fn into_reqwest_body(self) -> reqwest_0_12::Body {
        self.data.into()
    }
}
