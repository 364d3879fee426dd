//! What makes the client of a stack fail on purpose.

use seawall_chaos::{Chaos, ChaosHandle, ChaosLayer, FaultHooks};
use seawall_core::{
    AlreadyRegistered, CompleteOnResponse, ErrorIsFailure, Policies, Policy, Registry,
};
use tower_layer::Layer;

use super::slot::{Assemble, Slot, sealed, slot_handle};

slot_handle! {
    ChaosHandle => chaos optional;
}

impl<X, H: FaultHooks> sealed::Sealed for ChaosLayer<X, H> {}

impl<X, H: FaultHooks> Slot for ChaosLayer<X, H> {
    type Handle = ChaosHandle;

    fn handle(&self) -> ChaosHandle {
        Self::handle(self)
    }
}

/// What a request is, and its copy.
type Copying<X> =
    Policy<ErrorIsFailure, <X as Policies>::Describer, CompleteOnResponse, <X as Policies>::Copier>;

impl<S, X, H> Assemble<S, X> for ChaosLayer<Policy, H>
where
    X: Policies<Describer: Clone, Copier: Clone>,
    H: FaultHooks + Clone,
{
    type Service = Chaos<S, Copying<X>, H>;

    fn assemble(&self, inner: S, policy: &X) -> Self::Service {
        let parts = Policy::new()
            .describe(policy.describer().clone())
            .copy(policy.copier().clone());
        self.clone().policy(parts).layer(inner)
    }
}
