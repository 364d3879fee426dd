//! The rate limit of a stack: for all calls, or per key as well.

use seawall_core::{AlreadyRegistered, InstanceName, InvalidConfig, Policies, Policy, Registry};
use seawall_ratelimit::{
    FeedbackLayer, KeyedRateLimitConfig, KeyedRateLimitHandle, KeyedRateLimitLayer,
    RateLimitConfig, RateLimitHandle, RateLimitLayer, RateLimitSnapshot, RateLimitState,
};
use tower_layer::Layer;

use super::slot::{
    Configure, Describing, Slot, SlotHandle, keep_bypass, remove, slot, slot_handle,
};
use super::snapshot::StackSnapshot;

/// A rate limit of a stack, with the layer next to the client that corrects it.
pub trait Limits: Slot<Handle: LimitHandle> {
    /// The layer that reads signals with `F`, for services of the policy `X`.
    type Feedback<F, X: Policies>;

    /// That layer.
    fn feedback<F, X: Policies<Describer: Clone>>(
        &self,
        reader: F,
        policy: &X,
    ) -> Self::Feedback<F, X>;
}

/// The handle of a rate limit.
pub trait LimitHandle: Configure<RateLimitConfig> {
    /// The limit of all calls together, whether or not each key has one of its own.
    fn total(&self) -> RateLimitSnapshot;
}

impl LimitHandle for RateLimitHandle {
    fn total(&self) -> RateLimitSnapshot {
        self.snapshot()
    }
}

impl LimitHandle for KeyedRateLimitHandle {
    fn total(&self) -> RateLimitSnapshot {
        let account = self.account();
        account.expect("`per_key` makes it within one").snapshot()
    }
}

slot!(RateLimitLayer<Describing, C> => RateLimitHandle, describer = describe: Describer);
slot_handle!(RateLimitHandle => rate_limit, RateLimitConfig: RateLimitState::Bypassed;);
slot!(KeyedRateLimitLayer<Describing, C> => KeyedRateLimitHandle,
    describer = describe: Describer);

impl SlotHandle for KeyedRateLimitHandle {
    fn add_to(&self, snapshot: &mut StackSnapshot) {
        snapshot.rate_limit_per_key = Some(self.snapshot());
    }

    fn reset(&self) {
        Self::reset(self);
        if let Some(account) = self.account() {
            account.reset();
        }
    }

    /// The account is an instance of its own.
    fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        if let Some(account) = self.account() {
            registry.register(account)?;
        }
        registry.register(self.clone())
    }

    fn unregister(&self, registry: &Registry) {
        if let Some(account) = self.account() {
            remove(registry, &account);
        }
        remove(registry, self);
    }
}

impl Configure<RateLimitConfig> for KeyedRateLimitHandle {
    /// The limits of all keys together.
    fn config(&self) -> RateLimitConfig {
        let account = self.account();
        account.map(|account| account.config()).unwrap_or_default()
    }

    fn configure(&self, config: RateLimitConfig) -> Result<(), InvalidConfig> {
        self.account()
            .map_or(Ok(()), |account| account.configure(config))
    }

    /// Where neither the keys nor all of them together are limited.
    fn is_bypassed(&self) -> bool {
        self.snapshot().state == RateLimitState::Bypassed
            && self.account().is_none_or(|account| account.is_bypassed())
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

/// The limits per key of a stack whose limit was `old`, and is that of all keys now.
pub(crate) fn per_key(
    name: InstanceName,
    config: KeyedRateLimitConfig,
    old: &impl LimitHandle,
) -> KeyedRateLimitLayer {
    let account = RateLimitLayer::new(format!("{name}-account"), old.config()).handle();
    let layer = KeyedRateLimitLayer::within_account(name, config, &account);
    keep_bypass(old, &account);
    keep_bypass(old, &layer.handle());
    layer
}
