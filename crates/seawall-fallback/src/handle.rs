//! Reads and controls from outside.

use std::sync::Arc;

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples};

use crate::FallbackConfig;
use crate::counts::{FallbackCounts, StepCounts};
use crate::state::Core;

/// Reads and controls a fallback and all its services, from any thread. Clones share.
///
/// ```
/// use seawall_core::Registry;
/// use seawall_fallback::{FallbackConfig, FallbackLayer, Step};
///
/// let hold: Step<String, &'static str> = Step::value("hold", "HOLD");
/// let layer = FallbackLayer::new("opinion", FallbackConfig::default(), [hold])?;
/// let registry = Registry::new("models");
/// registry.register(layer.handle())?;
///
/// layer.handle().set_read_only(true);
/// assert_eq!(layer.handle().snapshot().state.as_str(), "read_only");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FallbackHandle {
    core: Arc<Core>,
}

seawall_core::state_words! {
    /// What a fallback does at one moment.
    pub enum FallbackState {
        /// Calls that fail are answered.
        Ok = "ok",
        /// And calls that are not safe to repeat are rejected.
        ReadOnly = "read_only",
        /// No call is answered: an operator has switched that off.
        Bypassed = "bypassed",
        /// Both: no call is answered, and those that are not safe to repeat are rejected.
        ReadOnlyBypassed = "read_only_bypassed",
    }
}

/// Everything that a [`FallbackHandle`] knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FallbackSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does.
    pub state: FallbackState,
    /// What became of calls that failed.
    pub counts: FallbackCounts,
    /// The steps, in their order.
    pub steps: Vec<StepSnapshot>,
    /// How many calls are in steps that take time.
    pub running: u32,
}

/// What is known of a step.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StepSnapshot {
    /// Its name.
    pub name: InstanceName,
    /// What it is: `"value"`, `"function"`, `"async_function"`, `"backup"` or `"last_good"`.
    pub kind: &'static str,
    /// What became of the calls that it was asked for.
    pub counts: StepCounts,
    /// Of how many keys it has the last good answer.
    pub keys: Option<usize>,
}

impl FallbackHandle {
    pub(crate) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.core.source.name()
    }

    /// The settings in force.
    pub fn config(&self) -> FallbackConfig {
        self.core.config()
    }

    /// Changes the settings, for steps that begin from now on. What was learned is kept.
    ///
    /// # Errors
    ///
    /// None today: settings are checked when they are made.
    pub fn configure(&self, config: FallbackConfig) -> Result<(), InvalidConfig> {
        self.core.configure(config);
        self.core.source.commanded("configure");
        Ok(())
    }

    /// Turns the read-only mode on or off: while it is on, calls that are neither
    /// [`Replay::Safe`](seawall_core::Replay::Safe) nor `SafeWithEffect`, a cancel, are rejected as
    /// [`Paused`](seawall_core::Reason::Paused). Others pass, and are answered by a step where they fail.
    ///
    /// It is a mode of its own beside a [bypass](Self::bypass): neither ends the other, and the state shows both. Only
    /// `set_read_only(false)` and [`reset`](Self::reset) turn it off.
    pub fn set_read_only(&self, on: bool) {
        self.core.set_read_only(on);
        let command = if on { "read_only_on" } else { "read_only_off" };
        self.core.source.commanded(command);
    }

    /// Answers no call, until [`resume`](Self::resume) or [`reset`](Self::reset): every result is returned as it is. What
    /// the [read-only mode](Self::set_read_only) rejects is rejected all the same, since a command about answers must
    /// not let orders through.
    pub fn bypass(&self) {
        self.core.set_bypassed(true);
        self.core.source.commanded("bypass");
    }

    /// Takes [`bypass`](Self::bypass) back, and nothing else: the [read-only mode](Self::set_read_only) stays, and so does
    /// what was learned.
    pub fn resume(&self) {
        self.core.set_bypassed(false);
        self.core.source.commanded("resume");
    }

    /// Ends a bypass and the read-only mode, and forgets the last good answers and the times of those that were
    /// returned. Nothing is learned from calls that began before. Counts stay.
    pub fn reset(&self) {
        self.core.end_all();
        self.core.forget();
        self.core.source.commanded("reset");
    }

    /// What became of calls that failed.
    pub fn counts(&self) -> FallbackCounts {
        FallbackCounts::sum([&self.core.counters])
    }

    /// Finds the handle again as long as the layer, a service or another handle is left, and keeps none of them
    /// alive.
    ///
    /// ```
    /// use seawall_fallback::{FallbackConfig, FallbackLayer, Step};
    ///
    /// let hold: Step<String, &str> = Step::value("hold", "HOLD");
    /// let layer = FallbackLayer::new("opinion", FallbackConfig::default(), [hold])?;
    /// let find = layer.handle().weak();
    /// assert_eq!(find().map(|handle| handle.name()), Some("opinion".into()));
    /// drop(layer);
    /// assert!(find().is_none());
    /// # Ok::<(), seawall_fallback::InvalidConfig>(())
    /// ```
    pub fn weak(&self) -> impl Fn() -> Option<Self> + use<> {
        let core = Arc::downgrade(&self.core);
        move || core.upgrade().map(Self::new)
    }

    /// Everything that is known now.
    pub fn snapshot(&self) -> FallbackSnapshot {
        let mode = self.core.mode();
        let steps = self.core.steps.iter().map(|step| StepSnapshot {
            name: step.name,
            kind: step.kind,
            counts: StepCounts::sum([&step.counters]),
            keys: step.memory.as_ref().map(|memory| memory.keys()),
        });
        FallbackSnapshot {
            name: self.name(),
            state: match (mode.is_read_only(), mode.is_bypassed()) {
                (false, false) => FallbackState::Ok,
                (true, false) => FallbackState::ReadOnly,
                (false, true) => FallbackState::Bypassed,
                (true, true) => FallbackState::ReadOnlyBypassed,
            },
            counts: self.counts(),
            steps: steps.collect(),
            running: self.core.running(),
        }
    }
}

impl InstanceHandle for FallbackHandle {
    seawall_core::handle_methods! { |this|
        pattern: "fallback",
        state: this.snapshot().state.as_str(),
        attach: this.core.source,
        commands: [Bypass => bypass, Resume => resume, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let snapshot = self.snapshot();
        snapshot.counts.samples(sink);
        for step in &snapshot.steps {
            for (result, count) in step.counts.by_label() {
                let labels = [("result", result), ("source", step.name.as_str())];
                sink.counter("seawall_fallback_steps_total", &labels, count);
            }
        }
        let running = f64::from(snapshot.running);
        sink.gauge("seawall_fallback_running", &[], running);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.extend(self.core.about.iter().cloned());
        settings.extend(self.core.source.classifier_setting());
        settings
    }
}

seawall_core::impl_debug!(FallbackHandle: |this| snapshot = this.snapshot());
