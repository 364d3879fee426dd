//! The client's side.

use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::format::{DeadlineFormat, DeadlineHeader};
use super::request::deadline_of;

/// Writes what is left of a request's deadline into its header and returns it; `None` for a
/// request without a deadline, which is not changed.
///
/// A header that is there with less is kept. Of several the least is written as the only one,
/// since a reader ignores several. A deadline that has passed is written as the shortest time that
/// the header can express.
pub fn write_deadline<B, F: DeadlineFormat>(
    request: &mut Request<B>,
    format: &F,
) -> Option<Duration> {
    let at = deadline_of(request)?;
    let left = at.saturating_duration_since(Instant::now());
    let (mut least, mut values) = (None::<Duration>, 0_usize);
    for value in request.headers().get_all(format.header()) {
        values += 1;
        if let Some(time) = format.parse(value.as_bytes()) {
            least = Some(least.map_or(time, |least| least.min(time)));
        }
    }
    // A reader ignores several.
    let keep = values == 1 && least.is_some_and(|least| least <= left);
    if !keep {
        let value = format.format(least.map_or(left, |least| least.min(left)));
        request.headers_mut().insert(format.header().clone(), value);
    }
    Some(left)
}

/// Sends to the server how long the response is of use: [`write_deadline`] for every request; see
/// the [module](crate::deadline).
///
/// It goes next to the client, inside of retry, so that each attempt sends what is left then.
///
/// ```
/// use std::time::Duration;
/// use http::Request;
/// use seawall_http::deadline::{DeadlineHeader, RequestDeadline, WriteDeadlineLayer};
/// use tokio::time::Instant;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ServiceBuilder::new()
///     .layer(WriteDeadlineLayer::new().header(DeadlineHeader::millis("x-timeout-ms")?))
///     .service(service_fn(|request: Request<()>| async move {
///         Ok::<_, std::io::Error>(request.headers().get("x-timeout-ms").cloned())
///     }));
/// let mut request = Request::new(());
/// let deadline = Instant::now() + Duration::from_millis(1_500);
/// request.extensions_mut().insert(RequestDeadline(deadline));
/// assert_eq!(client.oneshot(request).await?.unwrap(), "1500");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteDeadlineLayer<F = DeadlineHeader> {
    format: F,
}

impl WriteDeadlineLayer {
    /// Writes the default header.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<F> WriteDeadlineLayer<F> {
    /// Writes `header` instead.
    #[must_use]
    pub fn header<F2>(self, header: F2) -> WriteDeadlineLayer<F2> {
        WriteDeadlineLayer { format: header }
    }
}

impl<S, F: Clone> Layer<S> for WriteDeadlineLayer<F> {
    type Service = WriteDeadline<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        WriteDeadline {
            inner,
            format: self.format.clone(),
        }
    }
}

/// A service whose requests carry the time that is left; see [`WriteDeadlineLayer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteDeadline<S, F = DeadlineHeader> {
    inner: S,
    format: F,
}

seawall_core::inner_accessors!(WriteDeadline<S, F>);

impl<S, F, B> Service<Request<B>> for WriteDeadline<S, F>
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
        write_deadline(&mut request, &self.format);
        self.inner.call(request)
    }
}
