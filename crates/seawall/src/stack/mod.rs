//! The order of a stack, once for all of them.

mod answer_slots;
mod answers;
mod attempts;
mod circuit;
#[cfg(feature = "chaos")]
mod failing;
mod handles;
#[cfg(feature = "ai")]
mod headroom;
mod limits;
mod options;
mod permits;
mod replaced;
mod slot;
mod slots;
mod snapshot;

use seawall_core::carry::{
    Carried, CarriedPolicy, ClassifyLayer, ClassifyService, DescribeLayer, DescribeService, carried,
};
use seawall_core::{
    AlreadyRegistered, InstanceName, InvalidConfig, Policies, Policy, Registry, policy_setters,
};
use seawall_telemetry::{ClientProbe, ClientProbeLayer, Telemetry, TelemetryLayer};
use seawall_timeout::{Deadline, DeadlineConfig, DeadlineLayer, NoPropagation};
use tower_layer::Layer;

use crate::settings::Settings;

pub(crate) use answer_slots::check_name;
pub use answers::{Answering, Answers};
pub(crate) use attempts::longest;
pub use attempts::{AttemptHandle, Attempts};
pub use circuit::Circuit;
pub use handles::{ProtocolHandles, StackHandles};
#[cfg(feature = "catalog")]
pub(crate) use limits::of_keys;
pub(crate) use limits::per_key;
pub use limits::{LimitHandle, Limits};
pub(crate) use options::option_setters;
pub use permits::{PermitHandle, Permits};
pub(crate) use replaced::{Part, Replaced};
pub(crate) use slot::keep_bypass;
#[cfg(feature = "http")]
pub(crate) use slot::remove;
pub use slot::{Assemble, Configure, NoLayer, Slot, SlotHandle};
use slot::{Learning, Observing};
pub(crate) use slots::Pay;
#[doc(hidden)]
pub use slots::SlotsOf;
pub use slots::{Slots, StackSlots};
#[cfg(feature = "http")]
pub use snapshot::{HttpCounts, HttpSnapshot};
pub use snapshot::{StackCounts, StackSnapshot};

/// Every layer of a client, in the order in which they belong.
///
/// Clones share all state, and so do the services that one stack makes. `X` is the
/// [`Policy`] of the service, written once for all layers, each of which takes the parts
/// that it uses; `W` writes the deadline of a call into its request; `O` are the layers. A stack
/// of `fn` pointers or of types of your own can be named in a struct field as
/// [`StackService`].
///
/// ```
/// use seawall::{ClientStack, ConstMeta, Policy, RequestMeta, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let reads = Policy::new().describe(ConstMeta(RequestMeta::idempotent()));
/// let stack = seawall::market_data("feed").build_generic(reads)?;
/// let mut feed = ServiceBuilder::new()
///     .layer(stack)
///     .layer(WrapErrorLayer)
///     .service(service_fn(|symbol: String| async move { Ok::<_, std::io::Error>(symbol.len()) }));
/// assert_eq!(feed.ready().await?.call("SPY".to_owned()).await?, 3);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ClientStack<X = Policy, W = NoPropagation, O = Slots> {
    name: InstanceName,
    policy: X,
    telemetry: TelemetryLayer,
    deadline: DeadlineLayer<W>,
    slots: O,
    replaced: Replaced,
}

/// The service that a [`ClientStack`] makes of `S`: a type that can be named.
pub type StackService<S, X = Policy, W = NoPropagation, O = Slots> =
    <ClientStack<X, W, O> as Layer<S>>::Service;

impl ClientStack {
    pub(crate) fn new(
        name: InstanceName,
        settings: &Settings,
        pay: Pay,
    ) -> Result<Self, InvalidConfig> {
        if name.is_unnamed() {
            return Err(InvalidConfig::new(
                "name",
                name,
                "a name for rejections, events and metrics to show",
            ));
        }
        settings.check()?;
        Ok(Self {
            name,
            policy: Policy::new(),
            telemetry: TelemetryLayer::new(name, settings.telemetry),
            deadline: DeadlineLayer::new(name, settings.deadline),
            slots: Slots::new(name, settings, pay),
            replaced: Replaced::default(),
        })
    }
}

policy_setters!(ClientStack[W, O]: classify, describe, track_completion, copy, keep);

impl<X, W, O> ClientStack<X, W, O> {
    pub(crate) fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> ClientStack<Y, W, O> {
        ClientStack {
            name: self.name,
            policy: change(self.policy),
            telemetry: self.telemetry,
            deadline: self.deadline,
            slots: self.slots,
            replaced: self.replaced,
        }
    }

    pub(crate) fn map_slots<O2>(
        self,
        change: impl FnOnce(InstanceName, O) -> O2,
    ) -> ClientStack<X, W, O2> {
        ClientStack {
            name: self.name,
            policy: self.policy,
            telemetry: self.telemetry,
            deadline: self.deadline,
            slots: change(self.name, self.slots),
            replaced: self.replaced,
        }
    }

    /// Writes the deadline of each call into its request with `propagate`, which may return an
    /// earlier one that the request came with.
    #[must_use]
    pub fn propagate<W2>(self, propagate: W2) -> ClientStack<X, W2, O> {
        ClientStack {
            name: self.name,
            policy: self.policy,
            telemetry: self.telemetry,
            deadline: self.deadline.propagate(propagate),
            slots: self.slots,
            replaced: self.replaced,
        }
    }

    /// The name of the stack and of its layers.
    pub fn name(&self) -> InstanceName {
        self.name
    }

    /// What the layers know about the service.
    #[cfg(feature = "http")]
    pub(crate) const fn parts(&self) -> &X {
        &self.policy
    }

    pub(crate) const fn slots(&self) -> &O {
        &self.slots
    }

    pub(crate) const fn replaced(&self) -> &Replaced {
        &self.replaced
    }

    #[cfg(feature = "reload")]
    pub(crate) fn forget_replaced(&mut self) {
        self.replaced = Replaced::default();
    }

    pub(crate) fn deadline(&self) -> DeadlineConfig {
        self.deadline.handle().config()
    }
}

option_setters!(ClientStack[X, W]);

impl<X, W, O: StackSlots> ClientStack<X, W, O> {
    /// A layer to be put between the stack and the client, that corrects the rate limit by what
    /// responses report: how much is left, how long to stay away, how much was really used. Not
    /// part of the stack itself, since what reports that depends on the client; see
    /// [`FeedbackLayer`](seawall_ratelimit::FeedbackLayer).
    pub fn feedback<F>(&self, reader: F) -> <O::RateLimit as Limits>::Feedback<F, X>
    where
        X: Policies<Describer: Clone>,
    {
        self.slots.slots().rate_limit.feedback(reader, &self.policy)
    }

    /// That layer, inside of the stack.
    #[cfg(feature = "http")]
    pub(crate) fn carried_feedback<F>(
        &self,
        reader: F,
    ) -> <O::RateLimit as Limits>::Feedback<F, CarriedPolicy<X>>
    where
        X: Policies<Completion: Clone, Copier: Clone, Keeper: Clone>,
    {
        let policy = carried(&self.policy);
        self.slots.slots().rate_limit.feedback(reader, &policy)
    }

    /// Handles of every layer, to read and to control them.
    pub fn handles(&self) -> StackHandles<O> {
        StackHandles::of(
            self.name,
            self.telemetry.handle(),
            self.deadline.handle(),
            &self.slots,
        )
    }

    /// Adds every layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before
    /// stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        self.handles().register(registry)
    }
}

/// `L` around `S` with the policy `X`.
type Around<L, S, X> = <L as Assemble<S, X>>::Service;
/// What the attempts are measured by, around their timeout.
type Attempt<S, X, A> = Telemetry<Around<A, S, X>, Observing<X>>;
type Health<S, X, M, A> = Around<M, Attempt<S, X, A>, X>;
type Breaker<S, X, C, M, A> = Around<C, Health<S, X, M, A>, X>;
type RateLimit<S, X, L, C, M, A> = Around<L, Breaker<S, X, C, M, A>, X>;
type Bulkhead<S, X, B, L, C, M, A> = Around<B, RateLimit<S, X, L, C, M, A>, X>;
type Gate<S, X, B, L, C, M, A> = Around<<C as Circuit>::Gate, Bulkhead<S, X, B, L, C, M, A>, X>;
type Throttle<S, X, T, B, L, C, M, A> = Around<T, Gate<S, X, B, L, C, M, A>, X>;
type Hedge<S, X, H, T, B, L, C, M, A> = Around<H, Throttle<S, X, T, B, L, C, M, A>, X>;
type Retry<S, X, R, H, T, B, L, C, M, A> = Around<R, Hedge<S, X, H, T, B, L, C, M, A>, X>;

type Coalesced<S, X, R, H, T, B, L, C, M, A, Z> = Around<Z, Retry<S, X, R, H, T, B, L, C, M, A>, X>;
type Cached<S, X, R, H, T, B, L, C, M, A, K, Z> =
    Around<K, Coalesced<S, X, R, H, T, B, L, C, M, A, Z>, X>;
type Answered<S, X, R, H, T, B, L, C, M, A, F, K, Z> =
    Around<F, Cached<S, X, R, H, T, B, L, C, M, A, K, Z>, X>;

/// The layers between what describes requests and what classifies results: those of a
/// [`ClientStack`], around a service `S` of requests and results that carry what they are, which the
/// policy `X` reads. Sealed.
pub trait Between<S, X: Policies, W>: StackSlots {
    /// The service that they make.
    type Service;

    /// Puts the layers around `client`.
    fn between(
        &self,
        client: S,
        policy: &X,
        telemetry: &TelemetryLayer,
        deadline: DeadlineLayer<W>,
    ) -> Self::Service;
}

impl<S, X, W, R, H, T, B, L, C, M, A, D, F, K, Z, J> Between<S, X, W>
    for Slots<R, H, T, B, L, C, M, A, D, Answers<F, K, Z>, J>
where
    Self: StackSlots,
    X: Policies<Classifier: Clone, Describer: Clone, Completion: Clone>,
    W: Clone,
    A: Assemble<S, X>,
    M: Assemble<Attempt<S, X, A>, X>,
    C: Circuit + Assemble<Health<S, X, M, A>, X>,
    L: Assemble<Breaker<S, X, C, M, A>, X>,
    B: Assemble<RateLimit<S, X, L, C, M, A>, X>,
    C::Gate: Assemble<Bulkhead<S, X, B, L, C, M, A>, X>,
    T: Assemble<Gate<S, X, B, L, C, M, A>, X>,
    H: Assemble<Throttle<S, X, T, B, L, C, M, A>, X>,
    R: Assemble<Hedge<S, X, H, T, B, L, C, M, A>, X>,
    Z: Assemble<Retry<S, X, R, H, T, B, L, C, M, A>, X>,
    K: Assemble<Coalesced<S, X, R, H, T, B, L, C, M, A, Z>, X>,
    F: Assemble<Cached<S, X, R, H, T, B, L, C, M, A, K, Z>, X>,
{
    type Service = Telemetry<
        Deadline<Answered<S, X, R, H, T, B, L, C, M, A, F, K, Z>, Carried<W>>,
        Learning<X>,
    >;

    fn between(
        &self,
        client: S,
        policy: &X,
        telemetry: &TelemetryLayer,
        deadline: DeadlineLayer<W>,
    ) -> Self::Service {
        // Around the client alone, so that it measures the upstream and none of our own waits.
        let service = self.attempt_timeout.assemble(client, policy);
        // One attempt, its timeout included, and no wait of ours.
        let parts = Policy::new()
            .classify(policy.classifier().clone())
            .describe(policy.describer().clone());
        let service = telemetry.attempts().policy(parts).layer(service);
        // Sees what the upstream does, timeouts included, and no wait of ours.
        let service = self.health.assemble(service, policy);
        // Inside of the waits: classifies the call that departs, and rejects at departure what was
        // queued when the circuit opened.
        let service = self.breaker.assemble(service, policy);
        // The last wait before the departure: what the provider sees is what was granted.
        let service = self.rate_limit.assemble(service, policy);
        // Around the rate limit, with the same scope: no more calls wait for a token than there
        // are permits, and a permit stays taken until the response's body has ended.
        let service = self.bulkhead.assemble(service, policy);
        // Outside of the waits: an open circuit costs neither a permit nor a token.
        let service = self.breaker.gate().assemble(service, policy);
        // Outside of the circuit, which is for an upstream that is down: what it rejects says
        // nothing about overload.
        let service = self.throttle.assemble(service, policy);
        // Inside of retry: a hedged attempt is one attempt.
        let service = self.hedge.assemble(service, policy);
        // Outside of the breaker: each attempt is one vote, and no permit is held while it backs
        // off.
        let service = self.retry.assemble(service, policy);
        // Outside of the attempts: what is answered here takes no permit, no token and no vote.
        let service = self.answers.coalesce.assemble(service, policy);
        let service = self.answers.cache.assemble(service, policy);
        let service = self.answers.fallback.assemble(service, policy);
        // Outside of everything that waits or rejects: bounds waits, attempts and readiness together.
        let service = deadline.carry_deadline().layer(service);
        // Outermost: what a caller sees.
        let parts = Policy::new()
            .classify(policy.classifier().clone())
            .describe(policy.describer().clone())
            .track_completion(policy.completion().clone());
        telemetry.clone().policy(parts).layer(service)
    }
}

/// The hook at departure around a client, whose requests and results carry what they are.
pub(crate) type Departing<S, X, O> = Around<<O as StackSlots>::Departure, S, X>;
/// A client that fails on purpose where the stack has that. Its requests and results are the caller's.
pub(crate) type Failing<S, X, O> = Around<<O as StackSlots>::Chaos, S, X>;
/// The layers of a [`ClientStack`] around that.
pub(crate) type Layered<S, X, W, O> = <O as Between<S, CarriedPolicy<X>, W>>::Service;

impl<X, W, O> ClientStack<X, W, O>
where
    X: Policies<Completion: Clone, Copier: Clone, Keeper: Clone>,
    W: Clone,
{
    /// The hook at departure around `client`. Below every wait: what a request gets here is as old
    /// as the call of the client.
    pub(crate) fn departing<S>(&self, client: S) -> Departing<S, X, O>
    where
        O: StackSlots<Departure: Assemble<S, X>>,
    {
        self.slots.slots().departure.assemble(client, &self.policy)
    }

    /// `client`, which fails on purpose where the stack has that.
    pub(crate) fn failing<S>(&self, client: S) -> Failing<S, X, O>
    where
        O: StackSlots<Chaos: Assemble<S, X>>,
    {
        self.slots.slots().chaos.assemble(client, &self.policy)
    }

    /// All layers around `client`, which is or contains a departing one.
    pub(crate) fn around<S>(&self, client: S) -> Layered<S, X, W, O>
    where
        O: Between<S, CarriedPolicy<X>, W>,
    {
        let policy = carried(&self.policy);
        let deadline = self.deadline.clone();
        self.slots
            .between(client, &policy, &self.telemetry, deadline)
    }
}

/// The client of a [`ClientStack`], whose results are classified, with the hook at departure.
type Client<S, X, O> = Departing<Classifying<S, X, O>, X, O>;
type Classifying<S, X, O> =
    ClassifyService<ClientProbe<Failing<S, X, O>>, <X as Policies>::Classifier>;

impl<S, X, W, O> Layer<S> for ClientStack<X, W, O>
where
    X: Policies<
            Classifier: Clone,
            Describer: Clone,
            Completion: Clone,
            Copier: Clone,
            Keeper: Clone,
        >,
    W: Clone,
    O: StackSlots<Chaos: Assemble<S, X>, Departure: Assemble<Classifying<S, X, O>, X>>
        + Between<Client<S, X, O>, CarriedPolicy<X>, W>,
{
    type Service = DescribeService<Layered<Client<S, X, O>, X, W, O>, X::Describer>;

    fn layer(&self, client: S) -> Self::Service {
        // The layers know no policy but what is carried.
        let retry = self.slots.slots().retry.handle();
        retry.check_classifier::<S, X>();
        let client = ClientProbeLayer::new().layer(self.failing(client));
        let client = ClassifyLayer::new(self.policy.classifier().clone()).layer(client);
        let service = self.around(self.departing(client));
        DescribeLayer::new(self.policy.describer().clone()).layer(service)
    }
}
