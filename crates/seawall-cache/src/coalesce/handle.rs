//! Reads and controls from outside.

use std::sync::Arc;

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples};

use super::state::State;
use crate::{CoalesceConfig, CoalesceCounts};

/// Reads and controls a layer that coalesces and all its services, from any thread. Clones share.
///
/// ```
/// use seawall_cache::{CoalesceConfig, CoalesceHandle, CoalesceLayer};
///
/// let layer = CoalesceLayer::new("quotes", CoalesceConfig::default());
/// let handle: CoalesceHandle<String, f64, seawall_core::Error<std::io::Error>> = layer.handle();
/// assert_eq!(handle.snapshot().waiting, 0);
/// ```
pub struct CoalesceHandle<K, V, E> {
    state: Arc<State<K, V, E>>,
}

seawall_core::state_words! {
    /// What a layer that coalesces does at one moment.
    pub enum CoalesceState {
        /// Callers of one key share a call.
        Ok = "ok",
        /// An operator has switched it off: every caller makes its own call.
        Bypassed = "bypassed",
    }
}

/// Everything that a [`CoalesceHandle`] knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CoalesceSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does.
    pub state: CoalesceState,
    /// What it did so far.
    pub counts: CoalesceCounts,
    /// Calls whose answer others may share.
    pub under_way: usize,
    /// Callers that wait for the call of another one.
    pub waiting: usize,
}

impl<K, V, E> CoalesceHandle<K, V, E> {
    pub(crate) const fn new(state: Arc<State<K, V, E>>) -> Self {
        Self { state }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.events.name()
    }

    /// The settings.
    pub fn config(&self) -> CoalesceConfig {
        self.state.config()
    }

    /// Changes the settings of every service of the layer, while it is used. A waiter waits for as long as was
    /// right when it began.
    ///
    /// # Errors
    ///
    /// None at present: a [`CoalesceConfig`] is valid by construction.
    pub fn configure(&self, config: CoalesceConfig) -> Result<(), InvalidConfig> {
        self.state.configure(config);
        self.state.events.commanded("configure");
        Ok(())
    }

    /// Switches the layer off until [`resume`](Self::resume) or [`reset`](Self::reset): every caller makes its
    /// own call. Those that wait go on waiting.
    pub fn bypass(&self) {
        self.state.set_bypassed(true);
        self.state.events.commanded("bypass");
    }

    /// Takes [`bypass`](Self::bypass) back.
    pub fn resume(&self) {
        self.state.set_bypassed(false);
        self.state.events.commanded("resume");
    }

    /// Takes [`bypass`](Self::bypass) back. The counters stay.
    pub fn reset(&self) {
        self.state.set_bypassed(false);
        self.state.events.commanded("reset");
    }

    /// What the layer did so far.
    pub fn counts(&self) -> CoalesceCounts {
        CoalesceCounts::sum(self.state.stripes.iter())
    }

    /// Everything at once.
    pub fn snapshot(&self) -> CoalesceSnapshot {
        CoalesceSnapshot {
            name: self.name(),
            state: self.state(),
            counts: self.counts(),
            under_way: self.state.calls.len(),
            waiting: self.state.calls.waiting(),
        }
    }

    /// Finds the handle again as long as the layer, a service or another handle is left, and keeps none of them
    /// alive.
    ///
    /// ```
    /// use seawall_cache::{CoalesceConfig, CoalesceLayer};
    ///
    /// let layer: CoalesceLayer<_, String, f64, ()> = CoalesceLayer::new("quotes", CoalesceConfig::default());
    /// let find = layer.handle().weak();
    /// assert_eq!(find().map(|handle| handle.name()), Some("quotes".into()));
    /// drop(layer);
    /// assert!(find().is_none());
    /// ```
    pub fn weak(&self) -> impl Fn() -> Option<Self> + use<K, V, E> {
        let state = Arc::downgrade(&self.state);
        move || state.upgrade().map(Self::new)
    }

    fn state(&self) -> CoalesceState {
        match self.state.is_bypassed() {
            true => CoalesceState::Bypassed,
            false => CoalesceState::Ok,
        }
    }
}

impl<K, V, E> Clone for CoalesceHandle<K, V, E> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state))
    }
}

seawall_core::impl_debug!(CoalesceHandle<K, V, E>: |this|
    name = this.name(),
    config = this.config(),
);

/// A layer that coalesces has nothing to [block](seawall_core::Command::Block) with.
impl<K, V, E> InstanceHandle for CoalesceHandle<K, V, E>
where
    K: Send + Sync,
    V: Send + Sync,
    E: Send + Sync,
{
    seawall_core::handle_methods! { |this|
        pattern: "coalesce",
        state: this.state().as_str(),
        attach: this.state.events,
        commands: [Bypass => bypass, Resume => resume, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let waiting = self.state.calls.waiting();
        sink.gauge("seawall_coalesce_waiting", &[], waiting as f64);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.extend(self.state.events.classifier_setting());
        settings
    }
}
