//! A permit at `poll_ready`: for callers that want to be held back before they have a request.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use seawall_core::queue::{InnerService, Stopped, Waiter};
use seawall_core::striped::Anchor;
use seawall_core::{Classify, Policies, Policy, Priority, Reason, Rejectable, TrackCompletion};
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{BoundedCall, Ending};
use crate::counts::BulkheadStripe;
use crate::future::ResponseFuture;
use crate::permit::Permit;
use crate::semaphore::Admission;
use crate::state::{SharedState, State};
use crate::waiter::PermitWaiter;

/// Limits how many calls run at once, and holds callers back in `poll_ready`.
///
/// Made by [`BulkheadLayer::reserving`](crate::BulkheadLayer::reserving), over the same permits;
/// services of both kinds wait in the same queue. What differs is where a call waits:
///
/// | | [`BulkheadLayer`](crate::BulkheadLayer) | this |
/// |---|---|---|
/// | waits in | the future of the call | `poll_ready`, before there is a request |
/// | a ready instance | holds nothing | holds a permit until it is called or dropped |
/// | too many wait, or too long | the call is rejected | `poll_ready` is pending; the caller bounds it |
/// | priority | of the request | of the [layer](Self::priority) |
///
/// Use it where a balancer or a buffer decides by readiness where a call goes, or where the request
/// is made (a message taken off a queue) only once it can be sent. Call an instance soon after it is
/// ready, or drop it: one that is kept is a permit less for all others. One that waits and is polled
/// no more holds up nobody: after 5 ms its permit goes to the next. Clones hold nothing.
///
/// While it is paused, `poll_ready` is pending. While it drains, `poll_ready` is ready without a
/// permit, and the call is rejected with [`Draining`](Reason::Draining): an error of `poll_ready`
/// would mean that the service is broken for good. Waiters in `poll_ready` count as waiting calls
/// for the `max_waiting` of the others.
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = BulkheadConfig::builder().max_concurrent(1).build()?;
/// let layer = BulkheadLayer::new("orders", config);
/// let mut orders = ServiceBuilder::new()
///     .layer(layer.reserving())
///     .layer(WrapErrorLayer)
///     .service(service_fn(|id: u32| async move { Ok::<_, std::io::Error>(id) }));
///
/// let ready = orders.ready().await?;
/// assert_eq!(layer.handle().in_flight(), 1);
/// assert_eq!(ready.call(7).await?, 7);
/// assert_eq!(layer.handle().in_flight(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReservingBulkheadLayer<X = Policy> {
    state: SharedState,
    policy: X,
    priority: Priority,
}

impl<X> ReservingBulkheadLayer<X> {
    pub(crate) const fn new(state: SharedState, policy: X) -> Self {
        Self {
            state,
            policy,
            priority: Priority::NORMAL,
        }
    }

    /// How much the calls of this layer's services matter in the queue. Default: normal.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

impl<S, X: Clone> Layer<S> for ReservingBulkheadLayer<X> {
    type Service = ReservingBulkhead<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        ReservingBulkhead {
            inner,
            state: self.state.anchor(),
            policy: self.policy.clone(),
            priority: self.priority,
            measured: self.state.common().is_measured::<S, X>(),
            reservation: Reservation::default(),
        }
    }
}

seawall_core::impl_debug!(ReservingBulkheadLayer<X>:
    |this| name = this.state.common().source.name(), priority = this.priority);

/// A service that waits for a permit in `poll_ready`; made by [`ReservingBulkheadLayer`].
///
/// A ready instance holds a permit until it is called or dropped; a clone of it holds none.
pub struct ReservingBulkhead<S, X = Policy> {
    inner: S,
    state: Anchor<State, BulkheadStripe>,
    policy: X,
    priority: Priority,
    measured: bool,
    reservation: Reservation,
}

/// What one instance has reserved. Dropped, it is given up and counts for nothing, since there
/// was no call.
#[derive(Default)]
struct Reservation(Reserved);

#[derive(Default)]
enum Reserved {
    #[default]
    Nothing,
    Waiting(Pin<Box<Waiter<PermitWaiter>>>),
    Permit(Permit),
    /// Nothing, and the call will be rejected for this reason.
    Rejected(Reason),
}

impl Reservation {
    fn clear(&mut self) {
        match std::mem::take(&mut self.0) {
            Reserved::Waiting(mut waiter) => waiter.as_mut().call_mut().withdraw(),
            Reserved::Permit(permit) => permit.cancel(),
            Reserved::Nothing | Reserved::Rejected(_) => {}
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<S: Clone, X: Clone> Clone for ReservingBulkhead<S, X> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: self.state.clone(),
            policy: self.policy.clone(),
            priority: self.priority,
            measured: self.measured,
            reservation: Reservation::default(),
        }
    }
}

seawall_core::inner_accessors!(ReservingBulkhead<S, X>);

impl<S, X> ReservingBulkhead<S, X> {
    /// The inner service is ready: acquires a permit, or begins to wait for one.
    fn reserve(&self) -> Reserved {
        let common = self.state.common();
        match common.semaphore.try_acquire(|| common.clock.now()) {
            Admission::Admitted => {}
            Admission::Shadowed(reason) => self.state.here().shadow(&common.source, reason),
            Admission::Rejected(reason @ Reason::Draining) => {
                return Reserved::Rejected(reason);
            }
            Admission::Wait | Admission::Rejected(_) => {
                let state = self.state.local();
                let queued = PermitWaiter::reserving(state, self.priority);
                return Reserved::Waiting(Box::pin(Waiter::new(queued)));
            }
        }
        Reserved::Permit(Permit::new(self.state.local(), 0))
    }
}

impl<S, X, Req> Service<Req> for ReservingBulkhead<S, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Completion: TrackCompletion<Permit, S::Response> + Clone,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
{
    type Response = <X::Completion as TrackCompletion<Permit, S::Response>>::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, X>;

    // Readiness first, the permit last: no permit is held for a service that cannot go, and
    // nothing below is reserved while it waits for a permit.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        loop {
            match &mut self.reservation.0 {
                Reserved::Nothing => {
                    ready!(self.inner.poll_ready(cx))?;
                    let reserved = self.reserve();
                    let waits = matches!(reserved, Reserved::Waiting(_));
                    if waits {
                        self.inner = self.inner.clone();
                    }
                    self.reservation.0 = reserved;
                    if !waits {
                        return Poll::Ready(Ok(()));
                    }
                }
                Reserved::Waiting(waiter) => {
                    let mut target = InnerService::new(&mut self.inner);
                    self.reservation.0 = match ready!(waiter.as_mut().poll(cx, &mut target)) {
                        Ok(permit) => Reserved::Permit(permit),
                        Err(Stopped::Rejected(rejection)) => Reserved::Rejected(rejection.reason()),
                        Err(Stopped::Failed(error)) => {
                            self.reservation.clear();
                            return Poll::Ready(Err(error));
                        }
                    };
                    return Poll::Ready(Ok(()));
                }
                Reserved::Permit(_) => {
                    let polled = self.inner.poll_ready(cx);
                    if !matches!(polled, Poll::Ready(Ok(()))) {
                        self.reservation.clear();
                    }
                    return polled;
                }
                // The drain may be over.
                Reserved::Rejected(_) => self.reservation.0 = Reserved::Nothing,
            }
        }
    }

    /// # Panics
    ///
    /// When the instance was not polled ready.
    fn call(&mut self, req: Req) -> Self::Future {
        match std::mem::take(&mut self.reservation.0) {
            Reserved::Permit(mut permit) => {
                if self.measured {
                    permit.start_measuring();
                }
                let ending = Ending::of(&self.policy);
                let call = || self.inner.call(req);
                ResponseFuture::running(call, &mut permit, ending)
            }
            Reserved::Rejected(reason) => {
                let source = &self.state.common().source;
                let rejection = self.state.here().reject(source, reason);
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ResponseFuture::new(BoundedCall::rejected(rejection))
            }
            reserved @ (Reserved::Nothing | Reserved::Waiting(_)) => {
                self.reservation.0 = reserved;
                panic!("`ReservingBulkhead` called without being ready")
            }
        }
    }
}

impl<S: fmt::Debug, X> fmt::Debug for ReservingBulkhead<S, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reserved = match self.reservation.0 {
            Reserved::Nothing => "nothing",
            Reserved::Waiting(_) => "waiting",
            Reserved::Permit(_) => "permit",
            Reserved::Rejected(_) => "rejected",
        };
        f.debug_struct("ReservingBulkhead")
            .field("inner", &self.inner)
            .field("name", &self.state.common().source.name())
            .field("reserved", &reserved)
            .finish_non_exhaustive()
    }
}
