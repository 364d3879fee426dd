//! What answers without the upstream, as layers of a stack.

use seawall_core::carry::Carried;
use seawall_core::{AlreadyRegistered, InstanceName, InvalidConfig, Policies, Policy, Registry};
use seawall_fallback::{Fallback, FallbackHandle, FallbackLayer, InCarry, Plain};
use tower_layer::Layer;

use super::slot::{Assemble, Resending, Slot, sealed, slot_handle};

slot_handle! {
    FallbackHandle => fallback optional;
}

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

/// Whether a layer that a stack is given has the stack's name, by which registries, metrics and the
/// dashboard know what belongs together.
pub(crate) fn check_name(layer: InstanceName, stack: InstanceName) -> Result<(), InvalidConfig> {
    if layer == stack {
        return Ok(());
    }
    let accepted = format!("{:?}, the name of the stack", stack.as_str());
    Err(InvalidConfig::new("name", format!("{:?}", layer.as_str()), accepted))
}
