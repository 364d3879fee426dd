//! A `reqwest::Client` as a Tower client of HTTP requests.

use std::error::Error as StdError;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{Empty, Full};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::error::ReqwestError;
use super::reqwest::{self, Body as ReqwestBody};
use crate::replay::ReplayBody;

/// A `reqwest::Client` as a service of [`http::Request`], for the layers of Seawall and for
/// `seawall::HttpStack`.
///
/// * Requests: `http::Request<B>`, by default of `Full<Bytes>`. [`with_body`](Self::with_body)
///   takes any other [`IntoReqwestBody`]: `Bytes`, `String`, `Vec<u8>`, `&'static str`, `()`,
///   [`ReplayBody`], `reqwest::Body`. The URI has to be complete: `https://host/path`.
/// * Responses: `http::Response<reqwest::Body>`; the body streams.
/// * Errors: [`ReqwestError`], which knows whether the request was certainly not sent
///   ([`TransportError`](crate::TransportError)), so that an
///   [`HttpClassifier`](crate::HttpClassifier) classifies it without further settings.
///
/// Clones share the connections. The client is always ready.
///
/// # Retries
///
/// A retry needs a copy of the request. `Full<Bytes>`, `Bytes`, `String` and the other bodies of
/// plain data are copied by `Clone`, the default of every layer, at the cost of a reference count
/// (`Bytes`) or of the data. For a body that streams, use `ReplayBody` and copy with
/// [`copy_request`](crate::copy_request). A `reqwest::Body` cannot be copied: a stack around such
/// requests does not compile, or never retries, depending on its copier.
///
/// # Redirects
///
/// reqwest follows redirects by default, and repeats a POST after a 307 or 308. Then no error
/// proves that nothing was sent: the connection that failed may have been the second one, after
/// the order was executed. So [`ReqwestClient::build`] turns redirects off, and a redirect is a
/// response like any other. For reads of a site that redirects, make a second client with
/// [`ReqwestClient::following_redirects`]: its errors are of unknown outcome.
///
/// # Compression
///
/// Decompress here, below the stack, so that its layers see the text: with reqwest's features
/// (`gzip`, `brotli`, `zstd`) the client asks for these encodings and removes them by itself. A header
/// `Accept-Encoding` of your own turns that off, and what comes back is inspected only with the
/// feature `gzip` of this crate.
///
/// # Timeouts
///
/// Leave reqwest's `timeout` unset and let an attempt timeout or a stack measure each attempt;
/// `connect_timeout` is worth setting, since a connection that was never made is known as not sent.
///
/// ```no_run
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::{BodyExt, Full};
/// use seawall_http::ReqwestClient;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ReqwestClient::build(reqwest::Client::builder())?;
/// let request = Request::get("http://localhost:8080/quotes").body(Full::<Bytes>::default())?;
/// let response = client.oneshot(request).await?;
/// println!("{}: {:?}", response.status(), response.into_body().collect().await?.to_bytes());
/// # Ok(()) }
/// ```
pub struct ReqwestClient<B = Full<Bytes>> {
    client: reqwest::Client,
    redirects: bool,
    body: PhantomData<fn(B)>,
}

impl ReqwestClient {
    /// A client by the settings of `builder`, without redirects and without retries of reqwest's
    /// own: a retry is a matter for the stack.
    ///
    /// # Errors
    ///
    /// reqwest's, when its TLS backend cannot be initialized or its resolver cannot load the
    /// system configuration.
    pub fn build(builder: reqwest::ClientBuilder) -> Result<Self, reqwest::Error> {
        let client = builder
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()?;
        Ok(Self::without_redirects(client))
    }

    /// A client that exists, with its own policies of redirects and retries. Its errors are of
    /// unknown outcome or ignored: none of them proves that nothing was sent. Not for orders.
    pub const fn following_redirects(client: reqwest::Client) -> Self {
        Self {
            client,
            redirects: true,
            body: PhantomData,
        }
    }

    /// A client that exists and was built with `redirect(reqwest::redirect::Policy::none())`.
    ///
    /// That cannot be checked here. With a client that does follow redirects, an order may be
    /// repeated that was executed; see
    /// [`reqwest_without_redirects`](super::reqwest_without_redirects).
    pub const fn without_redirects(client: reqwest::Client) -> Self {
        Self {
            client,
            redirects: false,
            body: PhantomData,
        }
    }
}

impl<B> ReqwestClient<B> {
    /// The same client for requests with another body.
    ///
    /// ```
    /// # fn main() -> Result<(), reqwest::Error> {
    /// use seawall_http::{ReplayBody, ReqwestClient};
    ///
    /// let client: ReqwestClient<ReplayBody> =
    ///     ReqwestClient::build(reqwest::Client::builder())?.with_body();
    /// # let _ = client;
    /// # Ok(()) }
    /// ```
    pub fn with_body<B2: IntoReqwestBody>(self) -> ReqwestClient<B2> {
        ReqwestClient {
            client: self.client,
            redirects: self.redirects,
            body: PhantomData,
        }
    }

    /// The client of reqwest.
    pub const fn get_ref(&self) -> &reqwest::Client {
        &self.client
    }
}

impl<B> Clone for ReqwestClient<B> {
    /// Shares the connections.
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            redirects: self.redirects,
            body: PhantomData,
        }
    }
}

seawall_core::impl_debug!(ReqwestClient<B>: |this|
    client = this.client,
    redirects = this.redirects);

/// A request body that [`ReqwestClient`] can send.
///
/// reqwest's own conversion, `Into<reqwest::Body>`, has no `Full<Bytes>`, the body that most
/// requests of a Tower client have. Any other body is wrapped by `reqwest::Body::wrap`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request body that `ReqwestClient` can send",
    note = "use `http_body_util::Full<bytes::Bytes>`, `Bytes`, `String`, or wrap it: `reqwest::Body::wrap(body)`"
)]
pub trait IntoReqwestBody {
    /// The body for reqwest.
    fn into_reqwest_body(self) -> ReqwestBody;
}

macro_rules! into_reqwest_body {
    ($($body:ty),*) => {$(
        impl IntoReqwestBody for $body {
            fn into_reqwest_body(self) -> ReqwestBody {
                self.into()
            }
        }
    )*};
}

into_reqwest_body!(
    ReqwestBody,
    Bytes,
    String,
    Vec<u8>,
    &'static str,
    &'static [u8]
);

impl IntoReqwestBody for () {
    fn into_reqwest_body(self) -> ReqwestBody {
        ReqwestBody::default()
    }
}

impl IntoReqwestBody for Empty<Bytes> {
    fn into_reqwest_body(self) -> ReqwestBody {
        ReqwestBody::default()
    }
}

impl IntoReqwestBody for Full<Bytes> {
    /// The data itself: its length is known, and it needs no box.
    fn into_reqwest_body(mut self) -> ReqwestBody {
        let mut cx = Context::from_waker(Waker::noop());
        // A full body is always ready and has at most one frame.
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut self).poll_frame(&mut cx) else {
            return ReqwestBody::default();
        };
        frame.into_data().unwrap_or_default().into()
    }
}

impl<B> IntoReqwestBody for ReplayBody<B>
where
    B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    B::Error: StdError + Send + Sync + 'static,
{
    fn into_reqwest_body(self) -> ReqwestBody {
        match self.into_full() {
            Ok(data) => data.into(),
            Err(stream) => ReqwestBody::wrap(stream),
        }
    }
}

impl<B: IntoReqwestBody> Service<Request<B>> for ReqwestClient<B> {
    type Response = Response<ReqwestBody>;
    type Error = ReqwestError;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ReqwestError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ReqwestFuture {
        let request = request.map(IntoReqwestBody::into_reqwest_body);
        ReqwestFuture {
            state: match reqwest::Request::try_from(request) {
                Ok(request) => State::Sent {
                    inner: self.client.call(request),
                },
                Err(error) => State::Invalid { error: Some(error) },
            },
            redirects: self.redirects,
        }
    }
}

pin_project! {
    /// The future of a [`ReqwestClient`].
    #[derive(Debug)]
    pub struct ReqwestFuture {
        #[pin]
        state: State,
        redirects: bool,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State {
        Sent { #[pin] inner: <reqwest::Client as Service<reqwest::Request>>::Future },
        // The request could not be built; `None` once that was returned.
        Invalid { error: Option<reqwest::Error> },
    }
}

impl Future for ReqwestFuture {
    type Output = Result<Response<ReqwestBody>, ReqwestError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.state.project() {
            StateProj::Sent { inner } => ready!(inner.poll(cx)),
            StateProj::Invalid { error } => match error.take() {
                Some(error) => Err(error),
                None => panic!("polled after it has completed"),
            },
        };
        let redirects = *this.redirects;
        Poll::Ready(match result {
            Ok(response) => Ok(response.into()),
            Err(error) => Err(ReqwestError::new(error, redirects)),
        })
    }
}
