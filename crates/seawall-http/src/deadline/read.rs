//! The server's side.

use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use seawall_core::{InstanceName, deadline};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::format::{DeadlineFormat, DeadlineHeader};
use super::handle::ReadDeadlineHandle;
use super::request::propagate_deadline;
use super::state::{self, ReadDeadlineConfig, State, StateAnchor};

/// What [`read_deadline`] found in the header of a request.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineRead {
    /// There is no such header.
    Absent,
    /// The request has this deadline now: the header's, or an earlier one of its own.
    Set(Instant),
    /// The header is no number, there are several, or it is too long; the request is unchanged.
    Ignored,
}

/// Reads a header with the time that is left into the request's
/// [`RequestDeadline`](super::RequestDeadline), unless an earlier one is there or the header has
/// more than `max_timeout`.
pub fn read_deadline<B, F: DeadlineFormat>(
    request: &mut Request<B>,
    format: &F,
    max_timeout: Duration,
) -> DeadlineRead {
    read(request, format, || Some(max_timeout))
}

/// The same, for a longest timeout that is only looked up for a header, and without one when the
/// header is not to be read.
fn read<B, F: DeadlineFormat>(
    request: &mut Request<B>,
    format: &F,
    max_timeout: impl FnOnce() -> Option<Duration>,
) -> DeadlineRead {
    let mut values = request.headers().get_all(format.header()).iter();
    let Some(value) = values.next() else {
        return DeadlineRead::Absent;
    };
    let Some(max_timeout) = max_timeout() else {
        return DeadlineRead::Absent;
    };
    let left = format.parse(value.as_bytes());
    match (left.filter(|left| *left <= max_timeout), values.next()) {
        (Some(left), None) => {
            let at = deadline(Instant::now(), left);
            DeadlineRead::Set(propagate_deadline(request, at))
        }
        _ => DeadlineRead::Ignored,
    }
}

/// Reads from a header how long the caller waits: [`read_deadline`] for every request; see the
/// [module](crate::deadline).
///
/// It goes outermost in a server; a deadline layer inside of it that propagates with
/// [`propagate_deadline`] ends the call at that time.
///
/// ```
/// use std::time::Duration;
/// use http::Request;
/// use seawall_http::deadline::{ReadDeadlineConfig, ReadDeadlineLayer, deadline_of};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = ReadDeadlineLayer::new("api", ReadDeadlineConfig::default());
/// let handle = layer.handle();
/// let server = ServiceBuilder::new()
///     .layer(layer)
///     .service(service_fn(|request: Request<()>| async move {
///         Ok::<_, std::io::Error>(deadline_of(&request))
///     }));
/// let request = Request::get("/").header("x-envoy-expected-rq-timeout-ms", "soon").body(())?;
/// assert_eq!(server.oneshot(request).await?, None);
/// assert_eq!(handle.counts().ignored, 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ReadDeadlineLayer<F = DeadlineHeader> {
    state: State,
    format: F,
}

impl ReadDeadlineLayer {
    /// A layer of that name with these settings, which reads the default header.
    pub fn new(name: impl Into<InstanceName>, config: ReadDeadlineConfig) -> Self {
        Self {
            state: state::new(name.into(), config),
            format: DeadlineHeader::default(),
        }
    }
}

impl<F> ReadDeadlineLayer<F> {
    /// Reads `header` instead.
    #[must_use]
    pub fn header<F2>(self, header: F2) -> ReadDeadlineLayer<F2> {
        ReadDeadlineLayer {
            state: self.state,
            format: header,
        }
    }

    /// A handle to read and to control the layer.
    pub fn handle(&self) -> ReadDeadlineHandle {
        ReadDeadlineHandle {
            state: self.state.clone(),
        }
    }
}

impl<S, F: Clone> Layer<S> for ReadDeadlineLayer<F> {
    type Service = ReadDeadline<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        ReadDeadline {
            inner,
            state: self.state.anchor(),
            format: self.format.clone(),
        }
    }
}

seawall_core::impl_debug!(ReadDeadlineLayer<F> where [F: std::fmt::Debug]: |this|
    name = this.state.common().name,
    format = this.format);

/// A service that knows how long its callers wait; see [`ReadDeadlineLayer`].
#[derive(Clone)]
pub struct ReadDeadline<S, F = DeadlineHeader> {
    inner: S,
    state: StateAnchor,
    format: F,
}

seawall_core::inner_accessors!(ReadDeadline<S, F>);

impl<S, F, B> Service<Request<B>> for ReadDeadline<S, F>
where
    S: Service<Request<B>>,
    F: DeadlineFormat,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let read = read(&mut request, &self.format, || {
            let common = self.state.common();
            (!common.bypass.is_on()).then(|| common.config().max_timeout())
        });
        if read == DeadlineRead::Ignored {
            self.state.here().ignored.add();
        }
        self.inner.call(request)
    }
}

seawall_core::impl_debug!(ReadDeadline<S, F> where [S: std::fmt::Debug, F: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.state.common().name,
    format = this.format);
