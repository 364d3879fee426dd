//! An HTTP endpoint that alerts are posted to, through a stack of our own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use seawall_breaker::{BreakerConfig, BreakerLayer};
use seawall_core::{Error, FailureKind, InvalidConfig, Outcome, Span};
use seawall_retry::{Backoff, RetryConfig, RetryLayer};
use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use crate::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
use crate::sink::{Delivery, SinkError};

type Posting = Request<Full<Bytes>>;
type Transport = BoxCloneSyncService<Posting, Posted, SinkError>;
type Stack = BoxCloneSyncService<Message, Posted, Error<SinkError>>;

/// What is posted.
#[derive(Clone)]
struct Message {
    body: Bytes,
    /// Signs each attempt with its time.
    key: Option<Arc<[u8]>>,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
struct Posted {
    status: StatusCode,
    retry_after: Option<Duration>,
}

/// An HTTP endpoint that alerts are posted to, through a stack of our own: retries, a circuit breaker and an
/// attempt timeout.
///
/// An attempt takes at most 5 s, and there are four, half a second apart at first. What the endpoint
/// rejects as a bad request is not sent again by the same delivery; a `Retry-After` in seconds is applied. Delivering an alert
/// twice does no harm, so everything else is tried again.
///
/// The client that it has speaks plain HTTP: to a relay on the same machine, mostly. For `https` set a
/// [`client`](EndpointBuilder::client) of your own.
///
/// ```
/// use seawall_monitor::Endpoint;
///
/// let endpoint = Endpoint::builder("http://127.0.0.1:9093/api/v2/alerts").build()?;
/// # let _ = endpoint;
/// let rejected = Endpoint::builder("https://pager.example/hook").build().unwrap_err();
/// assert_eq!(rejected.field(), "url");
/// # Ok::<(), seawall_monitor::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    uri: Uri,
    stack: Stack,
}

impl Endpoint {
    /// The endpoint of that URL.
    pub fn builder(url: impl Into<String>) -> EndpointBuilder {
        EndpointBuilder {
            url: url.into(),
            attempts: 4,
            attempt_timeout: Duration::from_secs(5),
            headers: Vec::new(),
            client: None,
        }
    }

    /// Posts a body of JSON, signed where there is a key.
    pub(crate) fn post(&self, body: String, key: Option<Arc<[u8]>>) -> Delivery {
        let stack = self.stack.clone();
        let message = Message {
            body: body.into(),
            key,
        };
        Box::pin(async move {
            let posted = stack.oneshot(message).await.map_err(SinkError::new)?;
            if posted.status.is_success() {
                Ok(())
            } else {
                Err(SinkError::new(format_args!("status {}", posted.status)))
            }
        })
    }
}

seawall_core::impl_debug!(Endpoint: |this| host = this.uri.host());

/// Builds an [`Endpoint`].
#[must_use]
pub struct EndpointBuilder {
    url: String,
    attempts: u32,
    attempt_timeout: Duration,
    headers: Vec<(String, String)>,
    client: Option<Transport>,
}

impl EndpointBuilder {
    seawall_core::setters! { self:
        /// Sets how many attempts there are, from 1 to 10.
        pub const fn attempts(u32);

        /// Sets how long an attempt may take, longer than zero and at most 30 s.
        pub const fn attempt_timeout(Duration);
    }

    /// Adds a header, such as `authorization`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the client: any service of HTTP requests. Its response's body is not read.
    pub fn client<S, B>(mut self, client: S) -> Self
    where
        S: Service<Posting, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        self.client = Some(transport(client));
        self
    }

    /// The endpoint.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the URL is none, or is no `http` one and there is no client, when a header cannot
    /// be sent, or when the attempts or their timeout are out of bounds.
    pub fn build(self) -> Result<Endpoint, InvalidConfig> {
        let url = |accepted| InvalidConfig::new("url", &self.url, accepted);
        let uri: Uri = self
            .url
            .parse()
            .map_err(|_why| url("a URL: http://HOST:PORT/PATH"))?;
        if uri.host().is_none() {
            return Err(url("a URL with a host: http://HOST:PORT/PATH"));
        }
        if self.client.is_none() && uri.scheme_str() != Some("http") {
            return Err(url("an http URL, or any one with a client of your own"));
        }
        if !(1..=10).contains(&self.attempts) {
            let accepted = "from 1 to 10";
            return Err(InvalidConfig::new("attempts", self.attempts, accepted));
        }
        let longest = Duration::from_secs(30);
        if self.attempt_timeout.is_zero() || self.attempt_timeout > longest {
            let value = Span(self.attempt_timeout);
            let accepted = "longer than zero and at most 30s";
            return Err(InvalidConfig::new("attempt_timeout", value, accepted));
        }
        let headers = self.headers.into_iter().map(header);
        let headers: Vec<_> = headers.collect::<Result<_, _>>()?;
        let client = self.client.unwrap_or_else(|| {
            transport(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>())
        });
        let post = Post {
            uri: uri.clone(),
            headers: headers.into(),
            client,
        };
        Ok(Endpoint {
            stack: stack(post, self.attempts, self.attempt_timeout)?,
            uri,
        })
    }
}

seawall_core::impl_debug!(EndpointBuilder: |this|
    attempts = this.attempts,
    attempt_timeout = this.attempt_timeout,
);

fn header((name, value): (String, String)) -> Result<(HeaderName, HeaderValue), InvalidConfig> {
    let parsed = name.parse::<HeaderName>();
    let parsed =
        parsed.map_err(|_why| InvalidConfig::new("header", &name, "the name of a header"))?;
    // The value may be a secret: it is not shown.
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_why| InvalidConfig::new("header", &name, "a value of visible characters"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

fn transport<S, B>(client: S) -> Transport
where
    S: Service<Posting, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let posted = |response: Response<B>| {
        let after = response.headers().get(RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Posted {
            status: response.status(),
            retry_after: after.map(Duration::from_secs),
        }
    };
    let failed = |error: S::Error| {
        let error: BoxError = error.into();
        // The causes have what is wrong, the error itself mostly not.
        let mut words = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            words.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        SinkError::new(words)
    };
    BoxCloneSyncService::new(client.map_response(posted).map_err(failed))
}

fn stack(post: Post, attempts: u32, attempt_timeout: Duration) -> Result<Stack, InvalidConfig> {
    let backoff = Backoff::exponential(Duration::from_millis(500), Duration::from_secs(10))?;
    let retry = RetryConfig::builder()
        .attempts(attempts)
        .backoff(backoff)
        .build()?;
    let breaker = BreakerConfig::builder()
        // More than the attempts of one delivery.
        .failure_rate(0.5, 20)
        .min_calls(12)
        .open_for(Duration::from_secs(10))
        .build()?;
    // No budget: alerts are rare, and each is worth its attempts.
    let retry = RetryLayer::new("alerts", retry)
        .assume_idempotent()
        .without_budget()
        .classify(classify);
    let stack = ServiceBuilder::new()
        .layer(retry)
        .layer(BreakerLayer::new("alerts", breaker).classify(classify))
        .layer(AttemptTimeoutLayer::new(
            "alerts",
            AttemptTimeoutConfig::fixed(attempt_timeout)?,
        ))
        .layer(seawall_core::WrapErrorLayer)
        .service(post);
    Ok(BoxCloneSyncService::new(stack))
}

fn classify(result: Result<&Posted, &Error<SinkError>>) -> Outcome {
    let Ok(posted) = result else {
        return Outcome::Failure(FailureKind::Other);
    };
    match posted.status.as_u16() {
        200..=299 => Outcome::Success,
        429 => Outcome::Throttled {
            retry_after: posted.retry_after,
            scope: seawall_core::Scope::Upstream,
        },
        408 | 500.. => Outcome::Failure(FailureKind::Server),
        _ => Outcome::Ignored,
    }
}

/// Makes a request of a message, at the moment at which it is sent.
#[derive(Clone)]
struct Post {
    uri: Uri,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    client: Transport,
}

impl Service<Message> for Post {
    type Response = Posted;
    type Error = SinkError;
    type Future = Pin<Box<dyn Future<Output = Result<Posted, SinkError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, message: Message) -> Self::Future {
        let json = HeaderValue::from_static("application/json");
        let mut request = Request::post(self.uri.clone()).header(CONTENT_TYPE, json);
        for (name, value) in self.headers.iter() {
            request = request.header(name, value);
        }
        if let Some(key) = &message.key {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let timestamp = since.unwrap_or_default().as_secs().to_string();
            let signature = sign(key, &timestamp, &message.body);
            request = request
                .header(TIMESTAMP_HEADER, timestamp)
                .header(SIGNATURE_HEADER, signature);
        }
        match request.body(Full::new(message.body)) {
            Ok(request) => Box::pin(self.client.call(request)),
            Err(error) => Box::pin(std::future::ready(Err(SinkError::new(error)))),
        }
    }
}
