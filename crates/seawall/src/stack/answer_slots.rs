//! What answers without the upstream, as layers of a stack.

use std::hash::Hash;

use seawall_cache::{
    Cache, CacheHandle, CacheLayer, CarriedHooks, Coalesce, CoalesceHandle, CoalesceLayer, Hooks,
};
use seawall_core::carry::Carried;
use seawall_core::{
    AlreadyRegistered, CompleteOnResponse, InstanceName, InvalidConfig, Policies, Policy, Registry,
};
use seawall_fallback::{Fallback, FallbackHandle, FallbackLayer, InCarry, Plain};
use tower_layer::Layer;

use super::slot::{Assemble, Observing, Resending, Slot, SlotHandle, remove, sealed, slot_handle};
use super::snapshot::StackSnapshot;

slot_handle! {
    FallbackHandle => fallback optional;
}

/// As `slot_handle!`, for a handle with parameters.
macro_rules! keyed_handle {
    ($Handle:ident<$($parameter:ident: [$($bound:tt)+]),+> => $field:ident) => {
        impl<$($parameter),+> SlotHandle for $Handle<$($parameter),+>
        where
            $($parameter: $($bound)+ + Send + Sync + 'static,)+
        {
            fn add_to(&self, snapshot: &mut StackSnapshot) {
                snapshot.$field = Some(Self::snapshot(self));
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
    };
}
keyed_handle!(CacheHandle<K: [Clone + Eq + Hash], V: [Sized]> => cache);
keyed_handle!(CoalesceHandle<K: [Clone + Eq + Hash], V: [Sized], E: [Sized]> => coalesce);

impl<X, Req, Res, M, W> sealed::Sealed for FallbackLayer<X, Req, Res, M, W, Plain> {}

impl<X, Req, Res, M, W> Slot for FallbackLayer<X, Req, Res, M, W, Plain> {
    type Handle = FallbackHandle;

    fn handle(&self) -> FallbackHandle {
        Self::handle(self)
    }
}

impl<S, X, Req, Res, M, W> Assemble<S, X> for FallbackLayer<Policy, Req, Res, M, W, Plain>
where
    X: Policies<Classifier: Clone, Describer: Clone, Copier: Clone, Keeper: Clone>,
    M: Clone,
    W: Clone,
{
    type Service = Fallback<S, Resending<X>, Req, Res, M, Carried<W>, InCarry>;

    fn assemble(&self, inner: S, policy: &X) -> Self::Service {
        let parts = Policy::new()
            .classify(policy.classifier().clone())
            .describe(policy.describer().clone())
            .copy(policy.copier().clone())
            .keep(policy.keeper().clone());
        self.clone().carried().policy(parts).layer(inner)
    }
}

impl<X, K, V, H, B> sealed::Sealed for CacheLayer<X, K, V, H, B> {}

impl<X, K, V, H, B> Slot for CacheLayer<X, K, V, H, B>
where
    CacheHandle<K, V>: SlotHandle,
{
    type Handle = CacheHandle<K, V>;

    fn handle(&self) -> Self::Handle {
        Self::handle(self)
    }
}

impl<S, X, K, V, R, T, M, W, B> Assemble<S, X> for CacheLayer<Policy, K, V, Hooks<R, T, M, W>, B>
where
    X: Policies<Classifier: Clone, Describer: Clone, Copier: Clone>,
    CacheHandle<K, V>: SlotHandle,
    R: Clone,
    T: Clone,
    M: Clone,
    W: Clone,
    B: Clone,
{
    type Service = Cache<S, Fetching<X>, K, V, CarriedHooks<R, T, M, W>, B>;

    fn assemble(&self, inner: S, policy: &X) -> Self::Service {
        let parts = Policy::new()
            .classify(policy.classifier().clone())
            .describe(policy.describer().clone())
            .copy(policy.copier().clone());
        self.clone().carry_hooks().policy(parts).layer(inner)
    }
}

impl<X, K, V, E, H, C> sealed::Sealed for CoalesceLayer<X, K, V, E, H, C> {}

impl<X, K, V, E, H, C> Slot for CoalesceLayer<X, K, V, E, H, C>
where
    CoalesceHandle<K, V, E>: SlotHandle,
{
    type Handle = CoalesceHandle<K, V, E>;

    fn handle(&self) -> Self::Handle {
        Self::handle(self)
    }
}

impl<S, X, K, V, E, R, T, M, W, C> Assemble<S, X>
    for CoalesceLayer<Policy, K, V, E, Hooks<R, T, M, W>, C>
where
    X: Policies<Classifier: Clone, Describer: Clone>,
    CoalesceHandle<K, V, E>: SlotHandle,
    R: Clone,
    T: Clone,
    M: Clone,
    W: Clone,
    C: Clone,
{
    type Service = Coalesce<S, Observing<X>, K, V, E, CarriedHooks<R, T, M, W>, Carried<C>>;

    fn assemble(&self, inner: S, policy: &X) -> Self::Service {
        let parts = Policy::new()
            .classify(policy.classifier().clone())
            .describe(policy.describer().clone());
        let layer = self.clone().carry_hooks().carry_errors();
        layer.policy(parts).layer(inner)
    }
}

/// What a result means, what a request is, and its copy.
type Fetching<X> = Policy<
    <X as Policies>::Classifier,
    <X as Policies>::Describer,
    CompleteOnResponse,
    <X as Policies>::Copier,
>;

/// Whether a layer that a stack is given has the stack's name, by which registries, metrics and the
/// dashboard know what belongs together.
pub(crate) fn check_name(layer: InstanceName, stack: InstanceName) -> Result<(), InvalidConfig> {
    if layer == stack {
        return Ok(());
    }
    let accepted = format!("{:?}, the name of the stack", stack.as_str());
    Err(InvalidConfig::new(
        "name",
        format!("{:?}", layer.as_str()),
        accepted,
    ))
}
