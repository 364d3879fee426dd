//! Errors in compressed bodies.
#![cfg(all(feature = "gzip", feature = "usage"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use seawall_core::{Outcome, Scope};
use seawall_http::HttpClassifier;
use seawall_http::inspect::{BodyRule, BodyRules, InspectLayer};
use seawall_http::quota::Usage;
use tower::{ServiceBuilder, ServiceExt, service_fn};

const NOTE: &str = r#"{"Information": "Please consider 1 request per second."}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The response to a request of which the upstream sends this body, and what was found in it.
async fn inspected(
    layer: InspectLayer<BodyRules>,
    headers: &[(&'static str, &'static str)],
    body: Vec<u8>,
) -> (Outcome, Option<Usage>) {
    let (headers, body) = (headers.to_vec(), Bytes::from(body));
    let sent = body.clone();
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(move |_: Request<()>| {
            let mut response = Response::builder();
            for (name, value) in &headers {
                response = response.header(*name, *value);
            }
            let response = response.body(Full::new(body.clone())).unwrap();
            async move { Ok::<_, Infallible>(response) }
        }));
    let response = client.oneshot(Request::new(())).await.unwrap();
    let outcome = HttpClassifier::new().judge_response(&response);
    let usage = response.extensions().get().copied();
    let passed_on = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(passed_on, sent, "passed on as it came");
    (outcome, usage)
}

const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const DEFLATE: (&str, &str) = ("content-encoding", "deflate");

async fn found(headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Outcome {
    let rule = BodyRule::new(throttled()).first_key("Information");
    let rules = [rule.contains("per second")].into_iter().collect();
    inspected(InspectLayer::by_rules(rules), headers, body)
        .await
        .0
}

fn throttled() -> Outcome {
    Outcome::Throttled {
        retry_after: Some(Duration::from_secs(1)),
        scope: Scope::Account,
    }
}

#[tokio::test]
async fn an_error_inside_a_compressed_200_is_found() {
    let compressed = gzip(NOTE.as_bytes());
    assert_eq!(found(&[JSON, GZIP], compressed.clone()).await, throttled());
    let other = ("content-encoding", "X-GZIP");
    assert_eq!(found(&[JSON, other], compressed.clone()).await, throttled());
    assert_eq!(
        found(&[GZIP], compressed).await,
        throttled(),
        "without a content type"
    );

    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(NOTE.as_bytes()).unwrap();
    assert_eq!(
        found(&[JSON, DEFLATE], zlib.finish().unwrap()).await,
        throttled()
    );
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(NOTE.as_bytes()).unwrap();
    assert_eq!(
        found(&[JSON, DEFLATE], raw.finish().unwrap()).await,
        throttled()
    );

    let members = [gzip(&NOTE.as_bytes()[..20]), gzip(&NOTE.as_bytes()[20..])].concat();
    assert_eq!(
        found(&[JSON, GZIP], members).await,
        throttled(),
        "two members"
    );
}

/// Ten megabytes in ten kilobytes.
#[tokio::test]
async fn what_inflates_beyond_the_cap_is_passed_on_unread() {
    let mut text = NOTE.as_bytes().to_vec();
    text.resize(10 << 20, b' ');
    let bomb = gzip(&text);
    assert!(bomb.len() < 16 * 1024, "{}", bomb.len());
    assert_eq!(found(&[JSON, GZIP], bomb).await, Outcome::Success);

    let mut fits = NOTE.as_bytes().to_vec();
    fits.resize(16 * 1024, b' ');
    assert_eq!(found(&[JSON, GZIP], gzip(&fits)).await, throttled());
    fits.push(b' ');
    assert_eq!(found(&[JSON, GZIP], gzip(&fits)).await, Outcome::Success);
}

#[tokio::test]
async fn what_cannot_be_decompressed_is_passed_on_unread() {
    let compressed = gzip(NOTE.as_bytes());
    let half = compressed[..compressed.len() / 2].to_vec();
    assert_eq!(found(&[JSON, GZIP], half).await, Outcome::Success);
    assert_eq!(
        found(&[JSON, GZIP], b"not gzip".to_vec()).await,
        Outcome::Success
    );
    assert_eq!(found(&[JSON, GZIP], NOTE.into()).await, Outcome::Success);
    for unknown in ["br", "zstd", "gzip, gzip", ""] {
        let encoding = ("content-encoding", unknown);
        let found = found(&[JSON, encoding], compressed.clone()).await;
        assert_eq!(found, Outcome::Success, "{unknown}");
    }
    let twice = [JSON, GZIP, GZIP];
    assert_eq!(found(&twice, compressed).await, Outcome::Success);
}

#[tokio::test]
async fn the_tokens_of_a_compressed_response_are_counted() {
    let text = br#"{"usage": {"prompt_tokens": 9, "completion_tokens": 12}}"#;
    let layer = InspectLayer::new(1024, BodyRules::default()).with_usage();
    let (_, usage) = inspected(layer, &[JSON, GZIP], gzip(text)).await;
    assert_eq!(usage, Some(Usage::new(9, 12)));
}
