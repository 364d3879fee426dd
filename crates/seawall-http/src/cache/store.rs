//! Keeps HTTP responses, and makes them again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use seawall_core::{StoreResponse, StoreSink};

use super::body::{CacheBody, Collecting, Data};
use super::stored::HttpStored;

/// The longest body that is kept unless set: 1 MiB.
const CAP: usize = 1024 * 1024;

/// Keeps responses once their body has come to its good end, within a bound of its length.
///
/// What is kept weighs about as many bytes as it has in memory, and its key does; so limit a cache by
/// [`max_weight`](seawall_cache::CacheConfigBuilder::max_weight). By number alone, 10,000 entries may be 10 GiB. Its time is that of `Date`, and never later
/// than now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreBody {
    cap: usize,
}

impl StoreBody {
    /// Bodies of up to 1 MiB.
    pub const fn new() -> Self {
        Self { cap: CAP }
    }

    /// Sets the longest body that is kept, in bytes; 1 MiB unless set.
    #[must_use]
    pub const fn with_cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }
}

impl Default for StoreBody {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Body<Data = Bytes>> StoreResponse<Response<B>> for StoreBody {
    type Stored = HttpStored;
    type Response = Response<CacheBody<B>>;
    type Draining = Draining<B>;

    fn store<K: StoreSink<HttpStored>>(
        &self,
        response: Response<B>,
        sink: K,
    ) -> Response<CacheBody<B>> {
        let size = response.body().size_hint();
        // The answer to a HEAD has the length of what it does not have, by its head and over HTTP/2 by the hint, too.
        let is_empty = match sink.has_body() {
            Some(has_body) => !has_body,
            None => size.exact() == Some(0) || response.body().is_end_stream(),
        };
        let is_too_long = !is_empty && size.lower() > self.cap as u64;
        let Some(length) = Length::of(response.headers()).filter(|_| !is_too_long) else {
            return self.pass(response);
        };
        let collecting = Collecting {
            head: HttpStored::of(&response),
            sink: Box::new(move |stored, weight| sink.put(stored, weight)),
            cap: self.cap,
            length: length.0.filter(|_| !is_empty),
            data: Data::default(),
        };
        response.map(|body| CacheBody::collecting(body, collecting))
    }

    fn pass(&self, response: Response<B>) -> Response<CacheBody<B>> {
        response.map(CacheBody::passing)
    }

    fn pass_guarded<G: Send + 'static>(
        &self,
        response: Response<B>,
        guard: G,
    ) -> Response<CacheBody<B>> {
        response.map(|body| match body.is_end_stream() {
            true => CacheBody::passing(body),
            false => CacheBody::guarding(body, Box::new(guard)),
        })
    }

    fn restore(&self, stored: &HttpStored, age: Option<Duration>) -> Response<CacheBody<B>> {
        let head = stored.head();
        let mut response = Response::new(CacheBody::from(stored.body().clone()));
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers.clone();
        if let Some(age) = age {
            let seconds = HeaderValue::from(age.as_secs());
            response.headers_mut().insert(AGE, seconds);
        }
        response
    }

    fn drain(&self, response: Response<CacheBody<B>>) -> Draining<B> {
        Draining {
            body: response.into_body(),
        }
    }

    fn timestamp(&self, response: &Response<B>) -> Option<u64> {
        let date = response.headers().get(DATE)?.to_str().ok()?;
        let date = httpdate::parse_http_date(date).ok()?;
        // A clock that is ahead must not hold up what comes later.
        let date = date.min(SystemTime::now());
        Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
    }
}

/// How many bytes a head says that its body has, if it does.
struct Length(Option<u64>);

impl Length {
    /// `None` where that is no number, or several that differ.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut length = None;
        for value in headers.get_all(CONTENT_LENGTH) {
            for part in value.to_str().ok()?.split(',').map(str::trim) {
                // A sign would be read, too.
                let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
                let number: u64 = part.parse().ok().filter(|_| is_number)?;
                if length.is_some_and(|length| length != number) {
                    return None;
                }
                length = Some(number);
            }
        }
        Some(Self(length))
    }
}

pin_project! {
    /// Reads a body to its end; see [`StoreResponse::drain`].
    #[derive(Debug)]
    pub struct Draining<B> {
        #[pin]
        body: CacheBody<B>,
    }
}

impl<B: Body<Data = Bytes>> Future for Draining<B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut body = self.project().body;
        while !body.is_end_stream() {
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        Poll::Ready(())
    }
}
