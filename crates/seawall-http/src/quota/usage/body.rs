//! A body that reports how many tokens it has used.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::reader::UsageReader;
use crate::quota::tokens::Usage;

pin_project! {
    /// A body that reads how many tokens were used, and reports it when it is over.
    ///
    /// The tokens of a streamed response are only known at its end, long after the rate limit has
    /// seen its head. The function is called exactly once: when the body has ended or failed, or
    /// when it is dropped before its end. It is given what was read until then. After a stream that
    /// broke off or was not read to its end that may be less than what was used (Anthropic sends
    /// the input at the start and the output at the end); `None` means that nothing was found: keep
    /// the estimate in that case. See [`UsageReader`] for what is read.
    ///
    /// Data, trailers, errors and the announced length are those of the inner body.
    ///
    /// The estimate of a rate limit is corrected by the [`LateUsage`](seawall_core::LateUsage) that
    /// its feedback has written into the extensions of the response:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::Response;
    /// use http_body_util::{BodyExt, Full};
    /// use seawall_core::{LateUsage, Unit};
    /// use seawall_http::quota::MeteredBody;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let text = "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12}}\n\n";
    /// # let mut response = Response::new(Full::<Bytes>::from(text));
    /// # response.extensions_mut().insert(LateUsage::new(|used| {
    /// #     assert_eq!(used[0], (Unit::Tokens, 21));
    /// # }));
    /// let late = response.extensions().get::<LateUsage>().cloned();
    /// let body = MeteredBody::new(response.into_body(), move |usage| {
    ///     if let (Some(late), Some(usage)) = (late, usage) {
    ///         late.correct(&usage.units());
    ///     }
    /// });
    /// body.collect().await.unwrap();
    /// # }
    /// ```
    pub struct MeteredBody<B, F: FnOnce(Option<Usage>)> {
        #[pin]
        inner: B,
        meter: Meter<F>,
    }
}

/// The function and what it will be called with; when it is dropped, at the latest.
struct Meter<F: FnOnce(Option<Usage>)> {
    reader: UsageReader,
    report: Option<F>,
}

impl<F: FnOnce(Option<Usage>)> Meter<F> {
    fn end(&mut self) {
        if let Some(report) = self.report.take() {
            report(std::mem::take(&mut self.reader).finish());
        }
    }
}

impl<F: FnOnce(Option<Usage>)> Drop for Meter<F> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<F: FnOnce(Option<Usage>)> Meter<F> {
    /// Reports to nobody.
    fn idle() -> Self {
        Self {
            reader: UsageReader::new(),
            report: None,
        }
    }
}

impl<B: Body, F: FnOnce(Option<Usage>)> MeteredBody<B, F> {
    /// Reads what `inner` sends, and calls `report` at its end; at once when it is empty.
    pub fn new(inner: B, report: F) -> Self {
        let mut meter = Meter {
            reader: UsageReader::new(),
            report: Some(report),
        };
        if inner.is_end_stream() {
            meter.end();
        }
        Self { inner, meter }
    }
}

impl<B, F: FnOnce(Option<Usage>)> MeteredBody<B, F> {
    /// The inner body.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// What was read so far; `None` once it was reported.
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
        if let (Some(data), Some(_)) = (data, &this.meter.report) {
            this.meter.reader.push(data);
        }
        // Readers that know the length do not poll for the end after the last frame.
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

/// A body that is not metered, so that a layer can respond to a rejection where metered bodies are
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

seawall_core::impl_debug!(
    MeteredBody<B, F> where [B: std::fmt::Debug, F: FnOnce(Option<Usage>)]: |this|
    inner = this.inner,
    usage = this.usage(),
    reported = this.meter.report.is_none()
);
