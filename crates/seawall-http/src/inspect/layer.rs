//! The layer and its service.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{InspectFuture, InspectedBody, Inspector, is_plain_json};

/// Reads small JSON bodies of answers and lets an [`Inspector`] judge them; see the
/// [module](super).
#[derive(Clone, Copy, Debug)]
pub struct InspectLayer<I> {
    rules: Rules<I>,
}

/// What the service and its futures know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<I> {
    pub(super) inspector: I,
    pub(super) cap: usize,
    pub(super) wanted: fn(&HeaderMap) -> bool,
}

impl<I> InspectLayer<I> {
    /// Inspects bodies of up to `cap` bytes with `inspector`.
    ///
    /// 16 KiB is plenty for error messages. A `cap` of 0 inspects nothing.
    pub const fn new(cap: usize, inspector: I) -> Self {
        Self {
            rules: Rules {
                inspector,
                cap,
                wanted: is_plain_json,
            },
        }
    }

    /// Chooses by their headers which answers are read, in place of [`is_plain_json`]. Event
    /// streams are never read.
    ///
    /// [`is_plain_json`]: super::is_plain_json
    #[must_use]
    pub fn only(mut self, wanted: fn(&HeaderMap) -> bool) -> Self {
        self.rules.wanted = wanted;
        self
    }
}

impl<I: Clone, S> Layer<S> for InspectLayer<I> {
    type Service = Inspect<S, I>;

    fn layer(&self, inner: S) -> Inspect<S, I> {
        Inspect {
            inner,
            rules: self.rules.clone(),
        }
    }
}

/// A service whose answers carry a verdict about their body; see the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct Inspect<S, I> {
    inner: S,
    rules: Rules<I>,
}

impl<S, I> Inspect<S, I> {
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

impl<S, I, Req, B> Service<Req> for Inspect<S, I>
where
    S: Service<Req, Response = Response<B>>,
    I: Inspector + Clone,
    B: Body<Data = Bytes> + Unpin,
{
    type Response = Response<InspectedBody<B>>;
    type Error = S::Error;
    type Future = InspectFuture<S::Future, B, I>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        InspectFuture::new(self.inner.call(req), self.rules.clone())
    }
}

impl<I: Inspector> Rules<I> {
    /// Whether the body of this answer is to be read.
    pub(super) fn reads<B: Body>(&self, head: &Parts, body: &B) -> bool {
        self.cap > 0
            && !body.is_end_stream()
            && body.size_hint().lower() <= self.cap as u64
            && !super::is_event_stream(&head.headers)
            && (self.wanted)(&head.headers)
    }
}
