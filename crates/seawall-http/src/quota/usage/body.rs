//! A body that tells how many tokens it has used.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::UsageReader;
use crate::quota::Usage;

pin_project! {
    /// A body that reads how many tokens it says that it has used, and tells it when it is over.
    ///
    /// What the tokens of a streamed answer are is only known at its end, long after the rate limit
    /// has seen the answer's head. The function is called exactly once: when the body has ended
    /// or failed, or when it is dropped before. It is given what was said until then, so after a
    /// stream that broke off or was not read to its end it may be less than what was used
    /// (Anthropic tells the input at the start and the output at the end), and `None` when nothing
    /// was said: keep the estimate in that case. See [`UsageReader`] for what is understood.
    ///
    /// Data, trailers, errors and the announced length are those of the body below.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use bytes::Bytes;
    /// use http_body_util::{BodyExt, Full};
    /// use seawall_http::quota::{MeteredBody, Usage};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (tell, told) = mpsc::channel();
    /// let answer = r#"{"usage":{"prompt_tokens":9,"completion_tokens":12}}"#;
    /// let body = MeteredBody::new(Full::<Bytes>::from(answer), move |usage| {
    ///     // Here a rate limit learns the truth: `handle.settle(Unit::Tokens, estimated, total)`.
    ///     let _ = tell.send(usage);
    /// });
    /// body.collect().await.unwrap();
    /// assert_eq!(told.recv(), Ok(Some(Usage::new(9, 12))));
    /// # }
    /// ```
    pub struct MeteredBody<B, F: FnOnce(Option<Usage>)> {
        #[pin]
        inner: B,
        meter: Meter<F>,
    }
}

/// The function and what it will be told; dropped, it is told.
struct Meter<F: FnOnce(Option<Usage>)> {
    reader: UsageReader,
    tell: Option<F>,
}

impl<F: FnOnce(Option<Usage>)> Meter<F> {
    fn end(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(std::mem::take(&mut self.reader).finish());
        }
    }
}

impl<F: FnOnce(Option<Usage>)> Drop for Meter<F> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<F: FnOnce(Option<Usage>)> Meter<F> {
    /// Tells nobody.
    fn idle() -> Self {
        Self {
            reader: UsageReader::new(),
            tell: None,
        }
    }
}

impl<B: Body, F: FnOnce(Option<Usage>)> MeteredBody<B, F> {
    /// Reads along with `inner`, and tells `tell` at its end; at once when it is empty.
    pub fn new(inner: B, tell: F) -> Self {
        let mut meter = Meter {
            reader: UsageReader::new(),
            tell: Some(tell),
        };
        if inner.is_end_stream() {
            meter.end();
        }
        Self { inner, meter }
    }
}

impl<B, F: FnOnce(Option<Usage>)> MeteredBody<B, F> {
    /// The body below.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// What the body has said so far; `None` once it was told.
    pub fn usage(&self) -> Option<Usage> {
        self.meter.reader.usage()
    }
}

impl<B, F> Body for MeteredBody<B, F>
where
    B: Body<Data = Bytes>,
    F: FnOnce(Option<Usage>),
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let (Some(data), Some(_)) = (data, &this.meter.tell) {
            this.meter.reader.push(data);
        }
        // Readers that know the length do not ask for the end after the last frame.
        if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
            this.meter.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that nothing is read of, so that a rejection can be answered where metered bodies are
/// expected.
impl<B: From<Bytes>, F: FnOnce(Option<Usage>)> From<Bytes> for MeteredBody<B, F> {
    fn from(data: Bytes) -> Self {
        Self {
            inner: B::from(data),
            meter: Meter::idle(),
        }
    }
}

impl<B: Default, F: FnOnce(Option<Usage>)> Default for MeteredBody<B, F> {
    fn default() -> Self {
        Self {
            inner: B::default(),
            meter: Meter::idle(),
        }
    }
}

impl<B: fmt::Debug, F: FnOnce(Option<Usage>)> fmt::Debug for MeteredBody<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredBody")
            .field("inner", &self.inner)
            .field("usage", &self.usage())
            .field("told", &self.meter.tell.is_none())
            .finish()
    }
}
