//~ not a classifier of this service's results
//~ an `HttpClassifier` needs `seawall_http::TransportError` of the client's error, or a function for it: `HttpClassifier::with_errors(..)`

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::assert_service;
use tower::{Layer, service_fn};

struct Broken;

fn main() {
    let stack = seawall::broker("a").build().unwrap();
    let client = service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Err::<Response<Full<Bytes>>, _>(Broken))
    });
    let _ = assert_service::<Request<Full<Bytes>>, _>(stack.layer(client));
}
