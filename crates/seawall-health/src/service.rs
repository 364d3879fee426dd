//! The service: hands each call a ticket.

use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Classify, CompleteOnResponse, ErrorIsFailure, Rejectable, TrackCompletion};
use tower_service::Service;

use crate::ResponseFuture;
use crate::ticket::{Common, Observation, Stripe};

/// A service whose calls are observed; see [`HealthLayer`](crate::HealthLayer).
// Nothing here is per instance: readiness is the inner service's, so `Clone` can be derived.
#[derive(Clone, Debug)]
pub struct Health<S, C = ErrorIsFailure, H = CompleteOnResponse> {
    inner: S,
    anchor: Anchor<Common, Stripe>,
    classify: C,
    hold: H,
}

impl<S, C, H> Health<S, C, H> {
    pub(crate) const fn new(
        inner: S,
        anchor: Anchor<Common, Stripe>,
        classify: C,
        hold: H,
    ) -> Self {
        Self {
            inner,
            anchor,
            classify,
            hold,
        }
    }

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
}

impl<S, Req, C, H> Service<Req> for Health<S, C, H>
where
    S: Service<Req>,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error> + Clone,
    H: TrackCompletion<Observation, S::Response> + Clone,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C, H>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        // The ticket first: if the inner service panics here, the call was abandoned.
        let ticket = Observation::new(self.anchor.local());
        ResponseFuture::new(
            self.inner.call(req),
            ticket,
            self.classify.clone(),
            self.hold.clone(),
        )
    }
}
