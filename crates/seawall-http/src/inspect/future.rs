//! The future of an inspected call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::InspectedBody;
use super::encoding::Encoding;
use super::inspector::Inspector;
use super::rules::{Extent, Rules};

pin_project! {
    /// The future of an [`Inspect`](super::Inspect).
    ///
    /// # Panics
    ///
    /// When it is polled again after it has completed.
    pub struct InspectFuture<F, B: Body, I> {
        #[pin]
        state: State<F, B>,
        rules: Rules<I>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B: Body> {
        Called { #[pin] inner: F },
        Reading { reading: Option<Reading<B>> },
        Done,
    }
}

/// A response whose body is read.
pub(crate) struct Reading<B: Body> {
    response: Response<InspectedBody<B>>,
    extent: Extent,
}

impl<B: Body<Data = Bytes> + Unpin> Reading<B> {
    /// A response whose body is to be read so far.
    pub(crate) const fn new(response: Response<InspectedBody<B>>, extent: Extent) -> Self {
        Self { response, extent }
    }

    /// Reads as far as the rules ask for.
    pub(crate) fn poll<I>(&mut self, cx: &mut Context<'_>, rules: &Rules<I>) -> Poll<()> {
        let body = self.response.body_mut();
        body.poll_read(cx, self.extent, rules.cap)
    }

    /// The response, with what was found in its body.
    pub(crate) fn finish<I: Inspector>(self, rules: &Rules<I>) -> Response<InspectedBody<B>> {
        let (mut head, body) = self.response.into_parts();
        let text = body
            .complete(self.extent, rules.cap)
            .and_then(|body| Encoding::of(&head.headers).decode(body, rules.cap));
        if let Some(text) = text {
            if let Some(outcome) = rules.inspector.inspect(&head, &text) {
                head.extensions.insert(outcome);
            }
            (rules.annotate)(&mut head, &text);
        }
        Response::from_parts(head, body)
    }
}

impl<F, B: Body, I> InspectFuture<F, B, I> {
    pub(super) fn new(inner: F, rules: Rules<I>) -> Self {
        Self {
            state: State::Called { inner },
            rules,
        }
    }
}

impl<F, B, E, I> Future for InspectFuture<F, B, I>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Unpin,
    I: Inspector,
{
    type Output = Result<Response<InspectedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Called { inner } => {
                    let response = match ready!(inner.poll(cx)) {
                        Ok(response) => response,
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    };
                    let extent = this.rules.extent(response.headers(), response.body());
                    let response = response.map(InspectedBody::unread);
                    if extent == Extent::Nothing {
                        this.state.set(State::Done);
                        return Poll::Ready(Ok(response));
                    }
                    let reading = Some(Reading::new(response, extent));
                    this.state.set(State::Reading { reading });
                }
                StateProj::Reading { reading } => {
                    if let Some(reading) = reading {
                        ready!(reading.poll(cx, this.rules));
                    }
                    let reading = reading.take();
                    this.state.set(State::Done);
                    if let Some(reading) = reading {
                        return Poll::Ready(Ok(reading.finish(this.rules)));
                    }
                }
                StateProj::Done => panic!("polled after it has completed"),
            }
        }
    }
}

seawall_core::impl_debug!(InspectFuture<F, B, I> where [B: Body]:);
