//! What one key has: its share, its calls in flight, its waiters.

use seawall_core::queue::Queue;

use super::config::PartitionShare;
use super::debt::Debt;

/// A key with an active waiter that may have more permits. Of two that have borrowed as much, the
/// one that was served longer ago comes first.
pub(crate) type Candidate = (Debt, u64, u64);

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) share: PartitionShare,
    pub(crate) named: bool,
    pub(crate) in_flight: u32,
    pub(crate) waiters: Queue<()>,
    /// How many of them are not skipped.
    pub(crate) active: u32,
    /// When it was served last, or began to wait, counted in turns.
    pub(crate) served: u64,
    /// As it is among the candidates.
    pub(crate) candidate: Option<Candidate>,
}

impl Partition {
    pub(crate) const fn new(share: PartitionShare, named: bool) -> Self {
        Self {
            share,
            named,
            in_flight: 0,
            waiters: Queue::new(),
            active: 0,
            served: 0,
            candidate: None,
        }
    }

    pub(crate) const fn debt(&self) -> Debt {
        Debt {
            kept: self.kept() > 0,
            borrowed: self.in_flight as i64 - self.share.guaranteed as i64,
            weight: self.share.weight as i64,
        }
    }

    /// Guaranteed permits that are kept available.
    pub(crate) const fn kept(&self) -> u32 {
        if self.named {
            self.share.guaranteed.saturating_sub(self.in_flight)
        } else {
            0
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiters.len() >= self.share.max_waiting as usize
    }
}
