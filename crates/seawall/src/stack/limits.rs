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
    /// All calls together, whether or not each key has limits of its own. Where no limit is that of all
    /// calls, it has none.
    fn total(&self) -> RateLimitSnapshot;

    /// Whether a limit is that of all calls together: not where each key has one and nothing else.
    fn is_for_all(&self) -> bool;
}

impl LimitHandle for RateLimitHandle {
    fn total(&self) -> RateLimitSnapshot {
        self.snapshot()
    }

    fn is_for_all(&self) -> bool {
        true
    }
}

impl LimitHandle for KeyedRateLimitHandle {
    fn total(&self) -> RateLimitSnapshot {
        Self::total(self)
    }

    fn is_for_all(&self) -> bool {
        self.account().is_some()
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
    /// The limits of all keys together, or where there are none those of each key that is not named.
    fn config(&self) -> RateLimitConfig {
        match self.account() {
            Some(account) => account.config(),
            None => Self::config(self).per_key().clone(),
        }
    }

    fn configure(&self, config: RateLimitConfig) -> Result<(), InvalidConfig> {
        if let Some(account) = self.account() {
            return account.configure(config);
        }
        let before = Self::config(self);
        let named = before.keys().map(|(key, own)| (key, own.clone()));
        let builder = KeyedRateLimitConfig::builder(config);
        let builder = named.fold(builder, |builder, (key, own)| builder.key(key, own));
        Self::configure(self, builder.build()?)
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

/// The limits per key of a stack whose limit was `old`, and is that of all keys now, if it was one of
/// all calls.
pub(crate) fn per_key(
    name: InstanceName,
    config: KeyedRateLimitConfig,
    old: &impl LimitHandle,
) -> KeyedRateLimitLayer {
    if !old.is_for_all() {
        return of_keys(name, config, old);
    }
    let account = RateLimitLayer::new(format!("{name}/account"), old.config()).handle();
    let layer = KeyedRateLimitLayer::within_account(name, config, &account);
    keep_bypass(old, &account);
    keep_bypass(old, &layer.handle());
    layer
}

/// The limits per key of a stack whose limit was `old`, with none of all calls together.
pub(crate) fn of_keys(
    name: InstanceName,
    config: KeyedRateLimitConfig,
    old: &impl LimitHandle,
) -> KeyedRateLimitLayer {
    let layer = KeyedRateLimitLayer::new(name, config);
    keep_bypass(old, &layer.handle());
    layer
}
