//! The stack.

use std::time::Duration;

use seawall_ai::estimate::{EstimateConfig, EstimateLayer, EstimateService};
use seawall_ai::stream::{StreamConfig, StreamLayer};
use seawall_ai::{ErrorTable, NoteDeparture};
use seawall_breaker::BreakerLayer;
use seawall_bulkhead::BulkheadLayer;
use seawall_core::{AlreadyRegistered, DepartureLayer, InstanceName, InvalidConfig, Registry};
use seawall_ratelimit::KeyedRateLimitLayer;
use seawall_retry::RetryLayer;
use seawall_timeout::AttemptTimeoutLayer;
use tower_layer::Layer;

use super::handles::ModelHandles;
use crate::catalog::{Provider, Tier};
use crate::{HttpHandles, HttpPolicy, HttpStack, NoLayer, Slots, StackBuilder, StackHandles};

/// How much of a response that is no stream is read for its usage.
const USAGE: usize = 1 << 20;

/// The slots of a [`TierStack`].
pub type TierSlots = Slots<
    RetryLayer,
    NoLayer,
    NoLayer,
    BulkheadLayer,
    KeyedRateLimitLayer,
    BreakerLayer,
    NoLayer,
    AttemptTimeoutLayer,
    DepartureLayer<NoteDeparture>,
>;

/// The layers of a [`ModelStack`] but for the estimates: those of a provider, with errors by a table.
pub type TierStack = HttpStack<HttpPolicy, ErrorTable, TierSlots>;

/// The handles of a [`TierStack`].
pub type TierHandles = StackHandles<TierSlots, HttpHandles>;

/// The service that a [`ModelStack`] makes of a client `S`: a type that can be named.
pub type ModelService<S> = <ModelStack as Layer<S>>::Service;

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
#[derive(Clone, Debug)]
pub struct ModelStack {
    pub(super) tier: Tier,
    stack: TierStack,
    estimates: EstimateLayer,
    streams: StreamLayer,
}

impl Provider {
    /// The [`ModelStack`] for the default tier.
    ///
    /// # Errors
    ///
    /// None: a file whose tiers make no stacks is not read.
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
    /// As [`build`](Self::build).
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
        let stack = self.build_with(adjust)?;
        let name = stack.name();
        let table = ModelStack::errors_of(self);
        let settings = stack.handles().settings();
        let idle = settings.body_timeout.idle();
        let streams = streams(&table, settings.attempt_timeout.timeout(), idle)?;
        Ok(ModelStack {
            tier: self.clone(),
            stack: stack
                .inspect(table)
                .count_tokens(USAGE)
                .on_departure(NoteDeparture),
            estimates: EstimateLayer::new(name, EstimateConfig::default()),
            streams: StreamLayer::new(name, streams),
        })
    }
}

/// The first content comes within an attempt, and further ones as soon as the tier expects bytes.
fn streams(
    table: &ErrorTable,
    first: Duration,
    between: Option<Duration>,
) -> Result<StreamConfig, InvalidConfig> {
    let streams = StreamConfig::builder().errors(table.clone());
    let streams = streams.first_content(first);
    match between {
        Some(limit) => streams.between_contents(limit),
        None => streams.without_between_contents(),
    }
    .build()
}

impl ModelStack {
    pub(super) fn errors_of(tier: &Tier) -> ErrorTable {
        match tier.provider().name() {
            "openai" => ErrorTable::openai(),
            "anthropic" => ErrorTable::anthropic(),
            _ => ErrorTable::compatible(),
        }
    }

    /// Bounds streams by these settings. Handles that were taken before are of the layer before.
    #[must_use]
    pub fn streaming(mut self, config: StreamConfig) -> Self {
        self.streams = StreamLayer::new(self.name(), config);
        self
    }

    /// Estimates by this layer: with another tokenizer, other settings, or one key of the rate limits for
    /// each group of models.
    #[must_use]
    pub fn estimating(mut self, estimates: EstimateLayer) -> Self {
        self.estimates = estimates;
        self
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

impl<S> Layer<S> for ModelStack
where
    TierStack: Layer<S>,
{
    type Service = EstimateService<<TierStack as Layer<S>>::Service>;

    fn layer(&self, client: S) -> Self::Service {
        self.estimates.layer(self.stack.layer(client))
    }
}
