//! The service: makes a call, or waits for one.

use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{
    Classify, Describe, MarkDegraded, Misconfiguration, Policies, Rejectable, StoreResponse,
    impl_debug,
};
use tower_service::Service;

use super::errors::{CopyError, NoErrorCopies};
use super::future::{Call, CoalesceFuture, Role, Shared};
use super::state::{Change, CommonAnchor};
use crate::{Ask, CacheHooks, CacheRules, Hooks};

/// A service whose callers of one key share a call; see [`CoalesceLayer`](crate::CoalesceLayer).
///
/// It is always ready: a waiter needs nothing of the inner service. A call that is made polls a clone of that
/// ready, in the future, and calls it.
pub struct Coalesce<S, X, K, V, E, H = Hooks, C = NoErrorCopies> {
    inner: S,
    common: CommonAnchor<X, K, V, E, H, C>,
}

impl<S, X, K, V, E, H, C> Coalesce<S, X, K, V, E, H, C> {
    pub(crate) const fn new(inner: S, common: CommonAnchor<X, K, V, E, H, C>) -> Self {
        Self { inner, common }
    }
}

seawall_core::inner_accessors!(Coalesce<S, X, K, V, E, H, C>);

/// What is remembered of a request.
type AskedOf<H, Req, Res, V> = <<H as CacheHooks>::Rules as CacheRules<Req, Res, V>>::Asked;
/// What the caller gets.
type ResponseOf<H, Res> = <<H as CacheHooks>::Storer as StoreResponse<Res>>::Response;

impl<S, Req, X, K, V, H, C> Service<Req> for Coalesce<S, X, K, V, S::Error, H, C>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable + Send + Sync + 'static,
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
    X: Policies<Classifier: Classify<S::Response, S::Error>, Describer: Describe<Req>>,
    H: CacheHooks,
    H::Storer: StoreResponse<S::Response, Stored = V>,
    H::Rules: CacheRules<Req, S::Response, V, Key = K>,
    H::Mark: MarkDegraded<S::Response> + MarkDegraded<ResponseOf<H, S::Response>>,
    C: CopyError<S::Error>,
{
    type Response = ResponseOf<H, S::Response>;
    type Error = S::Error;
    type Future = CoalesceFuture<S, Req, X, K, V, S::Error, H, C, AskedOf<H, Req, S::Response, V>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let local = self.common.follow().again();
        let (common, stripe) = (local.common(), local.stripe());
        let asked = match common.state.is_bypassed() {
            true => Ask::Pass,
            false => common.hooks.rules().ask(&request),
        };
        let role = match asked {
            Ask::Keyed(asked) if asked.demand.look_up => {
                let is_safe = common
                    .policy
                    .describer()
                    .describe(&request)
                    .replay
                    .is_read();
                if !is_safe && X::Describer::IS_DEFAULT {
                    stripe.not_described.add();
                    let events = &common.state.events;
                    events.misconfigure(Misconfiguration::Undescribed);
                } else if !is_safe {
                    stripe.passed.add();
                }
                match is_safe {
                    true => Role::Shared(Shared {
                        hash: common.state.hash(&asked.key),
                        epoch: asked.group.map_or(0, |group| common.state.epoch(group)),
                        key: Some(asked.key),
                        asked: asked.asked,
                        lead: None,
                    }),
                    false => Role::Passed,
                }
            }
            Ask::Change { group } => {
                stripe.passed.add();
                let state = Arc::clone(&common.state);
                Role::Change(Change { state, group })
            }
            Ask::Keyed(_) | Ask::Pass => {
                stripe.passed.add();
                Role::Passed
            }
        };
        let call = Call {
            common: local,
            role,
        };
        let service = self.inner.clone(); // clone: waits, polled ready later
        CoalesceFuture::new(service, request, call)
    }
}

impl<S: Clone, X, K, V, E, H, C> Clone for Coalesce<S, X, K, V, E, H, C> {
    /// Shares everything but the inner service.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            common: self.common.clone(),
        }
    }
}

impl_debug!(Coalesce<S, X, K, V, E, H, C> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.common.common().state.events.name(),
    config = this.common.common().state.config(),
);
