//! Looks into the bodies of answers for what their status does not say.
//!
//! Some providers answer a throttle with 200 and an apology in JSON, and some say only in the
//! body of a 429 that the money is gone and that no wait will help. A [`Classify`] sees the head
//! of an answer; this layer, put right around the client, reads a small body first, lets an
//! [`Inspector`] judge it, writes the verdict into the answer's extensions as an [`Outcome`],
//! and hands the body on unchanged. [`HttpClassifier`](crate::HttpClassifier) takes that verdict
//! before any other.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use bytes::Bytes;
//! use seawall_core::Outcome;
//! use seawall_http::inspect::{InspectLayer, alpha_vantage};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let client = ServiceBuilder::new()
//!     .layer(InspectLayer::new(16 * 1024, alpha_vantage))
//!     .service(service_fn(|_: Request<()>| async {
//!         let text = r#"{"Information": "Our standard API rate limit is 25 requests per day."}"#;
//!         let answer = Response::builder().header("content-type", "application/json");
//!         Ok::<_, std::convert::Infallible>(answer.body(Full::<Bytes>::from(text)).unwrap())
//!     }));
//! let answer = client.oneshot(Request::new(())).await.unwrap();
//! let verdict = answer.extensions().get::<Outcome>();
//! assert_eq!(verdict, Some(&Outcome::QuotaExhausted { renews_in: None }));
//! # }
//! ```
//!
//! # How it works
//!
//! Only bodies of a JSON content type that are not compressed are read, up to a cap. A body that
//! is known to be longer, an event stream, and everything else pass unread, at no cost but a look
//! at the head. A body that turns out to be longer while it is read is handed on with its
//! beginning put back in front. The answer's head waits until the body has been read.
//!
//! With the feature `usage` it can read from the same bodies how many tokens an AI answer has used
//! (`InspectLayer::with_usage`).
//!
//! # Readiness
//!
//! The inner service's; nothing is reserved.
//!
//! # Cancellation
//!
//! A dropped future drops the inner one, or the body that it was reading.
//!
//! # Ordering
//!
//! Right around the client, inside the attempt timeout (it waits for the body) and inside every
//! layer that classifies.
//!
//! [`Classify`]: seawall_core::Classify

mod body;
mod future;
mod layer;
mod providers;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::response::Parts;
use seawall_core::Outcome;

pub use body::InspectedBody;
pub use future::InspectFuture;
pub use layer::{Inspect, InspectLayer};
pub use providers::{alpha_vantage, anthropic, openai, polygon};

/// Judges an answer by its head and its whole body. Closures and `fn` pointers
/// `Fn(&Parts, &[u8]) -> Option<Outcome>` are inspectors; a `fn` pointer can be named.
pub trait Inspector {
    /// What the answer says about the upstream, or `None` when its head says it all.
    fn inspect(&self, head: &Parts, body: &[u8]) -> Option<Outcome>;
}

impl<F> Inspector for F
where
    F: Fn(&Parts, &[u8]) -> Option<Outcome>,
{
    fn inspect(&self, head: &Parts, body: &[u8]) -> Option<Outcome> {
        self(head, body)
    }
}

/// Whether the headers announce a JSON body that can be read as it is: `application/json` or a
/// type with the suffix `+json` (RFC 6839), without a content encoding.
pub fn is_plain_json(headers: &HeaderMap) -> bool {
    let plain = headers
        .get(CONTENT_ENCODING)
        .is_none_or(|e| e.as_bytes().eq_ignore_ascii_case(b"identity"));
    plain && headers.get(CONTENT_TYPE).is_some_and(is_json)
}

fn is_json(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or(text).trim();
    let ends_with = |suffix: &str| {
        essence
            .len()
            .checked_sub(suffix.len())
            .and_then(|at| essence.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    essence.eq_ignore_ascii_case("application/json") || ends_with("+json")
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..17))
        .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}
