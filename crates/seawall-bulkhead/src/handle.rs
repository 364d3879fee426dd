//! The bulkhead from outside: what it does, with which settings, and how to change that.

use std::task::Waker;
use std::time::Duration;

use crate::commands::{FlagChange, commands};
use crate::config::BulkheadConfig;
use crate::counts::BulkheadCounts;
use crate::drain::Drains;
use crate::limit_algorithm::InstalledAlgorithm;
use crate::semaphore::packed::{BYPASS, DRAINING, HELD, PAUSED, SHADOW};
use crate::semaphore::{Semaphore, Usage};
use crate::snapshot::{BulkheadSnapshot, BulkheadState};
use crate::state::SharedState;
use seawall_core::{
    EventSource, InstanceHandle, InstanceName, InvalidConfig, NonZeroCount, Samples,
};

/// Reads and controls a bulkhead from any thread, without being part of any call.
///
/// It keeps the state alive, not the services.
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer, BulkheadState};
///
/// let handle = BulkheadLayer::new("orders", BulkheadConfig::default()).handle();
/// // The upstream is weak today: 10 at once instead of 50. Calls in flight go on.
/// handle.set_limit(10)?;
/// assert_eq!(handle.snapshot().limit, 10);
///
/// handle.pause();
/// assert_eq!(handle.snapshot().state, BulkheadState::Paused);
/// handle.reset();
/// assert_eq!(handle.snapshot().limit, 50);
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct BulkheadHandle {
    state: SharedState,
}

impl BulkheadHandle {
    pub(crate) const fn new(state: SharedState) -> Self {
        Self { state }
    }

    fn semaphore(&self) -> &Semaphore {
        &self.state.common().semaphore
    }

    fn usage(&self) -> Usage {
        let common = self.state.common();
        common.semaphore.usage(common.clock.now())
    }

    fn source(&self) -> &EventSource {
        &self.state.common().source
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.source().name()
    }

    /// The settings in force; `max_concurrent` is the [limit](Self::limit) of this moment, and so is
    /// shadow mode.
    pub fn config(&self) -> BulkheadConfig {
        self.state.common().config()
    }

    /// How many calls may hold a permit at once.
    pub fn limit(&self) -> u32 {
        self.semaphore().limit()
    }

    /// How many calls hold a permit now. More than the limit for a while when that was lowered, and
    /// in shadow mode. Takes the lock of the queue for a moment.
    pub fn in_flight(&self) -> u32 {
        self.usage().in_flight
    }

    /// How many calls wait for a permit now. Takes the lock of the queue for a moment.
    pub fn queue_depth(&self) -> usize {
        self.usage().queue_depth
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> BulkheadCounts {
        BulkheadCounts::sum(self.state.stripes())
    }

    /// Everything at one moment.
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let usage = self.usage();
        let algorithm = self.state.common().algorithm.get();
        let measured = algorithm.and_then(InstalledAlgorithm::mean_hold_ns);
        BulkheadSnapshot {
            name: self.name(),
            state: self.state_of(&usage),
            limit: usage.limit,
            in_flight: usage.in_flight,
            available: usage.available(),
            queue_depth: usage.queue_depth,
            peak_in_flight: usage.peak,
            utilization: f64::from(usage.in_flight) / f64::from(usage.limit),
            mean_hold: measured.or(usage.mean_hold_ns).map(Duration::from_nanos),
            shadow: self.semaphore().has(SHADOW | BYPASS),
            counts: self.counts(),
        }
    }

    /// Counts [the most that were in flight at once](BulkheadSnapshot::peak_in_flight) from now on.
    pub fn reset_peak(&self) {
        self.semaphore().reset_peak();
        self.source().commanded("reset_peak");
    }

    /// Changes the limit, and nothing else. New permits go to queued calls. A lower limit stops no
    /// call: those in flight go on, and until enough of them have ended, none is admitted. A
    /// [`LimitAlgorithm`](crate::LimitAlgorithm) goes on from there.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0; to admit no call, [pause](Self::pause).
    pub fn set_limit(&self, max_concurrent: u32) -> Result<(), InvalidConfig> {
        NonZeroCount::check("max_concurrent", max_concurrent)?;
        self.state.common().set_limit(max_concurrent);
        self.source().commanded("set_limit");
        Ok(())
    }

    /// For the handle of a [`LimitAlgorithm`](crate::LimitAlgorithm) when its own settings were
    /// changed: moves the limit to `limit`, at least 1, and emits the command as `"configure"`.
    pub fn algorithm_configured(&self, limit: u32) {
        if limit != self.limit() {
            self.state.common().set_limit(limit.max(1));
        }
        self.source().commanded("configure");
    }

    /// Changes the settings while calls run. Queued calls stay queued, with their rank and the
    /// `max_wait` they came with; the new settings hold for calls that come. For the number of
    /// permits, see [`set_limit`](Self::set_limit); where a
    /// [`LimitAlgorithm`](crate::LimitAlgorithm) is installed, the limit that it has found stays.
    ///
    /// # Errors
    ///
    /// None today: a [`BulkheadConfig`] is valid.
    pub fn configure(&self, config: BulkheadConfig) -> Result<(), InvalidConfig> {
        self.state.common().configure(config);
        self.source().commanded("configure");
        Ok(())
    }

    /// Back to automatic: ends [`pause`](Self::pause), [`drain`](Self::drain),
    /// [`set_shadow`](Self::set_shadow) and [`set_limit`](Self::set_limit), and forgets the peak,
    /// the mean time for which permits are held, and what a
    /// [`LimitAlgorithm`](crate::LimitAlgorithm) has learned. The settings are those of the last
    /// configuration. Calls and counters stay.
    pub fn reset(&self) {
        self.state.common().reset();
        self.source().commanded("reset");
    }

    fn change(&self, (set, clear): FlagChange) {
        self.state.common().command(set, clear);
    }

    fn drains(&self) -> SharedState {
        self.state.clone()
    }

    fn state_of(&self, usage: &Usage) -> BulkheadState {
        if self.semaphore().has(DRAINING) {
            BulkheadState::Draining
        } else if self.semaphore().has(PAUSED) {
            BulkheadState::Paused
        } else if self.semaphore().has(BYPASS) {
            BulkheadState::Bypassed
        } else {
            BulkheadState::of(usage.in_flight, usage.limit, usage.queue_depth)
        }
    }
}

commands!(BulkheadHandle);

impl Drains for SharedState {
    fn instance(&self) -> InstanceName {
        self.common().source.name()
    }

    fn poll_idle(&self, id: &mut Option<u64>, waker: &Waker) -> bool {
        let common = self.common();
        common.semaphore.poll_idle(id, waker, common.clock.now())
    }

    fn forget_idle(&self, id: Option<u64>) {
        self.common().semaphore.forget_idle(id);
    }

    fn has_waiters(&self) -> bool {
        self.common().semaphore.has(HELD)
    }
}

/// [`Block`](seawall_core::Command::Block) is [`pause`](BulkheadHandle::pause): calls that are queued
/// wait on. [`Bypass`](seawall_core::Command::Bypass) lets every call pass as in shadow mode, until
/// another command: [`pause`](BulkheadHandle::pause), [`drain`](BulkheadHandle::drain),
/// [`resume`](BulkheadHandle::resume), [`set_shadow`](BulkheadHandle::set_shadow) or a reset. Other
/// settings do not end it.
impl InstanceHandle for BulkheadHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.source().pattern(),
        state: this.state_of(&this.usage()).as_str(),
        attach: this.source(),
        commands: [Block => pause, Bypass => bypass, Reset => reset, Resume => resume, Drain => drain, ShadowOn => set_shadow(true), ShadowOff => set_shadow(false)],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let usage = self.usage();
        let gauges = [
            ("seawall_bulkhead_in_flight", f64::from(usage.in_flight)),
            ("seawall_bulkhead_peak_in_flight", f64::from(usage.peak)),
            ("seawall_bulkhead_queue_depth", usage.queue_depth as f64),
            ("seawall_bulkhead_max_concurrent", f64::from(usage.limit)),
            (
                "seawall_bulkhead_max_waiting",
                f64::from(self.config().max_waiting()),
            ),
        ];
        for (metric, value) in gauges {
            sink.gauge(metric, &[], value);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        settings.extend(self.source().classifier_setting());
        settings
    }
}

seawall_core::impl_debug!(BulkheadHandle: |this| name = this.name(), snapshot = this.snapshot());
