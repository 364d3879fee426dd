//! The contract of a layer, for requests that are about no order and for orders.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use seawall_core::{FailureKind, Outcome};
use seawall_orders::protocol::Duplicates;
use seawall_orders::{OrderBody, OrderLayer};
use seawall_testkit::contract::{BoxError, Mock, mock};
use serde_json::json;
use tower::util::{MapRequest, MapResponse};
use tower::{Layer, Service};

use super::common::{Body, TestBroker, order, respond, rules};

type Upstream = MapResponse<MapRequest<Mock, fn(Request<Body>) -> u32>, fn(u32) -> Response<Body>>;

/// The mock as a broker: numbers are in the extensions of requests and responses.
fn upstream(inner: Mock) -> Upstream {
    let sent: fn(Request<Body>) -> u32 = |request| number(request.extensions());
    let inner = MapRequest::new(inner, sent);
    MapResponse::new(inner, |number| {
        let placed = json!({ "id": "b1", "client_order_id": "c1", "status": "filled" });
        let mut response = respond(200, &placed);
        response.extensions_mut().insert(number);
        response
    })
}

fn number(extensions: &http::Extensions) -> u32 {
    *extensions.get().expect("the mock's number")
}

/// The mock below a layer whose start is over.
fn subject(
    inner: Mock,
    request: fn(u32) -> Request<Body>,
) -> impl Service<u32, Response = u32, Error = BoxError> + Clone {
    fn not_sent(result: Result<&Response<Bytes>, &BoxError>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure(FailureKind::NotSent),
        }
    }
    let broker = TestBroker::new(rules(Duplicates::Accept));
    let layer = OrderLayer::<Body>::builder("contract", broker)
        .build()
        .unwrap();
    let layer = layer.classify(not_sent as fn(Result<&_, &BoxError>) -> Outcome);
    // In a runtime of its own, which stays, since checks poll by hand and count tasks.
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_time().build();
        runtime.expect("a runtime")
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            RUNTIME.block_on(async {
                let _below = layer.layer(upstream(mock().0));
                layer.handle().started().await;
            });
        });
    });
    let service = MapRequest::new(layer.layer(upstream(inner)), move |sent| {
        let mut request = request(sent);
        request.extensions_mut().insert(sent);
        request
    });
    MapResponse::new(service, |response: Response<OrderBody<Body>>| {
        assert!(!response.body().is_end_stream());
        number(response.extensions())
    })
}

mod no_orders {
    use super::*;

    fn quotes(_: u32) -> Request<Body> {
        Request::get("http://broker/quotes")
            .body(Body::default())
            .expect("valid")
    }

    seawall_testkit::contract_tests! { |inner: Mock| subject(inner, quotes) => all }
}

mod orders {
    use super::*;

    fn create(_: u32) -> Request<Body> {
        static ORDERS: AtomicU32 = AtomicU32::new(0);
        let id = format!("c{}", ORDERS.fetch_add(1, Relaxed));
        order(&json!({ "symbol": "AAPL", "qty": 1, "client_order_id": id }))
    }

    seawall_testkit::contract_tests! { |inner: Mock| subject(inner, create) => all }
}
