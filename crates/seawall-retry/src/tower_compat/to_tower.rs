//! The rules of this layer as a policy of tower's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, CopyRequest, Describe, KeepResponse, Policies, Rejectable, RequestMeta, impl_debug,
};
use tokio::time::{Sleep, sleep};
use tower::retry::Policy as TowerRetryPolicy;

use crate::hooks::{Hook, WaitOf};
use crate::progress::{Next, Progress};
use crate::rules::Rules;
use crate::{RetryHandle, RetryLayer, RetryPredicate, StopReason};

impl<X, H> RetryLayer<X, H> {
    /// The rules of this layer as a policy for `tower::retry::Retry`, with the same budget, sending
    /// rate and counters.
    ///
    /// Tower's layer owns the attempts, so some things are out of a policy's hands: an attempt
    /// that is under way is not timed out, and one whose wait ended late is made; the first one is
    /// neither prepared nor paced; an extra one is prepared before its wait and not after it, and
    /// what is prepared is found by the one after it, since tower copies the request from there;
    /// and a request that is not copied is not seen at all. Everything else holds: what is
    /// retried, hints, deadlines, the budget, and the corrected result at the end.
    ///
    /// ```
    /// use seawall_retry::{RetryConfig, RetryLayer, WrapErrorLayer};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let policy = RetryLayer::new("quotes", RetryConfig::default())
    ///     .assume_idempotent()
    ///     .into_tower_policy();
    /// let handle = policy.handle();
    /// let client = ServiceBuilder::new()
    ///     .retry(policy)
    ///     .layer(WrapErrorLayer)
    ///     .service(service_fn(|_: u32| async { Err::<u32, _>("down") }));
    /// assert!(client.oneshot(7).await.is_err());
    /// assert_eq!(handle.counts().attempts.total(), 3);
    /// # }
    /// ```
    #[must_use]
    pub fn into_tower_policy<Req, Res, Err>(self) -> RetryPolicy<X, H, Req, Res, Err>
    where
        X: Policies<Keeper: KeepResponse<Res>>,
        H: Hook<Req, Res, Err>,
    {
        RetryPolicy {
            handle: self.handle(),
            rules: Arc::new(self.rules),
            meta: RequestMeta::default(),
            progress: None,
        }
    }
}

/// A policy for `tower::retry::Retry`; see [`RetryLayer::into_tower_policy`].
///
/// `Req`, `Res` and `Err` are those of the service, which the compiler finds out.
pub struct RetryPolicy<X, H, Req, Res, Err>
where
    X: Policies<Keeper: KeepResponse<Res>>,
    H: Hook<Req, Res, Err>,
{
    rules: Arc<Rules<X, H>>,
    handle: RetryHandle,
    /// What is known of the request that was copied last.
    meta: RequestMeta,
    /// The call, from its first result on.
    progress: Option<Progress<Req, Res, Err, X, H>>,
}

impl<X, H, Req, Res, Err> RetryPolicy<X, H, Req, Res, Err>
where
    X: Policies<Keeper: KeepResponse<Res>>,
    H: Hook<Req, Res, Err>,
{
    /// A handle to read and control the layer that this was made of.
    pub fn handle(&self) -> RetryHandle {
        self.handle.clone()
    }
}

impl<X, H, Req, Res, Err> Clone for RetryPolicy<X, H, Req, Res, Err>
where
    X: Policies<Keeper: KeepResponse<Res>>,
    H: Hook<Req, Res, Err>,
{
    /// Shares the budget and the counters; a call belongs to one clone alone, as what it has paid
    /// does.
    fn clone(&self) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
            handle: self.handle.clone(),
            meta: self.meta,
            progress: None,
        }
    }
}

impl_debug!(RetryPolicy<X, H, Req, Res, Err> where [
    X: Policies<Keeper: KeepResponse<Res>>,
    H: Hook<Req, Res, Err>
]: |this|
    handle = this.handle,
);

impl<X, H, Req, Res, E> TowerRetryPolicy<Req, Res, E> for RetryPolicy<X, H, Req, Res, E>
where
    X: Policies,
    X::Classifier: Classify<Res, E>,
    X::Describer: Describe<Req>,
    X::Copier: CopyRequest<Req>,
    X::Keeper: KeepResponse<Res>,
    H: Hook<Req, Res, E>,
    E: Rejectable,
{
    type Future = PolicyDelay<WaitOf<H, Req, Res, E>>;

    fn retry(&mut self, req: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
        let rules = &*self.rules;
        let stripe = rules.core.state.stripes.here();
        let progress = self.progress.get_or_insert_with(|| {
            let state = rules.hooks.predicate().start(&self.meta);
            Progress::new(&self.meta, state, 1, false)
        });
        let outcome = progress.judge(rules, (stripe, false), result)?;
        match progress.after_attempt(rules, stripe, Some(req), outcome, result) {
            Next::Complete => None,
            Next::Retry { delay, wait, .. } => {
                if let Err(error) = progress.prepare(rules, req) {
                    let reason = StopReason::PrepareFailed;
                    *result = progress.failed_before_attempt(rules, stripe, reason, error);
                    return None;
                }
                Some(PolicyDelay {
                    wait,
                    sleep: (!delay.is_zero()).then(|| sleep(delay)),
                })
            }
        }
    }

    fn clone_request(&mut self, req: &Req) -> Option<Req> {
        let rules = &*self.rules;
        let wanted = match &mut self.progress {
            // In a call tower copies right before an extra attempt. It shows no result to a policy
            // that has rejected a copy, and the last one may have to be corrected.
            Some(progress) => {
                progress.departed();
                true
            }
            None => {
                self.meta = rules.policy.describer().describe(req);
                let settings = rules.core.state.attempt_settings();
                settings.want_copy(self.meta.replay, 1)
            }
        };
        if wanted {
            rules.policy.copier().copy(req)
        } else {
            None
        }
    }
}

pin_project! {
    /// The wait before an extra attempt of a [`RetryPolicy`].
    pub struct PolicyDelay<W> {
        #[pin]
        wait: Option<W>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<W: Future<Output = ()>> Future for PolicyDelay<W> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(wait) = this.wait.as_mut().as_pin_mut() {
            ready!(wait.poll(cx));
            this.wait.set(None);
        }
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
            this.sleep.set(None);
        }
        Poll::Ready(())
    }
}

impl_debug!(PolicyDelay<W>: |this| sleep = this.sleep);
