//! The breaker of a stack: one circuit, or one per key.

use std::hash::{BuildHasher, Hash};

use seawall_breaker::{
    BreakerConfig, BreakerHandle, BreakerLayer, BreakerRegistry, CircuitState, GateLayer,
    KeyedBreakerLayer,
};
use seawall_core::carry::Carried;
use seawall_core::{AlreadyRegistered, InvalidConfig, Policies, Policy, Registry};
use tower_layer::Layer;

use super::slot::{
    Assemble, Configure, Judging, NoLayer, Slot, SlotHandle, remove, sealed, slot, slot_handle,
};
use super::snapshot::StackSnapshot;

/// A breaker of a stack, with the gate that rejects outside of the waits.
pub trait Circuit: Slot<Handle: Configure<BreakerConfig>> {
    /// The gate. Circuits per key have none, since the key of a call is not known outside.
    type Gate;

    /// The gate of this breaker.
    fn gate(&self) -> Self::Gate;
}

slot!(BreakerLayer<Judging> => BreakerHandle,
    classifier = classify: Classifier, completion = track_completion: Completion);
slot_handle!(BreakerHandle => breaker optional, BreakerConfig: CircuitState::ForcedClosed;);

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
    type Service = <KeyedBreakerLayer<Judging<X>, K, Carried<F>, B> as Layer<S>>::Service;

    fn assemble(&self, inner: S, policy: &X) -> Self::Service {
        let parts = Policy::new()
            .classify(policy.classifier().clone())
            .track_completion(policy.completion().clone());
        self.clone().carry_key().policy(parts).layer(inner)
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

    fn unregister(&self, registry: &Registry) {
        remove(registry, self);
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

    /// Circuits per key do not say it.
    fn is_bypassed(&self) -> bool {
        false
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
