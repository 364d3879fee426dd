//! A partitioned bulkhead from outside.

use seawall_core::{
    EventSource, InstanceHandle, InstanceName, InvalidConfig, NonZeroCount, PartitionKey, Samples,
};

use super::config::{PartitionConfig, PartitionShare, check_guarantees};
use super::permits::PartitionPermits;
use super::state::{PartitionCallState, SharedPartitions};
use crate::commands::{FlagChange, commands};
use crate::counts::BulkheadCounts;
use crate::keyed::{KeyedPermits, KeyedSupply};
use crate::semaphore::packed::{BYPASS, SHADOW};
use crate::snapshot::BulkheadState;

/// Reads and controls a partitioned bulkhead from any thread, without being part of any call.
///
/// It keeps the state alive, not the services. Its commands are for all keys together; what one key
/// may have is its share: [`set_share`](Self::set_share).
///
/// ```
/// use seawall_bulkhead::BulkheadState;
/// use seawall_bulkhead::partitions::{PartitionConfig, PartitionedBulkheadLayer};
///
/// let config = PartitionConfig::builder().max_concurrent(40).build()?;
/// let handle = PartitionedBulkheadLayer::new("orders", config).handle();
/// handle.pause();
/// assert_eq!(handle.snapshot().state, BulkheadState::Paused);
/// handle.resume();
/// assert_eq!(handle.snapshot().state, BulkheadState::Ok);
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct PartitionHandle {
    state: SharedPartitions,
}

impl PartitionHandle {
    pub(crate) const fn new(state: SharedPartitions) -> Self {
        Self { state }
    }

    fn permits(&self) -> &KeyedPermits<PartitionPermits> {
        &self.state.common().permits
    }

    fn source(&self) -> &EventSource {
        &self.state.common().source
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.source().name()
    }

    /// The settings in force, the shares in no order.
    pub fn config(&self) -> PartitionConfig {
        self.permits().read(|permits| {
            let shares = permits.named();
            let shares = shares.map(|(key, share)| (key, *share)).collect();
            let shadow = permits.mode().has(SHADOW);
            permits.config().in_force(permits.limit(), shadow, shares)
        })
    }

    /// Changes the settings while calls run: the limit, all shares, and the `max_wait` of calls
    /// that come. Calls keep their permits and their rank in the queue; a key that `config` does
    /// not name has the default share.
    ///
    /// # Errors
    ///
    /// None today: a [`PartitionConfig`] is valid.
    pub fn configure(&self, config: PartitionConfig) -> Result<(), InvalidConfig> {
        self.permits().update(|permits| permits.configure(config));
        self.source().commanded("configure");
        Ok(())
    }

    /// Back to automatic: ends [`pause`](Self::pause), [`drain`](Self::drain),
    /// [`set_shadow`](Self::set_shadow) and what a registry has commanded, and goes back to the limit
    /// and the shares of the last configuration. Calls and counters stay.
    pub fn reset(&self) {
        self.permits().update(PartitionPermits::reset);
        self.source().commanded("reset");
    }

    /// How many calls of all keys hold a permit now.
    pub fn in_flight(&self) -> u32 {
        self.permits().read(PartitionPermits::in_flight)
    }

    /// How many calls of all keys wait for a permit now.
    pub fn queue_depth(&self) -> usize {
        self.permits().read(PartitionPermits::queue_depth)
    }

    /// What became of the calls of all keys so far.
    pub fn counts(&self) -> BulkheadCounts {
        BulkheadCounts::sum(self.state.stripes())
    }

    /// Everything at one moment, with every key that has a call or a share of its own. Allocates,
    /// and takes as long under the lock as there are keys.
    pub fn snapshot(&self) -> PartitionSnapshot {
        self.permits().read(|permits| {
            let keys = permits.keys();
            let keys = keys.map(|(key, in_flight, queue_depth)| KeySnapshot {
                key,
                in_flight,
                queue_depth,
            });
            PartitionSnapshot {
                name: self.name(),
                state: state_of(permits),
                limit: permits.limit(),
                in_flight: permits.in_flight(),
                queue_depth: permits.queue_depth(),
                shadow: permits.mode().has(SHADOW | BYPASS),
                keys: keys.collect(),
                counts: self.counts(),
            }
        })
    }

    /// Changes the limit of all keys together; see
    /// [`BulkheadHandle::set_limit`](crate::BulkheadHandle::set_limit).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0, or less than what is guaranteed.
    pub fn set_limit(&self, max_concurrent: u32) -> Result<(), InvalidConfig> {
        NonZeroCount::check("max_concurrent", max_concurrent)?;
        self.permits().update(|permits| {
            let named = permits.named().map(|(_, share)| share);
            check_guarantees(max_concurrent, named)?;
            permits.set_limit(max_concurrent);
            Ok(())
        })?;
        self.source().commanded("set_limit");
        Ok(())
    }

    /// Gives a key another share, or one of its own. No call loses its permit.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the share is impossible, or guarantees more than there is.
    pub fn set_share(&self, key: PartitionKey, share: PartitionShare) -> Result<(), InvalidConfig> {
        share.check()?;
        self.permits().update(|permits| {
            let others = permits.named().filter(|(of, _)| *of != key);
            let all = others.map(|(_, share)| share).chain([&share]);
            check_guarantees(permits.limit(), all)?;
            permits.set_share(key, share);
            Ok(())
        })?;
        self.source().commanded("set_share");
        Ok(())
    }

    fn change(&self, change: FlagChange) {
        self.permits().update(|permits| permits.command(change));
    }

    fn drains(&self) -> PartitionCallState {
        self.state.local()
    }
}

fn state_of(permits: &PartitionPermits) -> BulkheadState {
    let (in_flight, waiting) = (permits.in_flight(), permits.queue_depth());
    BulkheadState::with(permits.mode(), in_flight, permits.limit(), waiting)
}

commands!(PartitionHandle);

/// [`Block`](seawall_core::Command::Block) is [`pause`](PartitionHandle::pause);
/// [`Bypass`](seawall_core::Command::Bypass) lets every call pass as in shadow mode, until another
/// command; [`Reset`](seawall_core::Command::Reset) is [`reset`](PartitionHandle::reset).
impl InstanceHandle for PartitionHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.source().pattern(),
        state: this.permits().read(state_of).as_str(),
        attach: this.source(),
        commands: [Block => pause, Bypass => bypass, Reset => reset, Resume => resume, Drain => drain, ShadowOn => set_shadow(true), ShadowOff => set_shadow(false)],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        // Not under the lock: the sink is somebody else's code.
        let gauges = self.permits().read(|permits| {
            let limit = f64::from(permits.limit());
            [
                ("seawall_bulkhead_in_flight", f64::from(permits.in_flight())),
                ("seawall_bulkhead_queue_depth", permits.queue_depth() as f64),
                ("seawall_bulkhead_max_concurrent", limit),
                ("seawall_bulkhead_keys", permits.keys().count() as f64),
            ]
        });
        for (metric, value) in gauges {
            sink.gauge(metric, &[], value);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.permits().read(|permits| {
            let config = permits.config();
            vec![
                ("max_concurrent", permits.limit().to_string()),
                ("max_wait", format!("{:?}", config.max_wait())),
                ("default_share", config.default_share().to_string()),
                ("shares", permits.named().count().to_string()),
                ("shadow", permits.mode().has(SHADOW).to_string()),
            ]
        })
    }
}

seawall_core::impl_debug!(PartitionHandle: |this| name = this.name(), snapshot = this.snapshot());

/// A partitioned bulkhead at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PartitionSnapshot {
    /// The name of the instance.
    pub name: InstanceName,
    /// What it does now.
    pub state: BulkheadState,
    /// How many calls may hold a permit at once.
    pub limit: u32,
    /// How many calls of all keys hold a permit.
    pub in_flight: u32,
    /// How many calls of all keys wait.
    pub queue_depth: usize,
    /// Whether it is in shadow mode.
    pub shadow: bool,
    /// The keys that have a call or a share of their own, in no order.
    pub keys: Vec<KeySnapshot>,
    /// What became of the calls so far.
    pub counts: BulkheadCounts,
}

impl PartitionSnapshot {
    /// What a key has; nothing, if it is not there.
    pub fn key(&self, key: PartitionKey) -> KeySnapshot {
        let found = self.keys.iter().find(|of| of.key == key);
        found.copied().unwrap_or(KeySnapshot {
            key,
            in_flight: 0,
            queue_depth: 0,
        })
    }
}

/// What one key has of a partitioned bulkhead at one moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct KeySnapshot {
    /// The key.
    pub key: PartitionKey,
    /// How many of its calls hold a permit.
    pub in_flight: u32,
    /// How many of its calls wait.
    pub queue_depth: usize,
}
