//! The server's side.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::Request;
use seawall_core::{Events, InstanceHandle, InstanceName, Samples, deadline};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::format::LONGEST;
use super::{DeadlineFormat, DeadlineHeader};
use crate::propagate_deadline;

/// What the header of a request said of its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineRead {
    /// There is no such header.
    Absent,
    /// The request has this deadline now: the header's, or an earlier one of its own.
    Set(Instant),
    /// The header is garbage or absurd; the request is as it was.
    Ignored,
}

/// Reads the header that says how long a request's answer is of use, into its
/// [`RequestDeadline`](crate::RequestDeadline), unless an earlier one is there.
pub fn read_deadline<B, F: DeadlineFormat>(request: &mut Request<B>, format: &F) -> DeadlineRead {
    let mut values = request.headers().get_all(format.header()).iter();
    let Some(value) = values.next() else {
        return DeadlineRead::Absent;
    };
    let left = format.parse(value.as_bytes());
    match (left.filter(|left| *left <= LONGEST), values.next()) {
        (Some(left), None) => {
            let at = deadline(Instant::now(), left);
            DeadlineRead::Set(propagate_deadline(request, at))
        }
        _ => DeadlineRead::Ignored,
    }
}

/// Learns from a header how long the caller waits: [`read_deadline`] for every request; see the
/// [module](super).
///
/// It goes outermost in a server; a deadline layer inside of it, stamped by
/// [`propagate_deadline`](crate::propagate_deadline), ends the call then.
///
/// ```
/// use std::time::Duration;
/// use http::Request;
/// use seawall_http::{ReadDeadlineLayer, deadline_of};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = ReadDeadlineLayer::new("api");
/// let handle = layer.handle();
/// let server = ServiceBuilder::new()
///     .layer(layer)
///     .service(service_fn(|request: Request<()>| async move {
///         Ok::<_, std::io::Error>(deadline_of(&request))
///     }));
/// let request = Request::get("/").header("x-envoy-expected-rq-timeout-ms", "soon").body(())?;
/// assert_eq!(server.oneshot(request).await?, None);
/// assert_eq!(handle.ignored(), 1);
/// # Ok(()) }
/// ```
pub struct ReadDeadlineLayer<F = DeadlineHeader> {
    common: Arc<Common>,
    format: F,
}

#[derive(Debug)]
struct Common {
    name: InstanceName,
    ignored: AtomicU64,
}

impl ReadDeadlineLayer {
    /// Reads the default header; `name` is whom its counter belongs to.
    pub fn new(name: impl Into<InstanceName>) -> Self {
        Self {
            common: Arc::new(Common {
                name: name.into(),
                ignored: AtomicU64::new(0),
            }),
            format: DeadlineHeader::default(),
        }
    }
}

impl<F> ReadDeadlineLayer<F> {
    /// Reads `header` instead.
    #[must_use]
    pub fn header<F2>(self, header: F2) -> ReadDeadlineLayer<F2> {
        ReadDeadlineLayer {
            common: self.common,
            format: header,
        }
    }

    /// A handle to read the counter.
    pub fn handle(&self) -> ReadDeadlineHandle {
        ReadDeadlineHandle {
            common: Arc::clone(&self.common),
        }
    }
}

impl<S, F: Clone> Layer<S> for ReadDeadlineLayer<F> {
    type Service = ReadDeadline<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        ReadDeadline {
            inner,
            layer: self.clone(),
        }
    }
}

impl<F: Clone> Clone for ReadDeadlineLayer<F> {
    /// Shares the counter.
    fn clone(&self) -> Self {
        Self {
            common: Arc::clone(&self.common),
            format: self.format.clone(),
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for ReadDeadlineLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDeadlineLayer")
            .field("name", &self.common.name)
            .field("format", &self.format)
            .finish()
    }
}

/// A service that knows how long its callers wait; see [`ReadDeadlineLayer`].
#[derive(Clone, Debug)]
pub struct ReadDeadline<S, F = DeadlineHeader> {
    inner: S,
    layer: ReadDeadlineLayer<F>,
}

impl<S, F> ReadDeadline<S, F> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, F, B> Service<Request<B>> for ReadDeadline<S, F>
where
    S: Service<Request<B>>,
    F: DeadlineFormat + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if read_deadline(&mut request, &self.layer.format) == DeadlineRead::Ignored {
            self.layer.common.ignored.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.call(request)
    }
}

/// Reads the counter of a [`ReadDeadlineLayer`]. Clones share.
#[derive(Clone, Debug)]
pub struct ReadDeadlineHandle {
    common: Arc<Common>,
}

impl ReadDeadlineHandle {
    /// How many headers were ignored: garbage, several, or absurd.
    pub fn ignored(&self) -> u64 {
        self.common.ignored.load(Ordering::Relaxed)
    }
}

impl InstanceHandle for ReadDeadlineHandle {
    fn pattern(&self) -> &'static str {
        "read_deadline"
    }

    fn name(&self) -> InstanceName {
        self.common.name
    }

    fn state(&self) -> &'static str {
        "ok"
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        sink.counter(
            "seawall_deadline_headers_ignored_total",
            &[],
            self.ignored(),
        );
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    // What is ignored is counted, and told to nobody: it is the callers' doing.
    fn attach(&self, _: &Events) {}
}
