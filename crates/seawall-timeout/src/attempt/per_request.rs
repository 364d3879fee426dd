//! The hook that reads a request's own timeout.

use std::time::Duration;

use seawall_core::SharedReadings;

/// Says how long one attempt of a request may take, where the request itself knows.
///
/// Closures and `fn` pointers `Fn(&Req) -> Option<Duration>` do; `None` leaves it to the layer.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::PerRequestTimeout;
///
/// fn by_path(path: &&str) -> Option<Duration> {
///     path.starts_with("/v1/batches").then_some(Duration::from_secs(600))
/// }
/// assert_eq!(by_path.timeout_of(&"/v1/models"), None);
/// ```
pub trait PerRequestTimeout<Req: ?Sized> {
    /// How long an attempt of `request` may take. Called once per call, on the hot path.
    fn timeout_of(&self, request: &Req) -> Option<Duration>;
}

impl<F, Req: ?Sized> PerRequestTimeout<Req> for F
where
    F: Fn(&Req) -> Option<Duration>,
{
    fn timeout_of(&self, request: &Req) -> Option<Duration> {
        SharedReadings::apart(|| self(request))
    }
}

/// The default: requests have no timeout of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoOverride;

impl<Req: ?Sized> PerRequestTimeout<Req> for NoOverride {
    #[inline(always)]
    fn timeout_of(&self, _: &Req) -> Option<Duration> {
        None
    }
}
