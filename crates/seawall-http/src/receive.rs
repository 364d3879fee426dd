//! All that a stack does right around an HTTP client, in one service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use seawall_core::carry::{Classified, Described, GuardedResponse, Pooled, Storage};
use seawall_core::striped::{Anchor, Local, Shared, Stripes};
use seawall_core::{Classify, Error, FailureKind, Outcome, SharedReadings};
use tower_layer::Layer;
use tower_service::Service;

use crate::body_timeout::{BodyTimeoutLayer, HeadTimer, TimedBody};
use crate::departure::Departures;
use crate::inspect::{Extent, InspectLayer, InspectedBody, Inspector, Reading};

/// Receives the responses of an HTTP client for the layers of a stack: inspects small bodies
/// ([`InspectLayer`]), wraps the client's error in [`Error`], classifies each result once, and ends
/// bodies that do not come in time ([`BodyTimeoutLayer`]).
///
/// One service in place of four, since each would move the response. Requests and responses travel
/// in [boxes](Pooled) above it: see [`seawall_core::carry`].
#[derive(Debug)]
pub struct ReceiveLayer<C, I> {
    shared: Shared<Parts<C, I>, ()>,
}

/// What receiving needs: shared by all services and calls, so that neither copies it.
#[derive(Debug)]
struct Parts<C, I> {
    classifier: C,
    inspect: InspectLayer<I>,
    body_timeout: BodyTimeoutLayer,
}

impl<C, I> ReceiveLayer<C, I> {
    /// Classifies with `classifier`, after `inspect` has looked into the body, and times bodies as
    /// `body_timeout` does.
    pub fn new(classifier: C, inspect: InspectLayer<I>, body_timeout: BodyTimeoutLayer) -> Self {
        let parts = Parts {
            classifier,
            inspect,
            body_timeout,
        };
        Self {
            // Only the reference counts of the stripes are wanted, so that it scales.
            shared: Shared::new(parts, Stripes::auto(), || ()),
        }
    }
}

impl<S, C, I> Layer<S> for ReceiveLayer<C, I> {
    type Service = Receive<S, C, I>;

    fn layer(&self, client: S) -> Self::Service {
        Receive {
            client,
            parts: self.shared.anchor(),
        }
    }
}

/// An HTTP client whose responses are received for a stack; see [`ReceiveLayer`].
#[derive(Debug)]
pub struct Receive<S, C, I> {
    client: S,
    parts: Anchor<Parts<C, I>, ()>,
}

impl<S: Clone, C, I> Clone for Receive<S, C, I> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            parts: self.parts.clone(),
        }
    }
}

/// A body as the layers of a stack see it.
pub type ReceivedBody<B> = TimedBody<InspectedBody<B>>;

/// A response as the layers of a stack see it.
type Received<B> = Classified<Response<ReceivedBody<B>>>;

impl<S, C, I, A, B> Service<Pooled<Described<Request<A>>>> for Receive<S, C, I>
where
    S: Service<Request<A>, Response = Response<B>>,
    C: Classify<Response<ReceivedBody<B>>, Error<S::Error>>,
    I: Inspector,
    B: Body<Data = Bytes> + Unpin + 'static,
{
    type Response = GuardedResponse<Pooled<Received<B>>, ()>;
    type Error = Classified<Error<S::Error>>;
    type Future = ReceiveFuture<S::Future, B, C, I>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let ready = self.client.poll_ready(cx);
        ready.map_err(|error| Classified::unclassified_error(Error::Inner(error)))
    }

    #[inline]
    fn call(&mut self, described: Pooled<Described<Request<A>>>) -> Self::Future {
        let parts = self.parts.local();
        let deadline = described.get().meta.deadline;
        let head = parts.common().body_timeout.head_timer(deadline);
        // What the client calls is no layer of this stack.
        SharedReadings::end();
        described.take_for(|described| ReceiveFuture {
            departures: described.request.extensions().get().cloned(),
            step: Step::Called {
                inner: self.client.call(described.request),
            },
            head,
            parts,
        })
    }
}

pin_project! {
    /// The response of a [`Receive`].
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, and when it has to arm its timer outside of a
    /// Tokio runtime with time enabled.
    pub struct ReceiveFuture<F, B, C, I>
    where
        B: Body,
        B: 'static,
    {
        #[pin]
        step: Step<F, B>,
        head: HeadTimer,
        // Who wants to know of a request that was not sent: an order's.
        departures: Option<Departures>,
        parts: Local<Parts<C, I>, ()>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F, B>
    where
        B: Body,
        B: 'static,
    {
        Called { #[pin] inner: F },
        // In a box, so that the futures of calls whose bodies are not read stay small.
        Reading { reading: Option<Pooled<Reading<B>>> },
        Done,
    }
}

impl<F, B, C, I, E> Future for ReceiveFuture<F, B, C, I>
where
    F: Future<Output = Result<Response<B>, E>>,
    C: Classify<Response<ReceivedBody<B>>, Error<E>>,
    I: Inspector,
    B: Body<Data = Bytes> + Unpin + 'static,
{
    type Output = Result<GuardedResponse<Pooled<Received<B>>, ()>, Classified<Error<E>>>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let parts = this.parts.common();
        let rules = &parts.inspect.rules;
        parts.body_timeout.begin_head(this.head);
        loop {
            match this.step.as_mut().project() {
                StepProj::Called { inner } => match inner.poll(cx) {
                    Poll::Ready(Ok(response)) => {
                        let extent = rules.extent(response.headers(), response.body());
                        let response = response.map(InspectedBody::unread);
                        if extent == Extent::Nothing {
                            // What the client holds is free before the caller sees the response.
                            this.step.set(Step::Done);
                            return Poll::Ready(Ok(parts.received::<B, E>(response, this.head)));
                        }
                        let reading = Some(Pooled::put(Reading::new(response, extent)));
                        this.step.set(Step::Reading { reading });
                        continue;
                    }
                    Poll::Ready(Err(error)) => {
                        this.step.set(Step::Done);
                        let failed = parts.failed::<B, E>(error, this.departures.as_ref());
                        return Poll::Ready(Err(failed));
                    }
                    Poll::Pending => {}
                },
                StepProj::Reading { reading } => {
                    let is_read = |reading: &mut Pooled<Reading<B>>| {
                        reading.get_mut().poll(cx, rules).is_ready()
                    };
                    if let Some(read) = reading.take_if(is_read) {
                        let response = read.take().finish(rules);
                        this.step.set(Step::Done);
                        return Poll::Ready(Ok(parts.received::<B, E>(response, this.head)));
                    }
                }
                StepProj::Done => panic!("polled after it has completed"),
            }
            let late = ready!(parts.body_timeout.poll_head(this.head, cx));
            this.step.set(Step::Done);
            return Poll::Ready(Err(late.into()));
        }
    }
}

impl<C, I> Parts<C, I> {
    /// An error of the client, with what it means.
    #[cold]
    fn failed<B, E>(&self, error: E, departures: Option<&Departures>) -> Classified<Error<E>>
    where
        C: Classify<Response<ReceivedBody<B>>, Error<E>>,
        B: Body,
    {
        let failed = Classified::error(Error::Inner(error), &self.classifier);
        if failed.outcome() == Outcome::Failure(FailureKind::NotSent)
            && let Some(departures) = departures
        {
            departures.was_not_sent();
        }
        failed
    }

    /// A response with what it means, in a box.
    #[inline]
    fn received<B, E>(
        &self,
        response: Response<InspectedBody<B>>,
        head: &HeadTimer,
    ) -> GuardedResponse<Pooled<Received<B>>, ()>
    where
        C: Classify<Response<ReceivedBody<B>>, Error<E>>,
        B: Body<Data = Bytes> + Unpin + 'static,
    {
        let mut response = Pooled::put(Classified::unclassified(
            self.body_timeout.time_body(response, head),
        ));
        response
            .get_mut()
            .classify_response::<_, Error<E>>(&self.classifier);
        GuardedResponse::new(response, ())
    }
}

seawall_core::impl_debug!(ReceiveFuture<F, B, C, I> where [B: Body + 'static]:);
