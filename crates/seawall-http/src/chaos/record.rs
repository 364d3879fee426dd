//! Keeps a response while its body is read.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Version};
use http_body::{Body, Frame};
use seawall_chaos::Keeper;

/// The longest body that is kept.
const CAP: usize = 64 * 1024;

/// A response that is kept, to be passed on as a stale one.
#[derive(Debug)]
pub struct KeptResponse {
    pub(super) head: ResponseHead,
    pub(super) data: Bytes,
}

#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

/// What has been read of a body, to be kept when it has come to its end.
#[derive(Debug)]
pub(super) struct Recorder {
    head: ResponseHead,
    data: BytesMut,
    keeper: Keeper<KeptResponse>,
}

impl Recorder {
    pub(super) fn new(head: ResponseHead, keeper: Keeper<KeptResponse>) -> Self {
        Self {
            head,
            data: BytesMut::new(),
            keeper,
        }
    }

    /// Whether the body may be short enough.
    pub(super) fn fits(body: &impl Body) -> bool {
        body.size_hint().lower() <= CAP as u64
    }

    /// Notes a frame; whether the response can still be kept.
    pub(super) fn note(&mut self, frame: &Frame<Bytes>) -> bool {
        match frame.data_ref() {
            Some(data) if data.len() <= CAP - self.data.len() => {
                self.data.extend_from_slice(data);
                true
            }
            _ => false,
        }
    }

    /// The body has come to its end.
    pub(super) fn keep(self) {
        self.keeper.keep(KeptResponse {
            head: self.head,
            data: self.data.freeze(),
        });
    }
}
