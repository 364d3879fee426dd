//! Stacks for models: what an AI API needs beside the stack of its tier.
//!
//! A [`ModelStack`] is the [`ProviderStack`](crate::catalog::ProviderStack) of a tier with what
//! [`seawall_ai`] adds:
//!
//! * every request carries an [estimate](seawall_ai::estimate) of its tokens, which the rate limits of
//!   the stack take and which is settled by what the response has used, streamed or not;
//! * where the provider limits each model, so does the stack: by the model that a request names, or by
//!   [groups](seawall_ai::estimate::EstimateLayer::group) of models. Permits and the circuit are those of
//!   all models;
//! * [streams](seawall_ai::stream) have their first content in time and an end that is complete, or fail;
//! * errors are [classified](seawall_ai::ErrorTable) by their text: a 429 of an empty account is no
//!   throttle;
//! * [budgets](ModelStack::paid_by) of money reject what they cannot pay for, where there are some.
//!
//! ```text
//! (budgets ->) estimates -> deadline -> retry -> ... -> departure -> streams -> client
//! ```

#[cfg(feature = "client")]
mod client;
mod handles;
#[cfg(feature = "client")]
mod routed;
mod stack;
mod tier;

#[cfg(feature = "client")]
pub use client::{AroundClient, ClientService, ModelClient, ModelClientBuilder};
pub use handles::ModelHandles;
#[cfg(feature = "client")]
pub use routed::{NoTransport, RoutedClient, Routing};
pub use stack::{ModelService, ModelStack};
pub use tier::{TierHandles, TierSlots, TierStack};
