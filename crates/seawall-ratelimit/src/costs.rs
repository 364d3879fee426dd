//! What a call costs of each limit.

use seawall_core::{Priority, RequestMeta, SharedReadings, Unit};

use crate::limit::MAX_LIMITS;

/// What one call costs of each limit, in the order of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Costs([u32; MAX_LIMITS]);

impl Costs {
    /// The costs of limits that count `units`.
    pub(crate) fn of(
        units: impl IntoIterator<Item = Unit>,
        mut cost: impl FnMut(Unit) -> u32,
    ) -> Self {
        let mut costs = [0; MAX_LIMITS];
        for (slot, unit) in costs.iter_mut().zip(units) {
            *slot = cost(unit);
        }
        Self(costs)
    }

    pub(crate) const fn get(&self, index: usize) -> u32 {
        self.0[index]
    }

    pub(crate) fn is_free(&self) -> bool {
        self.0.iter().all(|cost| *cost == 0)
    }

    pub(crate) fn sums(&self) -> Sums {
        Sums(self.0.map(u64::from))
    }
}

/// What a call was granted, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) costs: Costs,
    pub(crate) at_ns: u64,
}

impl Granted {
    /// A departure that was not granted: nothing was estimated.
    pub(crate) fn nothing(at_ns: u64) -> Self {
        Self {
            costs: Costs::default(),
            at_ns,
        }
    }
}

/// The costs of a call, and its priority.
pub(crate) type Call<'a> = (&'a Costs, Priority);

/// What several calls cost of each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums([u64; MAX_LIMITS]);

impl Sums {
    pub(crate) const fn get(&self, index: usize) -> u64 {
        self.0[index]
    }

    pub(crate) fn add(&mut self, costs: &Costs) {
        for (sum, cost) in self.0.iter_mut().zip(costs.0) {
            *sum += u64::from(cost);
        }
    }

    pub(crate) fn add_to(&mut self, index: usize, more: u64) {
        self.0[index] = self.0[index].saturating_add(more);
    }

    pub(crate) fn sub(&mut self, costs: &Costs) {
        for (sum, cost) in self.0.iter_mut().zip(costs.0) {
            *sum = sum.saturating_sub(cost.into());
        }
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    /// The average costs of `calls` calls.
    pub(crate) fn mean(&self, calls: u32) -> Costs {
        let mean = |sum: u64| u32::try_from(sum / u64::from(calls.max(1))).unwrap_or(u32::MAX);
        Costs(self.0.map(mean))
    }
}

/// Decides what a request costs of a limit that counts `unit`.
///
/// The default is [`MetaCost`]. Closures `Fn(&Req, &RequestMeta, Unit) -> u32` are cost functions:
/// for units of [another kind](Unit::Other), and for requests whose cost depends on the limit.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{RequestMeta, Unit};
/// use seawall_ratelimit::{CostFn, Limit, MetaCost, RateLimitConfig, RateLimitLayer};
///
/// // Orders count twice: as requests of their weight, and as orders.
/// let config = RateLimitConfig::builder()
///     .limit(Limit::strict(6_000, Duration::from_secs(60)))
///     .limit(Limit::strict(50, Duration::from_secs(10)).with_unit(Unit::Other("orders")))
///     .build()?;
/// let layer = RateLimitLayer::new("binance", config).cost(
///     |path: &&str, meta: &RequestMeta, unit: Unit| match unit {
///         Unit::Other("orders") => u32::from(path.starts_with("/api/v3/order")),
///         other => MetaCost.cost(path, meta, other),
///     },
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
pub trait CostFn<Req: ?Sized> {
    /// What `request` costs of a limit that counts `unit`; 0 when it does not count there. Called
    /// once per call and limit, on the hot path.
    fn cost(&self, request: &Req, meta: &RequestMeta, unit: Unit) -> u32;
}

impl<F, Req: ?Sized> CostFn<Req> for F
where
    F: Fn(&Req, &RequestMeta, Unit) -> u32,
{
    #[inline]
    fn cost(&self, request: &Req, meta: &RequestMeta, unit: Unit) -> u32 {
        SharedReadings::apart(|| self(request, meta, unit))
    }
}

/// The default cost: one request, the weight and the tokens of [`RequestMeta`], and nothing of units
/// of [another kind](Unit::Other).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetaCost;

impl MetaCost {
    /// The cost that [`RequestMeta`] has of a unit.
    #[inline]
    pub const fn of(meta: &RequestMeta, unit: Unit) -> u32 {
        match unit {
            Unit::Requests => 1,
            Unit::Cost => meta.cost,
            Unit::Tokens => meta.tokens.total(),
            Unit::InputTokens => meta.tokens.input,
            Unit::OutputTokens => meta.tokens.output,
            _ => 0,
        }
    }
}

impl<Req: ?Sized> CostFn<Req> for MetaCost {
    #[inline]
    fn cost(&self, _: &Req, meta: &RequestMeta, unit: Unit) -> u32 {
        Self::of(meta, unit)
    }
}
