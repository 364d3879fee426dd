//! What is to be changed in a response.

use std::fmt;

use seawall_core::InstanceName;

use crate::decide::Draws;
use crate::effect::Effect;
use crate::fault::What;
use crate::{ClockSkew, InjectedError, Waiting};

/// A change of a response.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFault {
    /// Its body breaks off before its end.
    TruncatedBody,
    /// A byte of its body is another one.
    CorruptedBody,
    /// Each piece of its body is held back: see [`Alteration::wait`].
    SlowBody,
    /// Its timestamps are off.
    ClockSkew(ClockSkew),
}

/// A change that a fault makes in a response: for implementations of
/// [`MakeFault::alter`](crate::MakeFault::alter), which keep it for as long as the body is read.
///
/// Dropped without [`happened`](Self::happened) it counts as without effect.
pub struct Alteration {
    fault: ResponseFault,
    draws: Draws,
    effect: Effect,
    index: usize,
    name: InstanceName,
}

impl Alteration {
    pub(crate) const fn new(
        fault: ResponseFault,
        draws: Draws,
        effect: Effect,
        index: usize,
        name: InstanceName,
    ) -> Self {
        Self {
            fault,
            draws,
            effect,
            index,
            name,
        }
    }

    seawall_core::getters! {
        /// What is to be changed.
        pub const fn fault -> ResponseFault;
    }

    /// Whether the fault has ended meanwhile: then nothing more is to be changed.
    pub fn is_over(&self) -> bool {
        self.effect.active().is_over()
    }

    /// Counts the fault as injected, once: it has changed something.
    pub fn happened(&mut self) {
        self.effect.happened();
    }

    /// The error with which a body breaks off.
    pub const fn error(&self) -> InjectedError {
        InjectedError::new(self.effect.kind(), self.name)
    }

    /// The next random bits: the same ones in every run with the same seed.
    pub const fn bits(&mut self) -> u64 {
        self.draws.bits()
    }

    /// The wait before the next piece of a [slow](ResponseFault::SlowBody) body; of another fault,
    /// one that is over at once.
    pub fn wait(&mut self) -> Waiting {
        let active = self.effect.active();
        let length = match active.set.faults()[self.index].what() {
            What::SlowBody(delay) => delay.draw(&mut self.draws),
            _ => std::time::Duration::ZERO,
        };
        Waiting::new(active, Some(length))
    }
}

impl fmt::Debug for Alteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alteration")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
