//! What the stacks are put around.

use std::sync::Arc;

use seawall_sim::incident::ProviderKind;

use crate::client::{CountingClient, Meter};

pub(crate) type Upstream = CountingClient;

/// A client of each provider.
pub(crate) fn upstream(meter: &Arc<Meter>) -> impl Fn(ProviderKind) -> Upstream {
    |provider| CountingClient::new(provider, meter)
}
