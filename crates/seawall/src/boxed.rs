//! Stacks in a box, to store many of different types.

use std::error::Error as StdError;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tower::ServiceExt;
use tower::util::{BoxCloneSyncService, BoxCloneSyncServiceLayer};
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

use crate::{Error, HttpStack};

type BoxError = Box<dyn StdError + Send + Sync>;

/// The body of a [`BoxHttpService`]'s responses.
pub type BoxHttpBody = UnsyncBoxBody<Bytes, BoxError>;

/// A stack around an HTTP client, whatever both are, for requests of the body `A`; from
/// [`HttpStack::boxed`].
///
/// Its error is the client's or a [`Rejection`](crate::Rejection), which
/// [`find_rejection`](crate::find_rejection) finds.
pub type BoxHttpService<A> = BoxCloneSyncService<Request<A>, Response<BoxHttpBody>, BoxError>;

/// An [`HttpStack`], whatever its layers are, to be put around a client `S` for requests of the body
/// `A`; from [`HttpStack::boxed`].
pub type BoxHttpStack<S, A> =
    BoxCloneSyncServiceLayer<S, Request<A>, Response<BoxHttpBody>, BoxError>;

impl<X, I, O> HttpStack<X, I, O> {
    /// The stack in a box, whose type shows none of its layers: to store stacks with different
    /// options in one collection.
    ///
    /// A boxed service costs a few allocations per call, one each for its future and the body of its
    /// response. Take [`handles`](Self::handles) before.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::{BodyExt, Full};
    /// use seawall::{BoxHttpService, HedgeConfig};
    /// use tower::{Layer, Service, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// type Body = Full<Bytes>;
    /// let client = service_fn(|_: Request<Body>| async {
    ///     Ok::<_, std::io::Error>(Response::new(Body::from("[]")))
    /// });
    /// let hedged = seawall::market_data("quotes").build()?.hedge(HedgeConfig::builder().build()?);
    /// let plain = seawall::broker("orders").build()?;
    ///
    /// let mut services: HashMap<&str, BoxHttpService<Body>> = HashMap::new();
    /// services.insert("quotes", hedged.boxed().layer(client));
    /// services.insert("orders", plain.boxed().layer(client));
    ///
    /// let quotes = services.get("quotes").unwrap().clone();
    /// let response = quotes.oneshot(Request::get("/quotes").body(Body::default())?).await?;
    /// assert_eq!(response.into_body().collect().await?.to_bytes(), "[]");
    /// # Ok(()) }
    /// ```
    pub fn boxed<S, A, B, E>(self) -> BoxHttpStack<S, A>
    where
        Self: Layer<S> + Send + Sync + 'static,
        <Self as Layer<S>>::Service: Service<Request<A>, Response = Response<B>, Error = Error<E>>
            + Clone
            + Send
            + Sync
            + 'static,
        <<Self as Layer<S>>::Service as Service<Request<A>>>::Future: Send + 'static,
        A: 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        BoxCloneSyncServiceLayer::new(layer_fn(move |client| {
            let service = self.layer(client);
            service.map_response(body_in_a_box).map_err(error_in_a_box)
        }))
    }
}

fn body_in_a_box<B>(response: Response<B>) -> Response<BoxHttpBody>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

fn error_in_a_box<E: Into<BoxError>>(error: Error<E>) -> BoxError {
    match error {
        Error::Inner(error) => error.into(),
        Error::Rejected(rejection) => rejection.into(),
    }
}
