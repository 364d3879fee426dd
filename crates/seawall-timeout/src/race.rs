//! The race of an inner future against a timer that is armed only when it is needed.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::{Rejection, deadline};
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

use crate::instance::{InstanceId, TimeoutKind};
use crate::limit::LEARNED;
use crate::timer::Timer;

/// When a call ends, and the layer that ends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// So many nanoseconds after its first poll. Nanoseconds, since a `Duration` made of them costs
    /// a division, which a call does not need whose response is ready at once.
    pub(crate) limit_ns: u64,
    /// At its deadline, if it has one.
    pub(crate) until: Option<Instant>,
    pub(crate) instance: InstanceId,
}

pin_project! {
    /// Polls the inner future, and from its first `Pending` on a timer.
    // The timer lies beside the inner future and not in one variant with it, since most calls have
    // none: what drops both is long.
    pub(crate) struct Race<F> {
        #[pin]
        stage: Stage<F>,
        timer: Timer,
        limits: Limits,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F> {
        Running {
            #[pin]
            inner: F,
        },
        Rejected {
            rejection: Rejection,
        },
        Done,
    }
}

impl<F> Race<F> {
    #[inline]
    pub(crate) const fn start(inner: F, limits: Limits) -> Self {
        Self {
            stage: Stage::Running { inner },
            timer: Timer::NONE,
            limits,
        }
    }

    /// A call that has timed out before it began.
    pub(crate) fn rejected(kind: TimeoutKind, limits: Limits) -> Self {
        let rejection = limits.instance.time_out(kind);
        Self {
            stage: Stage::Rejected { rejection },
            timer: Timer::NONE,
            limits,
        }
    }

    /// Sets what a call may take whose limit is learned, before its timer is armed.
    #[inline]
    pub(crate) fn set_learned(self: Pin<&mut Self>, learned_ns: u64) {
        let limits = self.project().limits;
        if limits.limit_ns == LEARNED {
            limits.limit_ns = learned_ns;
        }
    }

    pub(crate) fn state(&self) -> &'static str {
        match self.stage {
            Stage::Running { .. } if !self.timer.is_armed() => "running",
            Stage::Running { .. } => "running, timer armed",
            Stage::Rejected { .. } => "rejected",
            Stage::Done => "done",
        }
    }

    /// Polls the call; `timeout` is what happened when it reaches its limit, or its deadline.
    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    pub(crate) fn poll<T, E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        timeout: fn(&Limits, is_deadline: bool) -> TimeoutKind,
    ) -> Poll<Result<T, E>>
    where
        F: Future<Output = Result<T, E>>,
        E: From<Rejection>,
    {
        let mut this = self.project();
        match this.stage.as_mut().project() {
            StageProj::Running { inner } => {
                let out = inner.poll(cx);
                if out.is_ready() {
                    this.stage.set(Stage::Done);
                    this.timer.disarm();
                    return out;
                }
                let Poll::Ready(at) = poll_limit(this.timer, this.limits, cx) else {
                    return Poll::Pending;
                };
                // The work ends before the caller is notified: a caller that sends again at once
                // finds the permit and the connection free.
                this.stage.set(Stage::Done);
                this.timer.disarm();
                let kind = timeout(this.limits, Some(at) == this.limits.until);
                Poll::Ready(Err(this.limits.instance.time_out(kind).into()))
            }
            StageProj::Rejected { rejection } => {
                let rejection = *rejection;
                this.stage.set(Stage::Done);
                Poll::Ready(Err(rejection.into()))
            }
            StageProj::Done => panic!("a timeout's future was polled after it had completed"),
        }
    }
}

/// What a timer is made with that is set before it is polled.
static SOME_TIME: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Arms the timer at the first `Pending` and polls it. Ready with the end of the call.
fn poll_limit(timer: &mut Timer, limits: &Limits, cx: &mut Context<'_>) -> Poll<Instant> {
    let is_new = !timer.is_armed();
    // Made before the clock is read: a timer that is used as soon as it was made has its fields read
    // while they are still being written, in other widths, and the processor waits for that.
    let mut timer = timer.get_or_arm(|| *SOME_TIME);
    if is_new {
        timer
            .as_mut()
            .reset(limits.end(limits.instance.clock().instant_now()));
    }
    poll_timer(timer.as_mut(), cx).map(|()| timer.deadline())
}

impl Limits {
    /// When a call ends that was first polled at `now`: at the earlier of its limit and its
    /// deadline.
    fn end(&self, now: Instant) -> Instant {
        let own = deadline(now, Duration::from_nanos(self.limit_ns));
        self.until.map_or(own, |until| until.min(own))
    }
}

/// Polls a timer, also when the inner service has used up the task's cooperative budget: a busy
/// service that does so at every poll would never time out.
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
    use crate::attempt::AttemptTimeoutCounters;
    use crate::instance::Instance;
    use proptest::prelude::*;

    fn limits(limit_ns: u64, until: Option<Instant>) -> Limits {
        Limits {
            limit_ns,
            until,
            instance: Instance::<AttemptTimeoutCounters>::new("limits".into()).id(),
        }
    }

    proptest! {
        #[test]
        fn a_call_ends_at_the_earlier_of_its_limit_and_its_deadline(
            limit_ns in any::<u64>(),
            until in proptest::option::of(0_u64..=10_000_000_000),
        ) {
            let now = Instant::now();
            let limit = Duration::from_nanos(limit_ns);
            let until = until.map(|ns| now + Duration::from_nanos(ns));
            let at = limits(limit_ns, until).end(now);
            prop_assert!(at >= now && at <= now + limit);
            prop_assert!(until.is_none_or(|until| at <= until));
            prop_assert!(Some(at) == until || at == deadline(now, limit));
        }
    }

    #[test]
    fn the_longest_limit_is_far_away_and_does_not_panic() {
        let now = Instant::now();
        let year = Duration::from_secs(365 * 24 * 3600);
        assert!(limits(u64::MAX, None).end(now) > now + year);
    }
}
