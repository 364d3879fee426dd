//! What an operator can command of the layers of this crate, shared by their handles.

use std::sync::atomic::{AtomicBool, Ordering};

use seawall_core::InstanceName;

seawall_core::state_words! {
    /// What a layer of this crate does now.
    #[derive(Default)]
    pub enum LayerState {
        /// It works by its settings.
        #[default]
        Active = "active",
        /// An operator has switched it off ([`Command::Bypass`](seawall_core::Command::Bypass)):
        /// calls pass as if it were not there.
        Bypassed = "bypassed",
    }
}

/// What a handle of this crate knows at one moment; `C` are the counts.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LayerSnapshot<C> {
    /// The name of the instance.
    pub name: InstanceName,
    /// Whether it works or is bypassed.
    pub state: LayerState,
    /// What was counted.
    pub counts: C,
}

impl<C> LayerSnapshot<C> {
    /// For layers of this suite.
    #[doc(hidden)]
    pub const fn new(name: InstanceName, state: LayerState, counts: C) -> Self {
        Self {
            name,
            state,
            counts,
        }
    }
}

/// Whether a layer is bypassed. Relaxed: nothing else is ordered by it. For layers of this suite.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Bypass(AtomicBool);

impl Bypass {
    /// Whether it is.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Switches it.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    /// The state in words.
    pub fn state(&self) -> LayerState {
        if self.is_on() {
            LayerState::Bypassed
        } else {
            LayerState::Active
        }
    }
}

/// The methods that the handles of this crate, and of those on top of it, have in common. Their
/// common state has the fields `name`, `events` and `bypass` and a method `set_bypass`.
#[doc(hidden)]
#[macro_export]
macro_rules! handle_methods {
    ($Counts:ty) => {
        /// The name of the instance.
        pub fn name(&self) -> seawall_core::InstanceName {
            self.state.common().name
        }

        /// Name, state and counts at this moment.
        pub fn snapshot(&self) -> $crate::LayerSnapshot<$Counts> {
            let state = self.state.common().bypass.state();
            $crate::LayerSnapshot::new(self.name(), state, self.counts())
        }

        /// Switches the layer off until [`reset`](Self::reset): calls that begin from now on pass
        /// as if it were not there.
        pub fn bypass(&self) {
            let common = self.state.common();
            common.set_bypass(true);
            common.events.commanded("bypass");
        }

        /// Ends a [`bypass`](Self::bypass): it works by its settings again. Counters are kept.
        pub fn reset(&self) {
            let common = self.state.common();
            common.set_bypass(false);
            common.events.commanded("reset");
        }
    };
}
