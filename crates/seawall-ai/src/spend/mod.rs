//! Budgets of money, which no number of calls at once exceeds.
//!
//! What a call costs is known when it is over, and a budget that is only looked at before a call is
//! exceeded by all that are under way. So every call reserves what it costs at most, from all of its
//! budgets or from none, and gives back what it has not cost. What is spent and reserved together is never
//! more than a budget allows, however many calls and threads there are.
//!
//! ```
//! use seawall_ai::NoteDeparture;
//! use seawall_ai::spend::{Money, NoteUnbilledLayer, Price, Prices};
//! use seawall_ai::spend::{SpendBudget, SpendConfig, SpendLayer};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! # use seawall_core::{DepartureLayer, WrapErrorLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Per million tokens, by your own contract.
//! let prices = Prices::new(Price::per_million("15".parse()?, "75".parse()?)?)
//!     .model("gpt-small", Price::per_million("0.15".parse()?, "0.60".parse()?)?);
//! let config = SpendConfig::builder().per_day(Money::whole(50)).per_month(Money::whole(400)).build()?;
//! let team = SpendBudget::new("research", config);
//! let client = ServiceBuilder::new()
//!     .layer(SpendLayer::new(prices).budget(team.clone()))
//!     // In place of `seawall::ai_api("model").build()?.count_tokens(1 << 20).on_departure(NoteDeparture)`:
//!     .layer(DepartureLayer::new(NoteDeparture))
//!     .layer(WrapErrorLayer)
//!     .layer(NoteUnbilledLayer)
//!     .service(service_fn(|_: Request<Full<Bytes>>| async {
//!         let text = r#"{"usage":{"prompt_tokens":4000,"completion_tokens":1000}}"#;
//!         Ok::<_, std::io::Error>(Response::new(Full::<Bytes>::from(text)))
//!     }));
//! let body = r#"{"model":"gpt-small","max_tokens":2000,"messages":[{"content":"What is new?"}]}"#;
//! let response = client.oneshot(Request::new(Full::from(body))).await?;
//! response.into_body().collect().await?;
//! let [day, ..] = &team.handle().snapshot().periods[..] else { panic!() };
//! assert_eq!(day.spent.to_string(), "0.0012");
//! # Ok(()) }
//! ```
//!
//! # What is reserved
//!
//! The input as the tokenizer counts it and a third more, and the request's own
//! [maximum](crate::estimate::Prompt::max_output) of the output, or
//! [`default_output`](SpendLayer::default_output) for each of its choices, at the highest price of either. That is a bound
//! wherever the input is within a third of what was counted. What a call costs beyond is booked, too, as far
//! as it is possible, and counted as an `overrun`: give a tokenizer of your own, and a maximum with every request, where that must
//! not be.
//!
//! # What is booked
//!
//! | the call | booked |
//! |---|---|
//! | reports its usage | what that costs, with no output beyond the maximum (or 128,000 tokens for each choice without one), and no input beyond eight times what was counted, or 16,384 tokens where that is more; what is bounded is emitted ([`Bounded`](seawall_core::EventKind::Bounded)) |
//! | reports that it has used no token at all | what was reserved |
//! | is answered below 400 without usage, or its body breaks off or is dropped | what was reserved: the model may have written all of it |
//! | is answered with the status of an error | nothing: providers bill no request that they reject or fail |
//! | is rejected before it departs, or dropped before | nothing |
//! | is dropped after it has departed, times out, or fails | what was reserved, for each attempt |
//!
//! A call may depart more than once. An attempt that timed out, or lost its connection, may be billed
//! although it gave no answer, and so may the slower one of a hedge. [`NoteDeparture`] at the departure of the stack sees every
//! attempt: each that departs while the result of another is not known has a reservation of its own,
//! and one that no budget can pay for is rejected instead of sent. [`NoteUnbilledLayer`] right around the
//! client notes which attempts were answered with an error, or certainly not sent, so that they are
//! not booked; without it, only the last attempt is known. Until the first departure has been noted, and
//! without the hook, a call counts as one attempt that departs when it is made.
//!
//! A call holds what it reserves from `call` on until it is over or dropped, also while nobody polls it: drop
//! what is not needed any more, as with a permit.
//!
//! # Budgets and periods
//!
//! A call is paid for by the budgets of its layer and those in its [`PaidBy`], each once: of a key, a
//! team, a product. A rejection names the budget that is short, and when it renews
//! ([`QuotaExhausted`](seawall_core::Reason::QuotaExhausted); without a time where only calls under way
//! hold what is missing, since they may give it back), or what the call costs and is allowed, in
//! hundredths of the currency, where no period can ever pay for it
//! ([`TooExpensive`](seawall_core::Reason::TooExpensive)). [`SpendHandle::snapshot`] has the rest.
//!
//! Hours, days and months are those of the calendar, in UTC or at an offset. What is reserved when a period
//! ends goes on in the next, where it will be spent. The wall clock is read when a budget is made, and again
//! by [`SpendHandle::set_wall_clock`]. A budget is of one process; what others spend is given to it by
//! [`SpendHandle::already_spent`].
//!
//! # Ordering
//!
//! Outside of the stack, so that a call that cannot be paid for waits for nothing. Inside of
//! [`estimate`](crate::estimate) or outside of it: neither reads what the other writes.
//!
//! [`NoteDeparture`]: crate::NoteDeparture

mod account;
mod budget;
mod call;
mod config;
mod counts;
mod handle;
mod layer;
mod money;
mod parts;
mod period;
mod price;
mod results;
mod service;

pub use budget::SpendBudget;
pub use config::{SpendConfig, SpendConfigBuilder};
pub use counts::SpendCounts;
pub use handle::{PeriodSnapshot, SpendHandle, SpendSnapshot, SpendState};
pub use layer::SpendLayer;
pub use money::Money;
pub use parts::PaidBy;
pub use period::SpendPeriod;
pub use price::{Price, Prices};
pub use results::{NoteUnbilled, NoteUnbilledFuture, NoteUnbilledLayer};
pub use service::{SpendFuture, SpendService};

pub use crate::measured_body::MeasuredBody;
