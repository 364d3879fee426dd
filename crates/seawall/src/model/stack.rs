//! The stack.

use std::time::Duration;

use seawall_ai::estimate::{EstimateConfig, EstimateLayer, EstimateService};
use seawall_ai::spend::SpendLayer;
use seawall_ai::stream::{Dialect, StreamConfig, StreamLayer};
use seawall_ai::{ErrorTable, NoteDeparture};
use seawall_core::{AlreadyRegistered, InstanceName, InvalidConfig, Registry};
use tower_layer::{Identity, Layer};

use super::handles::ModelHandles;
use super::tier::TierStack;
use crate::StackBuilder;
use crate::catalog::{Kind, Provider, ProviderStack, Tier};

/// How much of a response that is no stream is read for its usage.
const USAGE: usize = 1 << 20;

/// The service that a [`ModelStack`] makes of a client `S`: a type that can be named.
pub type ModelService<S, P = Identity> = <ModelStack<P> as Layer<S>>::Service;

/// The stack of a tier of an AI API, with estimates of tokens; see the [module](super). The client
/// below it has [`streams`](Self::streams) around it.
///
/// ```
/// use std::time::Duration;
/// use seawall::ai::stream::StreamConfig;
/// use tower::{Layer, ServiceBuilder, service_fn};
/// # type Body = http_body_util::Full<bytes::Bytes>;
/// # let http_client = service_fn(|_: http::Request<Body>| async {
/// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
/// # });
///
/// let patient = StreamConfig::builder().between_contents(Duration::from_secs(90)).build()?;
/// let stack = seawall::openai()?.tier("tier-1")?.model_stack()?.streaming(patient);
/// let handles = stack.handles();
/// let client = ServiceBuilder::new()
///     .layer(stack.clone())
///     .layer(stack.streams().clone())
///     .service(http_client);
/// assert_eq!(handles.streams.config().between_contents(), Some(Duration::from_secs(90)));
/// # let _ = client;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The time to the first content of a stream is that of an attempt; between contents are at most a minute,
/// or the idle time of bodies where that is longer. A [file](crate::config) has no setting for it:
/// `handles().streams` changes it while calls run, and [`streaming`](Self::streaming) before.
///
/// `P` is what pays for the calls: nothing, or [budgets](Self::paid_by).
#[derive(Clone, Debug)]
pub struct ModelStack<P = Identity> {
    /// `None` for a service that is of no provider.
    pub(super) tier: Option<Tier>,
    pub(super) errors: ErrorTable,
    payment: P,
    estimates: EstimateLayer,
    stack: TierStack,
    streams: StreamLayer,
}

impl Provider {
    /// The [`ModelStack`] for the default tier.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of a provider that has no models.
    pub fn model_stack(&self) -> Result<ModelStack, InvalidConfig> {
        self.usual_tier()?.model_stack()
    }
}

impl Tier {
    /// The stack for this tier with what models need; see [`ModelStack`]. For a provider whose errors
    /// have no [table](ErrorTable) of their own they are those of compatible servers.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and [`InvalidConfig`] of a provider that has no models.
    pub fn model_stack(&self) -> Result<ModelStack, InvalidConfig> {
        self.model_stack_with(|stack| stack)
    }

    /// The same with settings of your own, as [`build_with`](Self::build_with).
    ///
    /// # Errors
    ///
    /// As [`build_with`](Self::build_with).
    pub fn model_stack_with(
        &self,
        adjust: impl FnOnce(StackBuilder) -> StackBuilder,
    ) -> Result<ModelStack, InvalidConfig> {
        let provider = self.provider();
        if provider.kind() != Kind::AiApi {
            let value = format!("`{}`, which is no AI API", provider.name());
            let accepted = "a provider of AI APIs, such as `openai`";
            return Err(InvalidConfig::new("provider", value, accepted));
        }
        ModelStack::around(self.build_with(adjust)?, Some(self.clone()))
    }
}

/// The attempt timeout of the stack bounds the time to the first content, also when it is changed. What
/// comes after it comes within a minute, or as soon as the tier expects bytes.
fn streams(
    provider: Option<&Provider>,
    table: &ErrorTable,
    idle: Option<Duration>,
) -> Result<StreamConfig, InvalidConfig> {
    let dialect = match provider.map(Provider::name) {
        // All its streams are messages.
        Some("anthropic") => Dialect::AnthropicMessages,
        _ => Dialect::Detect,
    };
    let minute = StreamConfig::default().between_contents();
    let streams = StreamConfig::builder()
        .errors(table.clone())
        .dialect(dialect);
    let streams = streams.without_first_content();
    match minute.max(idle) {
        Some(limit) => streams.between_contents(limit),
        None => streams,
    }
    .build()
}

/// By the groups of the provider, where it limits models and `estimates` have none of their own.
fn grouped(estimates: EstimateLayer, tier: &Tier) -> EstimateLayer {
    if !tier.is_per_model() || estimates.key_of("").is_some() {
        return estimates;
    }
    let tier = tier.clone();
    estimates.group(move |model| tier.model_key(model))
}

impl ModelStack {
    /// Around the stack of a tier, or of another service.
    pub(crate) fn around(stack: ProviderStack, tier: Option<Tier>) -> Result<Self, InvalidConfig> {
        let name = stack.name();
        let provider = tier.as_ref().map(Tier::provider);
        let errors = match provider.as_ref().map(Provider::name) {
            Some("openai") => ErrorTable::openai(),
            Some("anthropic") => ErrorTable::anthropic(),
            _ => ErrorTable::compatible(),
        };
        // A tier knows its completions; other stacks send reads twice and nothing else.
        let stack = match tier {
            Some(_) => stack,
            None => stack.describe(crate::inference_routes()?),
        };
        let estimates = EstimateLayer::new(name, EstimateConfig::default());
        let idle = stack.handles().settings().body_timeout.idle();
        let streams = streams(provider.as_ref(), &errors, idle)?;
        Ok(Self {
            estimates: match &tier {
                Some(tier) => grouped(estimates, tier),
                None => estimates,
            },
            tier,
            payment: Identity::new(),
            stack: stack
                .inspect(errors.clone())
                .count_tokens(USAGE)
                .on_departure(NoteDeparture),
            streams: StreamLayer::new(name, streams),
            errors,
        })
    }

    /// Pays for every call from the budgets of `layer`: one that they cannot pay for is rejected before
    /// it waits for anything, and each attempt that may be billed is booked.
    ///
    /// ```
    /// use seawall::ai::spend::{Money, Price, Prices, SpendBudget, SpendConfig, SpendLayer};
    ///
    /// let day = SpendConfig::builder().per_day(Money::whole(50)).build()?;
    /// let team = SpendBudget::new("research", day);
    /// // Per million tokens, by your own contract.
    /// let prices = Prices::new(Price::per_million("15".parse()?, "75".parse()?)?);
    /// let paid = SpendLayer::new(prices).budget(team.clone());
    /// let client = seawall::openai()?.model_stack()?.paid_by(paid);
    /// assert_eq!(team.handle().snapshot().periods.len(), 1);
    /// # let _ = client;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn paid_by(self, layer: SpendLayer) -> ModelStack<SpendLayer> {
        ModelStack {
            tier: self.tier,
            errors: self.errors,
            payment: layer,
            estimates: self.estimates,
            stack: self.stack,
            streams: self.streams,
        }
    }
}

impl<P> ModelStack<P> {
    /// Bounds streams by these settings. Handles that were taken before are of the layer before.
    #[must_use]
    pub fn streaming(mut self, config: StreamConfig) -> Self {
        self.streams = StreamLayer::new(self.name(), config);
        self
    }

    /// Estimates by this layer: with another tokenizer, other settings, or
    /// [groups](EstimateLayer::group) of models of your own, such as those that share a limit in your
    /// organization. Without groups they are [those of the provider](Tier::model_key). Handles that were
    /// taken before are of the layer before.
    ///
    /// ```
    /// use seawall::ai::estimate::{EstimateConfig, EstimateLayer};
    /// use seawall::PartitionKey;
    ///
    /// let estimates = EstimateLayer::new("assistant", EstimateConfig::default())
    ///     .group(|model| PartitionKey::of(if model.starts_with("gpt-5") { "gpt-5" } else { model }));
    /// let stack = seawall::openai()?.model_stack()?.estimating(estimates)?;
    /// let handles = stack.handles();
    /// assert_eq!(handles.key_of("gpt-5-mini"), handles.key_of("gpt-5"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of `group` where the limits are those of all models together.
    pub fn estimating(mut self, estimates: EstimateLayer) -> Result<Self, InvalidConfig> {
        let per_model = self.tier.as_ref().filter(|tier| tier.is_per_model());
        self.estimates = match per_model {
            Some(tier) => grouped(estimates, tier),
            None if estimates.key_of("").is_some() => {
                let accepted = "none where all models have their limits together";
                return Err(InvalidConfig::new("group", "a function", accepted));
            }
            None => estimates,
        };
        Ok(self)
    }

    /// The layer of streams, to be put right around the client.
    pub const fn streams(&self) -> &StreamLayer {
        &self.streams
    }

    /// The name of the stack and of its layers.
    pub fn name(&self) -> InstanceName {
        self.stack.name()
    }

    /// Handles of every layer, to read and to control them.
    pub fn handles(&self) -> ModelHandles {
        ModelHandles {
            stack: self.stack.handles(),
            estimates: self.estimates.handle(),
            keys: self.estimates.clone(),
            streams: self.streams.handle(),
        }
    }

    /// Adds every layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        self.handles().register(registry)
    }
}

impl<S, P> Layer<S> for ModelStack<P>
where
    TierStack: Layer<S>,
    P: Layer<EstimateService<<TierStack as Layer<S>>::Service>>,
{
    type Service = P::Service;

    fn layer(&self, client: S) -> Self::Service {
        let service = self.estimates.layer(self.stack.layer(client));
        self.payment.layer(service)
    }
}
