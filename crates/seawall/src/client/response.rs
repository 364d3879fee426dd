//! The response of a call, and its body.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, StatusCode};
use http_body::Body;
use seawall_core::Rejection;
use seawall_http::LONGEST_BAN;
use seawall_http::sse::{SseEvent, SseParser};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::ClientError;

type BoxError = Box<dyn StdError + Send + Sync>;

/// How much of the body of a failed call its error has.
const EXCERPT: usize = 1_024;

/// The response of a call of a [`Client`](super::Client).
///
/// The body holds what the layers of the stack hold until it has ended, a permit of the bulkhead
/// among it: read it to its end, or drop it.
pub struct Response<B> {
    inner: http::Response<B>,
    max_body: usize,
    timeout: Option<Timeout>,
}

/// Until when the body has to be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeout {
    pub(super) at: Instant,
    /// As the caller has set it.
    within: Duration,
}

impl Timeout {
    /// `None` for one that never comes.
    pub(super) fn starting_now(within: Duration) -> Option<Self> {
        let at = Instant::now().checked_add(within)?;
        Some(Self { at, within })
    }
}

impl<B> Response<B> {
    pub(super) const fn new(
        inner: http::Response<B>,
        max_body: usize,
        timeout: Option<Timeout>,
    ) -> Self {
        Self {
            inner,
            max_body,
            timeout,
        }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// What layers and routers have noted beside it.
    pub fn extensions(&self) -> &Extensions {
        self.inner.extensions()
    }

    /// How long it asks to wait before the next call, by `Retry-After` and its relatives; at most
    /// [`LONGEST_BAN`], whatever it says.
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = seawall_http::retry_after(self.headers(), SystemTime::now());
        asked.map(|wait| wait.min(LONGEST_BAN))
    }

    /// The rejection that stood in the way of another attempt, where the stack would have made one:
    /// the response is that of the attempt before.
    pub fn rejection(&self) -> Option<&Rejection> {
        self.inner.extensions().get()
    }

    /// Allows bodies of this many bytes, in place of the client's
    /// [`max_body`](super::ClientBuilder::max_body).
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The response of the stack, with its body as it is: nothing bounds its length and time but the
    /// stack.
    pub fn into_inner(self) -> http::Response<B> {
        self.inner
    }
}

impl<B> Response<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// This response, unless its status is one of 4xx or 5xx.
    ///
    /// # Errors
    ///
    /// [`ClientError::Status`], with the first 1,024 bytes of the body as text.
    pub async fn error_for_status(self) -> Result<Self, ClientError> {
        let status = self.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(self);
        }
        let retry_after = self.retry_after();
        let mut chunks = self.stream();
        let mut body = Vec::new();
        // A body that breaks off says less; the status counts.
        while let Some(Ok(chunk)) = chunks.next().await {
            body.extend_from_slice(&chunk[..chunk.len().min(EXCERPT - body.len())]);
            if body.len() == EXCERPT {
                break;
            }
        }
        let body = String::from_utf8_lossy(&body).trim().to_owned();
        Err(ClientError::Status {
            status,
            body,
            retry_after,
        })
    }

    /// The body.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLarge`], also where the server announces such a length;
    /// [`ClientError::Body`] when it breaks off, and [`ClientError::Rejected`] when it does not come
    /// in time.
    pub async fn bytes(self) -> Result<Bytes, ClientError> {
        let limit = self.max_body;
        let announced = self.inner.body().size_hint();
        if announced.lower() > limit as u64 {
            return Err(ClientError::TooLarge { limit });
        }
        let mut chunks = self.stream();
        let Some(first) = chunks.next().await.transpose()? else {
            return Ok(Bytes::new());
        };
        // Most bodies are one piece.
        let Some(second) = chunks.next().await.transpose()? else {
            return Ok(first);
        };
        // What is announced is within the limit.
        let expected = (announced.lower() as usize).max(first.len() + second.len());
        let mut all = BytesMut::with_capacity(expected);
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(chunk) = chunks.next().await.transpose()? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The body as text of UTF-8.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`ClientError::NotUtf8`].
    pub async fn text(self) -> Result<String, ClientError> {
        let bytes = self.bytes().await?;
        let text = String::from_utf8(bytes.into());
        text.map_err(|error| ClientError::NotUtf8(error.utf8_error()))
    }

    /// The body as JSON, whatever the status: see [`error_for_status`](Self::error_for_status).
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`ClientError::Json`] with the position.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let status = self.status();
        let bytes = self.bytes().await?;
        let parsed = serde_json::from_slice(&bytes);
        parsed.map_err(|error| ClientError::json(status, error, &bytes))
    }

    /// The body in pieces, as they come; [`max_body`](Self::max_body) bounds their sum.
    pub fn stream(self) -> Chunks<B> {
        Chunks {
            body: Some(self.inner.into_body()),
            left: self.max_body,
            limit: self.max_body,
            timeout: self.timeout,
            timer: None,
        }
    }

    /// The body as server-sent events; [`max_body`](Self::max_body) bounds each of them.
    pub fn events(self) -> Events<B> {
        let limit = self.max_body;
        Events {
            chunks: self.max_body(usize::MAX).stream(),
            parser: SseParser::new(limit),
            unread: Bytes::new(),
        }
    }
}

impl<B> fmt::Debug for Response<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}

/// The body of a response in pieces; from [`Response::stream`].
pub struct Chunks<B> {
    /// `None` once it has ended.
    body: Option<B>,
    left: usize,
    limit: usize,
    timeout: Option<Timeout>,
    /// Once there was nothing to read.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Chunks<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// The next piece that is not empty; `None` at the end, and after an error.
    ///
    /// # Errors
    ///
    /// As [`Response::bytes`].
    pub async fn next(&mut self) -> Option<Result<Bytes, ClientError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), to be polled.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientError>>> {
        loop {
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            let frame = match Pin::new(body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let late = ready!(self.poll_timeout(cx));
                    self.body = None;
                    return Poll::Ready(Some(Err(late)));
                }
            };
            let result = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => Ok(data),
                    // Nothing, or trailers.
                    _ => continue,
                },
                Some(Err(error)) => Err(ClientError::of_body(error.into())),
                None => {
                    self.body = None;
                    return Poll::Ready(None);
                }
            };
            let result = result.and_then(|data| match self.left.checked_sub(data.len()) {
                Some(left) => {
                    self.left = left;
                    Ok(data)
                }
                None => Err(ClientError::TooLarge { limit: self.limit }),
            });
            if result.is_err() {
                self.body = None;
            }
            return Poll::Ready(Some(result));
        }
    }

    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<ClientError> {
        let Some(Timeout { at, within }) = self.timeout else {
            return Poll::Pending;
        };
        let timer = &mut self.timer;
        ready!(
            timer
                .get_or_insert_with(|| Box::pin(sleep_until(at)))
                .as_mut()
                .poll(cx)
        );
        Poll::Ready(ClientError::TimedOut { within })
    }
}

impl<B> fmt::Debug for Chunks<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks")
            .field("has_ended", &self.body.is_none())
            .finish_non_exhaustive()
    }
}

/// The server-sent events of a response; from [`Response::events`].
///
/// Fields, line ends and a byte order mark are read as the HTML standard has it. An event that the
/// stream ends in the middle of is none; a stream that breaks off is an error.
pub struct Events<B> {
    chunks: Chunks<B>,
    parser: SseParser,
    /// Of the last piece.
    unread: Bytes,
}

impl<B> Events<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// The next event; `None` at the end, and after an error.
    ///
    /// # Errors
    ///
    /// As [`Response::bytes`], where the longest length is that of an event.
    pub async fn next(&mut self) -> Option<Result<SseEvent, ClientError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), to be polled.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<SseEvent, ClientError>>> {
        loop {
            match self.parser.next(&mut self.unread) {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event.into()))),
                Ok(None) => {}
                Err(too_long) => {
                    self.chunks.body = None;
                    self.unread.clear();
                    let limit = too_long.limit();
                    return Poll::Ready(Some(Err(ClientError::TooLarge { limit })));
                }
            }
            match ready!(self.chunks.poll_next(cx)) {
                Some(Ok(chunk)) => self.unread = chunk,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// How long the server asks to wait before the stream is asked for again, where it does: at most
    /// [`LONGEST_WAIT`](seawall_http::LONGEST_WAIT).
    pub const fn retry(&self) -> Option<Duration> {
        self.parser.retry()
    }
}

impl<B> fmt::Debug for Events<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("chunks", &self.chunks)
            .finish_non_exhaustive()
    }
}
