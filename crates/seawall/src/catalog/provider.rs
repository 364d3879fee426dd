//! A provider, its tiers, and the stacks for them.

use std::sync::Arc;
use std::time::Duration;

use seawall_bulkhead::BulkheadLayer;
use seawall_core::{InstanceName, InvalidConfig, PartitionKey, Ratio, RequestMeta, Unit};
use seawall_http::inspect::BodyRules;
#[cfg(feature = "orders")]
use seawall_orders::broker::{BrokerTable, BrokerTableBuilder};
use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, RateLimitConfig};
use seawall_retry::RetryLayer;

use super::build::{self, UTILIZATION};
use super::data::{Kind, LimitData, LimitScope, Operation, ProviderData, RouteData, TierData};
use super::error::UnknownName;
use super::figure::Mark;
use super::models;
use crate::settings::Settings;
use crate::stack::{NoLayer, of_keys};
use crate::{HttpHandles, HttpPolicy, HttpStack, Slots, StackBuilder, StackHandles};

/// The stack of a provider: with limits for each class of its routes, within those of all calls, or for
/// each model.
pub type ProviderStack = HttpStack<
    HttpPolicy,
    BodyRules,
    Slots<RetryLayer, NoLayer, NoLayer, BulkheadLayer, KeyedRateLimitLayer>,
>;

/// The handles of the stack of a provider.
pub type ProviderHandles = StackHandles<
    Slots<RetryLayer, NoLayer, NoLayer, BulkheadLayer, KeyedRateLimitLayer>,
    HttpHandles,
>;

/// The service that the stack of a provider makes of a client `S`: a type that can be named.
pub type ProviderService<S> = <ProviderStack as tower_layer::Layer<S>>::Service;

/// What is known of a provider; from [`provider`](crate::provider()).
#[derive(Clone, Debug)]
pub struct Provider {
    data: Arc<ProviderData>,
}

impl Provider {
    pub(super) const fn new(data: Arc<ProviderData>) -> Self {
        Self { data }
    }

    pub(super) fn data(&self) -> &ProviderData {
        &self.data
    }

    /// Its name in the catalogue: `"alpaca"`.
    pub fn name(&self) -> &str {
        self.data.name.get_ref()
    }

    /// Its name for people.
    pub fn title(&self) -> &str {
        &self.data.title
    }

    /// What kind of service it offers.
    pub fn kind(&self) -> Kind {
        self.data.kind
    }

    /// What has to be known beside the figures.
    pub fn about(&self) -> &str {
        self.data.about.trim()
    }

    /// Its base URLs by name: `("paper", "https://paper-api.alpaca.markets")`.
    pub fn base_urls(&self) -> impl Iterator<Item = (&str, &str)> {
        let urls = self.data.base_urls.iter();
        urls.map(|base| (&*base.name, &*base.url))
    }

    /// The headers that every request must have, with an example of each.
    pub fn required_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.data.required_headers.iter();
        headers.map(|header| (&*header.name, &*header.example))
    }

    /// Its routes, in the order in which they are matched.
    pub fn routes(&self) -> impl Iterator<Item = Route<'_>> {
        self.data.routes.iter().map(Route)
    }

    /// Its tiers.
    pub fn tiers(&self) -> impl Iterator<Item = Tier> {
        self.data
            .tiers
            .iter()
            .map(|tier| Tier::new(&self.data, tier))
    }

    /// The tier of that name.
    ///
    /// # Errors
    ///
    /// [`UnknownName`], with the nearest names.
    pub fn tier(&self, name: &str) -> Result<Tier, UnknownName> {
        let found = self.tiers().find(|tier| tier.name() == name);
        found.ok_or_else(|| {
            let names = self
                .data
                .tiers
                .iter()
                .map(|tier| tier.name.get_ref().as_str());
            UnknownName::new(format!("tier of `{}`", self.name()), name, names)
        })
    }

    /// The tier that most accounts have.
    ///
    /// # Errors
    ///
    /// None: a file without it is not read.
    pub fn default_tier(&self) -> Result<Tier, UnknownName> {
        self.tier(self.data.default_tier.get_ref())
    }

    /// The default tier, for what builds by its settings.
    pub(crate) fn usual_tier(&self) -> Result<Tier, InvalidConfig> {
        self.default_tier().map_err(|unknown| {
            let accepted = unknown.accepted().join(", ");
            InvalidConfig::new("default_tier", unknown.name(), accepted)
        })
    }

    /// The stack for the default tier, named as the provider.
    ///
    /// ```
    /// let stack = seawall::provider("alpaca")?.build()?;
    /// # let _ = stack.handles();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: a file whose tiers make no stacks is not read.
    pub fn build(&self) -> Result<ProviderStack, InvalidConfig> {
        self.usual_tier()?.build()
    }

    /// A builder of a stack for the default tier; see [`Tier::builder`].
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of `class` for a tier with limits of classes of routes: those need
    /// [`build`](Self::build).
    pub fn builder(&self) -> Result<StackBuilder, InvalidConfig> {
        self.usual_tier()?.builder()
    }

    /// Whether it takes orders.
    pub fn takes_orders(&self) -> bool {
        self.data.orders.is_some()
    }

    /// The table of the broker, by which its orders are sent once and looked up.
    ///
    /// Requests that place orders which cannot be looked up are rejected:
    /// [`broker_table_builder`](Self::broker_table_builder) can let them pass.
    ///
    /// ```
    /// use seawall::orders::broker::Broker;
    ///
    /// let alpaca = seawall::alpaca()?.broker_table()?.with_id_prefix("desk1-")?;
    /// assert!(alpaca.new_id().starts_with("desk1-"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of `orders` for a provider that takes none.
    #[cfg(feature = "orders")]
    #[cfg_attr(docsrs, doc(cfg(feature = "orders")))]
    pub fn broker_table(&self) -> Result<BrokerTable, InvalidConfig> {
        self.broker_table_builder()?.build()
    }

    /// A builder of that table, to change it.
    ///
    /// ```
    /// use http::{Method, Uri};
    /// use seawall::orders::broker::Broker;
    ///
    /// // Positions are closed by a person, who looks whether they are.
    /// let alpaca = seawall::alpaca()?.broker_table_builder()?;
    /// let alpaca = alpaca.unprotected_route("DELETE /v2/positions/**").build()?;
    /// let close = Uri::from_static("/v2/positions/AAPL");
    /// assert_eq!(alpaca.operation(&Method::DELETE, &close), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`broker_table`](Self::broker_table).
    #[cfg(feature = "orders")]
    #[cfg_attr(docsrs, doc(cfg(feature = "orders")))]
    pub fn broker_table_builder(&self) -> Result<BrokerTableBuilder, InvalidConfig> {
        super::orders::builder(&self.data)
    }

    /// Where what is known was read, by short names.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        let sources = self.data.sources.iter();
        sources.map(|(key, text)| (&**key, text.get_ref().trim()))
    }
}

/// A tier of a provider: its limits, and the stack for them.
///
/// ```
/// use std::time::Duration;
/// use seawall::Ratio;
///
/// let tier = seawall::provider("alpaca")?.tier("plus")?;
/// let stack = tier
///     .named("orders")
///     .utilization(Ratio::HALF)
///     .build_with(|stack| stack.deadline(Duration::from_secs(20)))?;
/// assert_eq!(stack.name().as_str(), "orders");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct Tier {
    provider: Arc<ProviderData>,
    data: TierData,
    name: InstanceName,
    utilization: Result<Ratio, InvalidConfig>,
}

impl Tier {
    fn new(provider: &Arc<ProviderData>, data: &TierData) -> Self {
        Self {
            name: InstanceName::new(provider.name.get_ref()),
            provider: Arc::clone(provider),
            data: data.clone(),
            utilization: Ratio::new(UTILIZATION),
        }
    }

    /// The provider that it is a tier of.
    pub fn provider(&self) -> Provider {
        Provider::new(Arc::clone(&self.provider))
    }

    /// Its name in the catalogue: `"standard"`.
    pub fn name(&self) -> &str {
        self.data.name.get_ref()
    }

    /// Its name for people.
    pub fn title(&self) -> &str {
        &self.data.title
    }

    /// What the provider allows, as it says so.
    pub fn limits(&self) -> impl Iterator<Item = ProviderLimit<'_>> {
        self.data.limits.iter().map(ProviderLimit)
    }

    /// Names the stack: what rejections, events and metrics call it. The name of the provider
    /// unless set.
    pub fn named(mut self, name: impl Into<InstanceName>) -> Self {
        self.name = name.into();
        self
    }

    /// Uses this share of what the provider allows; 0.8 unless set. What is left is for the burst,
    /// and for calls that arrive earlier or later than they departed.
    pub fn utilization(mut self, share: Ratio) -> Self {
        self.utilization = Ok(share);
        self
    }

    /// The tier at the share that is used unless it is set.
    #[cfg(feature = "config")]
    pub(crate) fn with_default_utilization(mut self) -> Self {
        self.utilization = Ratio::new(UTILIZATION);
        self
    }

    /// The share in use.
    #[cfg(feature = "config")]
    pub(crate) fn share(&self) -> Result<Ratio, InvalidConfig> {
        self.utilization.clone()
    }

    /// How long a client should try to connect.
    pub fn connect_timeout(&self) -> Duration {
        build::timing(&self.provider, &self.data).connect_timeout.0
    }

    /// The settings of the layers, at the share in use.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] where the share leaves nothing to a limit or nothing for its burst: 0 and 1,
    /// and of small limits what is near them.
    pub fn settings(&self) -> Result<Settings, InvalidConfig> {
        build::settings(&self.provider, &self.data, self.utilization.clone()?)
    }

    /// Whether limits count the calls of each model, or of each group of models, by themselves.
    pub fn is_per_model(&self) -> bool {
        build::is_per_model(&self.data)
    }

    /// Whether a limit counts all calls together.
    pub(crate) fn is_for_all(&self) -> bool {
        build::is_for_all(&self.data)
    }

    /// The key of the limits of a model where limits [are per model](Self::is_per_model): of the group
    /// that the provider counts together, or of the model itself. The date of a version (`gpt-4-0613`),
    /// `-latest` and a fine-tuning make no difference. Without a name it is the key of requests that name
    /// no model.
    ///
    /// A `ModelStack` finds it in the body of a request. In another stack a request
    /// brings it along in its extensions, and without it counts against the limits of requests that
    /// name no model: so without any key, all calls together get the limits of one model.
    ///
    /// ```
    /// let tier = seawall::anthropic()?.tier("start")?;
    /// assert_eq!(tier.model_key("claude-opus-4-1"), tier.model_key("claude-opus-4-5-20251101"));
    /// assert_ne!(tier.model_key("claude-opus-4-1"), tier.model_key("claude-opus-5"));
    ///
    /// let openai = seawall::openai()?.tier("tier-1")?;
    /// assert_eq!(openai.model_key("gpt-4-0613"), openai.model_key("gpt-4"));
    ///
    /// let mut request = http::Request::post("/v1/messages").body(())?;
    /// request.extensions_mut().insert(tier.model_key("claude-opus-5"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn model_key(&self, model: &str) -> PartitionKey {
        match self.is_per_model() {
            true => models::key(&self.provider, model),
            false => PartitionKey::default(),
        }
    }

    /// A builder of a stack for this tier, where all its limits are those of all calls together:
    /// the stack is an [`HttpStack`] as any other, and spends less on its limit. Where the provider limits
    /// [each model](Self::is_per_model), it is for one model: all models together get the limits of one.
    ///
    /// ```
    /// let builder = seawall::provider("alpaca")?.tier("standard")?.builder()?;
    /// let stack: seawall::HttpStack = builder.build()?;
    /// # let _ = stack.handles();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`settings`](Self::settings), and [`InvalidConfig`] of `class` for a tier with limits of
    /// classes of routes: those need [`build`](Self::build).
    pub fn builder(&self) -> Result<StackBuilder, InvalidConfig> {
        match self
            .data
            .limits
            .iter()
            .find_map(|limit| limit.class.as_deref())
        {
            Some(class) => Err(InvalidConfig::new(
                "class",
                class,
                "none where all calls are limited together: use `Tier::build`",
            )),
            None => self.for_all_calls(),
        }
    }

    fn for_all_calls(&self) -> Result<StackBuilder, InvalidConfig> {
        let parts = build::http_parts(&self.provider)?;
        Ok(StackBuilder::with_http(self.name, self.settings()?, parts))
    }

    /// The stack for this tier. It reads no bodies: where limits are [per model](Self::is_per_model), a
    /// request has those of the [key](Self::model_key) in its extensions.
    ///
    /// # Errors
    ///
    /// As [`settings`](Self::settings).
    pub fn build(&self) -> Result<ProviderStack, InvalidConfig> {
        self.build_with(|stack| stack)
    }

    /// The stack for this tier, with settings of your own: `adjust` gets a builder with those of
    /// the tier, and overrides what is different. A rate limit that it sets is that of all calls;
    /// the limits of classes of routes stay, with its queue and its pauses. Where only models have
    /// limits, it is that of each model.
    ///
    /// # Errors
    ///
    /// As [`settings`](Self::settings), and as [`StackBuilder::build`] of what was set.
    pub fn build_with(
        &self,
        adjust: impl FnOnce(StackBuilder) -> StackBuilder,
    ) -> Result<ProviderStack, InvalidConfig> {
        self.within(adjust(self.for_all_calls()?))
    }

    /// The stack for this tier with these settings in place of its own, adjusted.
    #[cfg(feature = "config")]
    pub(crate) fn build_of(
        &self,
        settings: Settings,
        adjust: impl FnOnce(StackBuilder) -> StackBuilder,
    ) -> Result<ProviderStack, InvalidConfig> {
        let parts = build::http_parts(&self.provider)?;
        self.within(adjust(StackBuilder::with_http(self.name, settings, parts)))
    }

    /// Limits the classes of routes or the models within what `builder` limits, or each model by that.
    fn within(&self, builder: StackBuilder) -> Result<ProviderStack, InvalidConfig> {
        let keys = self.per_key(&builder.settings()?.rate_limit)?;
        let stack = builder.build()?;
        Ok(match self.is_for_all() {
            true => stack.rate_limit_per_key(keys),
            false => stack.map_slots(|name, slots| {
                slots.with_rate_limit(|old| of_keys(name, keys, &old.handle()))
            }),
        })
    }

    /// The limits of the classes of routes or of the models, within `total` where that is for all.
    pub(crate) fn per_key(
        &self,
        total: &RateLimitConfig,
    ) -> Result<KeyedRateLimitConfig, InvalidConfig> {
        build::per_key(&self.provider, &self.data, self.utilization.clone()?, total)
    }

    /// Checks what of a stack's settings depends on the classes of this tier's routes.
    #[cfg(feature = "config")]
    pub(crate) fn check(&self, settings: &Settings) -> Result<(), InvalidConfig> {
        build::check_waiting(&self.data, settings)
    }
}

/// A route of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a>(&'a RouteData);

impl<'a> Route<'a> {
    /// What it is called: `"orders.create"`.
    pub fn name(&self) -> &'a str {
        &self.0.name
    }

    /// Its method; any where there is none.
    pub fn method(&self) -> Option<&'a str> {
        self.0.method.as_deref()
    }

    /// The [pattern](seawall_http::Routes) of its path.
    pub fn path(&self) -> &'a str {
        &self.0.path
    }

    /// What its requests ask for.
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// What the layers know of its requests.
    pub fn meta(&self) -> RequestMeta {
        build::meta(self.0)
    }

    /// The class whose limits it counts against, beside those of all calls.
    pub fn class(&self) -> Option<&'a str> {
        self.0.class.as_deref()
    }
}

/// A limit of a tier, as the provider says so.
#[derive(Clone, Copy, Debug)]
pub struct ProviderLimit<'a>(&'a LimitData);

impl<'a> ProviderLimit<'a> {
    /// How many of the unit the provider allows.
    pub fn count(&self) -> u32 {
        self.0.count
    }

    /// In how long.
    pub fn period(&self) -> Duration {
        self.0.per.0
    }

    /// What is counted.
    pub fn unit(&self) -> Unit {
        build::unit(self.0.unit)
    }

    /// Whose calls are counted together.
    pub fn scope(&self) -> LimitScope {
        self.0.scope
    }

    /// The class of routes that it is about; all calls where there is none.
    pub fn class(&self) -> Option<&'a str> {
        self.0.class.as_deref()
    }

    /// How far it can be relied on.
    pub fn mark(&self) -> Mark {
        self.0.mark
    }

    /// The short name of where it was read: a key of [`Provider::sources`].
    pub fn source(&self) -> &'a str {
        self.0.source.get_ref()
    }
}
