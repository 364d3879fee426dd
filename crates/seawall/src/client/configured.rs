//! Clients of the services of a file.

use seawall_core::InvalidConfig;

use super::builder::ClientBuilder;
use crate::catalog::ProviderStack;
use crate::config::ServiceConfig;

impl ServiceConfig {
    /// A builder of a client for this service, with its [stack](Self::build). For a provider of the
    /// catalogue it knows base URLs and required headers; credentials are for the program to set.
    ///
    /// ```
    /// use seawall::Clients;
    /// use seawall::config::Config;
    ///
    /// let text = "[resilience.orders]\nprovider = \"alpaca\"\ndeadline = \"20s\"\n";
    /// let config = Config::loader().text("seawall.toml", text).load()?;
    /// let clients = Clients::new();
    /// for service in config.services().cloned() {
    ///     clients.add(service.name().to_owned(), move || {
    ///         let client = service.client()?.base("paper");
    ///         Ok(client.header("APCA-API-KEY-ID", "key").build()?)
    ///     });
    /// }
    /// assert_eq!(clients.get("orders")?.base_url(), "https://paper-api.alpaca.markets");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: what makes no stack is not loaded.
    pub fn client(&self) -> Result<ClientBuilder<ProviderStack>, InvalidConfig> {
        let stack = self.build()?;
        Ok(match self.tier_of_provider() {
            Some(tier) => ClientBuilder::of_tier(stack, tier),
            None => ClientBuilder::new(stack),
        })
    }
}
