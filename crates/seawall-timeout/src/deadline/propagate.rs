//! The hook that passes the deadline on to the layers below.

use tokio::time::Instant;

/// Writes the deadline of a call into its request, so that the layers below know it, and returns
/// the deadline that the request has then.
///
/// A request that came with an earlier deadline of its own keeps it, and
/// [`propagate`](Self::propagate) returns that one: the call ends then, wherever in the stack it
/// waits.
///
/// Closures and `fn` pointers `Fn(&mut Req, Instant) -> Instant` will do, and so will those that
/// return nothing: the deadline is then the one that they were given.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::{PropagateDeadline, RequestMeta};
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
    /// Whether [`propagate`](Self::propagate) does anything; a call reads no clock where it does
    /// not.
    const WRITES: bool = true;

    /// Writes into `request` that its response is of no use after `at`; returns the deadline that
    /// the request has then: `at`, or an earlier one of its own. A later one counts as `at`.
    fn propagate(&self, request: &mut Req, at: Instant) -> Instant;
}

impl<F, Req, T> PropagateDeadline<Req> for F
where
    F: Fn(&mut Req, Instant) -> T,
    T: sealed::InstantOrUnit,
{
    fn propagate(&self, request: &mut Req, at: Instant) -> Instant {
        self(request, at).or(at)
    }
}

mod sealed {
    use tokio::time::Instant;

    /// What a closure that propagates may return.
    #[allow(unnameable_types, reason = "it is sealed: two types have it")]
    pub trait InstantOrUnit {
        /// The deadline of the request, where `at` was asked for.
        fn or(self, at: Instant) -> Instant;
    }

    impl InstantOrUnit for () {
        fn or(self, at: Instant) -> Instant {
            at
        }
    }

    impl InstantOrUnit for Instant {
        fn or(self, _: Instant) -> Instant {
            self
        }
    }
}

/// The default: requests stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoPropagation;

impl<Req> PropagateDeadline<Req> for NoPropagation {
    const WRITES: bool = false;

    fn propagate(&self, _: &mut Req, at: Instant) -> Instant {
        at
    }
}
