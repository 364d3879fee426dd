//! What is kept of an HTTP response whose call is tried again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use seawall_core::{InvalidConfig, KeepResponse, Rejection};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::inspect::is_event_stream;

/// The longest body that is kept unless set: 64 KiB.
const CAP: usize = 64 * 1024;
/// How long it may take to read it unless set.
const TIMEOUT: Duration = Duration::from_millis(50);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How coarse timers are.
const TICK: Duration = Duration::from_millis(1);

/// Keeps HTTP responses whose call is tried again: the head, and the body within bounds of size and
/// time.
///
/// It serves two ends. The caller gets the last response of the upstream when no further attempt
/// leaves ([`KeepResponse`]). And the connection can be used again: an HTTP/1 connection whose body
/// is dropped unread is closed, so each attempt of a retry would cost a new connection, in the
/// middle of a throttle.
///
/// A body of up to 64 KiB that comes within 50 ms, and before the call's deadline, is read to its
/// end, and with its end the permits and votes that it held are free. One that is longer, slower,
/// breaks off, or is a stream of events is dropped: its connection is closed, as it would be
/// without a keeper, and what is kept has an empty body, no headers of a body's length or encoding,
/// and [`BodyNotKept`] in its extensions. Trailers are not kept.
///
/// The caller's response has the [`Rejection`] that stood in the way of a further attempt in its
/// extensions.
///
/// ```
/// use http::Response;
/// use http_body_util::{BodyExt, Full};
/// use seawall_core::{KeepResponse, Reason, Rejection};
/// use seawall_http::KeepBody;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let throttled = Response::builder().status(429).body(Full::<bytes::Bytes>::from("slow down"))?;
/// let mut kept = KeepBody::new().keep(throttled).await.ok_or("nothing is kept")?;
/// KeepBody::new().mark(&mut kept, Rejection::new(Reason::CircuitOpen, "vendor"));
///
/// assert_eq!(kept.status(), 429);
/// let mark = kept.extensions().get::<Rejection>();
/// assert_eq!(mark.map(Rejection::reason), Some(Reason::CircuitOpen));
/// assert_eq!(kept.into_body().collect().await?.to_bytes(), "slow down");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepBody {
    cap: usize,
    timeout: Duration,
}

/// In the extensions of a response whose body could not be kept; see [`KeepBody`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyNotKept;

impl KeepBody {
    /// Bodies of up to 64 KiB that come within 50 ms.
    pub const fn new() -> Self {
        Self {
            cap: CAP,
            timeout: TIMEOUT,
        }
    }

    /// Sets the longest body that is kept, in bytes; 64 KiB unless set, which is far more than an
    /// error message has. With 0 heads are kept alone.
    #[must_use]
    pub const fn with_cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    /// Sets how long it may take until a body has come to its end; 50 ms unless set. The next
    /// attempt is not made before, but its wait begins at the same time. With zero only what is
    /// there already is read. A call with a deadline waits until a millisecond before it at most,
    /// and returns what is kept by then.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `timeout` is longer than 10 s.
    pub fn with_timeout(mut self, timeout: Duration) -> Result<Self, InvalidConfig> {
        if timeout > LONGEST_TIMEOUT {
            let value = format!("{timeout:?}");
            return Err(InvalidConfig::new("timeout", value, "at most 10s"));
        }
        self.timeout = timeout;
        Ok(self)
    }

    /// The longest body that is kept, in bytes.
    pub const fn cap(&self) -> usize {
        self.cap
    }

    /// How long it may take until a body has come to its end.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl Default for KeepBody {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Body<Data = Bytes> + From<Bytes>> KeepResponse<Response<B>> for KeepBody {
    type Keeping = KeepingBody<B>;

    fn keep(&self, response: Response<B>) -> KeepingBody<B> {
        self.keep_until(response, None)
    }

    fn keep_until(&self, response: Response<B>, deadline: Option<Instant>) -> KeepingBody<B> {
        let (head, body) = response.into_parts();
        let is_short = body.size_hint().lower() <= self.cap as u64;
        KeepingBody {
            body: (is_short && !is_event_stream(&head.headers)).then_some(body),
            timer: None,
            until: deadline.map(|at| at.checked_sub(TICK).unwrap_or(at)),
            head: Some(head),
            read: Read::Nothing,
            bounds: *self,
        }
    }

    fn mark(&self, response: &mut Response<B>, rejection: Rejection) {
        response.extensions_mut().insert(rejection);
    }
}

pin_project! {
    /// The future of a [`KeepBody`].
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a Tokio runtime with time enabled.
    pub struct KeepingBody<B> {
        // `None` when it is not read, or not any more: dropped, it holds nothing of the layers
        // below.
        #[pin]
        body: Option<B>,
        // Set when there is something to wait for.
        #[pin]
        timer: Option<Sleep>,
        until: Option<Instant>,
        head: Option<Parts>,
        read: Read,
        bounds: KeepBody,
    }
}

/// What has been read of a body.
enum Read {
    Nothing,
    /// Mostly all that there is.
    One(Bytes),
    More(BytesMut),
}

impl Read {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(data) => data.len(),
            Self::More(data) => data.len(),
        }
    }

    fn append(&mut self, data: Bytes) {
        *self = match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let mut all = BytesMut::from(&first[..]);
                all.extend_from_slice(&data);
                Self::More(all)
            }
            Self::More(mut all) => {
                all.extend_from_slice(&data);
                Self::More(all)
            }
        };
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Bytes::new(),
            Self::One(data) => data,
            Self::More(data) => data.freeze(),
        }
    }
}

impl<B: Body<Data = Bytes> + From<Bytes>> Future for KeepingBody<B> {
    type Output = Option<Response<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let is_whole = ready!(self.as_mut().poll_read(cx));
        let mut this = self.project();
        // With it goes what it holds: a permit, a vote, the connection if it has not ended.
        this.body.set(None);
        this.timer.set(None);
        let data = this.read.take();
        Poll::Ready(this.head.take().map(|mut head| {
            if is_whole {
                return Response::from_parts(head, B::from(data));
            }
            forget_body(&mut head.headers);
            head.extensions.insert(BodyNotKept);
            Response::from_parts(head, B::from(Bytes::new()))
        }))
    }
}

impl<B: Body<Data = Bytes>> KeepingBody<B> {
    /// Reads the body; whether it was read to its end.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(false);
        };
        while !body.is_end_stream() {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(None) => break,
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    if data.len() > this.bounds.cap - this.read.len() {
                        return Poll::Ready(false);
                    }
                    if !data.is_empty() {
                        this.read.append(data);
                    }
                }
                Poll::Pending => {
                    if this.timer.is_none() {
                        let own = Instant::now() + this.bounds.timeout;
                        let until = this.until.map_or(own, |until| until.min(own));
                        this.timer.set(Some(sleep_until(until)));
                    }
                    if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                        // Also when the body has used up the task's budget of progress.
                        ready!(Pin::new(&mut coop::unconstrained(timer)).poll(cx));
                    }
                    return Poll::Ready(false);
                }
            }
        }
        Poll::Ready(true)
    }
}

/// Takes out what the head says of a body that is not there.
fn forget_body(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_ENCODING] {
        headers.remove(name);
    }
}

seawall_core::impl_debug!(KeepingBody<B>: |this|
    is_reading = this.body.is_some(),
    read = this.read.len(),
    bounds = this.bounds);
