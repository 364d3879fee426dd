//! The meters of limits, under the lock of the limiter.

mod daily;
mod flow;
mod headroom;
mod strict;
mod wall_clock;
mod window;

use seawall_core::ns;

use self::daily::Daily;
use self::flow::Flow;
use self::strict::Strict;
pub(crate) use self::wall_clock::WallClock;
use self::window::Window;
use crate::bucket::Rate;
use crate::limit::{Kind, Limit};
use crate::pause::Start;

/// What a limit counts with. Changed under one lock together with the other meters of its layer.
#[derive(Debug)]
pub(crate) enum Meter {
    Flow(Flow),
    Strict(Strict),
    Window(Window),
    Daily(Daily),
}

/// Does the same with every kind.
macro_rules! every_kind {
    ($meter:expr, $kind:ident => $do:expr) => {
        match $meter {
            Meter::Flow($kind) => $do,
            Meter::Strict($kind) => $do,
            Meter::Window($kind) => $do,
            Meter::Daily($kind) => $do,
        }
    };
}

impl Meter {
    /// A meter of which nothing is used, except what its limit has as used already.
    pub(crate) fn new(limit: &Limit, now_ns: u64, wall: WallClock) -> Self {
        let (count, period) = (limit.count(), ns(limit.period()));
        match limit.how() {
            Kind::Bucket { .. } | Kind::Unusable { .. } => {
                // An unusable limit was rejected when the settings were built.
                Self::Flow(Flow::new(limit.rate().unwrap_or(Rate::new(1, 1, 1))))
            }
            Kind::Strict { margin } => Self::Strict(Strict::new(count, period, ns(*margin))),
            Kind::Window { offset, margin } => {
                let (offset, margin) = (ns(*offset), ns(*margin));
                Self::Window(Window::new(count, period, offset, margin, wall, now_ns))
            }
            Kind::Daily {
                reset,
                already_used,
                file,
            } => {
                let (reset, file) = (reset.clone(), file.clone());
                Self::Daily(Daily::new(count, reset, *already_used, file, wall, now_ns))
            }
        }
    }

    /// Allocates all memory that it may need, so that no call does later.
    pub(crate) fn reserve(&mut self) {
        if let Self::Strict(strict) = self {
            strict.reserve();
        }
    }

    /// The memory that it has allocated, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Strict(strict) => strict.heap_bytes(),
            Self::Flow(_) | Self::Window(_) | Self::Daily(_) => 0,
        }
    }

    /// The most that one call may cost.
    pub(crate) fn capacity(&self) -> u64 {
        every_kind!(self, meter => meter.capacity())
    }

    /// In how many nanoseconds from now the last of several costs, `cost` in sum, is granted, if
    /// each is taken as soon as it can be, from `start` on; `u64::MAX` when that is too far away.
    /// Reads the clock of now alone: what is only asked changes nothing.
    pub(crate) fn wait(&mut self, start: Start, cost: u64) -> u64 {
        every_kind!(self, meter => meter.wait(start, cost))
    }

    /// Counts a departure, or a debit, whether it is there or not.
    pub(crate) fn take(&mut self, start: Start, cost: u64) {
        match self {
            Self::Flow(flow) => flow.take(start, cost),
            Self::Strict(strict) => strict.take(start.now, cost),
            Self::Window(window) => window.take(start.now, cost),
            Self::Daily(daily) => daily.take(start.now, cost),
        }
    }

    /// Counts what a departure of `taken_at` used more than estimated, where that still counts.
    pub(crate) fn debit(&mut self, start: Start, cost: u64, taken_at: u64) {
        match self {
            Self::Flow(flow) => flow.take(start, cost),
            Self::Strict(strict) => strict.debit(start.now, cost, taken_at),
            Self::Window(window) => window.debit(start.now, cost, taken_at),
            Self::Daily(daily) => daily.debit(start.now, cost, taken_at),
        }
    }

    /// Forgives what a bucket owes for longer than this; what other limits owe ends with their
    /// periods.
    pub(crate) fn owe_at_most(&self, now_ns: u64, longest_ns: u64) {
        if let Self::Flow(flow) = self {
            flow.owe_at_most(now_ns, longest_ns);
        }
    }

    /// Gives back what was taken at `taken_at` and not used; to a bucket, without what has `flowed`
    /// in since.
    pub(crate) fn give_back(&mut self, now_ns: u64, cost: u64, taken_at: u64, flowed: u64) {
        match self {
            Self::Flow(flow) => flow.give_back(cost, flowed),
            Self::Strict(strict) => strict.give_back(now_ns, cost, taken_at),
            Self::Window(window) => window.give_back(now_ns, cost, taken_at),
            Self::Daily(daily) => daily.give_back(now_ns, cost, taken_at),
        }
    }

    /// When everything that counts now has ceased to count; `None` for a bucket, which fills all
    /// the time, and for a strict limit, where it ceases bit by bit.
    pub(crate) fn renewed_at(&mut self, now_ns: u64) -> Option<u64> {
        match self {
            Self::Flow(_) | Self::Strict(_) => None,
            Self::Window(window) => Some(window.renewed_at(now_ns)),
            Self::Daily(daily) => Some(daily.renewed_at(now_ns)),
        }
    }

    /// In how many nanoseconds all of it is there again, if nothing is taken meanwhile.
    pub(crate) fn full_in(&mut self, start: Start) -> u64 {
        if self.is_unused(start.now) {
            return start.at - start.now;
        }
        match self.renewed_at(start.now) {
            Some(at) => at.max(start.at) - start.now,
            None => {
                let capacity = self.capacity();
                self.wait(start, capacity)
            }
        }
    }

    /// No more than this is left now, as the upstream reports it without an end.
    pub(crate) fn lower_to(&mut self, now_ns: u64, left: u64) {
        if let Self::Strict(strict) = self {
            strict.lower_to(now_ns, left);
        }
    }

    /// The rate of a bucket.
    pub(crate) fn rate(&self) -> Option<Rate> {
        match self {
            Self::Flow(flow) => Some(flow.rate()),
            _ => None,
        }
    }

    /// Uses the numbers of this limit, which is of the same kind, from now on; what was used stays
    /// used.
    pub(crate) fn set(&mut self, now_ns: u64, limit: &Limit) {
        let (count, period) = (limit.count(), ns(limit.period()));
        match (self, limit.how()) {
            (Self::Flow(flow), _) => {
                if let Some(rate) = limit.rate() {
                    flow.set(now_ns, rate);
                }
            }
            (Self::Strict(strict), Kind::Strict { margin }) => {
                strict.set(now_ns, count, period, ns(*margin));
            }
            (Self::Window(window), Kind::Window { offset, margin }) => {
                window.set(now_ns, count, period, ns(*offset), ns(*margin));
            }
            (Self::Daily(daily), Kind::Daily { reset, .. }) => {
                daily.set(now_ns, count, reset.clone());
            }
            _ => {}
        }
    }

    /// Forgets what was used, where only this side counts it; a count of the wall clock goes by that
    /// again.
    pub(crate) fn refill(&mut self, now_ns: u64) {
        match self {
            Self::Flow(flow) => flow.refill(now_ns),
            Self::Strict(strict) => strict.refill(now_ns),
            Self::Window(window) => window.refill(now_ns),
            Self::Daily(daily) => daily.refill(now_ns),
        }
    }

    /// How much is there now; below zero by what is owed.
    pub(crate) fn available(&mut self, start: Start) -> f64 {
        match self {
            Self::Flow(flow) => flow.available(start),
            Self::Strict(strict) => strict.available(start),
            Self::Window(window) => window.available(start.now),
            Self::Daily(daily) => daily.available(start.now),
        }
    }

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&mut self, now_ns: u64) -> bool {
        every_kind!(self, meter => meter.is_unused(now_ns))
    }

    /// See [`Rate::delay_ns`].
    pub(crate) fn delay_ns(&self, cost: u32) -> u64 {
        match self {
            Self::Flow(flow) => flow.rate().delay_ns(cost),
            Self::Strict(_) | Self::Window(_) | Self::Daily(_) => 0,
        }
    }

    pub(crate) fn set_wall_clock(&mut self, now_ns: u64, wall: WallClock) {
        match self {
            Self::Window(window) => window.set_wall_clock(now_ns, wall),
            Self::Daily(daily) => daily.set_wall_clock(now_ns, wall),
            Self::Flow(_) | Self::Strict(_) => {}
        }
    }
}
