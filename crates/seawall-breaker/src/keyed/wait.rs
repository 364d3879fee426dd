//! The wait of a call for a probe slot of its key's circuit.

use std::fmt;
use std::task::{Context, Poll, ready};

use seawall_core::{Policies, on_unwind};
use tower_service::Service;

use super::circuit::Keyed;
use crate::access::Access;
use crate::admission::Admit;
use crate::entry_point::EntryPoint;
use crate::future::{AfterWait, ResponseFuture, Wait};
use crate::permit::Permit;
use crate::probe_wait::{ProbeWait, Waited, may_wait};
use crate::wakers::Parked;

/// The future of a keyed breaker of this policy. The wait is boxed, so that the futures of calls
/// that need not wait stay small.
pub(super) type KeyedResponse<S, Req, X, K> = ResponseFuture<
    <S as Service<Req>>::Future,
    <X as Policies>::Classifier,
    <X as Policies>::Completion,
    Keyed<K>,
    Box<KeyedWait<S, Req, K>>,
>;

/// What a call of a [`KeyedBreaker`](crate::KeyedBreaker) keeps while it waits for a probe slot.
pub struct KeyedWait<S, Req, K: ToOwned + ?Sized> {
    // First, so that the wakers are removed before the service and the request are dropped.
    wait: ProbeWait,
    parked: Parked,
    circuit: Keyed<K>,
    service: S,
    /// Whether the service was polled since it was last replaced.
    polled: bool,
    req: Option<Req>,
}

impl<S, Req, K: ToOwned + ?Sized> KeyedWait<S, Req, K> {
    pub(super) fn new(service: S, req: Req, circuit: Keyed<K>) -> Self {
        Self {
            wait: ProbeWait::default(),
            parked: Parked::new(),
            circuit,
            service,
            polled: false,
            req: Some(req),
        }
    }
}

impl<S, Req, K> Wait<S::Future, Keyed<K>, S::Error> for Box<KeyedWait<S, Req, K>>
where
    S: Service<Req> + Clone,
    K: ToOwned + ?Sized,
{
    const WAITS: bool = true;

    /// A probe slot first, then readiness, and then both at once: nothing is held while the other
    /// is waited for.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<AfterWait<S::Future, Keyed<K>>, S::Error>> {
        let this = &mut **self;
        let common = this.circuit.common();
        loop {
            let word = common.word();
            if let Some(rejection) = common.would_reject(word, EntryPoint::Breaker) {
                // A service that was waited for before the circuit changed may hold what the
                // probes need.
                if this.polled {
                    this.polled = false;
                    this.service = this.service.clone();
                }
                if may_wait(&this.circuit, &rejection)
                    && ready!(this.wait.poll(&this.circuit, EntryPoint::Breaker, cx))
                        == Waited::TryAgain
                {
                    continue;
                }
                this.circuit.count_rejection(EntryPoint::Breaker, rejection);
                return Poll::Ready(Ok(AfterWait::Rejected(rejection)));
            }
            // Parked first: a circuit that opens wakes calls that wait for an unready service too.
            this.parked.park(common.wakers(), cx.waker());
            this.polled = true;
            match this.service.poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending if common.word() == word => return Poll::Pending,
                Poll::Pending => continue,
            }
            match this.circuit.admit() {
                // The permit is made first: if the inner service panics, the probe slot is free.
                Ok(record) => {
                    let mut permit = Permit::new(this.circuit.clone(), record);
                    let req = this.req.take().expect("a call departs once");
                    let inner = on_unwind(|| this.service.call(req), || permit.panicked());
                    return Poll::Ready(Ok(AfterWait::Called(inner, permit)));
                }
                // Another was quicker. What the service has reserved is for others meanwhile.
                Err(_) => this.service = this.service.clone(),
            }
        }
    }
}

impl<S, Req, K: ToOwned + ?Sized> fmt::Debug for KeyedWait<S, Req, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedWait")
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
