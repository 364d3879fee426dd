//! Which requests want no degraded answer.

use crate::SharedReadings;
use crate::carry::{Carried, Described, Storage};

/// Says which requests want the upstream's answer alone: a degraded one is no answer to them.
///
/// Closures and `fn` pointers `Fn(&Req) -> bool` are such. `seawall-http` has `HttpFresh`, for an extension
/// and `Cache-Control: no-cache`.
///
/// ```
/// use seawall_core::WantsFresh;
///
/// struct Quote { symbol: &'static str, to_trade_on: bool }
///
/// fn to_trade_on(quote: &Quote) -> bool {
///     quote.to_trade_on
/// }
/// assert!(to_trade_on.wants_fresh(&Quote { symbol: "SPY", to_trade_on: true }));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say whether a request of type `{Req}` wants fresh answers alone",
    label = "not a hook for this service's requests",
    note = "use a `fn(&Request) -> bool`, a closure of that shape, `AnyAge`, or a type that implements `WantsFresh`"
)]
pub trait WantsFresh<Req> {
    /// Whether this request wants no degraded answer. Asked when the call is made.
    fn wants_fresh(&self, request: &Req) -> bool;
}

#[diagnostic::do_not_recommend]
impl<F, Req> WantsFresh<Req> for F
where
    F: Fn(&Req) -> bool,
{
    fn wants_fresh(&self, request: &Req) -> bool {
        self(request)
    }
}

/// The default: every request takes a degraded answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnyAge;

impl<Req> WantsFresh<Req> for AnyAge {
    #[inline]
    fn wants_fresh(&self, _: &Req) -> bool {
        false
    }
}

impl<T, W, Req> WantsFresh<T> for Carried<W>
where
    T: Storage<Value = Described<Req>>,
    W: WantsFresh<Req>,
{
    fn wants_fresh(&self, described: &T) -> bool {
        SharedReadings::apart(|| self.0.wants_fresh(&described.get().request))
    }
}
