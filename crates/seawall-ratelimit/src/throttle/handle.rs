//! The throttle from outside: what it does, with which settings, and how to change that.

use std::fmt;

use seawall_core::{Command, Events, InstanceHandle, InstanceName, Samples, Unsupported};

use super::formula::CLASSES;
use super::state::{Look, State, configure, counts, inspect, reset};
use super::{AdaptiveThrottleConfig, AdaptiveThrottleCounts, PriorityClass};

/// Reads and controls a throttle from any thread, without being part of any call.
///
/// It keeps the counters alive, not the services.
///
/// ```
/// use seawall_ratelimit::{AdaptiveThrottleConfig, AdaptiveThrottleLayer};
///
/// let handle = AdaptiveThrottleLayer::new("orders", AdaptiveThrottleConfig::default()).handle();
/// assert_eq!(handle.snapshot().state, "ok");
/// // EventKind was counted stays counted.
/// handle.set_config(AdaptiveThrottleConfig::builder().accept_multiplier(1.1).build()?);
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
        self.state.common().observer.name()
    }

    /// The settings in force.
    pub fn config(&self) -> AdaptiveThrottleConfig {
        inspect(&self.state).config
    }

    /// Changes the settings, [`shadow`](AdaptiveThrottleConfig::shadow) included, from the next call on.
    /// What was counted keeps its age: a longer window remembers more from now on, a shorter one
    /// forgets. The seed of the layer stays.
    pub fn set_config(&self, config: AdaptiveThrottleConfig) {
        configure(&self.state, config);
    }

    /// How likely a call of normal priority that comes now is to be rejected, from 0 to 1. That of
    /// a layer which only watches too.
    pub fn rejection_probability(&self) -> f64 {
        self.rejection_probability_of(PriorityClass::Normal)
    }

    /// How likely a call of `class` that comes now is to be rejected, from 0 to 1.
    pub fn rejection_probability_of(&self, class: PriorityClass) -> f64 {
        inspect(&self.state).probabilities[class as usize]
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> AdaptiveThrottleCounts {
        counts(&self.state)
    }

    /// Everything at once, for people to read.
    pub fn snapshot(&self) -> AdaptiveThrottleSnapshot {
        let look = inspect(&self.state);
        let classes = PriorityClass::ALL.map(|class| ClassSnapshot {
            class,
            requests: look.counted[class as usize].requests,
            accepts: look.counted[class as usize].accepts,
            rejection_probability: look.probabilities[class as usize],
        });
        AdaptiveThrottleSnapshot {
            state: look.state(),
            classes,
            counts: self.counts(),
            shadow: self.state.common().is_shadow(),
        }
    }

    /// Whether the layer only watches, see [`AdaptiveThrottleConfigBuilder::shadow`].
    ///
    /// [`AdaptiveThrottleConfigBuilder::shadow`]: crate::AdaptiveThrottleConfigBuilder::shadow
    pub fn set_shadow(&self, on: bool) {
        self.state.common().set_shadow(on);
    }

    /// Forgets the window, so that everything passes until there is reason again. The totals of
    /// [`counts`](Self::counts) stay.
    pub fn reset(&self) {
        reset(&self.state);
    }
}

impl Look {
    fn state(&self) -> &'static str {
        if self.probabilities == [0.0; CLASSES] {
            "ok"
        } else {
            "throttling"
        }
    }
}

/// A throttle at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveThrottleSnapshot {
    /// `"ok"` or `"throttling"`.
    pub state: &'static str,
    /// What the window has of each class of priority, the first to go first.
    pub classes: [ClassSnapshot; 4],
    /// What became of the calls since the layer was made.
    pub counts: AdaptiveThrottleCounts,
    /// Whether the layer only watches.
    pub shadow: bool,
}

/// One class of priority in the window.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassSnapshot {
    /// The class.
    pub class: PriorityClass,
    /// Requests whose answer is known, and those that this layer has rejected.
    pub requests: u64,
    /// Those of them that the upstream has accepted.
    pub accepts: u64,
    /// How likely the next one is to be rejected, from 0 to 1.
    pub rejection_probability: f64,
}

impl InstanceHandle for AdaptiveThrottleHandle {
    fn pattern(&self) -> &'static str {
        self.state.common().observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// `"ok"` while everything passes, `"throttling"` while calls of some class may be rejected.
    fn state(&self) -> &'static str {
        inspect(&self.state).state()
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let probabilities = inspect(&self.state).probabilities;
        for (class, probability) in PriorityClass::ALL.iter().zip(probabilities) {
            sink.gauge(
                "seawall_throttle_rejection_probability",
                &[("priority", class.as_str())],
                probability,
            );
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.config().settings()
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.state.common().observer.attach(events);
    }

    /// [`Bypass`](Command::Bypass) lets everything pass and only watches,
    /// [`Reset`](Command::Reset) ends that and forgets the window. There is no
    /// [`Block`](Command::Block): a throttle always lets some calls pass.
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match command {
            Command::Bypass => self.set_shadow(true),
            Command::Reset => {
                self.reset();
                self.set_shadow(self.config().shadow());
            }
            command => {
                return Err(Unsupported {
                    pattern: InstanceHandle::pattern(self),
                    command,
                });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for AdaptiveThrottleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleHandle")
            .field("name", &self.name())
            .field("rejection_probability", &self.rejection_probability())
            .finish_non_exhaustive()
    }
}
