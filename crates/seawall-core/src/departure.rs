//! A hook at departure: what a request gets at the very moment at which it leaves.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::carry::{Carried, Classified, Described, Storage};
use crate::{Rejectable, SharedReadings};

/// Prepares a request at its departure: a timestamp, a nonce, a signature over both.
///
/// Closures and `fn` pointers `Fn(&mut Req) -> Result<(), Err>` implement it; a `fn` pointer keeps
/// the type of the stack nameable.
pub trait PrepareDeparture<Req, Err> {
    /// Prepares `request`, which is handed to the client right after.
    ///
    /// Runs synchronously in the call, so it should be short and must not block.
    ///
    /// # Errors
    ///
    /// The result of the attempt: nothing is sent. Made of a [`Rejection`](crate::Rejection) it says
    /// nothing about the upstream; any other error counts as a failure, by the classifier where the
    /// layers above have one that they ask.
    fn prepare_departure(&self, request: &mut Req) -> Result<(), Err>;
}

impl<F, Req, Err> PrepareDeparture<Req, Err> for F
where
    F: Fn(&mut Req) -> Result<(), Err>,
{
    fn prepare_departure(&self, request: &mut Req) -> Result<(), Err> {
        self(request)
    }
}

/// In a stack whose requests carry what they are.
impl<T, H, Req, Err> PrepareDeparture<T, Classified<Err>> for Carried<H>
where
    T: Storage<Value = Described<Req>>,
    H: PrepareDeparture<Req, Err>,
    Err: Rejectable,
{
    #[inline]
    fn prepare_departure(&self, described: &mut T) -> Result<(), Classified<Err>> {
        let prepared = self.0.prepare_departure(&mut described.get_mut().request);
        prepared.map_err(Classified::unclassified_error)
    }
}

/// Prepares each request at its departure, once per attempt; to be put right around the client.
///
/// What ages must not be prepared above a wait. A request that is signed and then queued for 20 s
/// by a bulkhead or a rate limit is rejected by an exchange that accepts timestamps of 5 s, and a
/// nonce that was drawn before the queue is overtaken by later ones. Layers that wait call what is
/// below them in the poll in which the wait ends, so this hook runs in the order in which requests
/// leave, and what it writes is as old as the call of the client.
///
/// | hook | runs | use it for |
/// |---|---|---|
/// | `RetryLayer::prepare` of `seawall-retry` | before each attempt, above the waits | the number of the attempt, what depends on the outcome before |
/// | this one | at the departure of each attempt, hedged ones included | timestamps, nonces, sequence numbers, signatures |
///
/// A copy for a further attempt is made above, so nothing that one attempt adds is found by the
/// next. What the client itself waits for, such as a connection, comes after. Calls on several
/// threads depart at once: a hook that draws numbers from one counter gives each its own, but which
/// of two reaches the upstream first is up to their connections.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use seawall_core::{DepartureLayer, Error, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// #[derive(Clone)]
/// struct Order { text: &'static str, nonce: u64 }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error<&'static str>> {
/// static NONCES: AtomicU64 = AtomicU64::new(1);
/// let sign = |order: &mut Order| -> Result<(), Error<&'static str>> {
///     order.nonce = NONCES.fetch_add(1, Relaxed);
///     Ok(())
/// };
/// let mut client = ServiceBuilder::new()
///     // Retry, bulkhead, rate limit, breaker, and innermost:
///     .layer(DepartureLayer::new(sign))
///     .layer(WrapErrorLayer)
///     .service(service_fn(|order: Order| async move { Ok::<_, &'static str>(order.nonce) }));
/// let order = Order { text: "buy", nonce: 0 };
/// assert_eq!(client.ready().await?.call(order.clone()).await?, 1);
/// assert_eq!(client.ready().await?.call(order).await?, 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DepartureLayer<H> {
    hook: H,
}

impl<H> DepartureLayer<H> {
    /// A layer that prepares requests with `hook`. Each service has a clone of it: what all of them
    /// share, such as a counter, belongs behind an `Arc` or into a `static`.
    pub const fn new(hook: H) -> Self {
        Self { hook }
    }

    /// The same layer around a client that carries what requests and results are: its hook, which is
    /// for the requests of the client itself, sees those. See [`carry`](crate::carry).
    #[must_use]
    pub fn carry_hook(self) -> DepartureLayer<Carried<H>> {
        DepartureLayer {
            hook: Carried(self.hook),
        }
    }
}

impl<S, H: Clone> Layer<S> for DepartureLayer<H> {
    type Service = Departure<S, H>;

    fn layer(&self, inner: S) -> Departure<S, H> {
        let hook = self.hook.clone();
        Departure { inner, hook }
    }
}

/// A service whose requests are prepared at their departure; see [`DepartureLayer`].
///
/// Readiness is the inner service's own.
#[derive(Clone, Copy, Debug)]
pub struct Departure<S, H> {
    inner: S,
    hook: H,
}

crate::inner_accessors!(Departure<S, H>);

impl<S, H, Req> Service<Req> for Departure<S, H>
where
    S: Service<Req>,
    H: PrepareDeparture<Req, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = DepartureFuture<S::Future, S::Error>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Req) -> Self::Future {
        let prepared = SharedReadings::apart(|| self.hook.prepare_departure(&mut request));
        let stage = match prepared {
            Ok(()) => Stage::Departed {
                inner: self.inner.call(request),
            },
            Err(error) => Stage::Failed { error: Some(error) },
        };
        DepartureFuture { stage }
    }
}

pin_project! {
    /// The response of a [`Departure`].
    ///
    /// # Panics
    ///
    /// When it is polled again after the hook's error.
    pub struct DepartureFuture<F, E> {
        #[pin]
        stage: Stage<F, E>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F, E> {
        Departed { #[pin] inner: F },
        Failed { error: Option<E> },
    }
}

impl<F, T, E> Future for DepartureFuture<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            StageProj::Departed { inner } => inner.poll(cx),
            StageProj::Failed { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => panic!("a departure's future was polled after it had completed"),
            },
        }
    }
}

crate::impl_debug!(DepartureFuture<F, E>: |this| departed = matches!(this.stage, Stage::Departed { .. }));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::cell::Cell;

    #[derive(Clone)]
    struct Echo;

    impl Service<u32> for Echo {
        type Response = u32;
        type Error = Error<&'static str>;
        type Future = std::future::Ready<Result<u32, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u32) -> Self::Future {
            std::future::ready(Ok(request))
        }
    }

    #[tokio::test]
    async fn it_runs_in_the_call_whether_or_not_the_future_is_polled() {
        let runs = Cell::new(0);
        let count = |request: &mut u32| -> Result<(), Error<&'static str>> {
            runs.set(runs.get() + 1);
            *request += runs.get();
            Ok(())
        };
        let layer = DepartureLayer::new(count);
        let (mut one, mut other) = (layer.layer(Echo), layer.clone().layer(Echo));
        drop(one.call(10));
        assert_eq!(other.call(10).await, Ok(12), "shared by all services");
        assert_eq!(one.clone().call(10).await, Ok(13));
        assert_eq!(runs.get(), 3);
    }

    #[tokio::test]
    async fn its_error_is_the_result_and_nothing_is_sent() {
        let fails = |_: &mut u32| Err(Error::Inner("no key"));
        let mut service = DepartureLayer::new(fails).layer(Echo);
        assert_eq!(service.call(1).await, Err(Error::Inner("no key")));
    }
}
