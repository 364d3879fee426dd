//! Streamed responses that stall, through the complete stack of an AI API.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use seawall::http_client::body_timeout::BodyTimeoutConfig;
use seawall::{BulkheadConfig, Reason, Rejectable};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// One piece, and then nothing, forever.
struct Stalled {
    begun: bool,
}

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.begun, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data: {}\n\n")))))
    }
}

/// Two permits, two streams that stall: the third caller got no permit for as long as the streams
/// were read.
#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_ends_with_an_error_returns_its_permit_and_is_a_failure() {
    let two = BulkheadConfig::builder()
        .max_concurrent(2)
        .max_waiting(1)
        .max_wait(120 * SECOND);
    let limits = BodyTimeoutConfig::builder().idle(30 * SECOND);
    let stack = seawall::ai_api("stalled")
        .bulkhead(two.build().expect("valid"))
        .body_timeout(limits.build().expect("valid"))
        .build()
        .expect("valid");
    let handles = stack.handles();
    let client = stack.layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Stalled { begun: false }))
    }));
    let send = || client.clone().oneshot(Request::new(Full::default()));

    let start = Instant::now();
    let mut readers = Vec::new();
    for _ in 0..2 {
        let response = send().await.expect("a head");
        readers.push(tokio::spawn(response.into_body().collect()));
    }
    let third = tokio::spawn(send());
    for reader in readers {
        let error = reader.await.expect("no panic").expect_err("it stalls");
        let rejected = error.rejection().expect("ours");
        assert_eq!(rejected.reason(), Reason::BodyTimeout);
    }
    assert_eq!(Instant::now() - start, 30 * SECOND);
    let response = third.await.expect("no panic");
    assert!(response.is_ok(), "there are free permits again");
    assert_eq!(Instant::now() - start, 30 * SECOND);
    assert_eq!(handles.breaker.snapshot().counts.failure, 2);
}
