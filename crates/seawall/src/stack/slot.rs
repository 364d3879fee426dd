//! What the parts of a stack have in common: a layer that takes its policy when the stack makes a
//! service, and a handle.

use std::fmt::Debug;

use seawall_core::carry::Carried;
use seawall_core::{
    AlreadyRegistered, CloneRequest, Command, CompleteOnResponse, DefaultMeta, Departure,
    DepartureLayer, ErrorIsFailure, InstanceHandle, InvalidConfig, Policies, Policy, Registry,
};
use seawall_health::{HealthHandle, HealthLayer};
use seawall_hedge::{HedgeHandle, HedgeLayer};
use seawall_retry::{Hooks, Retry, RetryConfig, RetryHandle, RetryLayer, RetryState};
use seawall_throttle::{AdaptiveThrottleHandle, AdaptiveThrottleLayer};
use tower_layer::Layer;

use super::StackSnapshot;

/// A layer in a stack, with its handle.
///
/// Implemented for the layers that a stack can have; sealed.
pub trait Slot: sealed::Sealed {
    /// What reads and controls the layer.
    type Handle: SlotHandle;

    /// The handle of the layer.
    fn handle(&self) -> Self::Handle;
}

/// A [`Slot`] that can be put around a service `S`, with the parts of the policy `X` that it uses.
/// Its requests and results carry what they are, and `X` reads that.
pub trait Assemble<S, X: Policies>: Slot {
    /// The service that it makes.
    type Service;

    /// Puts the layer around `inner`. The layer takes the parts of `policy` that it uses, and no
    /// other: a service that holds a part which it never asks is larger, and slower to clone.
    fn assemble(&self, inner: S, policy: &X) -> Self::Service;
}

/// A handle of a layer in a stack: what all of them can do.
pub trait SlotHandle: Clone + Debug + Send + Sync {
    /// Adds what it knows now to a snapshot of the stack.
    fn add_to(&self, snapshot: &mut StackSnapshot);

    /// Forgets what was learned and every operator command; counters stay.
    fn reset(&self);

    /// Adds the layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a layer of that pattern and name.
    fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered>;

    /// Removes the layer of its pattern and name from `registry`.
    fn unregister(&self, registry: &Registry);
}

/// A handle of a layer that is set by a part of the stack's [`Settings`](crate::Settings).
pub trait Configure<C>: SlotHandle {
    /// The settings in force.
    fn config(&self) -> C;

    /// Changes the settings, state kept.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the layer cannot be changed to `config` while it runs.
    fn configure(&self, config: C) -> Result<(), InvalidConfig>;

    /// Whether the layer is switched off: every call passes.
    fn is_bypassed(&self) -> bool;
}

/// Switches `new` off where the layer is off that it replaces.
pub(crate) fn keep_bypass<C>(old: &impl Configure<C>, new: &dyn InstanceHandle) {
    if old.is_bypassed() {
        // Each layer of a stack that has settings has this command.
        let _ = new.control(Command::Bypass);
    }
}

/// Removes the instance of the pattern and name of `handle`.
pub(crate) fn remove(registry: &Registry, handle: &dyn InstanceHandle) {
    registry.remove(handle.pattern(), handle.name());
}

pub(super) mod sealed {
    #[allow(unnameable_types, reason = "nobody else implements `Slot`")]
    pub trait Sealed {}
}

/// The handle contract of one layer's crate, as a [`SlotHandle`], and where it has settings, as
/// [`Configure`].
macro_rules! slot_handle {
    ($($Handle:ty => $field:ident $($some:ident)? $(, $Config:ty: $off:path)?;)+) => {$(
        impl $crate::stack::slot::SlotHandle for $Handle {
            fn add_to(&self, snapshot: &mut $crate::stack::StackSnapshot) {
                snapshot.$field = slot_handle!(@ $($some)? Self::snapshot(self));
            }

            fn reset(&self) {
                Self::reset(self);
            }

            fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
                registry.register(self.clone())
            }

            fn unregister(&self, registry: &Registry) {
                $crate::stack::slot::remove(registry, self);
            }
        }

        $(impl $crate::stack::slot::Configure<$Config> for $Handle {
            fn config(&self) -> $Config {
                Self::config(self)
            }

            fn configure(&self, config: $Config) -> Result<(), InvalidConfig> {
                Self::configure(self, config)
            }

            fn is_bypassed(&self) -> bool {
                self.snapshot().state == $off
            }
        })?
    )+};
    (@ optional $snapshot:expr) => { Some($snapshot) };
    (@ $snapshot:expr) => { $snapshot };
}
pub(crate) use slot_handle;

slot_handle! {
    RetryHandle => retry, RetryConfig: RetryState::Bypassed;
    HedgeHandle => hedge optional;
    AdaptiveThrottleHandle => throttle optional;
    HealthHandle => health optional;
}

/// No layer, where one is optional: costs nothing, and has nothing to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoLayer;

impl sealed::Sealed for NoLayer {}

impl Slot for NoLayer {
    type Handle = ();

    fn handle(&self) {}
}

impl<S, X: Policies> Assemble<S, X> for NoLayer {
    type Service = S;

    #[inline]
    fn assemble(&self, inner: S, _: &X) -> S {
        inner
    }
}

impl<H> sealed::Sealed for DepartureLayer<H> {}

/// It has nothing to be read or controlled.
impl<H> Slot for DepartureLayer<H> {
    type Handle = ();

    fn handle(&self) {}
}

impl<S, X: Policies, H: Clone> Assemble<S, X> for DepartureLayer<H> {
    type Service = Departure<S, Carried<H>>;

    fn assemble(&self, inner: S, _: &X) -> Self::Service {
        self.clone().carry_hook().layer(inner)
    }
}

impl SlotHandle for () {
    fn add_to(&self, _: &mut StackSnapshot) {}

    fn reset(&self) {}

    fn register(&self, _: &Registry) -> Result<(), AlreadyRegistered> {
        Ok(())
    }

    fn unregister(&self, _: &Registry) {}
}

/// The parts that layers which send again ask: what a result means, what a request is, its copy,
/// and what is kept of a response.
pub(super) type Resending<X> = Policy<
    <X as Policies>::Classifier,
    <X as Policies>::Describer,
    CompleteOnResponse,
    <X as Policies>::Copier,
    <X as Policies>::Keeper,
>;
/// What a result means, and when a call is over.
pub(super) type Judging<X> =
    Policy<<X as Policies>::Classifier, DefaultMeta, <X as Policies>::Completion, CloneRequest>;
/// What a request is.
pub(super) type Describing<X> =
    Policy<ErrorIsFailure, <X as Policies>::Describer, CompleteOnResponse, CloneRequest>;
/// What a request is, and when a call is over.
pub(super) type Holding<X> =
    Policy<ErrorIsFailure, <X as Policies>::Describer, <X as Policies>::Completion, CloneRequest>;
/// What a result means, and what a request is.
pub(super) type Observing<X> = Policy<
    <X as Policies>::Classifier,
    <X as Policies>::Describer,
    CompleteOnResponse,
    CloneRequest,
>;
/// What a result means, what a request is, and when a call is over.
pub(super) type Learning<X> = Policy<
    <X as Policies>::Classifier,
    <X as Policies>::Describer,
    <X as Policies>::Completion,
    CloneRequest,
>;

/// A [`Slot`] whose layer takes the named parts of a policy.
macro_rules! slot {
    (
        $Layer:ident<$Policy:ident $(, $rest:ident)*> => $Handle:ty,
        $($part:ident = $setter:ident: $Part:ident),*
        $(; $($bound:tt)+)?
    ) => {
        impl<X $(, $rest)*> $crate::stack::slot::sealed::Sealed for $Layer<X $(, $rest)*> {}

        impl<X $(, $rest)*> $crate::stack::slot::Slot for $Layer<X $(, $rest)*> {
            type Handle = $Handle;

            fn handle(&self) -> $Handle {
                Self::handle(self)
            }
        }

        impl<S, X $(, $rest)*> $crate::stack::slot::Assemble<S, X> for $Layer<Policy $(, $rest)*>
        where
            X: Policies,
            $(X::$Part: Clone,)*
            $($rest: Clone,)*
            $($($bound)+)?
        {
            type Service = <$Layer<$Policy<X> $(, $rest)*> as Layer<S>>::Service;

            fn assemble(&self, inner: S, policy: &X) -> Self::Service {
                let parts = Policy::new()$(.$setter(policy.$part().clone()))*;
                self.clone().policy(parts).layer(inner)
            }
        }
    };
}
pub(super) use slot;

impl<X, H> sealed::Sealed for RetryLayer<X, H> {}

impl<X, H> Slot for RetryLayer<X, H> {
    type Handle = RetryHandle;

    fn handle(&self) -> RetryHandle {
        Self::handle(self)
    }
}

impl<S, X, R, P, A> Assemble<S, X> for RetryLayer<Policy, Hooks<R, P, A>>
where
    S: Clone,
    X: Policies<Classifier: Clone, Describer: Clone, Copier: Clone, Keeper: Clone>,
    R: Clone,
    P: Clone,
    A: Clone,
{
    type Service = Retry<S, Resending<X>, Hooks<Carried<R>, Carried<P>, Carried<A>>>;

    fn assemble(&self, inner: S, policy: &X) -> Self::Service {
        let parts = Policy::new()
            .classify(policy.classifier().clone())
            .describe(policy.describer().clone())
            .copy(policy.copier().clone())
            .keep(policy.keeper().clone());
        self.clone().carry_hooks().policy(parts).layer(inner)
    }
}

slot!(HedgeLayer<Resending> => HedgeHandle,
    classifier = classify: Classifier, describer = describe: Describer, copier = copy: Copier,
    keeper = keep: Keeper;
    S: Clone);
slot!(AdaptiveThrottleLayer<Observing> => AdaptiveThrottleHandle,
    classifier = classify: Classifier, describer = describe: Describer);
slot!(HealthLayer<Judging> => HealthHandle,
    classifier = classify: Classifier, completion = track_completion: Completion);
