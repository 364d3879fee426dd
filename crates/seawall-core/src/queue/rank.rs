//! The rank of a waiter.

use std::num::NonZeroU32;

use crate::Priority;

/// The rank of a waiter in its [`Queue`](super::Queue): a lower one goes first, and among equals the
/// one that came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId {
    rank: i64,
    drawn: u64,
    /// One more than where its entry is, so that an optional id takes no more.
    slot: NonZeroU32,
}

impl WaiterId {
    pub(super) const fn new(rank: i64, drawn: u64, slot: u32) -> Self {
        let slot = NonZeroU32::MIN.saturating_add(slot);
        Self { rank, drawn, slot }
    }

    #[inline]
    pub(super) const fn slot(self) -> u32 {
        self.slot.get() - 1
    }

    /// Its rank: waiters of the same one go in the order in which they came.
    #[inline]
    pub const fn rank(self) -> i64 {
        self.rank
    }

    /// The lowest id: the start of a range of waiters.
    pub const MIN: Self = Self::new(i64::MIN, 0, 0);
}

/// The rank of a waiter of this priority that comes at `now_ns`, in a queue where waiting makes up
/// for priority: one step of [`Priority`] is worth `step_ns` nanoseconds of waiting.
///
/// So a waiter is passed by one of `d` steps more only if that one came less than `d * step_ns`
/// after it: within a priority the first to come is the first to go, and none starves, however
/// many of a higher priority keep coming. A rank never changes while its waiter waits, which is
/// why a queue of many priorities costs no more than a plain one.
///
/// ```
/// use seawall_core::Priority;
/// use seawall_core::queue::rank;
///
/// let step = 1_000_000; // 64 steps, from low to normal, are worth 64 ms.
/// let low = rank(0, Priority::LOW, step);
/// assert!(rank(63_000_000, Priority::NORMAL, step) < low);
/// assert!(rank(65_000_000, Priority::NORMAL, step) > low);
/// ```
pub const fn rank(now_ns: u64, priority: Priority, step_ns: u64) -> i64 {
    let handicap = step_ns.saturating_mul((u8::MAX - priority.0) as u64);
    let rank = now_ns.saturating_add(handicap);
    if rank > i64::MAX as u64 {
        i64::MAX
    } else {
        rank as i64
    }
}
