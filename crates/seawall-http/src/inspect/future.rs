//! The future of an inspected call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http::response::Parts;
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
        Reading { extent: Extent, read: Option<(Parts, InspectedBody<B>)> },
        Done,
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
                    let (head, body) = match ready!(inner.poll(cx)) {
                        Ok(response) => response.into_parts(),
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    };
                    let extent = this.rules.extent(&head, &body);
                    let body = InspectedBody::unread(body);
                    if extent == Extent::Nothing {
                        this.state.set(State::Done);
                        return Poll::Ready(Ok(Response::from_parts(head, body)));
                    }
                    let read = Some((head, body));
                    this.state.set(State::Reading { extent, read });
                }
                StateProj::Reading { extent, read } => {
                    let extent = *extent;
                    if let Some((_, body)) = read {
                        ready!(body.poll_read(cx, extent, this.rules.cap));
                    }
                    let read = read.take();
                    this.state.set(State::Done);
                    let Some((mut head, body)) = read else {
                        continue;
                    };
                    let cap = this.rules.cap;
                    let text = body
                        .complete(extent, cap)
                        .and_then(|body| Encoding::of(&head.headers).decode(body, cap));
                    if let Some(text) = text {
                        if let Some(outcome) = this.rules.inspector.inspect(&head, &text) {
                            head.extensions.insert(outcome);
                        }
                        (this.rules.annotate)(&mut head, &text);
                    }
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
                }
                StateProj::Done => panic!("polled after it has completed"),
            }
        }
    }
}

seawall_core::impl_debug!(InspectFuture<F, B, I> where [B: Body]:);
