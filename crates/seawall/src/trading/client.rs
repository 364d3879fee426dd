//! Clients of brokers.

use seawall_core::InvalidConfig;

use super::builder::OrderStackBuilder;
use super::stack::OrderStack;
use crate::client::{Client, ClientBuilder, HttpTransport, RequestBody};

/// A client of a broker, whose orders are sent once.
///
/// ```
/// # use seawall_sim::provider::Broker;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = Broker::alpaca().start().await?;
/// # let url = broker.base_url();
/// use seawall::orders::journal::MemoryJournal;
/// use serde_json::{Value, json};
///
/// // Orders that must survive a crash need a `DurableJournal`.
/// let journal = MemoryJournal::default();
/// let client = seawall::alpaca()?.order_stack(journal)?.client()?.base_url(url).build()?;
/// let order = json!({ "symbol": "SPY", "qty": "1", "side": "buy", "type": "market",
///     "time_in_force": "day", "client_order_id": "desk-1-42" });
/// let response = client.post("/v2/orders").json(&order).send().await?;
/// let placed: Value = response.error_for_status().await?.json().await?;
/// assert_eq!(placed["client_order_id"], "desk-1-42");
/// assert_eq!(client.stack().handles().orders.counts().confirmed, 1);
/// # Ok(()) }
/// ```
pub type OrderClient<T = HttpTransport> = Client<OrderStack<RequestBody>, T>;

/// Builds an [`OrderClient`].
pub type OrderClientBuilder = ClientBuilder<OrderStack<RequestBody>>;

impl OrderStackBuilder {
    /// A builder of a client with this stack, that knows the base URLs of the provider and the headers that
    /// it asks for.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn client(self) -> Result<OrderClientBuilder, InvalidConfig> {
        let tier = self.tier();
        let stack = self.build()?;
        Ok(match tier {
            Some(tier) => ClientBuilder::of_tier(stack, &tier),
            None => ClientBuilder::new(stack),
        })
    }
}
