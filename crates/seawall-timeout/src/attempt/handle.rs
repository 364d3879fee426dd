//! Reading and control from outside.

use std::fmt;
use std::time::Duration;

use seawall_core::{Events, InstanceHandle, InstanceName, InvalidConfig, Samples};

use super::learner::Learner;
use crate::observe::{ATTEMPT, Cut, State, positive};

/// Reads and changes an attempt timeout from outside, from any thread. Clones share.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Registry;
/// use seawall_timeout::AttemptTimeoutLayer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = AttemptTimeoutLayer::new("alpaca", Duration::from_secs(5))?;
/// let registry = Registry::new("broker");
/// registry.register(layer.handle())?;
///
/// layer.handle().set_timeout(Duration::from_secs(3))?;
/// assert_eq!(layer.handle().timeout(), Duration::from_secs(3));
/// assert_eq!(layer.handle().timed_out(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AttemptTimeoutHandle {
    state: State,
}

impl AttemptTimeoutHandle {
    pub(crate) const fn new(state: State) -> Self {
        Self { state }
    }

    /// How long an attempt may take: as it was set, or as it was learned last.
    pub fn timeout(&self) -> Duration {
        let common = self.state.common();
        let set = common.after_ns();
        let learned = common.learner().map(|learner| learner.last_allowed(set));
        Duration::from_nanos(learned.unwrap_or(set))
    }

    /// The quantile that a learned timeout is made of, as it was computed last; `None` while too
    /// few answers are known, and where nothing is learned.
    pub fn estimate(&self) -> Option<Duration> {
        self.state.common().learner()?.last_estimate()
    }

    /// How many answers a learned timeout lacks; 0 where nothing is learned.
    pub fn samples_missing(&self) -> u32 {
        self.state
            .common()
            .learner()
            .map_or(0, Learner::samples_missing)
    }

    /// Forgets what was learned: attempts may take the initial timeout until enough is known
    /// again. For an upstream that was moved or replaced.
    pub fn reset(&self) {
        if let Some(learner) = self.state.common().learner() {
            learner.reset();
        }
    }

    /// Sets how long an attempt may take, for calls from now on; where that is learned, how long
    /// until enough is known.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when it is zero, or outside of the bounds of what is learned; the timeout
    /// stays as it was.
    pub fn set_timeout(&self, timeout: Duration) -> Result<(), InvalidConfig> {
        if let Some(learner) = self.state.common().learner() {
            learner.config().within("timeout", timeout)?;
        }
        self.state.common().set_after(positive("timeout", timeout)?);
        Ok(())
    }

    /// How many attempts took longer than an attempt may.
    pub fn timed_out(&self) -> u64 {
        self.state.common().ledger().count(Cut::Attempt)
    }

    /// How many attempts were cut off at the deadline of their request.
    pub fn deadline_exceeded(&self) -> u64 {
        self.state.common().ledger().count(Cut::Deadline)
    }

    /// How many attempts were not begun, since the deadline of their request had passed.
    pub fn expired_on_arrival(&self) -> u64 {
        self.state.common().ledger().count(Cut::Late)
    }
}

impl InstanceHandle for AttemptTimeoutHandle {
    fn pattern(&self) -> &'static str {
        ATTEMPT.name
    }

    fn name(&self) -> InstanceName {
        self.state.common().name()
    }

    fn state(&self) -> &'static str {
        "ok"
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.state.common().samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let common = self.state.common();
        let timeout = ("timeout", format!("{:?}", common.after()));
        let Some(learner) = common.learner() else {
            return vec![timeout];
        };
        let config = learner.config();
        vec![
            ("initial", timeout.1),
            ("min", format!("{:?}", config.min())),
            ("max", format!("{:?}", config.max())),
            ("quantile", config.quantile().to_string()),
            ("factor", config.factor().to_string()),
            ("window", format!("{:?}", config.window())),
            ("warm_up", config.warm_up().to_string()),
        ]
    }

    fn attach(&self, events: &Events) {
        self.state.common().attach(events);
    }
}

impl fmt::Debug for AttemptTimeoutHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptTimeoutHandle")
            .field("name", &self.name())
            .field("timeout", &self.timeout())
            .field("timed_out", &self.timed_out())
            .finish_non_exhaustive()
    }
}
