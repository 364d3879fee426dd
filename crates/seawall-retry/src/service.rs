//! The service: sends the first attempt and keeps what another one needs.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::{
    Classify, DefaultMeta, Describe, ErrorIsFailure, Reason, Rejectable, RequestMeta, Sent, ns,
};
use tokio::time::Instant;
use tower_service::Service;

use crate::decide::wants_copy;
use crate::hooks::{Hook, Hooks, MemoryOf};
use crate::layer::{CommonAnchor, CommonLocal, Core};
use crate::purse::Place;
use crate::track::Track;
use crate::{
    AdaptiveRate, Attempt, CloneRequest, CopyRequest, PrepareAttempt, ResponseFuture,
    RetryPredicate, StopReason,
};

/// A service whose calls are tried again; see [`RetryLayer`](crate::RetryLayer).
///
/// A clone costs one reference count beside the clone of the inner service. Readiness is the
/// inner service's own.
pub struct Retry<S, C = ErrorIsFailure, D = DefaultMeta, P = CloneRequest, H = Hooks> {
    inner: S,
    common: CommonAnchor<S, C, D, P, H>,
}

impl<S, C, D, P, H> Retry<S, C, D, P, H> {
    pub(crate) const fn new(inner: S, common: CommonAnchor<S, C, D, P, H>) -> Self {
        Self { inner, common }
    }

    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably. Later attempts go through clones of the service as it was
    /// when the layer was applied.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, D, P, H, Req> Service<Req> for Retry<S, C, D, P, H>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error>,
    D: Describe<Req>,
    P: CopyRequest<Req>,
    H: Hook<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, C, D, P, H>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Readiness is for the first attempt only: reserving for an attempt that may never be
        // made would starve others.
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let common = self.common.local();
        let rules = &common.common().rules;
        let meta = rules.describe.describe(&request);
        let memory = rules.hooks.adviser().start(&meta);
        if let Some(rate) = &rules.core.rate {
            let mut track = Track::new(&meta, memory, 0, false);
            match pace(&rules.core, rate, &mut track) {
                // The ready instance stays for the next caller; this call takes a spare one.
                Ok((pause, place)) if !pause.is_zero() => {
                    return ResponseFuture::paced(pause, common, request, track.paced(place));
                }
                Ok((_, place)) => {
                    return self.first(common, request, &meta, track.into_memory(), place);
                }
                Err(wait) => {
                    let rejection = rules.core.reject(Reason::RateLimited, Sent::No);
                    let error = rejection.with_retry_after(wait).into();
                    let counters = common.stripe();
                    let answer = track.stopped(rules, counters, StopReason::Paced, error);
                    return ResponseFuture::answered(answer);
                }
            }
        }
        self.first(common, request, &meta, memory, Place::FREE)
    }
}

impl<S, C, D, P, H> Retry<S, C, D, P, H> {
    /// Makes the first attempt.
    // Always, and the state of the call is put together where it stays: moved, it is read in
    // larger pieces than it was written in, which stalls longer than all the rest takes.
    #[inline(always)]
    fn first<Req>(
        &mut self,
        common: CommonLocal<S, C, D, P, H>,
        mut request: Req,
        meta: &RequestMeta,
        memory: MemoryOf<H, Req, S::Response, S::Error>,
        place: Place,
    ) -> ResponseFuture<S, Req, C, D, P, H>
    where
        S: Service<Req>,
        S::Error: Rejectable,
        C: Classify<S::Response, S::Error>,
        P: CopyRequest<Req>,
        H: Hook<Req, S::Response, S::Error>,
    {
        let rules = &common.common().rules;
        let copy = if wants_copy(&rules.core.config, meta.replay, 1) {
            rules.copy.copy(&request)
        } else {
            None
        };
        let preparer = rules.hooks.preparer();
        if let Err(error) = preparer.prepare(&mut request, Attempt::FIRST) {
            let track = Track::new(meta, memory, 0, false);
            let answer = track.stopped(rules, common.stripe(), StopReason::NoPrepare, error);
            return ResponseFuture::answered(answer);
        }
        // The instance that was polled ready is the one that is called.
        let placed = place.used();
        let attempt = self.inner.call(request);
        ResponseFuture::new(attempt, common, copy, Track::new(meta, memory, 1, placed))
    }
}

/// The wait until the first attempt has its place in the sending rate, or the wait that is too
/// long for it.
#[cold]
fn pace<M>(
    core: &Core,
    rate: &AdaptiveRate,
    track: &mut Track<M>,
) -> Result<(Duration, Place), Duration> {
    if core.config.overall_timeout().is_some() {
        track.begin(core, Instant::now());
    }
    let mut longest = core.config.max_retry_after();
    if let Some(left) = track.time_left() {
        longest = longest.min(left);
    }
    match Place::take(rate, ns(longest)) {
        Ok((wait, place)) => Ok((Duration::from_nanos(wait), place)),
        Err(wait) => Err(Duration::from_nanos(wait)),
    }
}

impl<S: Clone, C, D, P, H> Clone for Retry<S, C, D, P, H> {
    /// Shares budget, counters and the spare service; readiness is the inner clone's affair.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            common: self.common.clone(),
        }
    }
}

impl<S: fmt::Debug, C, D, P, H> fmt::Debug for Retry<S, C, D, P, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.common.common().rules.core;
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("name", &core.ledger.observer.name())
            .field("config", &core.config)
            .finish_non_exhaustive()
    }
}
