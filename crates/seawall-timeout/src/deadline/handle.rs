//! Reading and control from outside.

use std::fmt;
use std::time::Duration;

use seawall_core::{Events, InstanceHandle, InstanceName, InvalidConfig, Samples};

use crate::observe::{Cut, DEADLINE, State, positive};

/// Reads and changes an overall deadline from outside, from any thread. Clones share.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Registry;
/// use seawall_timeout::DeadlineLayer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = DeadlineLayer::new("alpaca", Duration::from_secs(5))?;
/// let registry = Registry::new("broker");
/// registry.register(layer.handle())?;
///
/// layer.handle().set_timeout(Duration::from_secs(3))?;
/// assert_eq!(layer.handle().timeout(), Duration::from_secs(3));
/// assert_eq!(layer.handle().timed_out(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DeadlineHandle {
    state: State,
}

impl DeadlineHandle {
    pub(crate) const fn new(state: State) -> Self {
        Self { state }
    }

    /// How long a call may take.
    pub fn timeout(&self) -> Duration {
        self.state.common().after()
    }

    /// Sets how long a call may take, for calls from now on.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when it is zero; the limit stays as it was.
    pub fn set_timeout(&self, timeout: Duration) -> Result<(), InvalidConfig> {
        self.state.common().set_after(positive("total", timeout)?);
        Ok(())
    }

    /// How many calls were cut off while the inner service worked.
    pub fn timed_out(&self) -> u64 {
        self.state.common().ledger().count(Cut::Deadline)
    }

    /// How many calls were rejected, since the deadline that their request came with had passed.
    pub fn expired_on_arrival(&self) -> u64 {
        self.state.common().ledger().count(Cut::Late)
    }

    /// How many calls were rejected, since the inner service was not ready in time.
    pub fn readiness_timeouts(&self) -> u64 {
        self.state.common().ledger().count(Cut::Readiness)
    }
}

impl InstanceHandle for DeadlineHandle {
    fn pattern(&self) -> &'static str {
        DEADLINE.name
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
        vec![("total", format!("{:?}", self.timeout()))]
    }

    fn attach(&self, events: &Events) {
        self.state.common().attach(events);
    }
}

impl fmt::Debug for DeadlineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineHandle")
            .field("name", &self.name())
            .field("total", &self.timeout())
            .field("timed_out", &self.timed_out())
            .finish_non_exhaustive()
    }
}
