//! The layers of a stack that come in two kinds.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use seawall_adaptive::{AdaptiveBulkheadHandle, AdaptiveBulkheadLayer};
use seawall_breaker::{
    BreakerConfig, BreakerHandle, BreakerLayer, BreakerRegistry, GateLayer, KeyedBreakerLayer,
};
use seawall_bulkhead::{BulkheadConfig, BulkheadHandle, BulkheadLayer};
use seawall_core::{AlreadyRegistered, InstanceName, InvalidConfig, Policies, Policy, Registry};
use seawall_ratelimit::{
    FeedbackLayer, KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer,
    RateLimitConfig, RateLimitHandle, RateLimitLayer,
};
use seawall_timeout::{
    AttemptTimeoutConfig, AttemptTimeoutHandle, AttemptTimeoutLayer, AttemptTimeoutSnapshot, Fixed,
    Learned,
};
use tower_layer::Layer;

use super::StackSnapshot;
use super::slot::{
    Assemble, Configure, Describing, Holding, Judging, Learning, NoLayer, Observing, Slot,
    SlotHandle, sealed, slot, slot_handle,
};

/// A breaker of a stack, with the gate that rejects outside of the waits.
pub trait Circuit: Slot<Handle: Configure<BreakerConfig>> {
    /// The gate. Circuits per key have none, since the key of a call is not known outside.
    type Gate;

    /// The gate of this breaker.
    fn gate(&self) -> Self::Gate;
}

slot!(BreakerLayer<Judging> => BreakerHandle,
    classifier = classify: Classifier, completion = track_completion: Completion);
slot_handle!(BreakerHandle => breaker optional, BreakerConfig;);

impl<X> Circuit for BreakerLayer<X> {
    type Gate = GateLayer;

    fn gate(&self) -> GateLayer {
        Self::gate(self)
    }
}

impl<X, K: ToOwned + ?Sized, F, B> sealed::Sealed for KeyedBreakerLayer<X, K, F, B> {}

impl<X, K, F, B> Slot for KeyedBreakerLayer<X, K, F, B>
where
    K: ToOwned + ?Sized,
    BreakerRegistry<K, B>: SlotHandle,
{
    type Handle = BreakerRegistry<K, B>;

    fn handle(&self) -> Self::Handle {
        Self::handle(self)
    }
}

impl<S, X, K, F, B> Assemble<S, X> for KeyedBreakerLayer<Policy, K, F, B>
where
    X: Policies<Classifier: Clone, Completion: Clone>,
    K: ToOwned + ?Sized,
    F: Clone,
    B: BuildHasher,
    BreakerRegistry<K, B>: SlotHandle,
{
    type Service = <KeyedBreakerLayer<Judging<X>, K, F, B> as Layer<S>>::Service;

    fn assemble(&self, inner: S, policy: &X) -> Self::Service {
        let parts = Policy::new()
            .classify(policy.classifier().clone())
            .track_completion(policy.completion().clone());
        self.clone().policy(parts).layer(inner)
    }
}

impl<X, K, F, B> Circuit for KeyedBreakerLayer<X, K, F, B>
where
    K: ToOwned + ?Sized,
    BreakerRegistry<K, B>: Configure<BreakerConfig>,
{
    type Gate = NoLayer;

    fn gate(&self) -> NoLayer {
        NoLayer
    }
}

impl<K, B> SlotHandle for BreakerRegistry<K, B>
where
    K: ToOwned<Owned: Send + Sync> + Hash + Eq + Send + Sync + ?Sized + 'static,
    B: BuildHasher + Send + Sync + 'static,
{
    fn add_to(&self, snapshot: &mut StackSnapshot) {
        snapshot.breaker_per_key = Some(self.snapshot());
    }

    fn reset(&self) {
        Self::reset(self);
    }

    fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        registry.register(self.clone())
    }
}

impl<K, B> Configure<BreakerConfig> for BreakerRegistry<K, B>
where
    Self: SlotHandle,
    K: ToOwned + ?Sized,
{
    fn config(&self) -> BreakerConfig {
        Self::config(self)
    }

    fn configure(&self, config: BreakerConfig) -> Result<(), InvalidConfig> {
        Self::configure(self, config)
    }
}

impl sealed::Sealed for GateLayer {}

impl Slot for GateLayer {
    // The handle of the breaker is that of the gate, too.
    type Handle = ();

    fn handle(&self) {}
}

impl<S, X: Policies> Assemble<S, X> for GateLayer {
    type Service = <Self as Layer<S>>::Service;

    fn assemble(&self, inner: S, _: &X) -> Self::Service {
        self.layer(inner)
    }
}

/// A rate limit of a stack, with the layer next to the client that corrects it.
pub trait Limits: Slot<Handle: Configure<RateLimitConfig>> {
    /// The layer that reads signals with `F`, for services of the policy `X`.
    type Feedback<F, X: Policies>;

    /// That layer.
    fn feedback<F, X: Policies<Describer: Clone>>(
        &self,
        reader: F,
        policy: &X,
    ) -> Self::Feedback<F, X>;
}

slot!(RateLimitLayer<Describing, C> => RateLimitHandle, describer = describe: Describer);
slot_handle!(RateLimitHandle => rate_limit optional, RateLimitConfig;);
slot!(KeyedRateLimitLayer<Describing, C> => KeyedRateLimitHandle,
    describer = describe: Describer);

impl SlotHandle for KeyedRateLimitHandle {
    fn add_to(&self, snapshot: &mut StackSnapshot) {
        snapshot.rate_limit_per_key = Some(self.snapshot());
    }

    fn reset(&self) {
        Self::reset(self);
    }

    fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        registry.register(self.clone())
    }
}

impl Configure<RateLimitConfig> for KeyedRateLimitHandle {
    /// The limits of all keys together.
    fn config(&self) -> RateLimitConfig {
        Self::config(self).account().cloned().unwrap_or_default()
    }

    fn configure(&self, config: RateLimitConfig) -> Result<(), InvalidConfig> {
        Self::configure(self, with_account(&Self::config(self), config)?)
    }
}

/// Implements [`Limits`], which both layers do with the same words.
macro_rules! limits {
    ($($Layer:ident),*) => {$(
        impl<C: Clone> Limits for $Layer<Policy, C> {
            type Feedback<F, X: Policies> = FeedbackLayer<Describing<X>, F, C>;

            fn feedback<F, X: Policies<Describer: Clone>>(
                &self,
                reader: F,
                policy: &X,
            ) -> Self::Feedback<F, X> {
                let parts = Policy::new().describe(policy.describer().clone());
                self.clone().policy(parts).feedback(reader)
            }
        }
    )*};
}
limits!(RateLimitLayer, KeyedRateLimitLayer);

/// The attempt timeout of a stack, fixed or learned.
pub trait Attempts: Slot<Handle: AttemptHandle> {}

/// The handle of an attempt timeout. Its part of the stack's settings is the longest timeout.
pub trait AttemptHandle: Configure<AttemptTimeoutConfig> {
    /// Everything that it knows now.
    fn snapshot(&self) -> AttemptTimeoutSnapshot;
}

/// An attempt timeout of a mode, with the parts of a policy that it uses in that mode.
macro_rules! attempt_timeout {
    ($Mode:ty: $Policy:ident, $($part:ident = $setter:ident: $Part:ident),*) => {
        impl<X, O> sealed::Sealed for AttemptTimeoutLayer<X, O, $Mode> {}

        impl<X, O> Slot for AttemptTimeoutLayer<X, O, $Mode> {
            type Handle = AttemptTimeoutHandle<$Mode>;

            fn handle(&self) -> Self::Handle {
                Self::handle(self)
            }
        }

        impl<S, X, O: Clone> Assemble<S, X> for AttemptTimeoutLayer<Policy, O, $Mode>
        where
            X: Policies<$($Part: Clone),*>,
        {
            type Service = <AttemptTimeoutLayer<$Policy<X>, O, $Mode> as Layer<S>>::Service;

            fn assemble(&self, inner: S, policy: &X) -> Self::Service {
                let parts = Policy::new()$(.$setter(policy.$part().clone()))*;
                self.clone().policy(parts).layer(inner)
            }
        }

        impl<X, O> Attempts for AttemptTimeoutLayer<X, O, $Mode> {}

        impl AttemptHandle for AttemptTimeoutHandle<$Mode> {
            fn snapshot(&self) -> AttemptTimeoutSnapshot {
                Self::snapshot(self)
            }
        }

        impl SlotHandle for AttemptTimeoutHandle<$Mode> {
            fn add_to(&self, snapshot: &mut StackSnapshot) {
                snapshot.attempt_timeout = Self::snapshot(self);
            }

            fn reset(&self) {
                Self::reset(self);
            }

            fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
                registry.register(self.clone())
            }
        }
    };
}
attempt_timeout!(Fixed: Describing, describer = describe: Describer);
attempt_timeout!(Learned: Observing,
    classifier = classify: Classifier, describer = describe: Describer);

impl Configure<AttemptTimeoutConfig> for AttemptTimeoutHandle<Fixed> {
    fn config(&self) -> AttemptTimeoutConfig {
        Self::config(self)
    }

    fn configure(&self, config: AttemptTimeoutConfig) -> Result<(), InvalidConfig> {
        Self::configure(self, config)
    }
}

impl Configure<AttemptTimeoutConfig> for AttemptTimeoutHandle<Learned> {
    fn config(&self) -> AttemptTimeoutConfig {
        longest(Self::config(self))
    }

    fn configure(&self, config: AttemptTimeoutConfig) -> Result<(), InvalidConfig> {
        let longest = Configure::config(self);
        if config == longest {
            return Ok(());
        }
        Err(InvalidConfig::new(
            "attempt_timeout",
            format!("{:?}", config.timeout()),
            format!(
                "{:?}, the longest of a learned one, which its own handle configures",
                longest.timeout()
            ),
        ))
    }
}

/// The longest timeout that can be learned, as a fixed one.
pub(crate) fn longest(config: AttemptTimeoutConfig<Learned>) -> AttemptTimeoutConfig {
    let longest = config
        .learning()
        .map_or(Duration::MAX, |learned| learned.max());
    AttemptTimeoutConfig::fixed(longest).expect("a learned timeout is longer than zero")
}

/// The bulkhead of a stack, with a fixed or an adaptive limit.
pub trait Permits: Slot<Handle: PermitHandle> {}

/// The handle of a bulkhead.
pub trait PermitHandle: Configure<BulkheadConfig> {
    /// The handle of the permits and their queue, whatever moves their number.
    fn permits(&self) -> &BulkheadHandle;
}

slot!(BulkheadLayer<Holding> => BulkheadHandle,
    describer = describe: Describer, completion = track_completion: Completion);
slot_handle!(BulkheadHandle => bulkhead, BulkheadConfig;);

impl<X> Permits for BulkheadLayer<X> {}

impl PermitHandle for BulkheadHandle {
    fn permits(&self) -> &BulkheadHandle {
        self
    }
}

// The algorithm judges the responses.
slot!(AdaptiveBulkheadLayer<Learning> => AdaptiveBulkheadHandle,
    classifier = classify: Classifier, describer = describe: Describer,
    completion = track_completion: Completion);
slot_handle!(AdaptiveBulkheadHandle => adaptive optional;);

impl<X> Permits for AdaptiveBulkheadLayer<X> {}

impl PermitHandle for AdaptiveBulkheadHandle {
    fn permits(&self) -> &BulkheadHandle {
        self.bulkhead()
    }
}

impl Configure<BulkheadConfig> for AdaptiveBulkheadHandle {
    fn config(&self) -> BulkheadConfig {
        self.bulkhead().config()
    }

    fn configure(&self, config: BulkheadConfig) -> Result<(), InvalidConfig> {
        self.bulkhead().configure(config)
    }
}

/// The limits per key of a stack whose limit of all is `total`.
pub(crate) fn per_key(
    name: InstanceName,
    config: &KeyedRateLimitConfig,
    total: RateLimitConfig,
) -> Result<KeyedRateLimitLayer, InvalidConfig> {
    if config.account().is_some() {
        let accepted = "nothing: the account's limits are the rate limit of the stack";
        return Err(InvalidConfig::new(
            "account",
            "limits of the account",
            accepted,
        ));
    }
    let config = with_account(config, total)?;
    Ok(KeyedRateLimitLayer::new(name, config))
}

fn with_account(
    config: &KeyedRateLimitConfig,
    account: RateLimitConfig,
) -> Result<KeyedRateLimitConfig, InvalidConfig> {
    let start = KeyedRateLimitConfig::builder(config.per_key().clone()).account(account);
    config
        .keys()
        .fold(start, |builder, (key, config)| {
            builder.key(key, config.clone())
        })
        .build()
}
