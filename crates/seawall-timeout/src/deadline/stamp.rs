//! The hook that tells the layers below of the deadline.

use tokio::time::Instant;

/// Writes the deadline of a call into its request, so that the layers below know it.
///
/// Closures and `fn` pointers `Fn(&mut Req, Instant)` are stamps. A request that came with a
/// deadline of its own should keep the earlier of the two.
///
/// ```
/// use seawall_core::Meta;
/// use seawall_timeout::Stamp;
/// use tokio::time::Instant;
///
/// fn into_meta(meta: &mut Meta, at: Instant) {
///     meta.deadline = Some(meta.deadline.map_or(at, |own| own.min(at)));
/// }
/// let (mut meta, at) = (Meta::default(), Instant::now());
/// into_meta.stamp(&mut meta, at);
/// assert_eq!(meta.deadline, Some(at));
/// ```
pub trait Stamp<Req> {
    /// Whether [`stamp`](Self::stamp) does anything; a call reads no clock where it does not.
    const WRITES: bool = true;

    /// Writes into `request` that its answer is of no use after `at`.
    fn stamp(&self, request: &mut Req, at: Instant);
}

impl<F, Req> Stamp<Req> for F
where
    F: Fn(&mut Req, Instant),
{
    fn stamp(&self, request: &mut Req, at: Instant) {
        self(request, at);
    }
}

/// The default stamp: requests stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unstamped;

impl<Req> Stamp<Req> for Unstamped {
    const WRITES: bool = false;

    fn stamp(&self, _: &mut Req, _: Instant) {}
}
