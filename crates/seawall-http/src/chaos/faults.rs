//! The hooks of a chaos layer around an HTTP client.

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use seawall_chaos::{
    Alteration, ChaosError, FaultHooks, FaultKind, InjectedError, IntoError, Keeper, MakeError,
    MakeFault, ResponseFault, StatusResponse,
};
use seawall_core::Outcome;

use super::body::ChaosBody;
use super::identity::identity;
use super::record::{KeptResponse, Recorder, ResponseHead};
use super::skew::skew_headers;
use crate::TransportError;

/// Makes the faults of HTTP; see the [module](crate::chaos).
///
/// Errors are made by `From<InjectedError>`, which boxed errors and
/// [`ChaosError`](seawall_chaos::ChaosError) have, or by a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpFaults<F = IntoError> {
    errors: F,
}

impl HttpFaults {
    /// Makes errors by `From<InjectedError>`.
    pub const fn new() -> Self {
        Self { errors: IntoError }
    }
}

impl<F> HttpFaults<F> {
    /// Makes errors with `errors`: a closure, or a `fn(InjectedError) -> MyError`.
    ///
    /// ```
    /// use seawall_chaos::InjectedError;
    /// use seawall_http::chaos::HttpFaults;
    ///
    /// enum FeedError { Down }
    ///
    /// let faults = HttpFaults::new().errors(|_: InjectedError| FeedError::Down);
    /// # let _ = faults;
    /// ```
    #[must_use]
    pub fn errors<G, Err>(self, errors: G) -> HttpFaults<G>
    where
        G: Fn(InjectedError) -> Err,
    {
        HttpFaults { errors }
    }
}

impl<F> FaultHooks for HttpFaults<F> {
    type Kept = KeptResponse;

    fn makes(&self, _: FaultKind) -> bool {
        true
    }
}

impl<A, B, Err, F> MakeFault<Request<A>, Response<B>, Err> for HttpFaults<F>
where
    A: Body,
    B: Body<Data = Bytes>,
    F: MakeError<Err>,
{
    type Response = Response<ChaosBody<B>>;

    #[inline]
    fn pass(&self, response: Response<B>) -> Self::Response {
        response.map(ChaosBody::plain)
    }

    fn error(&self, injected: InjectedError) -> Err {
        self.errors.make_error(injected)
    }

    fn respond(&self, request: &Request<A>, status: &StatusResponse) -> Option<Self::Response> {
        let has_body = request.method() != Method::HEAD;
        let text = if has_body { status.body_text() } else { "" };
        let mut response = Response::new(Bytes::copy_from_slice(text.as_bytes()).into());
        *response.status_mut() = StatusCode::from_u16(status.status()).ok()?;
        *response.version_mut() = request.version();
        for (name, value) in status.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let value = HeaderValue::from_str(value).ok()?;
            response.headers_mut().try_append(name, value).ok()?;
        }
        Some(response)
    }

    fn identity(&self, request: &Request<A>) -> Option<Vec<u8>> {
        identity(request)
    }

    fn keep(&self, response: Response<B>, keeper: Keeper<KeptResponse>) -> Self::Response {
        let (head, body) = response.into_parts();
        let is_good = head.status.is_success() && !head.headers.contains_key(SET_COOKIE);
        let body = if is_good && Recorder::fits(&body) {
            let head_kept = ResponseHead {
                status: head.status,
                version: head.version,
                headers: head.headers.clone(),
            };
            ChaosBody::recorded(body, Recorder::new(head_kept, keeper))
        } else {
            ChaosBody::plain(body)
        };
        Response::from_parts(head, body)
    }

    fn replay(&self, kept: &KeptResponse) -> Option<Self::Response> {
        let mut response = Response::new(kept.data.clone().into());
        *response.status_mut() = kept.head.status;
        *response.version_mut() = kept.head.version;
        *response.headers_mut() = kept.head.headers.clone();
        Some(response)
    }

    fn alter(&self, response: Response<B>, alterations: Vec<Alteration>) -> Self::Response {
        let (mut head, body) = response.into_parts();
        let mut of_body = Vec::new();
        for mut alteration in alterations {
            match alteration.fault() {
                ResponseFault::ClockSkew(skew) => {
                    if !alteration.is_over() && skew_headers(&mut head.headers, skew) {
                        alteration.happened();
                    }
                }
                _ => of_body.push(alteration),
            }
        }
        let body = if of_body.is_empty() || body.is_end_stream() {
            ChaosBody::plain(body)
        } else {
            ChaosBody::altered(body, of_body)
        };
        Response::from_parts(head, body)
    }
}

impl TransportError for InjectedError {
    fn outcome(&self) -> Outcome {
        Self::outcome(self)
    }
}

impl<E: TransportError> TransportError for ChaosError<E> {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Injected(injected) => injected.outcome(),
            Self::Client(error) => error.outcome(),
        }
    }
}
