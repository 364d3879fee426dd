//! How what is stale is refreshed.

use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Classify, MarkDegraded, Policies, Rejectable, StoreResponse, impl_debug};
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::state::{CommonLocal, RefreshPermit};
use crate::{CacheHooks, CacheRules, ResponseFuture};

/// By whom what is stale is refreshed: by a caller, or by a task.
pub trait RefreshBy<F> {
    /// Whether it is by a task, where that can be spawned now.
    fn is_in_background() -> bool;

    /// Spawns the task.
    fn spawn(&self, refresh: F);
}

/// The first caller that finds an answer stale fetches a new one, and waits for it; all others get what is stale
/// meanwhile. It needs no runtime, and nothing outlives its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InPlace;

impl<F> RefreshBy<F> for InPlace {
    fn is_in_background() -> bool {
        false
    }

    fn spawn(&self, _: F) {}
}

/// A task on the Tokio runtime of the caller fetches a new answer, and every caller gets what is stale meanwhile.
/// As many tasks as the settings say live at once; each ends with its call, or after
/// [`max_wait`](crate::CacheConfigBuilder::max_wait). The runtime has time enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InBackground;

impl<F: Future<Output = ()> + Send + 'static> RefreshBy<F> for InBackground {
    fn is_in_background() -> bool {
        tokio::runtime::Handle::try_current().is_ok()
    }

    fn spawn(&self, refresh: F) {
        drop(tokio::spawn(refresh));
    }
}

pin_project! {
    /// A refresh in the background.
    pub struct Refresh<S, Req, X, H, K, V, A, R>
    where
        S: Service<Req>,
        H: CacheHooks,
        H::Storer: StoreResponse<S::Response>,
    {
        #[pin]
        call: Option<ResponseFuture<S, Req, X, H, K, V, A, R>>,
        #[pin]
        draining: Option<<H::Storer as StoreResponse<S::Response>>::Draining>,
        #[pin]
        timer: Option<Sleep>,
        common: CommonLocal<X, H, K, V>,
        permit: RefreshPermit<K, V>,
    }
}

impl<S, Req, X, H, K, V, A, R> Refresh<S, Req, X, H, K, V, A, R>
where
    S: Service<Req>,
    H: CacheHooks,
    H::Storer: StoreResponse<S::Response>,
{
    pub(crate) const fn new(
        call: ResponseFuture<S, Req, X, H, K, V, A, R>,
        common: CommonLocal<X, H, K, V>,
        permit: RefreshPermit<K, V>,
    ) -> Self {
        Self {
            call: Some(call),
            draining: None,
            timer: None,
            common,
            permit,
        }
    }
}

impl<S, Req, X, H, K, V, A, R> Future for Refresh<S, Req, X, H, K, V, A, R>
where
    S: Service<Req>,
    S::Error: Rejectable,
    X: Policies<Classifier: Classify<S::Response, S::Error>>,
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
    H: CacheHooks,
    H::Storer: StoreResponse<S::Response, Stored = V, Response = R>,
    H::Rules: CacheRules<Req, S::Response, V, Key = K, Asked = A>,
    H::Mark: MarkDegraded<S::Response> + MarkDegraded<R>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let common = this.common.common();
        if let Some(call) = this.call.as_mut().as_pin_mut()
            && let Poll::Ready(result) = call.poll(cx)
        {
            this.call.set(None);
            let Ok(response) = result else {
                return Poll::Ready(());
            };
            let draining = common.hooks.storer().drain(response);
            this.draining.set(Some(draining));
        }
        if let Some(draining) = this.draining.as_mut().as_pin_mut()
            && draining.poll(cx).is_ready()
        {
            return Poll::Ready(());
        }
        if this.timer.is_none() {
            let most = common.state.config().max_wait();
            this.timer.set(Some(sleep(most)));
        }
        if let Some(timer) = this.timer.as_mut().as_pin_mut() {
            ready!(timer.poll(cx));
        }
        this.common.stripe().refreshes.given_up.add();
        Poll::Ready(())
    }
}

impl_debug!(Refresh<S, Req, X, H, K, V, A, R> where [
    S: Service<Req>,
    H: CacheHooks,
    H::Storer: StoreResponse<S::Response>,
]:);
