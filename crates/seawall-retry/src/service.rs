//! The service: sends the first attempt and keeps what another one needs.

use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::{
    Classify, CopyRequest, Describe, KeepResponse, Policies, Policy, Reason, Rejectable,
    RequestMeta, Sent, impl_debug, is_large, ns,
};
use tokio::time::Instant;
use tower_service::Service;

use crate::effects::time_left;
use crate::hooks::{Hook, Hooks, StateOf};
use crate::progress::Progress;
use crate::rate_token::RateToken;
use crate::rules::{CommonAnchor, CommonLocal, PolicyFor};
use crate::state::Core;
use crate::{AdaptiveRate, Attempt, PrepareAttempt, ResponseFuture, RetryPredicate, StopReason};

/// A service whose calls are retried; see [`RetryLayer`](crate::RetryLayer).
///
/// A clone costs one reference count beside the clone of the inner service. Readiness is the
/// inner service's own. Later attempts go through clones of the service as it was when the layer
/// was applied, whatever `get_mut` has changed since.
pub struct Retry<S, X = Policy, H = Hooks> {
    inner: S,
    common: CommonAnchor<S, X, H>,
}

impl<S, X, H> Retry<S, X, H> {
    pub(crate) const fn new(inner: S, common: CommonAnchor<S, X, H>) -> Self {
        Self { inner, common }
    }
}

seawall_core::inner_accessors!(Retry<S, X, H>);

impl<S, X, H, Req> Service<Req> for Retry<S, X, H>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error>,
    X::Describer: Describe<Req>,
    X::Copier: CopyRequest<Req>,
    X::Keeper: KeepResponse<S::Response>,
    H: Hook<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, X, H>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Readiness is for the first attempt only: reserving for an attempt that may never be
        // made would starve others.
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if is_large::<S::Future>() {
            return self.call_in_place(request);
        }
        self.begin(request)
    }
}

impl<S, X, H> Retry<S, X, H> {
    /// Makes the first attempt, or what comes in its place.
    #[inline(always)]
    fn begin<Req>(&mut self, request: Req) -> ResponseFuture<S, Req, X, H>
    where
        S: Service<Req> + Clone,
        S::Error: Rejectable,
        X: PolicyFor<Req, S::Response, S::Error>,
        H: Hook<Req, S::Response, S::Error>,
    {
        let here = self.common.follow();
        let rules = &here.common().rules;
        let meta = rules.policy.describer().describe(&request);
        let state = rules.hooks.predicate().start(&meta);
        if let Some(rate) = &rules.core.rate
            && !rules.core.state.is_bypassed()
        {
            let mut progress = Progress::new(&meta, state, 0, false);
            match pace(&rules.core, rate, &mut progress) {
                Ok((delay, token)) if !delay.is_zero() => {
                    give_up_readiness(&mut self.inner);
                    let progress = progress.with_token(token);
                    return ResponseFuture::delayed(delay, here.again(), request, progress);
                }
                Ok((_, token)) => {
                    let state = progress.into_predicate_state();
                    return first(&mut self.inner, here, request, &meta, state, token);
                }
                Err(wait) => {
                    give_up_readiness(&mut self.inner);
                    let rejection = rules.core.reject(Reason::RateLimited, Sent::No);
                    let error = rejection.with_retry_after(wait).into();
                    let reason = StopReason::AdaptiveRate;
                    let result =
                        progress.failed_before_attempt(rules, here.stripe(), reason, error);
                    return ResponseFuture::without_attempt(result);
                }
            }
        }
        let token = RateToken::FREE;
        first(&mut self.inner, here, request, &meta, state, token)
    }

    /// The same with a large future of the attempt, which is built where it stays.
    #[inline(never)]
    fn call_in_place<Req>(&mut self, request: Req) -> ResponseFuture<S, Req, X, H>
    where
        S: Service<Req> + Clone,
        S::Error: Rejectable,
        X: PolicyFor<Req, S::Response, S::Error>,
        H: Hook<Req, S::Response, S::Error>,
    {
        self.begin(request)
    }
}

/// Makes the first attempt.
#[inline(always)]
fn first<S, X, H, Req>(
    inner: &mut S,
    here: &CommonLocal<S, X, H>,
    mut request: Req,
    meta: &RequestMeta,
    state: StateOf<H, Req, S::Response, S::Error>,
    token: RateToken,
) -> ResponseFuture<S, Req, X, H>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: PolicyFor<Req, S::Response, S::Error>,
    H: Hook<Req, S::Response, S::Error>,
{
    let rules = &here.common().rules;
    let settings = rules.core.state.attempt_settings();
    let mut copy = if settings.want_copy(meta.replay, 1) {
        rules.policy.copier().copy(&request)
    } else {
        None
    };
    if let Err(error) = rules.hooks.prepare().prepare(&mut request, Attempt::FIRST) {
        give_up_readiness(inner);
        let mut progress = Progress::new(meta, state, 0, false);
        let reason = StopReason::PrepareFailed;
        let result = progress.failed_before_attempt(rules, here.stripe(), reason, error);
        return ResponseFuture::without_attempt(result);
    }
    let has_token = token.spend();
    let mut common = Some(here.again());
    // The instance that was polled ready is the one that is called.
    ResponseFuture::calling(
        || inner.call(request),
        &mut common,
        &mut copy,
        meta,
        state,
        has_token,
    )
}

/// Nothing is called now, and what readiness has reserved is for others meanwhile.
#[cold]
fn give_up_readiness<S: Clone>(inner: &mut S) {
    *inner = inner.clone(); // clone: gives the reservation up
}

/// The wait until the first attempt has its token of the sending rate, or the wait that is too
/// long for it.
#[cold]
fn pace<Req, T, E, X, H>(
    core: &Core,
    rate: &AdaptiveRate,
    progress: &mut Progress<Req, T, E, X, H>,
) -> Result<(Duration, RateToken), Duration>
where
    X: Policies<Keeper: KeepResponse<T>>,
    H: Hook<Req, T, E>,
{
    progress.begin(core, Instant::now);
    let mut longest = core.state.max_retry_after();
    if let Some(left) = time_left(progress.deadline) {
        longest = longest.min(left);
    }
    match RateToken::take(rate, ns(longest)) {
        Ok((wait, token)) => Ok((Duration::from_nanos(wait), token)),
        Err(wait) => Err(Duration::from_nanos(wait)),
    }
}

impl<S: Clone, X, H> Clone for Retry<S, X, H> {
    /// Shares budget, counters and settings; readiness is up to the inner clone.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            common: self.common.clone(),
        }
    }
}

impl_debug!(Retry<S, X, H> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.common.common().rules.core.state.events.name(),
    config = this.common.common().rules.core.state.config(),
);
