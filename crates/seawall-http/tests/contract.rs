//! The contract of a layer, kept by the two that this crate has.

use bytes::Bytes;
use http::Response;
use http::response::Parts;
use http_body::Body;
use http_body_util::Full;
use seawall_core::Outcome;
use seawall_http::RejectionResponseLayer;
use seawall_http::inspect::InspectLayer;
use seawall_testkit::contract::Mock;
use tower::layer::util::Identity;
use tower::util::{MapRequest, MapResponse};
use tower::{BoxError, Layer, Service};

type Upstream = MapResponse<Mock, fn(u32) -> Response<Full<Bytes>>>;

/// The mock's number as a response with a body that is read.
fn respond(number: u32) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("{}"));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response.extensions_mut().insert(number);
    response
}

fn number<B: Body>(response: Response<B>) -> u32 {
    let (head, _) = response.into_parts();
    *head.extensions.get().expect("the mock's number")
}

fn upstream(inner: Mock) -> Upstream {
    MapResponse::new(inner, respond)
}

mod inspect {
    use super::*;

    fn nothing(_: &Parts, body: &[u8]) -> Option<Outcome> {
        assert_eq!(body, b"{}");
        None
    }

    fn subject(inner: Mock) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
        let layer = InspectLayer::new(99, nothing as fn(&Parts, &[u8]) -> Option<Outcome>);
        MapResponse::new(layer.layer(upstream(inner)), number as fn(_) -> u32)
    }

    seawall_testkit::contract_tests! { subject => all }
}

mod rejection_response {
    use super::*;

    fn subject(inner: Mock) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
        let layer = RejectionResponseLayer::new(Identity::new());
        // Something between, as in a server.
        let inner = MapRequest::new(upstream(inner), (|n| n) as fn(u32) -> u32);
        MapResponse::new(layer.layer(inner), number as fn(_) -> u32)
    }

    seawall_testkit::contract_tests! { subject => all }
}

/// The mock behind HTTP requests that carry its numbers.
type Numbers = MapRequest<Upstream, fn(http::Request<u32>) -> u32>;

fn numbers(inner: Mock) -> Numbers {
    MapRequest::new(upstream(inner), http::Request::into_body)
}

mod body_timeouts {
    use super::*;
    use seawall_http::body_timeout::{BodyTimeoutConfig, BodyTimeoutLayer};
    use std::time::Duration;

    fn subject(inner: Mock) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
        // Longer than any check takes.
        let long = Duration::from_secs(10 * 3600);
        let limits = BodyTimeoutConfig::builder().first_byte(long).build();
        let layer = BodyTimeoutLayer::new("contract", limits.expect("valid"));
        let inner = layer.layer(numbers(inner));
        let inner = MapResponse::new(inner, number as fn(_) -> u32);
        MapRequest::new(inner, http::Request::new as fn(u32) -> _)
    }

    seawall_testkit::contract_tests! { subject => all }
}

mod deadlines {
    use super::*;
    use seawall_http::deadline::{ReadDeadlineConfig, ReadDeadlineLayer, WriteDeadlineLayer};

    fn subject(inner: Mock) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
        let inner = WriteDeadlineLayer::new().layer(numbers(inner));
        let inner = ReadDeadlineLayer::new("contract", ReadDeadlineConfig::default()).layer(inner);
        let inner = MapResponse::new(inner, number as fn(_) -> u32);
        MapRequest::new(inner, http::Request::new as fn(u32) -> _)
    }

    seawall_testkit::contract_tests! { subject => all }
}
