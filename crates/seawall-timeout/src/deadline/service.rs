//! The service.

use std::mem;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{ReadFor, Rejectable, is_large, ns};
use tower_service::Service;

use super::state::State;
use super::wait::Wait;
use super::{DeadlineFuture, NoPropagation, PropagateDeadline};
use crate::instance::TimeoutKind;
use crate::limit::BYPASSED;
use crate::race::{Limits, Race};

/// A service whose calls have a deadline; see [`DeadlineLayer`](crate::DeadlineLayer).
pub struct Deadline<S, P = NoPropagation> {
    inner: S,
    state: Anchor<State, ()>,
    propagate: P,
    wait: Wait,
}

impl<S, P> Deadline<S, P> {
    pub(super) const fn new(inner: S, state: Anchor<State, ()>, propagate: P) -> Self {
        Self {
            inner,
            state,
            propagate,
            wait: Wait::None,
        }
    }

    /// What the wait for readiness has left of `timeout_ns`, in nanoseconds.
    #[inline]
    fn take_time_left(&mut self, timeout_ns: u64) -> u64 {
        match mem::take(&mut self.wait) {
            _ if timeout_ns == BYPASSED => BYPASSED,
            Wait::None | Wait::Waiting { .. } => timeout_ns,
            Wait::Waited(waited) => timeout_ns.saturating_sub(ns(waited)),
            Wait::TimedOut => 0,
        }
    }
}

seawall_core::inner_accessors!(Deadline<S, P>);

impl<S, P, Req> Service<Req> for Deadline<S, P>
where
    S: Service<Req>,
    S::Error: Rejectable,
    P: PropagateDeadline<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A call that has timed out stays so: the inner service is not polled again, since a
        // queued waiter would be of no use to the call.
        if matches!(self.wait, Wait::TimedOut) {
            return Poll::Ready(Ok(()));
        }
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                if matches!(self.wait, Wait::Waiting { .. }) {
                    self.wait.ready(self.state.common().limit_ns());
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.wait = Wait::None;
                Poll::Ready(Err(error))
            }
            // An error here would end the instance, a buffer above with it: the rejection is given
            // by `call`.
            Poll::Pending => self
                .wait
                .pending(self.state.common().limit_ns(), cx)
                .map(Ok),
        }
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if is_large::<S::Future>() {
            return self.call_in_place(request);
        }
        self.call_within_limits(request)
    }
}

impl<S, P> Deadline<S, P> {
    /// Calls the inner service, unless there is no time left.
    #[inline(always)]
    fn call_within_limits<Req>(&mut self, mut request: Req) -> DeadlineFuture<S::Future>
    where
        S: Service<Req>,
        P: PropagateDeadline<Req>,
    {
        let state = self.state.common();
        let instance = state.id();
        let timeout_ns = state.limit_ns();
        let limit_ns = self.take_time_left(timeout_ns);
        let mut limits = Limits {
            limit_ns,
            until: None,
            instance,
        };
        if limit_ns == 0 {
            let kind = TimeoutKind::Readiness {
                limit_ns: timeout_ns,
            };
            return DeadlineFuture::new(Race::rejected(kind, limits));
        }
        if P::WRITES && limit_ns != BYPASSED {
            let clock = instance.clock();
            // What stands around it may have read the clock.
            let now_ns = clock.shared_now(ReadFor::Arrival);
            let own = clock.instant(now_ns.saturating_add(limit_ns));
            let at = self.propagate.propagate(&mut request, own).min(own);
            limits.until = Some(at);
            if at < own {
                let now = clock.instant(now_ns);
                if at <= now {
                    let race = Race::rejected(TimeoutKind::ExpiredOnArrival, limits);
                    return DeadlineFuture::new(race);
                }
                limits.limit_ns = ns(at - now);
            }
        }
        DeadlineFuture::new(Race::start(self.inner.call(request), limits))
    }

    /// The same with a large inner future, which is built where it stays.
    #[inline(never)]
    fn call_in_place<Req>(&mut self, request: Req) -> DeadlineFuture<S::Future>
    where
        S: Service<Req>,
        P: PropagateDeadline<Req>,
    {
        self.call_within_limits(request)
    }
}

impl<S: Clone, P: Clone> Clone for Deadline<S, P> {
    /// A clone has not waited: readiness and the time spent on it belong to one instance.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: self.state.clone(),
            propagate: self.propagate.clone(),
            wait: Wait::None,
        }
    }
}

seawall_core::impl_debug!(Deadline<S, P>: |this|
    settings = this.state.common().settings(), wait = this.wait);
