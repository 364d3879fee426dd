//! Faults that somebody has started.

use std::sync::Arc;

use crate::ChaosCounts;
use crate::active::Active;
use crate::state::State;

/// Faults that were started, and end with this value: those of an experiment go when it is dropped,
/// however it ends. Others of the same layer stay as they are.
///
/// ```
/// use seawall_chaos::{ChaosConfig, ChaosLayer, ChaosState, Fault};
///
/// # fn main() -> Result<(), seawall_core::InvalidConfig> {
/// # if !cfg!(feature = "inject") { return Ok(()) }
/// let handle = ChaosLayer::new("broker", ChaosConfig::default()).handle();
/// let by_an_operator = handle.start(Fault::hang())?.detach();
/// let experiment = handle.start(Fault::refused_connection())?;
/// drop(experiment);
/// assert_eq!(handle.snapshot().injections.len(), 1);
/// assert!(handle.stop(by_an_operator));
/// assert_eq!(handle.state(), ChaosState::Off);
/// # Ok(()) }
/// ```
#[must_use = "the faults end when this is dropped; `detach` lets them go on"]
#[derive(Debug)]
pub struct Injection {
    state: Arc<State>,
    active: Arc<Active>,
    ends_on_drop: bool,
}

/// Which faults were started: see [`Injection::detach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InjectionId(pub(crate) u64);

impl InjectionId {
    /// The number of the start, as in [`InjectionSnapshot`](crate::InjectionSnapshot).
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The start of that number: of this layer, from a snapshot.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl Injection {
    pub(crate) const fn new(state: Arc<State>, active: Arc<Active>) -> Self {
        Self {
            state,
            active,
            ends_on_drop: true,
        }
    }

    /// Which one it is.
    pub fn id(&self) -> InjectionId {
        InjectionId(self.active.id)
    }

    /// The seed by which the faults are drawn.
    pub fn seed(&self) -> u64 {
        self.active.seed
    }

    /// Whether the faults are on: neither stopped nor past their time.
    pub fn is_on(&self) -> bool {
        !self.active.is_over()
    }

    /// Whether somebody has ended the faults before their time was over: by this value, by the
    /// [handle](crate::ChaosHandle), or by a command.
    pub fn is_stopped_early(&self) -> bool {
        self.active.is_stopped_early()
    }

    /// The calls since the start, hit or not.
    pub fn calls(&self) -> u64 {
        self.active.calls()
    }

    /// What was injected since the start; also afterwards.
    pub fn counts(&self) -> ChaosCounts {
        ChaosCounts::sum([&self.active.counters])
    }

    /// Ends the faults now, the waits of calls under way included, and returns what was injected.
    pub fn stop(self) -> ChaosCounts {
        self.state.stop(self.active.id);
        self.counts()
    }

    /// Lets the faults go on until they are [stopped](crate::ChaosHandle::stop), or their time is
    /// over.
    pub fn detach(mut self) -> InjectionId {
        self.ends_on_drop = false;
        self.id()
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        if self.ends_on_drop {
            self.state.stop(self.active.id);
        }
    }
}
