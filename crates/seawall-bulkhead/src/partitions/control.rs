//! What operators change and read.

use seawall_core::PartitionKey;

use super::config::{PartitionConfig, PartitionShare};
use super::permits::PartitionPermits;
use crate::mode::Mode;

impl PartitionPermits {
    /// Another limit, other shares and no others: keys that are not in `config` are not named.
    pub(crate) fn configure(&mut self, config: PartitionConfig) {
        self.mode.configure(config.shadow());
        self.config = config;
        self.apply_config();
    }

    /// Ends every command, and goes back to the limit and the shares that were configured last.
    pub(crate) fn reset(&mut self) {
        self.mode = Mode::new(self.config.shadow());
        self.apply_config();
    }

    /// Goes back to the limit and the shares that were configured last.
    pub(crate) fn apply_config(&mut self) {
        let config = self.config.clone();
        self.limit = config.max_concurrent();
        let keys: Vec<_> = self.partitions.keys().copied().collect();
        for key in keys {
            self.change(key, |partition| {
                partition.named = false;
                partition.share = config.default_share();
            });
        }
        for (key, share) in config.shares() {
            self.name(*key, *share);
        }
    }

    pub(crate) const fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Names a key, or gives it another share.
    pub(crate) fn set_share(&mut self, key: PartitionKey, share: PartitionShare) {
        self.name(key, share);
    }

    pub(crate) const fn config(&self) -> &PartitionConfig {
        &self.config
    }

    seawall_core::getters! {
        pub(crate) const fn limit -> u32;

        pub(crate) const fn mode -> Mode;

        pub(crate) const fn in_flight -> u32;

        pub(crate) const fn queue_depth -> usize;
    }

    /// The shares of the named keys.
    pub(crate) fn named(&self) -> impl Iterator<Item = (PartitionKey, &PartitionShare)> {
        let named = self.partitions.iter().filter(|(_, p)| p.named);
        named.map(|(key, partition)| (*key, &partition.share))
    }

    /// Keys that have a call or a name: calls in flight, calls that wait.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (PartitionKey, u32, usize)> {
        let partitions = self.partitions.iter();
        partitions.map(|(key, p)| (*key, p.in_flight, p.queue_depth))
    }
}
