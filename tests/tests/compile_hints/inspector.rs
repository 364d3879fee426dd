//~ `NoInspector` does not inspect the bodies of responses
//~ an inspector is a `Fn(&http::response::Parts, &[u8]) -> Option<seawall_core::Outcome>`

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::assert_service;
use tower::{Layer, service_fn};

#[derive(Clone)]
struct NoInspector;

fn main() {
    let stack = seawall::broker("a").build().unwrap().inspect(NoInspector);
    let client = service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(Full::<
            Bytes,
        >::default(
        ))))
    });
    let _ = assert_service::<Request<Full<Bytes>>, _>(stack.layer(client));
}
