//! What a queue knows of a waiter.

use std::task::Waker;

use super::WaiterId;

#[derive(Debug)]
pub(super) struct Entry<T> {
    /// [`WaiterId::NONE`] while the place is free.
    pub(super) id: WaiterId,
    pub(super) item: T,
    pub(super) stand: Stand,
    /// Whether it sleeps without a timer of its own, since its deadline is [far](super::state::is_far).
    pub(super) untimed: bool,
    pub(super) deadline_ns: u64,
    /// When its own timer makes it come; `u64::MAX` while others will wake it.
    pub(super) due_ns: u64,
    /// When it was set aside last.
    pub(super) aside_ns: u64,
    /// When it was notified last.
    pub(super) notified_ns: u64,
    /// The number of its notification; `u64::MAX` when there was none, or it has been polled since.
    pub(super) notification: u64,
    /// `None` once it was woken, until its next poll.
    pub(super) waker: Option<Waker>,
    /// Woken when it lapses or expires.
    pub(super) on_lapse: Option<Waker>,
}

impl<T> Entry<T> {
    pub(super) const fn new(id: WaiterId, item: T, deadline_ns: u64) -> Self {
        Self {
            id,
            item,
            stand: Stand::Waiting,
            untimed: false,
            deadline_ns,
            due_ns: u64::MAX,
            aside_ns: 0,
            notified_ns: 0,
            notification: u64::MAX,
            waker: None,
            on_lapse: None,
        }
    }

    /// Whether it waits and has neither a waker nor a timer yet.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        self.stand == Stand::Waiting && self.waker.is_none() && self.due_ns == u64::MAX
    }

    /// Whether it is not counted while it is set aside: its wait is over, or has no end.
    pub(super) const fn is_uncounted(&self, why: Aside) -> bool {
        match why {
            Aside::Expired => true,
            Aside::Lapsed => self.deadline_ns == u64::MAX,
            Aside::Skipped => false,
        }
    }
}

/// Where a waiter is in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Waiting,
    Notified,
    Aside(Aside),
}

/// Why a waiter neither waits for its turn nor has a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aside {
    /// Its own service is not ready.
    Skipped,
    /// It was notified, or due, and did not come.
    Lapsed,
    /// Its deadline has passed.
    Expired,
}

/// What became of a waiter that was to wait for its turn, or have a claim, no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It did until now.
    Active,
    /// It has taken its claim without the lock, and has left.
    Left,
    /// It did neither.
    Aside,
}
