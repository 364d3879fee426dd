//! What is kept of an HTTP response.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

/// Headers that are about the connection, not about the answer.
const OF_CONNECTION: [HeaderName; 5] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// What is kept of a response: its head and its body. Its extensions are not.
#[derive(Clone, Debug)]
pub struct HttpStored {
    head: Arc<Head>,
    body: Bytes,
}

#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

impl HttpStored {
    pub(super) fn new(head: Head, body: Bytes) -> Self {
        Self {
            head: Arc::new(head),
            body,
        }
    }

    pub(super) fn of<B>(response: &Response<B>) -> Self {
        let mut headers = response.headers().clone();
        for name in OF_CONNECTION
            .iter()
            .chain([&HeaderName::from_static("keep-alive")])
        {
            headers.remove(name);
        }
        let head = Head {
            status: response.status(),
            version: response.version(),
            headers,
        };
        Self::new(head, Bytes::new())
    }

    /// The answer where nothing is kept and no call may be made (RFC 9111, 5.2.1.7).
    pub(super) fn gateway_timeout() -> Self {
        let head = Head {
            status: StatusCode::GATEWAY_TIMEOUT,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
        };
        Self::new(head, Bytes::new())
    }

    pub(super) fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// About how many bytes it has in memory.
    pub(super) fn weight(&self) -> u64 {
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            // As RFC 9113 counts them.
            name.as_str().len() + value.len() + 32
        };
        let head: usize = self.head.headers.iter().map(header).sum();
        (128 + head + self.body.len()) as u64
    }
}
