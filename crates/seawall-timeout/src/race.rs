//! The race of an inner future against a timer that is armed only when it is needed.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::{Rejection, deadline};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::observe::{Cut, Tag};

/// When a call is cut off: `after_ns` nanoseconds after its first poll, and not later than
/// `until`. Nanoseconds, since a `Duration` made of them costs a division, which a call that is
/// answered at once does not need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) after_ns: u64,
    pub(crate) until: Option<Instant>,
    /// What it is called when `after` ends first.
    pub(crate) cut: Cut,
}

impl Limit {
    /// The instant, and what the cut is called then, for a call first polled at `now`.
    pub(crate) fn ends(&self, now: Instant) -> (Instant, Cut) {
        let own = deadline(now, Duration::from_nanos(self.after_ns));
        match self.until {
            Some(until) if until <= own => (until, Cut::Deadline),
            _ => (own, self.cut),
        }
    }
}

pin_project! {
    #[project = RaceProj]
    pub(crate) enum Race<F> {
        Running {
            #[pin]
            inner: F,
            #[pin]
            timer: Option<Sleep>,
            limit: Limit,
            tag: Tag,
        },
        Rejected {
            rejection: Rejection,
        },
        Done,
    }
}

impl<F> Race<F> {
    #[inline]
    pub(crate) const fn start(inner: F, limit: Limit, tag: Tag) -> Self {
        Self::Running {
            inner,
            timer: None,
            limit,
            tag,
        }
    }

    /// Sets what the call may take, before its timer is armed.
    #[inline]
    pub(crate) fn allow(self: Pin<&mut Self>, after_ns: u64) {
        if let RaceProj::Running { limit, .. } = self.project() {
            limit.after_ns = after_ns;
        }
    }

    pub(crate) const fn state(&self) -> &'static str {
        match self {
            Self::Running { timer: None, .. } => "running",
            Self::Running { .. } => "running, timer armed",
            Self::Rejected { .. } => "rejected",
            Self::Done => "done",
        }
    }
}

impl<F, T, E> Future for Race<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Rejection>,
{
    type Output = Result<T, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let rejection = match self.as_mut().project() {
            RaceProj::Running {
                inner,
                timer,
                limit,
                tag,
            } => {
                let out = inner.poll(cx);
                if out.is_ready() {
                    self.set(Self::Done);
                    return out;
                }
                if poll_limit(timer, limit, cx).is_pending() {
                    return Poll::Pending;
                }
                let (cut, tag) = (limit.cut, *tag);
                // The work ends before the caller hears of it: whoever sends again at once finds
                // the place, the permit and the connection free.
                self.set(Self::Done);
                tag.cut(cut)
            }
            RaceProj::Rejected { rejection } => {
                let rejection = *rejection;
                self.set(Self::Done);
                rejection
            }
            RaceProj::Done => panic!("a timeout's future was polled after it had answered"),
        };
        Poll::Ready(Err(rejection.into()))
    }
}

/// What a timer is made with that is set before it is polled.
static SOME_TIME: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Arms the timer at the first `Pending` and polls it.
fn poll_limit(
    mut timer: Pin<&mut Option<Sleep>>,
    limit: &mut Limit,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if timer.is_none() {
        // Made before the clock is read, and moved into its place after that: a timer that is
        // moved as soon as it was made has its fields read while they are still being written,
        // in other widths, and the processor waits for that.
        let made = Some(sleep_until(*SOME_TIME));
        let (at, cut) = limit.ends(Instant::now());
        limit.cut = cut;
        put(timer.as_mut(), made);
        if let Some(timer) = timer.as_mut().as_pin_mut() {
            timer.reset(at);
        }
    }
    match timer.as_pin_mut() {
        Some(timer) => poll_timer(timer, cx),
        None => Poll::Pending,
    }
}

// Not inlined: passed on, it is moved once, and twice otherwise.
#[inline(never)]
fn put(mut place: Pin<&mut Option<Sleep>>, timer: Option<Sleep>) {
    place.set(timer);
}

/// Polls a timer, also when the inner service has used up the task's budget of progress: a busy
/// service that does so at every poll would never be cut off.
#[inline]
pub(crate) fn poll_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    if coop::has_budget_remaining() {
        timer.poll(cx)
    } else {
        Pin::new(&mut coop::unconstrained(timer)).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_call_ends_at_the_earlier_of_its_two_limits(
            after in any::<u64>(),
            until in proptest::option::of(0_u64..=10_000_000_000),
        ) {
            let now = Instant::now();
            let (after_ns, after) = (after, Duration::from_nanos(after));
            let until = until.map(|ns| now + Duration::from_nanos(ns));
            let limit = Limit { after_ns, until, cut: Cut::Attempt };
            let (at, cut) = limit.ends(now);
            prop_assert!(at >= now && at <= now + after);
            prop_assert!(until.is_none_or(|until| at <= until));
            prop_assert!(Some(at) == until || at == deadline(now, after));
            prop_assert_eq!(cut == Cut::Deadline, Some(at) == until);
        }
    }

    #[test]
    fn the_longest_duration_is_far_and_does_not_panic() {
        let now = Instant::now();
        let limit = Limit {
            after_ns: u64::MAX,
            until: None,
            cut: Cut::Attempt,
        };
        assert!(limit.ends(now).0 > now + Duration::from_secs(365 * 24 * 3600));
    }
}
