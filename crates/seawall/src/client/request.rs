//! A request of a client, and its sending.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request};
use seawall_core::{Departure, InvalidConfig, Priority, Replay};
use seawall_http::deadline::propagate_deadline;
use serde::Serialize;
use tower_layer::Layer;
use tower_service::Service;

use super::base_url::{BaseUrl, add_query, without_secrets};
use super::body::RequestBody;
use super::departing::Departing;
use super::error::ClientError;
use super::response::{Response, Timeout};
use super::sending::Sending;

type BoxError = Box<dyn StdError + Send + Sync>;

/// The service that a stack `L` makes of a client that sends by `T`.
pub type StackOf<L, T> = <L as Layer<Departure<Sending<T>, Departing>>>::Service;

/// What the requests of a client share.
#[derive(Debug)]
pub(crate) struct Defaults {
    pub(crate) base: BaseUrl,
    pub(super) max_body: usize,
}

/// A request, to be [sent](Self::send).
///
/// What is not accepted is the error of `send`; nothing is sent then.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder<'a, S> {
    service: &'a S,
    defaults: &'a Defaults,
    path: String,
    request: Request<RequestBody>,
    invalid: Option<InvalidConfig>,
    timeout: Option<Duration>,
}

impl<'a, S> RequestBuilder<'a, S> {
    pub(super) fn new(service: &'a S, defaults: &'a Defaults, method: Method, path: &str) -> Self {
        let mut request = Request::new(RequestBody::default());
        *request.method_mut() = method;
        Self {
            service,
            defaults,
            path: path.to_owned(),
            request,
            invalid: None,
            timeout: None,
        }
    }

    /// Adds names and values to the query, percent-encoded.
    ///
    /// ```
    /// # fn of(client: &seawall::Client) {
    /// client.get("/v2/orders").query([("status", "open")]).query([("limit", 50)]);
    /// # }
    /// ```
    pub fn query<N: AsRef<str>, V: fmt::Display>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in pairs {
            add_query(&mut self.path, name.as_ref(), &value.to_string());
        }
        self
    }

    /// Sets a header, in place of the client's own of that name.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match header(name, value) {
            Ok((name, value)) => {
                self.request.headers_mut().insert(name, value);
                self
            }
            Err(invalid) => self.reject(invalid),
        }
    }

    /// Sends `value` as JSON.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => {
                *self.request.body_mut() = RequestBody::json(json);
                self
            }
            Err(error) => self.reject(InvalidConfig::new("json", error, "what JSON can hold")),
        }
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = RequestBody::new(body.into());
        self
    }

    /// Bounds the call with all its waits and attempts, where that is earlier than the deadline of
    /// the stack, and the reading of the response by its methods; from `send` on.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says that the request may be sent twice, whatever its method and route are: an order with an
    /// id that the broker takes once.
    pub fn retry_safe(mut self) -> Self {
        // Not a read by that: nothing but the upstream answers it.
        self.request.extensions_mut().insert(Replay::SafeWithKey);
        self
    }

    /// Puts `value` into the extensions of the request, for layers and routers that look for one of its
    /// type.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.request.extensions_mut().insert(value);
        self
    }

    /// Says how much the request matters beside others, in place of what its route says.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.request.extensions_mut().insert(priority);
        self
    }

    fn reject(mut self, invalid: InvalidConfig) -> Self {
        self.invalid.get_or_insert(invalid);
        self
    }

    /// Calls the upstream through the stack.
    ///
    /// A response of any status is `Ok`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the request is not accepted, a layer rejected, or there is no response.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time and I/O enabled.
    pub async fn send<B>(self) -> Result<Response<B>, ClientError>
    where
        S: Service<Request<RequestBody>, Response = http::Response<B>> + Clone,
        S::Error: Into<BoxError>,
    {
        let Self {
            service,
            defaults,
            path,
            mut request,
            invalid,
            timeout,
        } = self;
        if let Some(invalid) = invalid {
            return Err(invalid.into());
        }
        *request.uri_mut() = defaults.base.join(&path)?;
        let timeout = timeout.and_then(Timeout::starting_now);
        if let Some(timeout) = &timeout {
            propagate_deadline(&mut request, timeout.at);
        }
        let mut service = service.clone();
        let of_call = |error: S::Error| ClientError::of_call(error.into());
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(of_call)?;
        let response = service.call(request).await.map_err(of_call)?;
        Ok(Response::new(response, defaults.max_body, timeout))
    }
}

impl<S> fmt::Debug for RequestBuilder<'_, S> {
    /// Without headers and query, which have credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder")
            .field("method", self.request.method())
            .field("base", &self.defaults.base)
            .field("path", &without_secrets(&self.path))
            .finish_non_exhaustive()
    }
}

/// The header of that name and value.
pub(super) fn header<N, V>(name: N, value: V) -> Result<(HeaderName, HeaderValue), InvalidConfig>
where
    N: TryInto<HeaderName>,
    V: TryInto<HeaderValue>,
{
    let name = name.try_into().map_err(|_unnamed| {
        let accepted = "letters, digits and some of `-_.`, as in `x-request-id`";
        InvalidConfig::new("header name", "not accepted", accepted)
    })?;
    if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
        return Err(InvalidConfig::new(
            format!("header `{name}`"),
            "set",
            "nothing: it is that of the body",
        ));
    }
    let value = value.try_into().map_err(|_unnamed| {
        // The value may be a secret.
        let what = format!("value of `{name}`");
        InvalidConfig::new(
            what,
            "not accepted",
            "visible ASCII characters, spaces and tabs",
        )
    })?;
    Ok((name, value))
}
