//! What a limit counts with, under the lock of the line.

mod daily;
mod midnight;
mod quota_file;
mod strict;
mod wall;
mod window;

use seawall_core::ns;

use self::daily::Daily;
pub use self::midnight::DailyReset;
pub use self::quota_file::{QuotaFile, QuotaFileError};
use self::strict::Strict;
pub(crate) use self::wall::WallClock;
use self::window::Window;
use crate::Limit;
use crate::bucket::{Bucket, Rate};
use crate::limit::Kind;
use crate::limiter::{Cap, capped_wait, empty, lower};

/// What a limit counts with. Changed under one lock together with all others of its layer.
#[derive(Debug)]
pub(crate) enum Meter {
    Flow(Flow),
    Strict(Strict),
    Window(Window),
    Daily(Daily),
}

/// A bucket, and what the upstream has said of it.
#[derive(Debug)]
pub(crate) struct Flow {
    bucket: Bucket,
    cap: Option<Cap>,
}

impl Meter {
    /// A meter of which nothing is used, but what its limit says.
    pub(crate) fn new(limit: &Limit, now_ns: u64, wall: WallClock) -> Self {
        match &limit.kind {
            Kind::Bucket { .. } | Kind::Impossible { .. } => Self::Flow(Flow {
                // An impossible limit was rejected when the settings were built.
                bucket: Bucket::new(limit.rate().unwrap_or(Rate::new(1, 1, 1))),
                cap: None,
            }),
            Kind::Strict { margin } => {
                Self::Strict(Strict::new(limit.count, ns(limit.per), ns(*margin)))
            }
            Kind::Window { offset, margin } => Self::Window(Window::new(
                limit.count,
                ns(limit.per),
                ns(*offset),
                ns(*margin),
                wall,
                now_ns,
            )),
            Kind::Daily {
                midnight,
                already_used,
                file,
            } => {
                let (midnight, file) = (midnight.clone(), file.clone());
                Self::Daily(Daily::new(
                    limit.count,
                    midnight,
                    *already_used,
                    file,
                    wall,
                    now_ns,
                ))
            }
        }
    }

    /// The most that one call may cost.
    pub(crate) fn capacity(&self) -> u64 {
        match self {
            Self::Flow(flow) => flow.bucket.rate().burst(),
            Self::Strict(strict) => strict.capacity(),
            Self::Window(window) => window.capacity(),
            Self::Daily(daily) => daily.capacity(),
        }
    }

    /// In how many nanoseconds from `now` the last of several costs, `cost` in sum, is granted, if
    /// each is taken as soon as it can be; `u64::MAX` when that is too far away to tell.
    pub(crate) fn wait(&mut self, now_ns: u64, cost: u64) -> u64 {
        match self {
            Self::Flow(flow) => capped_wait(&flow.bucket, flow.cap, now_ns, cost),
            Self::Strict(strict) => strict.wait(now_ns, cost),
            Self::Window(window) => window.wait(now_ns, cost),
            Self::Daily(daily) => daily.wait(now_ns, cost),
        }
    }

    /// Counts a departure, or a debit, whether there is room for it or not.
    pub(crate) fn take(&mut self, now_ns: u64, cost: u64) {
        match self {
            Self::Flow(flow) => {
                flow.bucket.debit(now_ns, cost);
                if let Some(cap) = &mut flow.cap {
                    cap.left = cap.left.saturating_sub(cost);
                }
            }
            Self::Strict(strict) => strict.take(now_ns, cost),
            Self::Window(window) => window.take(now_ns, cost),
            Self::Daily(daily) => daily.take(now_ns, cost),
        }
    }

    /// Takes back what was taken at `taken_at` in vain.
    pub(crate) fn give_back(&mut self, now_ns: u64, cost: u64, taken_at: u64) {
        match self {
            Self::Flow(flow) => {
                flow.bucket.refund(cost);
                if let Some(cap) = &mut flow.cap
                    && taken_at < cap.until
                {
                    cap.left = cap.left.saturating_add(cost);
                }
            }
            Self::Strict(strict) => strict.give_back(now_ns, cost, taken_at),
            Self::Window(window) => window.give_back(now_ns, cost, taken_at),
            Self::Daily(daily) => daily.give_back(now_ns, cost, taken_at),
        }
    }

    /// Has no more than `left` until `until`: what the upstream says. Never raises.
    pub(crate) fn lower_to(&mut self, now_ns: u64, left: u64, until: Option<u64>) {
        match self {
            Self::Flow(flow) => lower(&flow.bucket, &mut flow.cap, now_ns, left, until),
            Self::Strict(strict) => strict.lower_to(now_ns, left, until),
            Self::Window(window) => window.lower_to(now_ns, left, until),
            Self::Daily(daily) => daily.lower_to(now_ns, left, until),
        }
    }

    /// Grants nothing before `at`, and lets what comes then come over `ease_ns`, where that is less
    /// than the time of the limit.
    pub(crate) fn empty_until(&mut self, at: u64, ease_ns: u64) {
        match self {
            Self::Flow(flow) => empty(&flow.bucket, at, ease_ns),
            Self::Strict(strict) => strict.empty_until(at, ease_ns),
            Self::Window(window) => window.empty_until(at),
            Self::Daily(daily) => daily.empty_until(at),
        }
    }

    /// Goes by the numbers of this limit, which is of the same kind, from now on; what was used
    /// stays used.
    pub(crate) fn set(&mut self, now_ns: u64, limit: &Limit) {
        match (self, &limit.kind) {
            (Self::Flow(flow), _) => {
                if let Some(rate) = limit.rate() {
                    flow.bucket.set(now_ns, rate);
                }
            }
            (Self::Strict(strict), Kind::Strict { margin }) => {
                strict.set(now_ns, limit.count, ns(limit.per), ns(*margin));
            }
            (Self::Window(window), Kind::Window { offset, margin }) => {
                let (per, offset) = (ns(limit.per), ns(*offset));
                window.set(now_ns, limit.count, per, offset, ns(*margin));
            }
            (Self::Daily(daily), Kind::Daily { midnight, .. }) => {
                daily.set(now_ns, limit.count, midnight.clone());
            }
            _ => {}
        }
    }

    /// Forgets what was used where only this side counts it.
    pub(crate) fn refill(&mut self, now_ns: u64) {
        match self {
            Self::Flow(flow) => {
                flow.cap = None;
                flow.bucket.reset(now_ns);
            }
            Self::Strict(strict) => strict.refill(now_ns),
            Self::Window(window) => window.refill(now_ns),
            Self::Daily(daily) => daily.refill(now_ns),
        }
    }

    /// What is there now; below zero by what is owed.
    pub(crate) fn available(&mut self, now_ns: u64) -> f64 {
        match self {
            Self::Flow(flow) => {
                let there = flow.bucket.available(now_ns);
                let cap = flow.cap.filter(|cap| now_ns < cap.until);
                cap.map_or(there, |cap| there.min(cap.left as f64))
            }
            Self::Strict(strict) => strict.available(now_ns),
            Self::Window(window) => window.available(now_ns),
            Self::Daily(daily) => daily.available(now_ns),
        }
    }

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&mut self, now_ns: u64) -> bool {
        match self {
            Self::Flow(flow) => {
                let capped = flow.cap.is_some_and(|cap| now_ns < cap.until);
                !capped && Rate::is_full(flow.bucket.reading(), now_ns)
            }
            Self::Strict(strict) => strict.is_unused(now_ns),
            Self::Window(window) => window.is_unused(now_ns),
            Self::Daily(daily) => daily.is_unused(now_ns),
        }
    }

    /// The least that a rejected call waits, in nanoseconds.
    pub(crate) fn least_wait(&self) -> u64 {
        match self {
            Self::Flow(flow) => flow.bucket.rate().token_ns(),
            Self::Strict(_) | Self::Window(_) | Self::Daily(_) => 1,
        }
    }

    /// See [`Rate::delay_ns`].
    pub(crate) fn delay_ns(&self, cost: u32) -> u64 {
        match self {
            Self::Flow(flow) => flow.bucket.rate().delay_ns(cost),
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
