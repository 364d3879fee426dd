//! The bulkhead from outside: what it does, with which settings, and how to change that.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::striped::Shared;
use seawall_core::{
    Command, Events, InstanceHandle, InstanceName, InvalidConfig, NonZeroCount, Samples,
    Unsupported,
};

use crate::observe::{Common, Stripe};
use crate::places::{Places, Reading};
use crate::word::{DRAINING, PAUSED, SHADOW};
use crate::{BulkheadConfig, BulkheadCounts};

/// Reads and controls a bulkhead from any thread, without being part of any call.
///
/// It keeps the state alive, not the services.
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
///
/// let handle = BulkheadLayer::new("orders", BulkheadConfig::default()).handle();
/// // The upstream is weak today: 10 at once instead of 50. Calls under way go on.
/// handle.set_limit(10)?;
/// assert_eq!(handle.snapshot().limit, 10);
///
/// handle.pause();
/// assert_eq!(handle.snapshot().state, "paused");
/// handle.resume();
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct BulkheadHandle {
    shared: Shared<Common, Stripe>,
}

impl BulkheadHandle {
    pub(crate) const fn new(shared: Shared<Common, Stripe>) -> Self {
        Self { shared }
    }

    fn places(&self) -> &Places {
        &self.shared.common().places
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.shared.common().observer.name()
    }

    /// The settings in force; `max_concurrent` is the [limit](Self::limit) of this moment.
    pub fn config(&self) -> BulkheadConfig {
        self.shared.common().config()
    }

    /// How many calls may hold a place at once.
    pub fn limit(&self) -> u32 {
        self.places().limit()
    }

    /// How many calls hold a place now. More than the limit for a while when that was lowered, or
    /// when the layer only watches. Takes the lock of the queue for a moment.
    pub fn in_flight(&self) -> u32 {
        self.places().reading().taken
    }

    /// How many calls wait for a place now. Takes the lock of the queue for a moment.
    pub fn queue_depth(&self) -> usize {
        self.places().reading().waiting
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> BulkheadCounts {
        let mut counts = BulkheadCounts::default();
        for stripe in self.shared.stripes() {
            stripe.add_to(&mut counts);
        }
        counts
    }

    /// Everything at once, for people to read.
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let reading = self.places().reading();
        let tuning = self.shared.common().tuning.get();
        let mean_hold = tuning.and_then(crate::tune::Tuning::mean_hold_ns);
        BulkheadSnapshot {
            state: self.state_of(&reading),
            in_flight: reading.taken,
            limit: reading.limit,
            free: reading.free(),
            waiting: reading.waiting,
            peak_in_flight: reading.peak,
            utilization: f64::from(reading.taken) / f64::from(reading.limit),
            mean_hold: mean_hold.or(reading.mean_hold_ns).map(Duration::from_nanos),
            shadow: self.places().has(SHADOW),
            counts: self.counts(),
        }
    }

    /// Forgets [the most that were in flight at once](BulkheadSnapshot::peak_in_flight): from now
    /// on it is counted anew.
    pub fn reset_peak(&self) {
        self.places().reset_peak();
    }

    /// Changes the number of places, and nothing else. New places go to those in line. A lower
    /// number waits for nobody and stops nobody: calls under way go on, and until enough of them
    /// have ended, none is let in. A [`LimitAlgorithm`](crate::LimitAlgorithm) goes on from there.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0; to let nobody in, [pause](Self::pause).
    pub fn set_limit(&self, max_concurrent: u32) -> Result<(), InvalidConfig> {
        let places = NonZeroCount::new(max_concurrent).map_err(|e| e.in_field("max_concurrent"))?;
        self.places().set_limit(places.get());
        Ok(())
    }

    /// Changes the settings. For the number of places, see [`set_limit`](Self::set_limit). Calls in line
    /// stay there, with the rank and the patience that they have; the rules of the line hold for
    /// those who come.
    pub fn configure(&self, config: BulkheadConfig) {
        self.shared.common().configure(config);
    }

    /// Lets nobody in until [`resume`](Self::resume): new calls are rejected with
    /// [`Paused`](seawall_core::Reason::Paused), those in line wait on for as long as they may, and
    /// calls under way go on.
    pub fn pause(&self) {
        self.places().command(PAUSED, 0);
    }

    /// Rejects new calls with [`Draining`](seawall_core::Reason::Draining) until
    /// [`resume`](Self::resume), and serves those in line: before a restart. See
    /// [`drained`](Self::drained) for its end.
    pub fn drain(&self) {
        self.places().command(DRAINING, 0);
    }

    /// Ends a pause and a drain.
    pub fn resume(&self) {
        self.places().command(0, PAUSED | DRAINING);
    }

    /// Waits until no call holds a place or waits for one, at any time or
    /// [for good](Self::drain).
    ///
    /// ```
    /// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let handle = BulkheadLayer::new("orders", BulkheadConfig::default()).handle();
    /// handle.drain();
    /// handle.drained().await;
    /// # }
    /// ```
    pub fn drained(&self) -> DrainFuture {
        DrainFuture {
            shared: self.shared.clone(),
            id: None,
        }
    }

    /// Makes the layer one that only watches, or one that does what it says; see
    /// [`BulkheadConfigBuilder::shadow`](crate::BulkheadConfigBuilder::shadow). Those in line go at
    /// once when it begins to watch.
    pub fn set_shadow(&self, on: bool) {
        let (set, clear) = if on { (SHADOW, 0) } else { (0, SHADOW) };
        self.places().command(set, clear);
    }

    fn state_of(&self, reading: &Reading) -> &'static str {
        if self.places().has(DRAINING) {
            "draining"
        } else if self.places().has(PAUSED) {
            "paused"
        } else if reading.waiting > 0 {
            "queueing"
        } else if reading.free() == 0 {
            "full"
        } else {
            "ok"
        }
    }
}

impl InstanceHandle for BulkheadHandle {
    fn pattern(&self) -> &'static str {
        self.shared.common().observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// `"ok"` while there is a free place, `"full"` when there is none, `"queueing"` when calls
    /// wait, be it for a place or for their own service, `"paused"` and `"draining"` when it is.
    fn state(&self) -> &'static str {
        self.state_of(&self.places().reading())
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let reading = self.places().reading();
        let gauges = [
            ("seawall_bulkhead_in_flight", f64::from(reading.taken)),
            ("seawall_bulkhead_peak_in_flight", f64::from(reading.peak)),
            ("seawall_bulkhead_queue_depth", reading.waiting as f64),
            ("seawall_bulkhead_max_concurrent", f64::from(reading.limit)),
        ];
        for (metric, value) in gauges {
            sink.gauge(metric, &[], value);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.config().settings()
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.shared.common().observer.attach(events);
    }

    /// [`Block`](Command::Block) pauses, [`Bypass`](Command::Bypass) lets
    /// everything pass and only watches, [`Reset`](Command::Reset) ends both.
    fn control(&self, command: Command) -> Result<(), Unsupported> {
        match command {
            Command::Block => {
                self.set_shadow(false);
                self.pause();
            }
            Command::Bypass => {
                self.resume();
                self.set_shadow(true);
            }
            Command::Reset => {
                self.resume();
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

impl fmt::Debug for BulkheadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reading = self.places().reading();
        f.debug_struct("BulkheadHandle")
            .field("name", &self.name())
            .field("in_flight", &reading.taken)
            .field("queue_depth", &reading.waiting)
            .finish_non_exhaustive()
    }
}

/// The state of a bulkhead at one moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BulkheadSnapshot {
    /// The state in one word, see [`BulkheadHandle`]'s [`InstanceHandle::state`].
    pub state: &'static str,
    /// How many calls hold a place.
    pub in_flight: u32,
    /// How many calls may hold a place at once.
    pub limit: u32,
    /// How many places nobody holds.
    pub free: u32,
    /// How many calls wait, be it for a place or for their own service.
    pub waiting: usize,
    /// The most that were in flight at once, since the layer was made or the last
    /// [`reset_peak`](BulkheadHandle::reset_peak).
    pub peak_in_flight: u32,
    /// Which share of the places is taken; above 1 while more are taken than there are.
    pub utilization: f64,
    /// For how long a place is held, on average: of late, if a [`LimitAlgorithm`](crate::LimitAlgorithm) has it
    /// measured; by the pace of the line, while that moves; unknown otherwise.
    pub mean_hold: Option<Duration>,
    /// Whether the layer only watches.
    pub shadow: bool,
    /// What became of the calls so far.
    pub counts: BulkheadCounts,
}

/// Waits until a bulkhead is empty; see [`BulkheadHandle::drained`]. It can be dropped at any time.
#[must_use = "futures do nothing unless polled"]
pub struct DrainFuture {
    shared: Shared<Common, Stripe>,
    id: Option<u64>,
}

impl Future for DrainFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let places = &this.shared.common().places;
        if places.watch(&mut this.id, cx.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for DrainFuture {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.shared.common().places.unwatch(self.id);
        }
    }
}

impl fmt::Debug for DrainFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained")
            .field("name", &self.shared.common().observer.name())
            .finish_non_exhaustive()
    }
}
