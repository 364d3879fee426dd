//! Looks into the bodies of responses for what their status does not show.
//!
//! Some providers throttle with a 200 and an apology in JSON, and some send only in the body of a
//! 429 that the money is gone and that no wait will help. A [`Classify`] sees the head of a
//! response. This layer, right around the client, reads a small body first, lets an [`Inspector`]
//! classify it, writes what it found into the response's extensions as an
//! [`Outcome`](seawall_core::Outcome), and passes the body on unchanged.
//! [`HttpClassifier`](crate::HttpClassifier) takes that outcome before any other.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use bytes::Bytes;
//! use seawall_core::Outcome;
//! use seawall_http::inspect::{BodyRule, BodyRules, InspectLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let used_up = Outcome::QuotaExhausted { renews_in: None };
//! let rules: BodyRules = [
//!     BodyRule::new(used_up).first_key("Information").contains("per day"),
//!     BodyRule::new(Outcome::Ignored).first_key("Error Message"),
//! ]
//! .into_iter()
//! .collect();
//! let client = ServiceBuilder::new()
//!     .layer(InspectLayer::by_rules(rules))
//!     .service(service_fn(|_: Request<()>| async {
//!         let text = r#"{"Information": "Our standard API rate limit is 25 requests per day."}"#;
//!         let response = Response::builder().header("content-type", "application/json");
//!         Ok::<_, std::convert::Infallible>(response.body(Full::<Bytes>::from(text)).unwrap())
//!     }));
//! let response = client.oneshot(Request::new(())).await.unwrap();
//! assert_eq!(response.extensions().get::<Outcome>(), Some(&used_up));
//! # }
//! ```
//!
//! # Providers
//!
//! [`BodyRules`] are rules as data, closures are inspectors as well. The catalogue of the crate
//! `seawall` has the rules of the known providers that hide something in a body: throttles,
//! exhausted quotas, lockouts, pages that block. Bans and quotas that show in the status are found by
//! [`HttpClassifier`](crate::HttpClassifier), where a rule for it is set.
//!
//! # How it works
//!
//! Only bodies of a JSON content type are read (or those chosen by [`InspectLayer::only`]), up to a
//! cap. Of a body without a content type the first byte decides: it
//! is read on if that is a `{`. A body that is known to be longer, an event stream, and
//! any other body pass unread, at no cost but a look at the head. A body that turns out to be
//! longer while it is read is passed on with its beginning put back in front. The head of the
//! response waits until the body has been read.
//!
//! With the feature `usage` it can read from the same bodies how many tokens an AI response has
//! used (`InspectLayer::with_usage`).
//!
//! # Compression
//!
//! A throttle in a compressed body is found with the feature `gzip`: bodies that are compressed by
//! `gzip` or `deflate` are decompressed for the inspector, up to the cap, and passed on as they came.
//! What inflates to more than the cap is not inspected, however small it is, and neither are `br`
//! and `zstd`. So ask for no other encodings, or decompress below the stack: `reqwest` does with its own
//! features (`gzip`, `brotli`, `zstd`), and around hyper's client tower-http's `Decompression`.
//! hyper's client by itself asks for none.
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
mod body_rules;
pub(crate) mod content;
mod encoding;
mod future;
mod inspector;
mod layer;
mod rules;

pub use body::InspectedBody;
pub use body_rules::{BodyRule, BodyRules};
pub use content::{is_event_stream, is_html, is_plain_json, is_plain_text};
pub use future::InspectFuture;
pub(crate) use future::Reading;
pub use inspector::{InspectFn, Inspector};
pub use layer::{Inspect, InspectLayer};
pub(crate) use rules::Extent;
