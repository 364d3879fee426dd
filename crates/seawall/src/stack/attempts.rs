//! The attempt timeout of a stack: fixed, or learned.

use std::time::Duration;

use seawall_core::{AlreadyRegistered, InvalidConfig, Policies, Policy, Registry};
use seawall_timeout::{
    AttemptTimeoutConfig, AttemptTimeoutHandle, AttemptTimeoutLayer, AttemptTimeoutSnapshot,
    AttemptTimeoutState, Fixed, Learned,
};
use tower_layer::Layer;

use super::slot::{Assemble, Configure, Describing, Observing, Slot, SlotHandle, remove, sealed};
use super::snapshot::StackSnapshot;

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

            fn unregister(&self, registry: &Registry) {
                remove(registry, self);
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

    fn is_bypassed(&self) -> bool {
        Self::snapshot(self).state == AttemptTimeoutState::Bypassed
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

    fn is_bypassed(&self) -> bool {
        Self::snapshot(self).state == AttemptTimeoutState::Bypassed
    }
}

/// The longest timeout that can be learned, as a fixed one.
pub(crate) fn longest(config: AttemptTimeoutConfig<Learned>) -> AttemptTimeoutConfig {
    let longest = config
        .learning()
        .map_or(Duration::MAX, |learned| learned.max());
    AttemptTimeoutConfig::fixed(longest).expect("a learned timeout is longer than zero")
}
