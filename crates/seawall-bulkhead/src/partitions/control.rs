//! What operators change and read.

use std::task::Waker;

use seawall_core::PartitionKey;

use super::config::{PartitionConfig, PartitionShare};
use super::permits::PartitionPermits;
use crate::mode::Mode;

impl PartitionPermits {
    /// Another limit, other shares and no others: keys that are not in `config` are not named.
    pub(crate) fn configure(&mut self, config: &PartitionConfig) -> Option<Waker> {
        self.limit = config.max_concurrent();
        self.default_share = config.default_share();
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
        self.next()
    }

    pub(crate) fn set_mode(&mut self, mode: Mode) -> Option<Waker> {
        self.mode = mode;
        self.next()
    }

    pub(crate) fn set_limit(&mut self, limit: u32) -> Option<Waker> {
        self.limit = limit;
        self.next()
    }

    /// Names a key, or gives it another share.
    pub(crate) fn set_share(&mut self, key: PartitionKey, share: PartitionShare) -> Option<Waker> {
        self.name(key, share);
        self.next()
    }

    seawall_core::getters! {
        pub(crate) const fn limit -> u32;

        pub(crate) const fn mode -> Mode;

        pub(crate) const fn default_share -> PartitionShare;

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
        partitions.map(|(key, p)| (*key, p.in_flight, p.waiters.len()))
    }
}
