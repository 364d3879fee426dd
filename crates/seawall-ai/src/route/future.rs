//! The future of a call: choices, attempts, and the waits between them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts as Head;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use seawall_core::{Describe, KeepResponse, Outcome, Reason, Rejectable, Rejection, Sent};
use seawall_http::{KeepBody, KeepingBody, TransportError};
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use super::failed::Failed;
use super::parts::Parts;
use super::progress::{Follow, Next, Progress};
use super::set_model::data_of;
use crate::{ApiError, ErrorClass};

pin_project! {
    /// The response of a [`Router`](super::Router).
    ///
    /// It chooses a deployment when it is first polled. While it waits it holds the request, what is
    /// kept of the last response, and nothing of the deployments. When it completes it has dropped
    /// everything.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, and when it has to wait outside of a Tokio runtime with
    /// time enabled.
    pub struct RouteFuture<S, B, R, D>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        stage: Stage<S::Future, S, R>,
        // `None` from the end of the call on.
        call: Option<Call<S, B, R, S::Error, D>>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, S, R> {
        Choosing,
        // The service of the next attempt is not ready yet.
        Readying {
            service: S,
            index: usize,
            #[pin]
            timer: Option<Sleep>,
        },
        Calling {
            #[pin]
            attempt: F,
            index: usize,
        },
        // An error response is read: for its class if that is not known, or so that it can be kept.
        Keeping {
            #[pin]
            keeping: KeepingBody<R>,
            failed: Option<Failed>,
            index: usize,
        },
        // No deployment is available.
        Waiting {
            #[pin]
            timer: Sleep,
            #[pin]
            changed: OwnedNotified,
        },
        Done,
    }
}

struct Call<S, B, R, E, D> {
    parts: Arc<Parts<S, B, D>>,
    /// `None` while the last attempt that may be made is under way.
    request: Option<Request<B>>,
    /// The last response or error of a deployment.
    last: Option<Result<Response<R>, E>>,
    progress: Progress,
}

/// How much of an error response is read, and for how long at most. They are short, and come with
/// their head.
const READ: KeepBody = KeepBody::new();
const READ_FOR: Duration = Duration::from_secs(1);

impl<S, B, R, D> RouteFuture<S, B, R, D>
where
    S: Service<Request<B>>,
{
    pub(crate) fn new(parts: Arc<Parts<S, B, D>>, request: Request<B>, progress: Progress) -> Self {
        Self {
            stage: Stage::Choosing,
            call: Some(Call {
                parts,
                request: Some(request),
                last: None,
                progress,
            }),
        }
    }
}

/// What a step of the future leads to.
#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and a box would allocate"
)]
enum Step<F, S, R, E> {
    Next(Stage<F, S, R>),
    Complete(Result<Response<R>, E>),
}

type StepOf<S, B, R> =
    Step<<S as Service<Request<B>>>::Future, S, R, <S as Service<Request<B>>>::Error>;

impl<S, B, R, D> Future for RouteFuture<S, B, R, D>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Rejectable + TransportError,
    B: Clone,
    R: Body<Data = Bytes> + From<Bytes>,
    D: Describe<Request<B>>,
{
    type Output = Result<Response<R>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(call) = this.call else {
            panic!("a router's future was polled after it had completed");
        };
        loop {
            let step = match this.stage.as_mut().project() {
                StageProj::Choosing => call.choose(),
                StageProj::Readying {
                    service,
                    index,
                    timer,
                } => ready!(call.poll_ready(service, *index, timer, cx)),
                StageProj::Calling { attempt, index } => {
                    let (result, index) = (ready!(attempt.poll(cx)), *index);
                    // The attempt goes first, and with it whatever it holds.
                    this.stage.set(Stage::Done);
                    call.after_attempt(result, index)
                }
                StageProj::Keeping {
                    keeping,
                    failed,
                    index,
                } => {
                    let kept = ready!(keeping.poll(cx));
                    let (failed, index) = (*failed, *index);
                    call.after_keeping(kept, failed, index)
                }
                StageProj::Waiting { timer, changed } => {
                    // Whichever comes first; a choice follows either.
                    if changed.poll(cx).is_pending() {
                        ready!(timer.poll(cx));
                    }
                    Step::Next(Stage::Choosing)
                }
                // Only after a panic.
                StageProj::Done => panic!("a router's future was polled after it had panicked"),
            };
            match step {
                Step::Next(stage) => this.stage.set(stage),
                Step::Complete(result) => {
                    this.stage.set(Stage::Done);
                    *this.call = None;
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl<S, B, R, D> Call<S, B, R, S::Error, D>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Rejectable + TransportError,
    B: Clone,
    R: Body<Data = Bytes> + From<Bytes>,
{
    fn choose(&mut self) -> StepOf<S, B, R> {
        let mut next = self.progress.next();
        if let Next::Wait(_) = next {
            // Made before the choice that it is to be woken for.
            let changed = self.progress.changed();
            next = self.progress.next();
            if let Next::Wait(until) = next {
                self.progress.waits();
                let timer = sleep_until(until);
                return Step::Next(Stage::Waiting { timer, changed });
            }
        }
        match next {
            Next::Attempt(index) => Step::Next(Stage::Readying {
                service: self.parts.services[index].clone(),
                index,
                timer: None,
            }),
            Next::End(rejection) => self.end(rejection),
            Next::Wait(_) => Step::Next(Stage::Choosing),
        }
    }

    fn poll_ready(
        &mut self,
        service: &mut S,
        index: usize,
        mut timer: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<StepOf<S, B, R>> {
        match service.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                let Some(mut request) = self.next_request() else {
                    return Poll::Ready(self.end_without_request());
                };
                for prepare in &self.parts.prepare[index] {
                    prepare(&mut request);
                }
                self.progress.sending();
                let attempt = service.call(request);
                Poll::Ready(Step::Next(Stage::Calling { attempt, index }))
            }
            Poll::Ready(Err(error)) => {
                let failed = Failed::not_ready(Reason::NotReady);
                Poll::Ready(self.go_on(failed, Err(error)))
            }
            Poll::Pending => {
                if timer.is_none() {
                    timer.set(Some(sleep_until(self.progress.ready_until())));
                }
                if let Some(timer) = timer.as_pin_mut() {
                    ready!(timer.poll(cx));
                }
                let name = self.parts.state.deployments[index].events.name();
                let late = Rejection::new(Reason::QueueTimeout, name);
                let failed = Failed::not_ready(Reason::QueueTimeout);
                Poll::Ready(self.go_on(failed, Err(late.into())))
            }
        }
    }

    /// The request of the next attempt: the caller's own where no other can follow it.
    fn next_request(&mut self) -> Option<Request<B>> {
        if !self.progress.may_follow() {
            return self.request.take();
        }
        let copy = self.request.clone();
        std::mem::replace(&mut self.request, copy)
    }

    /// Never: a request is given away for the last attempt alone. If settings that were changed
    /// meanwhile allow a further one, the call ends with what it has.
    fn end_without_request(&mut self) -> StepOf<S, B, R> {
        let rejection = self.parts.state.events.rejection(Reason::NoRoute);
        self.end(rejection)
    }

    fn after_attempt(
        &mut self,
        result: Result<Response<R>, S::Error>,
        index: usize,
    ) -> StepOf<S, B, R> {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                let failed = Failed::error(&error);
                return self.go_on(failed, Err(error));
            }
        };
        let (response, known) = self.class_by_head(response, index);
        match known {
            None if response.status().as_u16() < 400 => self.succeed(response),
            None => self.keep(response, None, index),
            Some(class) => {
                let failed = Failed::response(&response, class);
                match self.progress.failed(failed) {
                    Follow::Yes if self.request.is_some() => {
                        self.keep(response, Some(failed), index)
                    }
                    Follow::No(obstacle) => Step::Complete(self.stop(Ok(response), obstacle)),
                    Follow::Yes => Step::Complete(self.complete(Ok(response))),
                }
            }
        }
    }

    /// The class of a response that is known without its body: what a layer below has found, and of a
    /// status that is no error what the classifier finds in the head. A response that may be a success is
    /// never read.
    fn class_by_head(
        &self,
        response: Response<R>,
        index: usize,
    ) -> (Response<R>, Option<ErrorClass>) {
        let found = response.extensions();
        let by_stream = || found.get().map(|error: &ApiError| error.class);
        let known = found.get().copied().or_else(by_stream);
        let is_plain =
            response.status().as_u16() >= 400 || response.extensions().get::<Outcome>().is_none();
        if known.is_some() || is_plain {
            return (response, known);
        }
        let (head, body) = response.into_parts();
        let class = self.classify(index, &head, b"");
        (Response::from_parts(head, body), class)
    }

    fn classify(&self, index: usize, head: &Head, body: &[u8]) -> Option<ErrorClass> {
        let deployment = &self.parts.state.deployments[index];
        deployment.classifier.class_of(head, body)
    }

    fn succeed(&mut self, mut response: Response<R>) -> StepOf<S, B, R> {
        self.progress.succeeded();
        if let Some(trace) = self.progress.take_trace() {
            response.extensions_mut().insert(trace);
        }
        Step::Complete(Ok(response))
    }

    fn keep(&self, response: Response<R>, failed: Option<Failed>, index: usize) -> StepOf<S, B, R> {
        let reader = READ.with_timeout(READ_FOR).unwrap_or(READ);
        Step::Next(Stage::Keeping {
            keeping: reader.keep_until(response, self.progress.deadline()),
            failed,
            index,
        })
    }

    fn after_keeping(
        &mut self,
        kept: Option<Response<R>>,
        failed: Option<Failed>,
        index: usize,
    ) -> StepOf<S, B, R> {
        let Some(response) = kept else {
            // This keeper keeps all, at least the head.
            let rejection = self.parts.state.events.rejection(Reason::NoRoute);
            return self.end(rejection);
        };
        if failed.is_some() {
            self.last = Some(Ok(response));
            return Step::Next(Stage::Choosing);
        }
        let (head, body) = response.into_parts();
        // What is kept is made of data that is there.
        let data = data_of(body).unwrap_or_default();
        let class = self.classify(index, &head, &data);
        let response = Response::from_parts(head, R::from(data));
        let class = class.unwrap_or(ErrorClass::InvalidRequest);
        let failed = Failed::response(&response, class);
        self.go_on(failed, Ok(response))
    }

    /// Another choice, if the failure allows it; the end of the call otherwise.
    fn go_on(&mut self, failed: Failed, result: Result<Response<R>, S::Error>) -> StepOf<S, B, R> {
        let follow = self.progress.failed(failed);
        // The rejection of a layer says less than what a deployment has answered before.
        let is_news = failed.sent || !matches!(self.last, Some(ref last) if !is_rejected(last));
        if is_news {
            self.last = Some(result);
        }
        let obstacle = match follow {
            Follow::Yes if self.request.is_some() => return Step::Next(Stage::Choosing),
            Follow::Yes => None,
            Follow::No(obstacle) => obstacle,
        };
        match self.last.take() {
            Some(result) => Step::Complete(self.stop(result, obstacle)),
            None => self.end_without_request(),
        }
    }

    /// The call ends with that result; a response is marked with what stood in the way of another
    /// attempt.
    fn stop(
        &mut self,
        mut result: Result<Response<R>, S::Error>,
        obstacle: Option<Rejection>,
    ) -> Result<Response<R>, S::Error> {
        if let (Ok(response), Some(obstacle)) = (&mut result, obstacle) {
            READ.mark(response, obstacle);
        }
        self.complete(result)
    }

    /// No further attempt: the caller gets the last answer of a deployment, marked with the rejection,
    /// or the rejection.
    fn end(&mut self, rejection: Rejection) -> StepOf<S, B, R> {
        Step::Complete(match self.last.take() {
            Some(Ok(response)) => self.stop(Ok(response), Some(rejection)),
            Some(Err(error)) if !is_unsent(&error) || rejection.retry_after().is_none() => {
                self.complete(Err(error))
            }
            _ => {
                self.progress.rejected(rejection);
                Err(rejection.into())
            }
        })
    }

    /// The call ends with what a deployment has answered.
    fn complete(
        &mut self,
        mut result: Result<Response<R>, S::Error>,
    ) -> Result<Response<R>, S::Error> {
        self.progress.ended(is_rejected(&result));
        if let Ok(response) = &mut result
            && let Some(trace) = self.progress.take_trace()
        {
            response.extensions_mut().insert(trace);
        }
        result
    }
}

/// Whether a layer of the deployment's stack has rejected the attempt without sending it.
fn is_rejected<R, E: Rejectable>(result: &Result<R, E>) -> bool {
    matches!(result, Err(error) if is_unsent(error))
}

fn is_unsent<E: Rejectable>(error: &E) -> bool {
    let rejection = error.rejection();
    rejection.is_some_and(|rejection| rejection.sent() == Sent::No)
}

seawall_core::impl_debug!(
    RouteFuture<S, B, R, D> where [S: Service<Request<B>>]: |this|
    stage = match &this.stage {
        Stage::Choosing => "choosing",
        Stage::Readying { .. } => "readying",
        Stage::Calling { .. } => "calling",
        Stage::Keeping { .. } => "keeping",
        Stage::Waiting { .. } => "waiting",
        Stage::Done => "done",
    },
);
