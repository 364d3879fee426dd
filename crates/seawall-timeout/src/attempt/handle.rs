//! Reading and control from outside.

use std::fmt;
use std::time::Duration;

use seawall_core::{Component, Events, InvalidConfig, Name, Sample};

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

    /// How long an attempt may take.
    pub fn timeout(&self) -> Duration {
        self.state.common().after()
    }

    /// Sets how long an attempt may take, for calls from now on.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when it is zero; the timeout stays as it was.
    pub fn set_timeout(&self, timeout: Duration) -> Result<(), InvalidConfig> {
        self.state.common().set_after(positive("timeout", timeout)?);
        Ok(())
    }

    /// How many attempts took longer than an attempt may.
    pub fn timed_out(&self) -> u64 {
        self.state.common().ledger().count(Cut::Attempt)
    }

    /// How many attempts were cut off at the deadline of their request.
    pub fn cut_at_deadline(&self) -> u64 {
        self.state.common().ledger().count(Cut::Deadline)
    }

    /// How many attempts were not begun, since the deadline of their request had passed.
    pub fn refused_late(&self) -> u64 {
        self.state.common().ledger().count(Cut::Late)
    }
}

impl Component for AttemptTimeoutHandle {
    fn pattern(&self) -> &'static str {
        ATTEMPT.name
    }

    fn name(&self) -> Name {
        self.state.common().name()
    }

    fn state(&self) -> &'static str {
        "ok"
    }

    fn samples(&self, sink: &mut dyn FnMut(Sample<'_>)) {
        self.state.common().samples(sink);
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("timeout", format!("{:?}", self.timeout()))]
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
