//! Starts and stops faults, and reads what they did.

use std::sync::Arc;

use seawall_core::{InstanceHandle, InstanceName, InvalidConfig, Samples};
use tokio::time::Instant;

use crate::state::{INJECT, State};
use crate::{
    ChaosConfig, ChaosCounts, ChaosSnapshot, ChaosState, FaultSet, FaultSnapshot, Injection,
    InjectionId, InjectionSnapshot,
};

/// Starts and stops the faults of a chaos layer, from any thread. Clones share.
///
/// ```
/// use std::time::Duration;
/// use seawall_chaos::{ChaosConfig, ChaosLayer, Delay, Fault, FaultSet};
///
/// # fn main() -> Result<(), seawall_core::InvalidConfig> {
/// # if !cfg!(feature = "inject") { return Ok(()) }
/// let handle = ChaosLayer::new("broker", ChaosConfig::default()).handle();
/// let slow = Fault::delay(Delay::constant(Duration::from_millis(200))?).with_intensity(0.3)?;
/// let injection = handle.start(FaultSet::new([slow])?.lasts(Duration::from_secs(60))?)?;
/// assert!(injection.is_on());
/// assert_eq!(injection.stop().injected(), 0, "there was no call");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ChaosHandle {
    state: Arc<State>,
}

impl ChaosHandle {
    pub(crate) const fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state.source.name()
    }

    /// The settings.
    pub fn config(&self) -> ChaosConfig {
        self.state.config.clone()
    }

    /// Starts faults, for calls from now on, beside those that are on already. They end with the
    /// [`Injection`], or by themselves after their [time](FaultSet::lasts).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the hooks of the layer cannot make one of them (field
    /// `faults[n].kind`), the layer is [bypassed](Self::bypass) (`state`), or the crate is built without
    /// the feature `inject` (`inject`).
    pub fn start(&self, faults: impl Into<FaultSet>) -> Result<Injection, InvalidConfig> {
        let active = self.state.start(faults.into())?;
        Ok(Injection::new(Arc::clone(&self.state), active))
    }

    /// Checks what [`start`](Self::start) would, but whether the layer is bypassed: that its hooks make all of the
    /// faults.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `faults[n].kind` or `inject`, as of [`start`](Self::start).
    pub fn check(&self, faults: &FaultSet) -> Result<(), InvalidConfig> {
        self.state.check(faults)
    }

    /// Ends the faults of one start; whether they were on, `false` where their time was over already. The waits and hangs of calls under way end
    /// at once.
    pub fn stop(&self, id: InjectionId) -> bool {
        self.state.stop(id.number())
    }

    /// Ends all faults at once, those of every start, and returns how many starts of which the faults were on.
    pub fn stop_all(&self) -> usize {
        self.state.stop_all()
    }

    /// The emergency stop: ends all faults, and lets none be started until [`reset`](Self::reset).
    pub fn bypass(&self) {
        self.state.set_bypassed(true);
        self.state.source.commanded("bypass");
    }

    /// Takes [`bypass`](Self::bypass) back. It starts nothing and ends nothing.
    pub fn reset(&self) {
        self.state.set_bypassed(false);
        self.state.source.commanded("reset");
    }

    /// What the layer does.
    pub fn state(&self) -> ChaosState {
        self.state.state()
    }

    /// What was injected since the layer was made.
    pub fn counts(&self) -> ChaosCounts {
        self.state.counts()
    }

    /// Everything at once.
    pub fn snapshot(&self) -> ChaosSnapshot {
        let active = self.state.active();
        let now = (!active.is_empty()).then(Instant::now);
        let injections = active.iter().map(|active| InjectionSnapshot {
            id: active.id,
            label: active.set.name(),
            seed: active.seed,
            ends_in: active
                .ends_at
                .zip(now)
                .map(|(at, now)| at.saturating_duration_since(now)),
            calls: active.calls(),
            faults: (active.set.faults().iter())
                .map(|fault| FaultSnapshot {
                    kind: fault.kind(),
                    intensity: fault.intensity(),
                })
                .collect(),
            counts: ChaosCounts::sum([&active.counters]),
        });
        ChaosSnapshot {
            name: self.name(),
            seed: self.state.seed,
            injections: injections.collect(),
            counts: self.counts(),
            state: self.state(),
        }
    }
}

/// [`Bypass`](seawall_core::Command::Bypass) is the emergency stop, and
/// [`Reset`](seawall_core::Command::Reset) takes it back. Faults cannot be started by a command: they
/// need more than a word.
impl InstanceHandle for ChaosHandle {
    seawall_core::handle_methods! { |this|
        pattern: "chaos",
        state: this.state.state().as_str(),
        attach: this.state.source,
        commands: [Bypass => bypass, Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let injections = self.state.active().len();
        sink.gauge("seawall_chaos_injections", &[], injections as f64);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = &self.state.config;
        vec![
            ("inject", INJECT.to_string()),
            ("seed", self.state.seed.to_string()),
            (
                "simulated_upstream",
                config.simulated_upstream().to_string(),
            ),
            ("max_kept", config.max_kept().to_string()),
        ]
    }
}
