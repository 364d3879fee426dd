//! A place at `poll_ready`: for callers that want to be held back before they have a request.

use std::fmt;
use std::task::{Context, Poll, ready};

use seawall_core::striped::{Anchor, Shared};
use seawall_core::{
    Classify, CompleteOnResponse, ErrorIsFailure, Priority, Reason, Rejectable, TrackCompletion,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::observe::{Common, Stripe, reject, shadow};
use crate::permit::Waiting;
use crate::places::{Entry, Turn};
use crate::wait::InLine;
use crate::{Permit, ResponseFuture};

/// Limits how many calls run at once, and holds callers back in `poll_ready`.
///
/// Made by [`BulkheadLayer::reserving`](crate::BulkheadLayer::reserving), over the same places; a
/// service of either kind waits in the same line. What differs is where a call waits:
///
/// | | [`BulkheadLayer`](crate::BulkheadLayer) | this |
/// |---|---|---|
/// | waits in | the future of the call | `poll_ready`, before there is a request |
/// | a ready instance | holds nothing | holds a place until it is called or dropped |
/// | too many wait, or too long | the call is rejected | `poll_ready` is pending; the caller bounds it |
/// | priority | of the request | of the [layer](Self::priority) |
///
/// Use it where a balancer or a buffer decides by readiness where a call goes, or where the request
/// is made (a message taken off a queue) only once it can be sent. Call an instance soon after it is
/// ready, or drop it: one that is kept is a place less for all others. Likewise one that waits: poll
/// it until it is ready, or drop it; one that is neither holds up those behind it. Clones hold
/// nothing.
///
/// While it is paused, `poll_ready` is pending. While it drains, `poll_ready` is ready without a
/// place, and the call is rejected with [`Draining`](Reason::Draining): an error of `poll_ready`
/// would say that the service is broken for good. Those who wait in `poll_ready` count as waiting
/// calls for `max_waiting` of the others.
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
/// use seawall_core::WrapErrorLayer;
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
pub struct ReservingBulkheadLayer<H = CompleteOnResponse, C = ErrorIsFailure> {
    shared: Shared<Common, Stripe>,
    hold: H,
    classify: C,
    priority: Priority,
}

impl<H, C> ReservingBulkheadLayer<H, C> {
    pub(crate) const fn new(shared: Shared<Common, Stripe>, hold: H, classify: C) -> Self {
        Self {
            shared,
            hold,
            classify,
            priority: Priority::NORMAL,
        }
    }

    /// How much the calls of this layer's services matter in the line. Default: normal.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

impl<S, H: Clone, C: Clone> Layer<S> for ReservingBulkheadLayer<H, C> {
    type Service = ReservingBulkhead<S, H, C>;

    fn layer(&self, inner: S) -> Self::Service {
        ReservingBulkhead {
            inner,
            state: self.shared.anchor(),
            hold: self.hold.clone(),
            classify: self.classify.clone(),
            priority: self.priority,
            measured: self.shared.common().tuning.get().is_some(),
            seat: Seat::default(),
        }
    }
}

impl<H, C> fmt::Debug for ReservingBulkheadLayer<H, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReservingBulkheadLayer")
            .field("name", &self.shared.common().observer.name())
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

/// A service that waits for a place in `poll_ready`; made by [`ReservingBulkheadLayer`].
///
/// A ready instance holds a place until it is called or dropped; a clone of it holds none.
pub struct ReservingBulkhead<S, H = CompleteOnResponse, C = ErrorIsFailure> {
    inner: S,
    state: Anchor<Common, Stripe>,
    hold: H,
    classify: C,
    priority: Priority,
    measured: bool,
    seat: Seat,
}

/// What one instance has reserved. Dropped, it is given back and counts for nothing, since there
/// was no call.
#[derive(Default)]
struct Seat(At);

#[derive(Default)]
enum At {
    #[default]
    Nothing,
    Waiting(Waiting),
    Holding(Permit),
    /// Nothing, and the call will be told why.
    Rejected(Reason),
}

impl Seat {
    fn clear(&mut self) {
        match std::mem::take(&mut self.0) {
            At::Waiting(waiting) => waiting.withdraw(),
            At::Holding(permit) => permit.give_up(),
            At::Nothing | At::Rejected(_) => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<S: Clone, H: Clone, C: Clone> Clone for ReservingBulkhead<S, H, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: self.state.clone(),
            hold: self.hold.clone(),
            classify: self.classify.clone(),
            priority: self.priority,
            measured: self.measured,
            seat: Seat::default(),
        }
    }
}

impl<S, H, C> ReservingBulkhead<S, H, C> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn here(&self) -> (&Common, &Stripe) {
        (self.state.common(), self.state.here())
    }

    /// The inner service is ready: takes a place, or begins to wait for one.
    fn sit_down(&mut self) -> At {
        let (common, stripe) = self.here();
        match common.places.enter() {
            Entry::Taken => {}
            Entry::Watched(reason) => shadow(&common.observer, stripe, reason),
            Entry::Rejected(reason @ Reason::Draining) => {
                return At::Rejected(reason);
            }
            Entry::Wait | Entry::Rejected(_) => {
                let state = self.state.local();
                return At::Waiting(Waiting::reserving(state, self.priority));
            }
        }
        At::Holding(Permit::of(self.state.local(), false))
    }
}

impl<S, H, C, Req> Service<Req> for ReservingBulkhead<S, H, C>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    H: TrackCompletion<Permit, S::Response> + Clone,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, H, C>;

    // Readiness first, the place last: no place is held for a service that cannot go, and nothing
    // below is reserved by one who waits for a place.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        loop {
            match &mut self.seat.0 {
                At::Nothing => {
                    ready!(self.inner.poll_ready(cx))?;
                    let at = self.sit_down();
                    if matches!(at, At::Waiting(_)) {
                        self.inner = self.inner.clone();
                    }
                    self.seat.0 = at;
                    if !matches!(self.seat.0, At::Waiting(_)) {
                        return Poll::Ready(Ok(()));
                    }
                }
                At::Waiting(waiting) => {
                    match waiting.turn(false, cx.waker()) {
                        Ok(Turn::Wait) => return Poll::Pending,
                        Ok(Turn::Go) => {}
                        Err(rejection) => {
                            self.seat.0 = At::Rejected(rejection.reason());
                            return Poll::Ready(Ok(()));
                        }
                    }
                    match self.inner.poll_ready(cx) {
                        Poll::Pending => {
                            waiting.stand_aside();
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(error)) => {
                            self.seat.clear();
                            return Poll::Ready(Err(error));
                        }
                        Poll::Ready(Ok(())) => {}
                    }
                    let Some(permit) = waiting.take(false, cx.waker()) else {
                        self.inner = self.inner.clone();
                        return Poll::Pending;
                    };
                    self.seat.0 = At::Holding(permit);
                    return Poll::Ready(Ok(()));
                }
                At::Holding(_) => {
                    let polled = self.inner.poll_ready(cx);
                    if !matches!(polled, Poll::Ready(Ok(()))) {
                        self.seat.clear();
                    }
                    return polled;
                }
                // It may be over.
                At::Rejected(_) => self.seat.0 = At::Nothing,
            }
        }
    }

    /// # Panics
    ///
    /// When the instance was not polled ready.
    fn call(&mut self, req: Req) -> Self::Future {
        match std::mem::take(&mut self.seat.0) {
            At::Holding(mut permit) => {
                if self.measured {
                    permit.begin();
                }
                let (hold, classify) = (self.hold.clone(), self.classify.clone());
                ResponseFuture::running(self.inner.call(req), permit, hold, classify)
            }
            At::Rejected(reason) => {
                let (common, stripe) = self.here();
                let rejection = reject(&common.observer, stripe, reason);
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ResponseFuture::rejected(rejection)
            }
            at @ (At::Nothing | At::Waiting(_)) => {
                self.seat.0 = at;
                panic!("`ReservingBulkhead` called without being ready")
            }
        }
    }
}

impl<S: fmt::Debug, H, C> fmt::Debug for ReservingBulkhead<S, H, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seat = match self.seat.0 {
            At::Nothing => "nothing",
            At::Waiting(_) => "waiting",
            At::Holding(_) => "holding",
            At::Rejected(_) => "rejected",
        };
        f.debug_struct("ReservingBulkhead")
            .field("inner", &self.inner)
            .field("name", &self.state.common().observer.name())
            .field("reserved", &seat)
            .finish_non_exhaustive()
    }
}
