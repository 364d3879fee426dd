//! A request of which every copy is made.

use std::mem::take;

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
    /// The last copy is the request itself, which is not there any more then.
    is_spent: bool,
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
            is_spent: false,
        }
    }

    /// A copy; the last one if there will be no other. `None` after that one.
    pub(super) fn copy(&mut self, is_last: bool) -> Option<Request<Bytes>> {
        if self.is_spent {
            return None;
        }
        let mut request = Request::new(Bytes::new());
        *request.version_mut() = self.version;
        if is_last {
            self.is_spent = true;
            *request.body_mut() = take(&mut self.body);
            *request.method_mut() = take(&mut self.method);
            *request.uri_mut() = take(&mut self.uri);
            *request.headers_mut() = take(&mut self.headers);
            *request.extensions_mut() = take(&mut self.extensions);
        } else {
            *request.body_mut() = self.body.clone();
            *request.method_mut() = self.method.clone();
            *request.uri_mut() = self.uri.clone();
            *request.headers_mut() = self.headers.clone();
            *request.extensions_mut() = self.extensions.clone();
        }
        Some(request)
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

    /// Whether these are its headers of credentials.
    pub(super) fn has_credentials(&self, known: &HeaderMap) -> bool {
        self.credentials().eq(known)
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
