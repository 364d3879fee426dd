//! Reads and controls a throttle from outside.

use seawall_core::{EventSource, InstanceHandle, InstanceName, InvalidConfig, Samples};

use crate::state::{State, configure, counts, inspect, reset};
use crate::{
    AdaptiveThrottleConfig, AdaptiveThrottleCounts, AdaptiveThrottleSnapshot,
    AdaptiveThrottleState, ClassSnapshot, PriorityClass,
};

/// Reads and controls a throttle from any thread, without being part of any call.
///
/// It keeps the counters alive, not the services.
///
/// ```
/// use seawall_throttle::{
///     AdaptiveThrottleConfig, AdaptiveThrottleLayer, AdaptiveThrottleState,
/// };
///
/// let handle = AdaptiveThrottleLayer::new("orders", AdaptiveThrottleConfig::default()).handle();
/// assert_eq!(handle.snapshot().state, AdaptiveThrottleState::Ok);
/// // The window keeps what it has counted.
/// handle.configure(AdaptiveThrottleConfig::builder().accept_multiplier(1.1).build()?)?;
/// handle.set_shadow(true);
/// assert!(handle.snapshot().shadow);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct AdaptiveThrottleHandle {
    state: State,
}

impl AdaptiveThrottleHandle {
    pub(crate) const fn new(state: State) -> Self {
        Self { state }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.common().events.name()
    }

    /// The settings in force.
    pub fn config(&self) -> AdaptiveThrottleConfig {
        inspect(&self.state).config
    }

    /// Changes the settings, [`shadow`](AdaptiveThrottleConfig::shadow) included, from the next
    /// call on. The window keeps what it has counted, with its age: a longer window remembers
    /// longer from now on, a shorter one forgets at once what is too old for it.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `config` has another seed than the layer was made with. A config
    /// without a seed keeps that of the layer.
    pub fn configure(&self, config: AdaptiveThrottleConfig) -> Result<(), InvalidConfig> {
        configure(&self.state, config)?;
        self.events().commanded("configure");
        Ok(())
    }

    /// How likely a call of normal priority is to be rejected now, from 0 to 1; in shadow mode,
    /// how likely it would be.
    pub fn rejection_probability(&self) -> f64 {
        self.rejection_probability_of(PriorityClass::Normal)
    }

    /// How likely a call of `class` is to be rejected now, from 0 to 1.
    pub fn rejection_probability_of(&self, class: PriorityClass) -> f64 {
        inspect(&self.state).probabilities[class as usize]
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> AdaptiveThrottleCounts {
        counts(&self.state)
    }

    /// Everything at once.
    pub fn snapshot(&self) -> AdaptiveThrottleSnapshot {
        let now = inspect(&self.state);
        let classes = PriorityClass::ALL.map(|class| ClassSnapshot {
            class,
            requests: now.counted[class as usize].requests,
            accepts: now.counted[class as usize].accepts,
            rejection_probability: now.probabilities[class as usize],
        });
        AdaptiveThrottleSnapshot {
            name: self.name(),
            state: AdaptiveThrottleState::of(&now.probabilities),
            shadow: self.state.common().is_shadow(),
            classes,
            counts: self.counts(),
        }
    }

    /// Turns shadow mode on or off, until [`configure`](Self::configure) or
    /// [`reset`](Self::reset); see [`AdaptiveThrottleConfigBuilder::shadow`].
    ///
    /// [`AdaptiveThrottleConfigBuilder::shadow`]: crate::AdaptiveThrottleConfigBuilder::shadow
    pub fn set_shadow(&self, on: bool) {
        self.state.common().set_shadow(on);
        self.events().commanded_shadow(on);
    }

    /// Forgets the window, so that every call passes until the upstream rejects again, and
    /// returns to the configured shadow mode. [`counts`](Self::counts) stay.
    pub fn reset(&self) {
        reset(&self.state);
        self.events().commanded("reset");
    }

    fn bypass(&self) {
        self.state.common().set_shadow(true);
        self.events().commanded("bypass");
    }

    fn events(&self) -> &EventSource {
        &self.state.common().events
    }
}

/// [`Bypass`](seawall_core::Command::Bypass) turns shadow mode on. There is no
/// [`Block`](seawall_core::Command::Block): a throttle always lets some calls pass.
impl InstanceHandle for AdaptiveThrottleHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.state.common().events.pattern(),
        state: AdaptiveThrottleState::of(&inspect(&this.state).probabilities).as_str(),
        attach: this.state.common().events,
        commands: [Bypass => bypass, Reset => reset, ShadowOn => set_shadow(true), ShadowOff => set_shadow(false)],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let probabilities = inspect(&self.state).probabilities;
        for (class, probability) in PriorityClass::ALL.iter().zip(probabilities) {
            sink.gauge(
                "seawall_throttle_rejection_ratio",
                &[("priority", class.as_str())],
                probability,
            );
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.extend(self.events().classifier_setting());
        settings
    }
}

seawall_core::impl_debug!(AdaptiveThrottleHandle: |this|
    name = this.name(),
    rejection_probability = this.rejection_probability(),
);
