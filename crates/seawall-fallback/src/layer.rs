//! The layer.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use seawall_core::carry::Carried;
use seawall_core::striped::{Shared, Stripes};
use seawall_core::{
    AnyAge, ConstMeta, InstanceName, InvalidConfig, NoMark, Policy, RequestMeta, policy_setters,
};
use tower_layer::Layer;

use crate::envelope::{InCarry, Plain};
use crate::rules::Rules;
use crate::state::{Core, Steps};
use crate::{Fallback, FallbackConfig, FallbackHandle, NeverOlder, Step};

/// Answers calls that fail, by its steps in their order.
///
/// Clones share the settings, what was learned, and the counters. `X` is the [`Policy`]: the classifier, the
/// describer, and for steps that are asked with the request or take time the copier and the keeper. `Req` and
/// `Res` are what steps are asked with and what they answer, `M` the [mark](Self::mark), `W` which requests
/// [want none](Self::fresh_only). `V` is how both travel, see [`carried`](Self::carried).
///
/// ```
/// use seawall_fallback::{
///     Degraded, FallbackConfig, FallbackLayer, LastGood, LastGoodConfig, MarkInValue, Step, WrapErrorLayer,
/// };
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kept = LastGood::new(LastGoodConfig::default(), |symbol: &&'static str| Some(*symbol));
/// let fallback = FallbackLayer::new("prices", FallbackConfig::default(), [Step::last_good(kept)])?
///     .assume_idempotent()
///     .mark(MarkInValue);
/// let handle = fallback.handle();
///
/// let down = Arc::new(AtomicBool::new(false));
/// let is_down = Arc::clone(&down);
/// let mut prices = ServiceBuilder::new()
///     .layer(fallback)
///     .map_response(Degraded::fresh)
///     .layer(WrapErrorLayer)
///     .service(service_fn(move |_symbol: &'static str| {
///         let result = if is_down.load(Relaxed) { Err(std::io::Error::other("down")) } else { Ok(101.5) };
///         async move { result }
///     }));
///
/// assert!(!prices.ready().await?.call("SPY").await?.is_degraded());
/// down.store(true, Relaxed);
/// let last = prices.ready().await?.call("SPY").await?;
/// assert_eq!(last.value(), &101.5);
/// assert_eq!(last.degradation().map(|d| d.source.as_str()), Some("last_good"));
/// assert!(prices.ready().await?.call("QQQ").await.is_err(), "none is kept of it");
/// assert_eq!((handle.counts().answered, handle.counts().unanswered), (1, 1));
/// # Ok(()) }
/// ```
pub struct FallbackLayer<X, Req, Res, M = NoMark, W = AnyAge, V = Plain> {
    core: Arc<Core>,
    steps: Arc<Steps<Req, Res>>,
    order: Option<Arc<NeverOlder<Req, Res>>>,
    policy: X,
    mark: M,
    fresh: W,
    envelope: PhantomData<fn() -> V>,
}

impl<Req, Res> FallbackLayer<Policy, Req, Res> {
    /// A layer of that name, with these steps.
    ///
    /// **Without a describer it answers nothing:** no request is known to be safe to answer from elsewhere. Set
    /// [`describe`](Self::describe), or [`assume_idempotent`](Self::assume_idempotent) for a client that only
    /// reads. **Failures inside of `Ok` need a classifier:** by default every `Ok` is a success.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `steps` where there is none, `step` where two have one name, one has none or
    /// that of the layer (a fallback that calls itself) or is never asked, since a value before it answers everything, and
    /// `covers`, `timeout`, `also_for` or the `max_weight` of a [`LastGood`](crate::LastGood) where that has no effect.
    pub fn new(
        name: impl Into<InstanceName>,
        config: FallbackConfig,
        steps: impl IntoIterator<Item = Step<Req, Res>>,
    ) -> Result<Self, InvalidConfig> {
        let (name, steps): (InstanceName, Vec<_>) = (name.into(), steps.into_iter().collect());
        if steps.is_empty() {
            return Err(InvalidConfig::new("steps", 0, "at least one step"));
        }
        let mut names = BTreeSet::new();
        for (index, step) in steps.iter().enumerate() {
            step.check()?;
            let mut before = steps[..index].iter().filter(|it| it.answers_everything());
            if before.any(|it| { step.also() }.iter().all(|also| it.also().contains(also))) {
                let accepted = "a step before that which answers everything";
                return Err(InvalidConfig::new("step", step.name(), accepted));
            }
            if step.name() == name {
                let accepted =
                    "another name than that of its layer, which it must not lead back to";
                return Err(InvalidConfig::new("step", name, accepted));
            }
            if !names.insert(step.name()) {
                let accepted = "a name that no other step has";
                return Err(InvalidConfig::new("step", step.name(), accepted));
            }
        }
        let infos = steps.iter().map(|step| Arc::clone(&step.info)).collect();
        let about = steps
            .iter()
            .map(|step| (step.name().as_str(), step.about()));
        Ok(Self {
            core: Arc::new(Core::new(name, config, infos, about.collect())),
            steps: Arc::new(Steps::new(steps)),
            order: None,
            policy: Policy::new(),
            mark: NoMark,
            fresh: AnyAge,
            envelope: PhantomData,
        })
    }
}

policy_setters!(
    FallbackLayer[Req, Res, M, W, V] { core, steps, order, mark, fresh, envelope }:
    classify, describe, copy, keep
);

type OfReads<C, T, P, K> = Policy<C, ConstMeta, T, P, K>;

impl<C, D, T, P, K, Req, Res, M, W, V> FallbackLayer<Policy<C, D, T, P, K>, Req, Res, M, W, V> {
    /// Describes every request as [idempotent](RequestMeta::idempotent), so that each may be answered from
    /// elsewhere: for clients that only read.
    #[must_use]
    pub fn assume_idempotent(self) -> FallbackLayer<OfReads<C, T, P, K>, Req, Res, M, W, V> {
        self.describe(ConstMeta(RequestMeta::idempotent()))
    }
}

impl<X, Req, Res, M, W, V> FallbackLayer<X, Req, Res, M, W, V> {
    /// Marks answers by `mark`, a [`MarkDegraded`](seawall_core::MarkDegraded) of `Res`, so that the caller knows
    /// them; nothing is marked unless set.
    #[must_use]
    pub fn mark<M2>(self, mark: M2) -> FallbackLayer<X, Req, Res, M2, W, V> {
        FallbackLayer {
            core: self.core,
            steps: self.steps,
            order: self.order,
            policy: self.policy,
            mark,
            fresh: self.fresh,
            envelope: PhantomData,
        }
    }

    /// Learns from `fresh`, a [`WantsFresh`](seawall_core::WantsFresh) of requests, which of them want no degraded
    /// answer; all take one unless set.
    #[must_use]
    pub fn fresh_only<W2>(self, fresh: W2) -> FallbackLayer<X, Req, Res, M, W2, V> {
        FallbackLayer {
            core: self.core,
            steps: self.steps,
            order: self.order,
            policy: self.policy,
            mark: self.mark,
            fresh,
            envelope: PhantomData,
        }
    }

    /// Keeps answers in the order of their data; see [`NeverOlder`].
    #[must_use]
    pub fn never_older(mut self, order: NeverOlder<Req, Res>) -> Self {
        self.core.learns(Arc::clone(&order.erased));
        self.order = Some(Arc::new(order));
        self
    }

    /// For a layer between [`DescribeLayer`](seawall_core::carry::DescribeLayer) and
    /// [`ClassifyLayer`](seawall_core::carry::ClassifyLayer): requests are described, responses have their outcome
    /// with them, and that of an answer is [`Outcome::Degraded`](seawall_core::Outcome::Degraded). Steps, the mark
    /// the keys and the hook of [`fresh_only`](Self::fresh_only) are of plain requests and responses as before; the
    /// policy is [`carried`](seawall_core::carry::carried).
    #[must_use]
    pub fn carried(self) -> FallbackLayer<X, Req, Res, M, Carried<W>, InCarry> {
        FallbackLayer {
            core: self.core,
            steps: self.steps,
            order: self.order,
            policy: self.policy,
            mark: self.mark,
            fresh: Carried(self.fresh),
            envelope: PhantomData,
        }
    }

    /// A handle to read and control every service of this layer.
    pub fn handle(&self) -> FallbackHandle {
        FallbackHandle::new(Arc::clone(&self.core))
    }
}

impl<S, X: Clone, Req, Res, M: Clone, W: Clone, V> Layer<S>
    for FallbackLayer<X, Req, Res, M, W, V>
{
    type Service = Fallback<S, X, Req, Res, M, W, V>;

    fn layer(&self, inner: S) -> Self::Service {
        self.core.source.check_classifier::<S, X>();
        let rules = Rules {
            core: Arc::clone(&self.core),
            steps: Arc::clone(&self.steps),
            order: self.order.clone(),
            policy: self.policy.clone(),
            mark: self.mark.clone(),
            fresh: self.fresh.clone(),
            envelope: PhantomData,
        };
        // Only reference counts of the threads are wanted, so that cloning a service per request scales.
        let shared = Shared::new(rules, Stripes::auto(), || ());
        Fallback::new(inner, shared.anchor())
    }
}

impl<X: Clone, Req, Res, M: Clone, W: Clone, V> Clone for FallbackLayer<X, Req, Res, M, W, V> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            steps: Arc::clone(&self.steps),
            order: self.order.clone(),
            policy: self.policy.clone(),
            mark: self.mark.clone(),
            fresh: self.fresh.clone(),
            envelope: PhantomData,
        }
    }
}

seawall_core::impl_debug!(FallbackLayer<X, Req, Res, M, W, V>: |this| handle = this.handle());
