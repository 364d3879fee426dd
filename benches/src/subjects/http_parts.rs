//! What a call of an HTTP stack cannot do without, each part by itself.

use std::hint::black_box;

use http::{Method, Request, Response};
use seawall::http_client::body_timeout::{BodyTimeoutConfig, BodyTimeoutLayer};
use seawall::http_client::inspect::{BodyRules, InspectLayer};
use seawall::http_client::{CompleteOnBodyEnd, HttpClassifier, ReceiveLayer, Routes};
use seawall_core::carry::{Pooled, PooledService, Storage};
use seawall_core::striped::{Shared, Stripes};
use seawall_core::{Classify, Describe, Error};
use tower_layer::Layer;

use super::Subject;
use super::http::{Body, Client, GET, http, response};

pub(super) fn subjects() -> Vec<Subject> {
    vec![
        // Making it is in each row that moves one.
        Subject::function("parts/http/request", || {
            |_| black_box(GET.make()).method() == Method::GET
        }),
        Subject::function("parts/http/request-pooled", || {
            |_| {
                let request = Pooled::put(black_box(GET.make()));
                black_box(request.take()).method() == Method::GET
            }
        }),
        Subject::function("parts/http/request-copied", || {
            let request = GET.make();
            move |_| black_box(request.clone()).method() == Method::GET
        }),
        Subject::function("parts/http/response", || {
            |_| black_box(response()).status().is_success()
        }),
        Subject::function("parts/http/response-pooled", || {
            |_| {
                let response = Pooled::put(black_box(response()));
                black_box(response.take()).status().is_success()
            }
        }),
        Subject::function("parts/http/described", || {
            let (routes, request) = (Routes::reads_only(), GET.make());
            move |_| Describe::<Request<Body>>::describe(&routes, black_box(&request)).cost == 1
        }),
        Subject::function("parts/http/classified", || {
            let (classifier, response) = (HttpClassifier::new(), response());
            move |_| {
                let result: Result<&Response<Body>, &Error<std::convert::Infallible>> =
                    Ok(black_box(&response));
                classifier.classify(result) == seawall::Outcome::Success
            }
        }),
        Subject::function("parts/http/reference", || {
            let state = Shared::new(1, Stripes::auto(), || ()).anchor();
            move |_| *black_box(state.local()).common() == 1
        }),
        http("parts/http/no-layers", GET, no_layers),
    ]
}

/// An HTTP stack without its layers: what describes, boxes, receives, classifies and guards.
fn no_layers()
-> impl tower_service::Service<Request<Body>, Response = Response<impl http_body::Body>, Future: Send>
+ Clone
+ Send {
    let times = BodyTimeoutLayer::new("bench", BodyTimeoutConfig::default());
    let inspect = InspectLayer::by_rules(BodyRules::default());
    let receive = ReceiveLayer::new(HttpClassifier::new(), inspect, times);
    PooledService::new(
        receive.layer(Client),
        Routes::reads_only(),
        CompleteOnBodyEnd,
    )
}
