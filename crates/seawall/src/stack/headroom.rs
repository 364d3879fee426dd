//! What is left of the limits of a stack, for a router over several.

use std::time::Duration;

use seawall_ai::route::{Available, Headroom};
use seawall_breaker::{BreakerHandle, BreakerRegistry, CircuitState};
use seawall_core::RequestMeta;
use seawall_ratelimit::{KeyedRateLimitHandle, RateLimitHandle};

use super::handles::{ProtocolHandles, StackHandles};
use super::permits::PermitHandle;
use super::slot::Slot;
use super::slots::StackSlots;

/// What is left of the rate limit, of the permits, and whether the circuit lets calls pass.
///
/// A router chooses by it without a call: a deployment whose rate is used up is passed over until there
/// are tokens again, one whose circuit is open until it can be probed. Limits per key count
/// by the key of the request, and circuits per key not at all.
///
/// ```
/// use seawall::ai::route::Headroom;
/// use seawall::RequestMeta;
///
/// let handles = seawall::ai_api("key-1").build()?.handles();
/// assert_eq!(handles.available(&RequestMeta::default()).share(), 1.0);
/// handles.breaker.force_open();
/// assert_eq!(handles.available(&RequestMeta::default()).wait(), None);
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
impl<O, E> Headroom for StackHandles<O, E>
where
    O: StackSlots,
    <O::Bulkhead as Slot>::Handle: PermitHandle,
    <O::RateLimit as Slot>::Handle: RateHeadroom,
    <O::Breaker as Slot>::Handle: CircuitHeadroom,
    E: ProtocolHandles,
{
    fn available(&self, meta: &RequestMeta) -> Available {
        let permits = self.bulkhead.permits();
        let (limit, taken) = (permits.limit(), permits.in_flight());
        let free = f64::from(limit.saturating_sub(taken)) / f64::from(limit.max(1));
        self.breaker
            .circuit()
            .and(self.rate_limit.rate(meta))
            .and(Available::of_share(free))
    }
}

/// What is left of a rate.
#[allow(unnameable_types, reason = "nobody else implements it")]
pub trait RateHeadroom {
    fn rate(&self, meta: &RequestMeta) -> Available;
}

fn rate(share_left: f64, wait: Option<Duration>) -> Available {
    match wait {
        Some(Duration::ZERO) => Available::of_share(share_left),
        Some(wait) => Available::after(wait),
        None => Available::NEVER,
    }
}

impl RateHeadroom for RateLimitHandle {
    fn rate(&self, meta: &RequestMeta) -> Available {
        rate(self.share_left(), self.time_to_next(meta))
    }
}

impl RateHeadroom for KeyedRateLimitHandle {
    fn rate(&self, meta: &RequestMeta) -> Available {
        let account = self.account();
        let of_all = account.map_or(1.0, |account| account.share_left());
        rate(
            of_all.min(self.share_left(meta.key)),
            self.time_to_next(meta),
        )
    }
}

/// Whether a circuit lets calls pass.
#[allow(unnameable_types, reason = "nobody else implements it")]
pub trait CircuitHeadroom {
    fn circuit(&self) -> Available;
}

impl CircuitHeadroom for BreakerHandle {
    fn circuit(&self) -> Available {
        match self.state() {
            CircuitState::Closed | CircuitState::ForcedClosed => Available::FULL,
            // One whose time is over waits for a call to probe.
            CircuitState::Open => Available::after(self.explain().wait.unwrap_or_default()),
            CircuitState::ForcedOpen => match self.explain().wait {
                Some(wait) => Available::after(wait),
                None => Available::NEVER,
            },
            // Probes pass, or a share of the calls.
            _ => Available::of_share(0.0),
        }
    }
}

/// Which circuit a call meets is known by its key alone.
impl<K, B> CircuitHeadroom for BreakerRegistry<K, B>
where
    K: ToOwned + ?Sized,
{
    fn circuit(&self) -> Available {
        Available::FULL
    }
}
