//! Clients of the services of a file.

use seawall_core::InvalidConfig;

use super::builder::ClientBuilder;
use crate::catalog::ProviderStack;
use crate::config::{AnswerLayers, ServiceConfig};

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
    /// As [`build`](Self::build).
    pub fn client(&self) -> Result<ClientBuilder<ProviderStack>, InvalidConfig> {
        Ok(of_service(self, self.build()?))
    }

    /// A builder of a client for the models of this service: as [`client`](Self::client), with
    /// estimates, streams and errors of AI APIs; see [`ModelStack`](crate::model::ModelStack).
    ///
    /// ```
    /// use seawall::config::Config;
    ///
    /// let text = "[resilience.assistant]\nprovider = \"openai\"\ntier = \"tier-2\"\n";
    /// let config = Config::loader().text("seawall.toml", text).load()?;
    /// let client = config.service("assistant").unwrap().model_client()?;
    /// assert_eq!(client.build()?.base_url(), "https://api.openai.com");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of a service that is no AI API, and as [`build`](Self::build).
    #[cfg(feature = "ai")]
    pub fn model_client(&self) -> Result<crate::model::ModelClientBuilder, InvalidConfig> {
        self.check_plain("a stack of models")?;
        of_models(self, self.build()?)
    }
}

impl AnswerLayers {
    /// A builder of a client for the service, with [its stack](Self::build): as [`ServiceConfig::client`]. Add the
    /// layers by [`try_map_stack`](ClientBuilder::try_map_stack).
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn client(&self) -> Result<ClientBuilder<ProviderStack>, InvalidConfig> {
        Ok(of_service(self.service(), self.build()?))
    }
}

fn of_service(service: &ServiceConfig, stack: ProviderStack) -> ClientBuilder<ProviderStack> {
    match service.tier_of_provider() {
        Some(tier) => ClientBuilder::of_tier(stack, tier),
        None => ClientBuilder::new(stack),
    }
}

#[cfg(feature = "ai")]
fn of_models(
    service: &ServiceConfig,
    stack: ProviderStack,
) -> Result<crate::model::ModelClientBuilder, InvalidConfig> {
    if !service.has_models() {
        let field = format!("service `{}`", service.name());
        let accepted = "a provider or a kind of AI APIs, such as `openai` or `ai-api`";
        return Err(InvalidConfig::new(field, "no AI API", accepted));
    }
    let tier = service.tier_of_provider().cloned();
    Ok(crate::model::ModelStack::around(stack, tier)?.client())
}

#[cfg(feature = "reload")]
impl crate::reload::ReloadableConfig {
    /// A builder of a client for a service, with [its stack](Self::stack): clients of one service share
    /// it, and it is changed with the file.
    ///
    /// ```
    /// use seawall::Clients;
    /// use seawall::config::Config;
    ///
    /// let text = "[resilience.orders]\nprovider = \"alpaca\"\ndeadline = \"20s\"\n";
    /// let config = Config::loader().text("seawall.toml", text).load_reloadable()?;
    /// let clients = Clients::new();
    /// let of_orders = config.clone();
    /// clients.add("orders", move || {
    ///     let client = of_orders.client("orders")?.base("paper");
    ///     Ok(client.header("APCA-API-KEY-ID", "key").build()?)
    /// });
    /// let shared = clients.get("orders")?.stack().handles();
    /// config.stack("orders")?.handles().breaker.force_open();
    /// assert_eq!(shared.snapshot().breaker.unwrap().state, seawall::CircuitState::ForcedOpen);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`stack`](Self::stack).
    pub fn client(&self, name: &str) -> Result<ClientBuilder<ProviderStack>, InvalidConfig> {
        let kept = self.kept(name)?;
        Ok(of_service(&kept.service, kept.plain()?))
    }

    /// A builder of a client for the models of a service, around [its stack](Self::stack): as
    /// [`ServiceConfig::model_client`].
    ///
    /// # Errors
    ///
    /// As [`stack`](Self::stack), and as [`ServiceConfig::model_client`].
    #[cfg(feature = "ai")]
    pub fn model_client(
        &self,
        name: &str,
    ) -> Result<crate::model::ModelClientBuilder, InvalidConfig> {
        let kept = self.kept(name)?;
        kept.service.check_plain("a stack of models")?;
        of_models(&kept.service, kept.stack.clone())
    }
}
