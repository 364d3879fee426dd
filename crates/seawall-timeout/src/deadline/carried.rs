//! The deadline of a request that carries what it is: see `seawall_core::carry`.

use seawall_core::SharedReadings;
use seawall_core::carry::{Carried, Described, Storage};
use tokio::time::Instant;

use super::PropagateDeadline;

/// Writes the deadline into what the request carries, beside where the service's own propagation
/// writes it. Where that writes nothing the deadline stays outside, and costs no reading of the
/// clock below.
impl<P, T, Req> PropagateDeadline<T> for Carried<P>
where
    P: PropagateDeadline<Req>,
    T: Storage<Value = Described<Req>>,
{
    const WRITES: bool = P::WRITES;

    #[inline]
    fn propagate(&self, described: &mut T, at: Instant) -> Instant {
        let described = described.get_mut();
        let at = described.meta.deadline.map_or(at, |own| own.min(at));
        let own = SharedReadings::apart(|| self.0.propagate(&mut described.request, at));
        let at = own.min(at);
        described.meta.deadline = Some(at);
        at
    }
}
