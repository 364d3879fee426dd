//! A request of which every copy is made.

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::marks::IntendedAgain;
use super::tracked::Origin;
use crate::journal::SavedRequest;

/// A request of which every copy is made.
pub(super) struct Template {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
}

impl Template {
    pub(super) fn new(request: Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            extensions: head.extensions,
            body,
        }
    }

    pub(super) fn copy(&self) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        request
    }

    pub(super) fn is_intended_again(&self) -> bool {
        self.extensions.get::<IntendedAgain>().is_some()
    }

    pub(super) const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// As the journal keeps it; `target` is the text of its URI.
    pub(super) fn saved(&self, target: Bytes) -> SavedRequest {
        let method = match self.method {
            Method::POST => Bytes::from_static(b"POST"),
            _ => Bytes::copy_from_slice(self.method.as_str().as_bytes()),
        };
        let saved = SavedRequest::new(method, target).body(self.body.clone());
        if self.headers.is_empty() {
            return saved;
        }
        let headers = self.headers.iter();
        saved.with_headers(headers.map(|(name, value)| (name.as_str(), value.as_bytes())))
    }

    /// Whether it goes there, by the same credentials.
    pub(super) fn is_of(&self, origin: &Origin) -> bool {
        self.uri.scheme() == origin.scheme.as_ref()
            && self.uri.authority() == origin.authority.as_ref()
            && self.credentials().eq(&origin.credentials)
    }

    fn credentials(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let headers = self.headers.iter();
        headers.filter(|(name, _)| SavedRequest::is_credential(name.as_str()))
    }

    pub(super) fn origin(&self) -> Origin {
        let mut credentials = HeaderMap::new();
        for (name, value) in self.credentials() {
            credentials.append(name, value.clone());
        }
        Origin {
            scheme: self.uri.scheme().cloned(),
            authority: self.uri.authority().cloned(),
            credentials,
        }
    }
}
