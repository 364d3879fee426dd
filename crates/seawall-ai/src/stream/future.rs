//! The future of a call whose response has something in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use seawall_http::inspect::{is_event_stream, is_html};
use seawall_http::quota::UsageBound;
use serde_json::{Value, json};
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::{Plain, StreamBody};
use super::config::StreamConfig;
use super::error::{BoxError, CallError, Delivered, StreamError, StreamErrorKind};
use super::gap::Gap;
use super::state::LocalState;
use super::streaming::{Head, Streaming, end_of};
use super::timer::{Timer, poll_sleep};

/// What one call needs.
pub(super) struct Call {
    state: LocalState,
    /// `None` where the layer is bypassed.
    config: Option<Arc<StreamConfig>>,
    /// When it was polled first.
    began: Option<Instant>,
    /// Whether the response to such a request has a body.
    has_body: bool,
    /// What is believed of the usage that the response reports.
    bound: Option<UsageBound>,
}

pin_project! {
    /// The future of a [`StreamService`](super::StreamService).
    ///
    /// # Panics
    ///
    /// When it is polled again after it has completed, and when it has to arm its timer outside of
    /// a Tokio runtime with time enabled.
    pub struct StreamFuture<F, B> {
        #[pin]
        step: Step<F, B>,
        call: Call,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F, B> {
        Called {
            #[pin]
            inner: F,
            #[pin]
            timer: Option<Sleep>,
        },
        // In a box, so that the futures of calls that are no streams stay small.
        Reading { reading: Option<Box<Reading<B>>> },
        Opening { opening: Option<Box<Opening<B>>> },
        Done,
    }
}

/// A stream whose head is held back.
struct Reading<B> {
    head: Parts,
    stream: Box<Streaming<B>>,
}

/// A response that is no stream, and in which there is nothing yet.
struct Opening<B> {
    head: Parts,
    body: Plain<B>,
    timer: Timer,
}

impl<B> Opening<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    fn open(self) -> Response<StreamBody<B>> {
        Response::from_parts(self.head, StreamBody::plain(self.body))
    }

    fn poll_first(&mut self, call: &Call, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if let Poll::Ready(result) = self.body.poll_first(cx) {
            return Poll::Ready(result);
        }
        let Some((at, kind)) = call.head_due() else {
            return Poll::Pending;
        };
        ready!(self.timer.poll(at, cx));
        Poll::Ready(Err(call.fail(kind)))
    }
}

impl<F, B> StreamFuture<F, B> {
    pub(super) const fn new(inner: F, call: Call) -> Self {
        Self {
            step: Step::Called { inner, timer: None },
            call,
        }
    }
}

/// What a response is.
#[expect(
    clippy::large_enum_variant,
    reason = "what is largest comes most often, and is passed on at once"
)]
enum Begun<B> {
    Passed(Response<StreamBody<B>>),
    Stream(Box<Reading<B>>),
    Opening(Box<Opening<B>>),
    Failed(StreamError),
}

impl Call {
    pub(super) fn new(state: LocalState, has_body: bool, bound: Option<UsageBound>) -> Self {
        let common = state.common();
        let config = (!common.bypass.is_on()).then(|| state.stripe().config());
        Self {
            state,
            config,
            began: None,
            has_body,
            bound,
        }
    }

    fn begin(&mut self) {
        let is_timed = |config: &Arc<StreamConfig>| {
            config.first_content().is_some() || config.total().is_some()
        };
        if self.began.is_none() && self.config.as_ref().is_some_and(is_timed) {
            self.began = Some(self.state.common().clock.instant_now());
        }
    }

    /// When the head must be there, and the limit that ends then.
    fn head_due(&self) -> Option<(Instant, StreamErrorKind)> {
        let config = self.config.as_ref()?;
        let first = end_of(self.began, config.first_content());
        let total = end_of(self.began, config.total());
        let first = first.map(|at| (at, StreamErrorKind::FirstContent));
        let total = total.map(|at| (at, StreamErrorKind::Total));
        match (first, total) {
            (Some(first), Some(total)) => Some(if total.0 < first.0 { total } else { first }),
            (first, total) => first.or(total),
        }
    }

    fn fail(&self, kind: StreamErrorKind) -> StreamError {
        let config = self.config.as_ref();
        let limit = config.and_then(|config| config.limit_of(kind));
        let delivered = Delivered::default();
        self.state.common().fail(kind, delivered, "", limit)
    }

    /// Looks at the head of a response.
    fn receive<B>(&self, mut response: Response<B>, cx: &mut Context<'_>) -> Begun<B>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        if let Some(bound) = self.bound {
            response.extensions_mut().insert(bound);
        }
        let Some(config) = &self.config else {
            let name = self.state.common().name;
            return Begun::Passed(response.map(|inner| StreamBody::open(inner, name)));
        };
        let status = response.status();
        let until = end_of(self.began, config.total());
        let is_readable = status.is_success() && !is_encoded(response.headers());
        if is_readable && is_event_stream(response.headers()) {
            let (head, body) = response.into_parts();
            let first = end_of(self.began, config.first_content());
            let gap = Gap::new(first, config.between_contents(), until);
            let stream = Streaming::new(body, gap, Arc::clone(config), self.state.clone());
            let stream = Box::new(stream);
            return Begun::Stream(Box::new(Reading { head, stream }));
        }
        // What is created or accepted may be all there is to say.
        let has_body = self.has_body && status == StatusCode::OK;
        if status.is_success() && is_html(response.headers()) {
            return Begun::Failed(self.fail(StreamErrorKind::Html));
        }
        if has_body && response.body().is_end_stream() {
            return Begun::Failed(self.fail(StreamErrorKind::Empty));
        }
        let announced = response.body().size_hint().lower();
        if self.has_body && announced > config.max_bytes() {
            return Begun::Failed(self.fail(StreamErrorKind::TooLong));
        }
        let (head, inner) = response.into_parts();
        let body = Plain {
            inner: Some(inner),
            first: None,
            read: 0,
            max_bytes: config.max_bytes(),
            is_expected: has_body,
            until,
            total: config.total(),
            timer: Timer::default(),
            state: self.state.clone(),
        };
        let timer = Timer::default();
        let mut opening = Opening { head, body, timer };
        // One that does not say that there is something in it may end at once.
        if has_body && announced == 0 {
            match opening.poll_first(self, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Begun::Failed(error),
                Poll::Pending => return Begun::Opening(Box::new(opening)),
            }
        }
        Begun::Passed(opening.open())
    }
}

/// Whether a stream cannot be read as it is.
fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING);
    encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

impl<F, B, E> Future for StreamFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<StreamBody<B>>, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        this.call.begin();
        loop {
            let result = match this.step.as_mut().project() {
                StepProj::Called { inner, timer } => match inner.poll(cx) {
                    Poll::Ready(Ok(response)) => match this.call.receive(response, cx) {
                        Begun::Passed(response) => Ok(response),
                        Begun::Failed(error) => Err(CallError::Stream(error)),
                        Begun::Opening(opening) => {
                            let opening = Some(opening);
                            this.step.set(Step::Opening { opening });
                            return Poll::Pending;
                        }
                        Begun::Stream(reading) => {
                            // What the client holds is free while the stream is read.
                            let reading = Some(reading);
                            this.step.set(Step::Reading { reading });
                            continue;
                        }
                    },
                    Poll::Ready(Err(error)) => Err(CallError::Client(error)),
                    Poll::Pending => {
                        let kind = ready!(poll_head(timer, this.call, cx));
                        Err(CallError::Stream(this.call.fail(kind)))
                    }
                },
                StepProj::Reading { reading } => {
                    let Some(held) = reading else {
                        return Poll::Pending;
                    };
                    let begun = ready!(held.stream.poll_head(cx));
                    match (begun, reading.take()) {
                        (Head::Begun, Some(reading)) => {
                            let Reading { head, stream } = *reading;
                            Ok(Response::from_parts(head, StreamBody::stream(stream)))
                        }
                        (Head::Failed(error), Some(reading)) => respond(reading.head, error),
                        (_, None) => return Poll::Pending,
                    }
                }
                StepProj::Opening { opening } => {
                    let Some(held) = opening else {
                        return Poll::Pending;
                    };
                    let begun = ready!(held.poll_first(this.call, cx));
                    match (begun, opening.take()) {
                        (Ok(()), Some(opening)) => Ok(opening.open()),
                        (Err(error), _) => Err(CallError::Stream(error)),
                        (_, None) => return Poll::Pending,
                    }
                }
                StepProj::Done => panic!("polled after it has completed"),
            };
            // The client's future is dropped before the caller sees the result.
            this.step.set(Step::Done);
            return Poll::Ready(result);
        }
    }
}

/// Ready when it is too late for the head, with the limit that is over.
fn poll_head(
    mut timer: Pin<&mut Option<Sleep>>,
    call: &Call,
    cx: &mut Context<'_>,
) -> Poll<StreamErrorKind> {
    let Some((at, kind)) = call.head_due() else {
        return Poll::Pending;
    };
    if timer.is_none() {
        timer.set(Some(sleep_until(at)));
    }
    match timer.as_pin_mut() {
        Some(timer) => poll_sleep(timer, cx).map(|()| kind),
        None => Poll::Pending,
    }
}

/// The response that the API would have sent, had it known before it began: of an error that the stream
/// reports. What else is wrong is an error of the call.
fn respond<B, E>(
    mut head: Parts,
    error: StreamError,
) -> Result<Response<StreamBody<B>>, CallError<E>> {
    let (Some(api), Some(report)) = (error.api_error(), error.report()) else {
        return Err(CallError::Stream(error));
    };
    let body = error_body(report);
    head.status = api.status;
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_ENCODING] {
        head.headers.remove(name);
    }
    let json = HeaderValue::from_static("application/json");
    head.headers.insert(CONTENT_TYPE, json);
    if api.status == StatusCode::TOO_MANY_REQUESTS && !api.class.is_transient() {
        // A layer that reads the status alone must not take it for a rate limit.
        let no = HeaderValue::from_static("false");
        head.headers.insert("x-should-retry", no);
    }
    head.extensions.insert(api);
    Ok(Response::from_parts(head, StreamBody::from(body)))
}

/// The error as a body of JSON that begins as those of the API do.
fn error_body(report: &str) -> Bytes {
    let value = serde_json::from_str::<Value>(report).unwrap_or_else(|_| json!(report));
    let has_error = |value: &Value| value.get("error").is_some_and(|error| !error.is_null());
    if has_error(&value) {
        return Bytes::copy_from_slice(report.as_bytes());
    }
    let nested = value.get("response").filter(|response| has_error(response));
    let error = match nested.and_then(|response| response.get("error")) {
        Some(error) => error.clone(),
        None => value,
    };
    json!({ "error": error }).to_string().into()
}

seawall_core::impl_debug!(StreamFuture<F, B> where []:);
