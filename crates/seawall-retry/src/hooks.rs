//! The hooks of a layer in one value: the predicate, the preparation, the annotation.

use crate::predicate::{DefaultDecision, RetryPredicate};
use crate::prepare::{AnnotateGiveUp, NoAnnotation, NoPrepare, PrepareAttempt};

/// The hooks of a layer: the predicate `R`, the preparation `P` and the annotation `A`.
///
/// Named only where the type of a layer with hooks is written out.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks<R = DefaultDecision, P = NoPrepare, A = NoAnnotation> {
    pub(crate) predicate: R,
    pub(crate) prepare: P,
    pub(crate) annotate: A,
}

impl Hooks {
    /// The hooks that do nothing.
    pub const NONE: Self = Self {
        predicate: DefaultDecision,
        prepare: NoPrepare,
        annotate: NoAnnotation,
    };
}

/// What [`Hooks`] are for requests and results of given types; implemented for them alone.
#[doc(hidden)]
pub trait Hook<Req, Res, Err>: sealed::Sealed {
    /// The predicate.
    type Predicate: RetryPredicate<Req, Res, Err>;
    /// The preparation.
    type Prepare: PrepareAttempt<Req, Err>;
    /// The annotation.
    type Annotate: AnnotateGiveUp<Res, Err>;

    /// The predicate.
    fn predicate(&self) -> &Self::Predicate;
    /// The preparation.
    fn prepare(&self) -> &Self::Prepare;
    /// The annotation.
    fn annotate(&self) -> &Self::Annotate;
}

impl<R, P, A, Req, Res, Err> Hook<Req, Res, Err> for Hooks<R, P, A>
where
    R: RetryPredicate<Req, Res, Err>,
    P: PrepareAttempt<Req, Err>,
    A: AnnotateGiveUp<Res, Err>,
{
    type Predicate = R;
    type Prepare = P;
    type Annotate = A;

    fn predicate(&self) -> &R {
        &self.predicate
    }

    #[inline]
    fn prepare(&self) -> &P {
        &self.prepare
    }

    fn annotate(&self) -> &A {
        &self.annotate
    }
}

/// What the predicate of hooks remembers of a call.
pub(crate) type StateOf<H, Req, Res, Err> =
    <<H as Hook<Req, Res, Err>>::Predicate as RetryPredicate<Req, Res, Err>>::State;
/// What the predicate of hooks waits with.
pub(crate) type WaitOf<H, Req, Res, Err> =
    <<H as Hook<Req, Res, Err>>::Predicate as RetryPredicate<Req, Res, Err>>::Wait;

mod sealed {
    #[allow(unnameable_types, reason = "nobody else implements `Hook`")]
    pub trait Sealed {}
    impl<R, P, A> Sealed for super::Hooks<R, P, A> {}
}
