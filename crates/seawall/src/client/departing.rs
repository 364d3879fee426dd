//! What each attempt gets at its departure: the headers of every request, and authentication.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use http::Request;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use seawall_core::PrepareDeparture;

use super::base_url::BaseUrl;
use super::body::RequestBody;
use super::sending::{AuthError, SendError};

type BoxError = Box<dyn StdError + Send + Sync>;
pub(super) type Hook = dyn Fn(&mut Request<RequestBody>) -> Result<(), BoxError> + Send + Sync;

/// Prepares each attempt of a client at its departure: sends what a layer made with a path alone to the
/// host of the base URL, sets the headers that every request gets, and calls the
/// [auth hook](super::ClientBuilder::auth).
///
/// Below the stack, since retry keeps a copy of a request: one without headers is copied without an
/// allocation.
#[derive(Clone)]
pub struct Departing {
    every: Arc<EveryRequest>,
    auth: Option<Arc<Hook>>,
}

/// What every request gets.
struct EveryRequest {
    base: BaseUrl,
    headers: HeaderMap,
}

impl Departing {
    pub(super) fn new(base: BaseUrl, headers: HeaderMap, auth: Option<Arc<Hook>>) -> Self {
        Self {
            every: Arc::new(EveryRequest { base, headers }),
            auth,
        }
    }
}

/// A hook of any error, as it is kept.
pub(super) fn auth_hook<E: Into<BoxError>>(
    hook: impl Fn(&mut Request<RequestBody>) -> Result<(), E> + Send + Sync + 'static,
) -> Arc<Hook> {
    Arc::new(move |request| hook(request).map_err(Into::into))
}

impl PrepareDeparture<Request<RequestBody>, SendError> for Departing {
    fn prepare_departure(&self, request: &mut Request<RequestBody>) -> Result<(), SendError> {
        self.every.base.complete(request.uri_mut());
        if request.headers().is_empty() {
            request.headers_mut().clone_from(&self.every.headers);
        } else {
            for (name, value) in &self.every.headers {
                let of_request = request.headers_mut().entry(name);
                of_request.or_insert_with(|| value.clone());
            }
        }
        if request.body().is_json() {
            let of_request = request.headers_mut().entry(CONTENT_TYPE);
            of_request.or_insert(HeaderValue::from_static("application/json"));
        }
        match &self.auth {
            Some(hook) => {
                // The hook may put another body in its place.
                let is_first = request.body().is_first();
                hook(request)
                    .and_then(|()| check_headers(request.headers()))
                    .map_err(|error| SendError::before_departure(AuthError { error, is_first }))
            }
            None => Ok(()),
        }
    }
}

/// The length is the body's: a shorter one would cut an order off.
fn check_headers(headers: &HeaderMap) -> Result<(), BoxError> {
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
        if headers.contains_key(&name) {
            return Err(format!("it sets `{name}`, which is that of the body").into());
        }
    }
    Ok(())
}

impl fmt::Debug for Departing {
    /// Without the values of headers, which have credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.every.headers.keys().collect();
        f.debug_struct("Departing")
            .field("headers", &headers)
            .field("has_auth", &self.auth.is_some())
            .finish()
    }
}
