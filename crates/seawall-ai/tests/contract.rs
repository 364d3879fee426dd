//! The contract of a layer, kept by those of this crate.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use seawall_ai::stream::{CallError, StreamConfig, StreamLayer};
use seawall_testkit::contract::Mock;
use tower::util::{MapErr, MapRequest, MapResponse};
use tower::{BoxError, Layer, Service};

type Upstream = MapResponse<Mock, fn(u32) -> Response<Full<Bytes>>>;

fn number<B>(response: Response<B>) -> u32 {
    let (head, _) = response.into_parts();
    *head.extensions.get().expect("the mock's number")
}

/// The mock behind HTTP requests that carry its numbers, whose responses have this content type.
fn numbers(
    inner: Mock,
    respond: fn(u32) -> Response<Full<Bytes>>,
) -> MapRequest<Upstream, fn(http::Request<u32>) -> u32> {
    MapRequest::new(MapResponse::new(inner, respond), http::Request::into_body)
}

fn streams(
    inner: Mock,
    respond: fn(u32) -> Response<Full<Bytes>>,
) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
    // Longer than any check takes.
    let long = std::time::Duration::from_secs(10 * 3600);
    let config = StreamConfig::builder().first_content(long).build();
    let layer = StreamLayer::new("contract", config.expect("valid"));
    let inner = layer.layer(numbers(inner, respond));
    let inner = MapErr::new(inner, error as fn(_) -> BoxError);
    let inner = MapResponse::new(inner, number as fn(_) -> u32);
    MapRequest::new(inner, http::Request::new as fn(u32) -> _)
}

fn error(error: CallError<BoxError>) -> BoxError {
    match error {
        CallError::Client(error) => error,
        CallError::Stream(error) => error.into(),
    }
}

fn respond(number: u32, content_type: &'static str, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    let content_type = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert("content-type", content_type);
    response.extensions_mut().insert(number);
    response
}

mod of_json {
    use super::*;

    fn subject(inner: Mock) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
        streams(inner, |number| respond(number, "application/json", "{}"))
    }

    seawall_testkit::contract_tests! { subject => all }
}

mod of_streams {
    use super::*;

    fn subject(inner: Mock) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
        streams(inner, |number| {
            respond(
                number,
                "text/event-stream",
                "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n",
            )
        })
    }

    seawall_testkit::contract_tests! { subject => all }
}
