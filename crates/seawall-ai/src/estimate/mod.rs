//! Token limits that reserve what calls really use.
//!
//! A provider limits the tokens of a minute, and how many a call takes is known when it is over. So a
//! rate limit reserves an estimate and corrects it by the usage that the response reports. What the
//! estimate is decides how much of a limit can be used: callers set `max_tokens` to several times what
//! a response takes, and what is reserved for calls in flight and not used is idle meanwhile.
//!
//! [`EstimateLayer`] learns from every response, per model, and writes its estimate into the
//! request, where the rate limit of an `HttpStack` reads it. It is the outermost layer; with
//! [`NoteDeparture`](crate::NoteDeparture) at the departure of the stack it knows when a call leaves
//! the queues. The stack counts the tokens of JSON responses (`count_tokens`), and those of streams
//! are corrected by this layer when they are over.
//!
//! ```
//! use seawall_ai::estimate::{EstimateConfig, EstimateLayer};
//! use seawall_ai::NoteDeparture;
//! use seawall_core::{DepartureLayer, Describe, TokenCount};
//! use seawall_http::Routes;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let estimates = EstimateLayer::new("model", EstimateConfig::default());
//! let handle = estimates.handle();
//! let client = ServiceBuilder::new()
//!     .layer(estimates)
//!     // In place of `seawall::ai_api("model").build()?.count_tokens(1 << 20).on_departure(NoteDeparture)`:
//!     .layer(DepartureLayer::new(NoteDeparture))
//!     .service(service_fn(|request: Request<Full<Bytes>>| async move {
//!         // What a rate limit reads:
//!         assert_eq!(Routes::new().describe(&request).tokens, TokenCount::new(12, 300));
//!         let text = r#"{"usage":{"prompt_tokens":3,"completion_tokens":8}}"#;
//!         Ok::<_, seawall_core::Error<std::io::Error>>(Response::new(Full::<Bytes>::from(text)))
//!     }));
//! let body = r#"{"model":"m-1","max_tokens":300,"messages":[{"content":"What is new today?"}]}"#;
//! let response = client.oneshot(Request::post("/v1/chat/completions").body(Full::from(body))?).await?;
//! response.into_body().collect().await?;
//! assert_eq!(handle.counts().settled, 1);
//! # Ok(()) }
//! ```
//!
//! # What is learned
//!
//! A [`Tokenizer`] counts the input roughly; its error is learned as a ratio, a mean that forgets with
//! 512 responses. The output has a mean for every power of two of the maximum that a request sets,
//! since callers set it with an idea of the response.
//!
//! Means are not enough: calls in flight together must not use more than is reserved for them. Long
//! responses are longer in flight, so what is in flight uses more than its share of all calls; and calls
//! that come together may be alike. Both show in sums. Once a second the calls in flight are noted, and
//! when the last of them has ended, what they have used together is divided by what was expected of them
//! together. The mean of these ratios, weighted by what was in flight, plus
//! [`deviations`](EstimateConfigBuilder::deviations) times their standard deviation, is a quantile of
//! what calls in flight take; by it the mean of a call is multiplied. More than its maximum is never
//! reserved.
//!
//! Until enough calls have ended (eight of a class, and ten seconds whose calls all have ended), the
//! maximum is reserved, and of the input four thirds of what was counted. Short responses end first, so
//! seconds are learned from in their order.
//!
//! Where the responses of a model suddenly become longer, calls in flight use more than is reserved, until
//! the first of them have ended. What they use beyond is taken from the limit when they are over. An
//! estimate is as old as the wait of its call: let calls wait for seconds, and not for an hour.
//!
//! # How exact it is
//!
//! Arrivals and token counts of two public traces of real use (Azure, 2023, code and conversation), at
//! their load and at four times of it, through the limits of two providers, with prompts of three to five
//! bytes per token, and `max_tokens` that fits the response, is four times of it, or is 4,096: 18 runs of
//! `cargo run --release --example ai_budget -- --trace FILE --share N --deviations X`:
//!
//! | share of the limit | deviations | runs with a violation | least use of the limit that binds |
//! |---|---|---|---|
//! | 100 % | 3 | 9 | 99.0 % |
//! | 100 % | 1.5 | 9 | 99.2 % |
//! | 99 % | 1.5 | 0 | 98.2 % |
//! | 98 % | 1.5 | 0 | 97.2 % |
//! | 95 % | 1.5 | 0 | 94.2 % |
//! | 90 % | 1.5 | 0 | 89.2 % |
//! | 80 % | 1.5 | 0 | 79.3 % |
//!
//! So give a limit 98 % of what the provider allows: what calls in flight use beyond their reservations
//! is a small part of what a minute allows, and deviations alone would have to cover the worst moment of
//! all. Where responses are so long that a third of what a minute allows is in flight, reserve two or
//! three deviations. What is reserved is, in the median, 3 to 13 % more than what is used, and 20 to 36 % more
//! where every call sets the same large maximum and a limit of the output counts what is really written.
//!
//! # What becomes of an estimate
//!
//! | the call | the limit | the estimator |
//! |---|---|---|
//! | reports its usage, in its body or at the end of its stream | corrected | learns it |
//! | is a stream that reports none (OpenAI's chat without `stream_options.include_usage`) | corrected by the content that was delivered, a token per four bytes; kept without [`count_delivered`](EstimateConfigBuilder::count_delivered) | learns the output |
//! | is a body that reports none | kept | learns nothing |
//! | is a stream that breaks off or is dropped | an input that was reported counts; the output is what was reserved, or delivered if that is more, since the model may have written more than was read | learns nothing |
//! | fails, or is a response with the status of an error | kept by the limit: providers count failed requests too, and may have counted its tokens | learns nothing |
//! | is rejected or dropped before it departs | given back by the limit | learns nothing |
//!
//! # Models and groups
//!
//! Every model is learned by itself. Where the provider has a limit per model, or per group of models, one
//! stack with a rate limit per key has all of them: [`EstimateLayer::group`] makes the key of the model.
//! A `ModelStack` of a provider of the catalogue does that by itself.
//!
//! # Bad input
//!
//! A usage is believed as far as it is possible: no output beyond the request's maximum, or
//! [`longest_output`](EstimateConfigBuilder::longest_output) for each choice without one, and no input
//! beyond eight times what was counted, or 16,384 tokens where that is more, since a provider may add
//! prompts of its own. What is bounded is emitted ([`Bounded`](seawall_core::EventKind::Bounded)). A
//! usage of no token at all is none. The limit settles a stream by that, and a body of JSON where
//! [`StreamLayer`](crate::stream::StreamLayer) is right around the client, as in a `ModelStack`;
//! without it, by what is reported. What is learned of the input is from a sixty-fourth to eight times
//! of what was counted. A body that is no JSON, whose text is nested deeper than 127 levels, that is not there at
//! once, or that is longer than 8 MiB counts as a prompt of its length, of no model.

mod config;
mod counts;
mod estimator;
mod handle;
mod in_flight;
mod layer;
mod learned;
mod parts;
mod service;
mod settling;
mod tokenizer;

pub use config::{EstimateConfig, EstimateConfigBuilder};
pub use counts::EstimateCounts;
pub use estimator::{Expected, TokenEstimator};
pub use handle::{EstimateHandle, EstimateSnapshot, ModelSnapshot};
pub use layer::EstimateLayer;
pub use service::{EstimateFuture, EstimateService};
pub use tokenizer::{RoughTokenizer, Tokenizer};

pub use crate::measured_body::MeasuredBody;
pub use crate::prompt::Prompt;
