//! What one key has: its share, its calls in flight, its waiters.

use std::collections::BTreeSet;

use seawall_core::queue::WaiterId;

use super::config::PartitionShare;
use super::debt::Debt;

/// A key with a waiter that may have more permits. Of two that have borrowed as much, the
/// one that was served longer ago comes first.
pub(crate) type Candidate = (Debt, u64, u64);

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) share: PartitionShare,
    pub(crate) named: bool,
    pub(crate) in_flight: u32,
    /// Waiters that were notified: each counts as a permit that is held.
    pub(crate) claims: u32,
    /// Those that wait for their turn.
    pub(crate) waiting: BTreeSet<WaiterId>,
    pub(crate) queue_depth: usize,
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
            claims: 0,
            waiting: BTreeSet::new(),
            queue_depth: 0,
            served: 0,
            candidate: None,
        }
    }

    /// Permits and claims.
    pub(crate) const fn held(&self) -> u32 {
        self.in_flight + self.claims
    }

    /// Nothing is left of it but its name.
    pub(crate) fn is_idle(&self) -> bool {
        self.held() == 0 && self.queue_depth == 0 && self.waiting.is_empty()
    }

    pub(crate) const fn debt(&self) -> Debt {
        Debt {
            kept: self.kept() > 0,
            borrowed: self.held() as i64 - self.share.guaranteed as i64,
            weight: self.share.weight as i64,
        }
    }

    /// Guaranteed permits that are kept available.
    pub(crate) const fn kept(&self) -> u32 {
        if self.named {
            self.share.guaranteed.saturating_sub(self.held())
        } else {
            0
        }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.queue_depth >= self.share.max_waiting as usize
    }
}
