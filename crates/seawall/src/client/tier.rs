//! Clients of the providers of the catalogue.

use seawall_core::InvalidConfig;

use super::builder::ClientBuilder;
use crate::StackBuilder;
use crate::catalog::{Provider, ProviderStack, Tier};

impl Provider {
    /// A builder of a client for the default tier, with its stack.
    ///
    /// ```
    /// let client = seawall::finnhub()?.client()?.base("live").header("x-token", "key").build()?;
    /// assert_eq!(client.base_url(), "https://finnhub.io");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: a file whose tiers make no stacks is not read.
    pub fn client(&self) -> Result<ClientBuilder<ProviderStack>, InvalidConfig> {
        self.usual_tier()?.client()
    }
}

impl Tier {
    /// A builder of a client for this tier, with its stack, which [reads no bodies](Self::build).
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn client(&self) -> Result<ClientBuilder<ProviderStack>, InvalidConfig> {
        self.client_with(|stack| stack)
    }

    /// The same with settings of your own, as [`build_with`](Self::build_with).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let client = seawall::alpaca()?
    ///     .tier("plus")?
    ///     .client_with(|stack| stack.deadline(Duration::from_secs(20)))?
    ///     .base("paper")
    ///     .build()?;
    /// assert_eq!(client.base_url(), "https://paper-api.alpaca.markets");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`build_with`](Self::build_with).
    pub fn client_with(
        &self,
        adjust: impl FnOnce(StackBuilder) -> StackBuilder,
    ) -> Result<ClientBuilder<ProviderStack>, InvalidConfig> {
        Ok(ClientBuilder::of_tier(self.build_with(adjust)?, self))
    }
}
