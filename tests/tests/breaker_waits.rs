//! What a vendor's `Retry-After` beside a failure does to the circuit of a whole stack.

mod support;

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use seawall::{CircuitState, StackBuilder};
use support::Body;
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// One response of a stack whose circuit opens at the first failure, for ten seconds: for how long it
/// is open then.
async fn open_after(status: u16, headers: &'static [(&'static str, &'static str)]) -> Duration {
    let rules = seawall::BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(10 * SECOND);
    let builder: StackBuilder = seawall::broker("broker").breaker(rules.build().expect("valid"));
    let stack = builder.build().expect("valid");
    let client = stack.layer(service_fn(move |_: Request<Body>| async move {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Ok::<_, Infallible>(response.body(Body::from("{}")).expect("a response"))
    }));
    let _ = client
        .oneshot(support::get("http://vendor", "/v1/orders"))
        .await;
    let breaker = &stack.handles().breaker;
    assert_eq!(breaker.state(), CircuitState::Open);
    let snapshot = breaker.snapshot();
    let opening = snapshot.last().expect("it has opened");
    opening.open_for.expect("with an end")
}

/// Ends are kept to a 64th of a second.
#[track_caller]
fn about(open: Duration, seconds: u64) {
    let off = open.abs_diff(Duration::from_secs(seconds));
    assert!(off < SECOND / 2, "{open:?}");
}

#[tokio::test(start_paused = true)]
async fn a_503_keeps_the_circuit_open_for_as_long_as_it_asks() {
    about(open_after(503, &[("retry-after", "120")]).await, 120);
    about(open_after(500, &[("retry-after", "45")]).await, 45);
    about(open_after(503, &[]).await, 10);
    about(open_after(503, &[("retry-after", "3")]).await, 10);
}

#[tokio::test(start_paused = true)]
async fn an_absurd_wait_keeps_it_open_for_a_quarter_of_an_hour_at_most() {
    for absurd in [
        &[("retry-after", "1764386400")] as &[_],
        &[("retry-after", "1000000000000000000000000000000")],
        &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")],
    ] {
        let open = open_after(503, absurd).await;
        assert!(open >= 10 * SECOND && open <= 901 * SECOND, "{open:?}");
    }
}

/// That the request must not be repeated says nothing of when the vendor is back.
#[tokio::test(start_paused = true)]
async fn a_failure_that_must_not_be_repeated_delays_nothing() {
    about(open_after(500, &[("x-should-retry", "false")]).await, 10);
}

#[tokio::test(start_paused = true)]
async fn the_probe_goes_out_when_the_wait_is_over() {
    let rules = seawall::BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(10 * SECOND);
    let builder = seawall::broker("broker").breaker(rules.build().expect("valid"));
    let stack = builder.build().expect("valid");
    let first = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let client = stack.layer(service_fn(move |_: Request<Body>| {
        let fails = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        async move {
            let response = match fails {
                true => Response::builder().status(503).header("retry-after", "60"),
                false => Response::builder(),
            };
            Ok::<_, Infallible>(response.body(Body::from("{}")).expect("a response"))
        }
    }));
    let get = || support::get("http://vendor", "/v1/orders");
    let _ = client.clone().oneshot(get()).await;
    advance(59 * SECOND).await;
    client.clone().oneshot(get()).await.expect_err("still open");
    advance(2 * SECOND).await;
    let response = client.oneshot(get()).await.expect("the probe");
    assert_eq!(response.status(), 200);
    assert_eq!(stack.handles().breaker.counts().delayed, 1);
}
