//! A circuit from outside: read and control.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{
    EventKind, EventSource, InstanceHandle, InstanceName, InvalidConfig, Samples, ns,
};

use crate::access::{Access, CircuitRef, Single};
use crate::config::{BreakerConfig, settings};
use crate::control::Control;
use crate::counts::{CircuitCounts, CircuitSnapshot};
use crate::state_change::StateChange;
use crate::state_word::CircuitState;
use crate::transition::Explanation;

/// The handle of the circuit of a [`BreakerLayer`](crate::BreakerLayer).
pub type BreakerHandle = CircuitHandle<Single>;

/// Reads and controls one circuit, from any thread, without async. Clones share.
///
/// The circuit is that of a [`BreakerLayer`](crate::BreakerLayer), or that of a key of a
/// [`BreakerRegistry`](crate::BreakerRegistry), which is not evicted while a handle lives. It can
/// also be [called through](Self::call) without a service.
///
/// A command of an operator holds until it is taken back, whatever the rules decide.
///
/// The circuit of a key has the settings of its registry, since a circuit that is made again after it
/// was evicted would not know any others: settings and shadow mode are changed by the
/// [registry](crate::BreakerRegistry::configure), which alone is registered as a handle. All else is
/// the same for both.
///
/// ```
/// use seawall_breaker::{BreakerConfig, BreakerLayer, CircuitState};
///
/// let handle = BreakerLayer::new("orders", BreakerConfig::default()).handle();
/// handle.force_open();
/// assert_eq!(handle.state(), CircuitState::ForcedOpen);
/// handle.reset();
/// assert_eq!(handle.state(), CircuitState::Closed);
/// ```
#[derive(Clone, Debug)]
pub struct CircuitHandle<D: CircuitRef = Single> {
    pub(crate) circuit: D,
}

impl<D: CircuitRef> CircuitHandle<D> {
    pub(crate) const fn new(circuit: D) -> Self {
        Self { circuit }
    }

    fn events(&self) -> &EventSource {
        &self.circuit.common().setup.breaker_events
    }

    fn commanded(&self, command: &'static str) {
        // A command to one key does not decide what passes the instance.
        match D::IS_OF_KEY {
            true => self.events().emit(|| EventKind::Commanded { command }),
            false => self.events().commanded(command),
        }
    }

    /// The name of the layer instance; the circuits of all keys have that of their registry.
    pub fn name(&self) -> InstanceName {
        self.circuit.common().setup.name()
    }

    /// The state. An open circuit whose time is over stays open until a call comes to probe.
    pub fn state(&self) -> CircuitState {
        self.circuit.common().word().state()
    }

    /// State, windows, calls in flight that are slow already, the last transitions with their
    /// causes, and counters, all of one moment.
    pub fn snapshot(&self) -> CircuitSnapshot {
        self.circuit.snapshot()
    }

    /// The counters.
    pub fn counts(&self) -> CircuitCounts {
        self.circuit.counts()
    }

    /// Why the circuit is in its state, with the figures that decided, and until when; for people
    /// to read.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerLayer};
    ///
    /// let handle = BreakerLayer::new("explained", BreakerConfig::default()).handle();
    /// handle.force_open();
    /// assert_eq!(handle.explain().to_string(), "forced_open: by an operator");
    /// ```
    pub fn explain(&self) -> Explanation {
        self.circuit.explain()
    }

    /// The settings in force.
    pub fn config(&self) -> BreakerConfig {
        BreakerConfig {
            shadow_command: None,
            ..Arc::unwrap_or_clone(self.circuit.config())
        }
    }

    /// Rejects every call until [`automatic`](Self::automatic), [`reset`](Self::reset) or
    /// [`force_closed`](Self::force_closed). Tasks that wait for an unready service are woken and
    /// rejected.
    pub fn force_open(&self) {
        self.circuit.force_open();
        self.commanded("force_open");
    }

    /// Rejects every call for `time`, and then probes; or until it is taken back before. The open
    /// time that the rules or the upstream had set is forgotten.
    pub fn force_open_for(&self, time: Duration) {
        self.circuit.command(false, |circuit, now| {
            circuit.force_open_until(now.saturating_add(ns(time)), now)
        });
        self.commanded("force_open_for");
    }

    /// Lets every call pass until [`automatic`](Self::automatic), [`reset`](Self::reset) or
    /// [`force_open`](Self::force_open); outcomes are still counted.
    pub fn force_closed(&self) {
        self.circuit.force_closed();
        self.commanded("force_closed");
    }

    /// Returns a forced circuit to its rules: one that was forced open probes, one that was forced
    /// closed is closed and keeps what it has counted. Has no effect on others.
    pub fn automatic(&self) {
        self.circuit.automatic();
        self.commanded("automatic");
    }

    /// Closes the circuit, forgets its windows and the growth of its open time, and returns it to
    /// its rules and to the shadow mode of its settings. Calls in flight no longer vote; counters and
    /// settings stay.
    pub fn reset(&self) {
        let to_settings = |config: &BreakerConfig| config.commanded(None).map(Arc::new);
        self.circuit.configure_with(to_settings);
        self.circuit.reset();
        self.commanded("reset");
    }

    /// Waits for the next change of the state, counted from this call. If more than one happens
    /// before it is polled, it is the last one.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerLayer, CircuitState};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let handle = BreakerLayer::new("watched", BreakerConfig::default()).handle();
    /// let changed = handle.state_change();
    /// handle.force_open();
    /// assert_eq!(changed.await.to, CircuitState::ForcedOpen);
    /// # }
    /// ```
    pub fn state_change(&self) -> StateChange<D> {
        StateChange::new(self.circuit.clone())
    }
}

impl BreakerHandle {
    /// Applies other settings. State, counters, the windows as far as the new settings hold them,
    /// the end of an open time and calls in flight all go on.
    ///
    /// A window of calls that shrinks keeps the newest. Calls that are in flight when `slow_after`
    /// changes are slow if they are when they end, and are not counted before.
    ///
    /// # Errors
    ///
    /// None: every [`BreakerConfig`] fits every breaker.
    pub fn configure(&self, config: BreakerConfig) -> Result<(), InvalidConfig> {
        self.circuit.configure_with(|_| Some(Arc::new(config)));
        self.events().commanded("configure");
        Ok(())
    }

    /// Turns shadow mode on or off, until [`reset`](Self::reset) or [`configure`](Self::configure): in
    /// shadow mode the circuit rejects nothing, and only counts and reports what it would have rejected.
    pub fn set_shadow(&self, on: bool) {
        self.circuit
            .configure_with(|config| config.commanded(Some(on)).map(Arc::new));
        self.events().commanded_shadow(on);
    }
}

impl InstanceHandle for BreakerHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.events().pattern(),
        state: Self::state(this).as_str(),
        attach: this.circuit.common().setup,
        commands: [Block => force_open, Bypass => force_closed, Reset => reset, Resume => automatic, ShadowOn => set_shadow(true), ShadowOff => set_shadow(false)],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.snapshot().samples(&self.circuit.transitions(), sink);
        thresholds(&self.circuit.config(), sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = settings(&self.circuit.config());
        settings.extend(self.events().classifier_setting());
        settings
    }
}

/// Hands the shares that open the circuit to `sink`, by the window that they are taken over.
fn thresholds(config: &BreakerConfig, sink: &mut Samples<'_>) {
    const FAILURES: &str = "seawall_breaker_failure_threshold_ratio";
    const SLOW: &str = "seawall_breaker_slow_threshold_ratio";
    for (metric, window, share) in [
        (
            FAILURES,
            "calls",
            config.failure_rate().map(|rule| rule.share),
        ),
        (
            FAILURES,
            "time",
            config.failure_rate_over().map(|rule| rule.share),
        ),
        (
            SLOW,
            "slow_calls",
            config.slow_rate().map(|rule| rule.share),
        ),
        (SLOW, "time", config.slow_rate_over().map(|rule| rule.share)),
    ] {
        if let Some(share) = share {
            sink.gauge(metric, &[("window", window)], share);
        }
    }
}
