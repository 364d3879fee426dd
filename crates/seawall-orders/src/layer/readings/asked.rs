//! What a request asks for, to compare it with others.

use std::hash::{Hash, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, Version};

/// All of a request that can make its response another one.
#[derive(PartialEq, Eq)]
pub(super) struct Asked {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    /// Extensions cannot be compared: a request that has some is like no other.
    extended: Option<u64>,
}

impl Asked {
    pub(super) fn by(request: &Request<Bytes>) -> Self {
        static EXTENDED: AtomicU64 = AtomicU64::new(0);
        let extended = !request.extensions().is_empty();
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            body: request.body().clone(),
            extended: extended.then(|| EXTENDED.fetch_add(1, Relaxed)),
        }
    }
}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // Headers have no hash, and seldom differ.
        self.method.hash(hasher);
        self.uri.hash(hasher);
        self.body.hash(hasher);
        self.extended.hash(hasher);
    }
}
