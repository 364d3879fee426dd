//! The rank of a waiter.

use std::num::NonZeroU64;

use crate::Priority;

/// The rank of a waiter in its [`Queue`](super::Queue): a lower one goes first, and among equals the
/// one that came first.
// Two words, which are handed over in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId {
    rank: i64,
    arrival: Arrival,
}

impl WaiterId {
    #[inline]
    pub(super) const fn new(rank: i64, arrival: Arrival) -> Self {
        Self { rank, arrival }
    }

    #[inline]
    pub(super) const fn arrival(self) -> Arrival {
        self.arrival
    }

    /// The number of its place in the queue, which no other waiter has that is queued; a small one.
    #[inline]
    pub const fn place(self) -> u32 {
        self.arrival.place()
    }

    /// Its rank: waiters of the same one go in the order in which they came.
    #[inline]
    pub const fn rank(self) -> i64 {
        self.rank
    }

    /// The lowest id: the start of a range of waiters.
    pub const MIN: Self = Self::new(i64::MIN, Arrival::MIN);

    /// That of no waiter.
    pub(super) const NONE: Self = Self::MIN;
}

/// When a waiter came, and where its entry is: `number:34 | place + 1:30`. Numbers start again after
/// 2^34 waiters, and places end before that: their entries alone would take more than 100 GB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Arrival(NonZeroU64);

const PLACE_BITS: u32 = 30;
const PLACES: u64 = (1 << PLACE_BITS) - 1;

impl Arrival {
    pub(super) const MIN: Self = Self(NonZeroU64::MIN);

    #[inline]
    pub(super) const fn new(number: u64, place: u32) -> Self {
        let place = place as u64;
        let place = if place < PLACES { place } else { PLACES - 1 };
        let before = number << PLACE_BITS | place;
        Self(NonZeroU64::MIN.saturating_add(before))
    }

    #[inline]
    pub(super) const fn place(self) -> u32 {
        ((self.0.get() - 1) & PLACES) as u32
    }
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
