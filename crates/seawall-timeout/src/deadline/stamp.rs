//! The hook that tells the layers below of the deadline.

use tokio::time::Instant;

/// Writes the deadline of a call into its request, so that the layers below know it, and says
/// which deadline the request has then.
///
/// A request that came with an earlier deadline of its own keeps it, and
/// [`propagate`](Self::propagate) answers that one: the call ends then, wherever in the stack it waits.
///
/// Closures and `fn` pointers `Fn(&mut Req, Instant) -> Instant` are stamps, and those that answer
/// nothing are, too: they say that the deadline is the one they were given.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::RequestMeta;
/// use seawall_timeout::PropagateDeadline;
/// use tokio::time::Instant;
///
/// fn into_meta(meta: &mut RequestMeta, at: Instant) -> Instant {
///     *meta.deadline.insert(meta.deadline.map_or(at, |own| own.min(at)))
/// }
/// let at = Instant::now();
/// let mut meta = RequestMeta::default();
/// assert_eq!(into_meta.propagate(&mut meta, at), at);
/// let later = at + Duration::from_secs(1);
/// assert_eq!(into_meta.propagate(&mut meta, later), at, "the earlier of the two");
/// ```
pub trait PropagateDeadline<Req> {
    /// Whether [`propagate`](Self::propagate) does anything; a call reads no clock where it does not.
    const WRITES: bool = true;

    /// Writes into `request` that its answer is of no use after `at`; answers the deadline that
    /// the request has then: `at`, or an earlier one of its own. A later one is taken for `at`.
    fn propagate(&self, request: &mut Req, at: Instant) -> Instant;
}

impl<F, Req, T> PropagateDeadline<Req> for F
where
    F: Fn(&mut Req, Instant) -> T,
    T: Stamped,
{
    fn propagate(&self, request: &mut Req, at: Instant) -> Instant {
        self(request, at).or(at)
    }
}

/// What a closure that stamps may answer: the deadline that the request has then, or nothing.
pub trait Stamped {
    /// The deadline of the request, of which `at` was asked for.
    fn or(self, at: Instant) -> Instant;
}

impl Stamped for () {
    fn or(self, at: Instant) -> Instant {
        at
    }
}

impl Stamped for Instant {
    fn or(self, _: Instant) -> Instant {
        self
    }
}

/// The default stamp: requests stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoPropagation;

impl<Req> PropagateDeadline<Req> for NoPropagation {
    const WRITES: bool = false;

    fn propagate(&self, _: &mut Req, at: Instant) -> Instant {
        at
    }
}
