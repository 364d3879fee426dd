//! Layers around plain functions, and a check that a stack is a service.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::{Error, WrapError};

/// Runs an async function through a layer or a whole stack, where there is no Tower service.
///
/// Every layer has it, and so have tuples of layers and the stacks of the crate `seawall`.
///
/// ```
/// use seawall_core::{Error, LayerExt, WrapErrorLayer};
///
/// # #[derive(Clone)] struct Db;
/// # impl Db { async fn query(&self, sql: &str) -> Result<usize, String> { Ok(sql.len()) } }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error<String>> {
/// # let (db, guard) = (Db, tower_layer::Identity::new());
/// // `guard` is a breaker, a retry, a bulkhead ... or a stack of them.
/// let rows = guard.run(|| db.query("select 1")).await?;
/// # assert_eq!(rows, 8);
/// # Ok(()) }
/// ```
pub trait LayerExt {
    /// Runs `function` through this layer: once, or as often as the layer makes attempts.
    ///
    /// What `function` borrows may be borrowed until the returned future is done; some layers ask
    /// for it to be `Clone`, which a closure is that borrows. Errors of `function` are failures of
    /// the upstream, unless the layer's policy classifies them otherwise.
    ///
    /// A service is made for each call. Some layers allocate when they make one: keep a service
    /// where every nanosecond counts.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] when a layer rejects, [`Error::Inner`] with the error of `function`.
    /// [`Error::into_error`] turns both into a boxed error, `anyhow::Error` or an enum of yours.
    fn run<F, Fut, T, E, R>(&self, function: F) -> impl Future<Output = Result<R, Error<E>>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        Self: Layer<WrapError<Function<F>>>,
        Self::Service: Service<(), Response = R, Error = Error<E>>,
    {
        let mut service = self.layer(WrapError::new(Function { function }));
        async move {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(()).await
        }
    }
}

impl<L> LayerExt for L {}

/// An async function as a service without a request; see [`LayerExt::run`].
#[derive(Clone, Copy, Debug)]
pub struct Function<F> {
    function: F,
}

impl<F, Fut, T, E> Service<()> for Function<F>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Response = T;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Fut {
        (self.function)()
    }
}

/// Returns `service` unchanged, and compiles only where it is a [`Service`] of `Req`.
///
/// A stack whose parts do not fit has no methods `ready` and `oneshot`, and the compiler says only
/// that (E0599). Put the stack through this function, and it says which bound is missing where.
///
/// ```
/// use seawall_core::{WrapErrorLayer, assert_service};
/// use tower::{ServiceBuilder, service_fn};
///
/// let client = ServiceBuilder::new()
///     .layer(WrapErrorLayer)
///     .service(service_fn(|symbol: String| async move { Ok::<_, String>(symbol) }));
/// let client = assert_service::<String, _>(client);
/// # let _ = client;
/// ```
pub fn assert_service<Req, S: Service<Req>>(service: S) -> S {
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_function_that_borrows_is_called_through_layers() {
        let words = ["a", "b"];
        let calls = std::cell::Cell::new(0);
        let count = || async {
            calls.set(calls.get() + 1);
            Ok::<_, String>(words.len())
        };
        let identity = tower_layer::Identity::new();
        assert_eq!(identity.run(count).await, Ok(2));
        assert_eq!((identity.clone(), identity.clone()).run(count).await, Ok(2));
        assert_eq!(calls.get(), 2);
        let failed = identity.run(|| async { Err::<(), _>("down") }).await;
        assert_eq!(failed, Err(Error::Inner("down")));
        drop(identity.run(count));
        assert_eq!(calls.get(), 2, "nothing is called before the first poll");
    }
}
