//! What is called of a service.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::task::{Context, Poll};

use seawall_core::{Describe, RequestMeta};
use tower_service::Service as TowerService;

/// A call of a service as its layers see it: the name of what it does, what it is, and the function
/// that does it.
#[derive(Clone)]
pub struct Operation<F> {
    name: Cow<'static, str>,
    meta: RequestMeta,
    function: F,
}

impl<F> Operation<F> {
    pub(super) const fn new(name: Cow<'static, str>, meta: RequestMeta, function: F) -> Self {
        Self {
            name,
            meta,
            function,
        }
    }

    /// What it is called: `"load_orders"`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the layers know of it.
    pub const fn meta(&self) -> RequestMeta {
        self.meta
    }
}

impl<F> fmt::Debug for Operation<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Operation").field(&self.name).finish()
    }
}

/// Describes an [`Operation`] by what it carries.
#[derive(Clone, Copy, Debug, Default)]
pub struct OperationMeta;

impl<F> Describe<Operation<F>> for OperationMeta {
    #[inline]
    fn describe(&self, operation: &Operation<F>) -> RequestMeta {
        operation.meta
    }
}

/// The innermost service: calls the function that is the request.
#[derive(Clone, Copy, Debug)]
pub struct CallFunction;

impl<F, Fut, T, E> TowerService<Operation<F>> for CallFunction
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

    fn call(&mut self, mut operation: Operation<F>) -> Fut {
        (operation.function)()
    }
}
