//! The rules of this layer in tower's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::striped::thread_index;
use seawall_core::{Classify, Describe, Rejectable, RequestMeta};
use tokio::time::{Sleep, sleep};
use tower::retry::Policy;

use crate::hooks::{Hook, MemoryOf, WaitOf};
use crate::layer::Rules;
use crate::observe::Counters;
use crate::track::{Next, Track};
use crate::{CopyRequest, RetryHandle, RetryLayer, RetryPredicate, StopReason};

impl<C, D, P, H> RetryLayer<C, D, P, H> {
    /// The rules of this layer as a policy for `tower::retry::Retry`, with the same budget, sending
    /// rate and counters.
    ///
    /// Tower's layer owns the attempts, so some things are out of a policy's hands: an attempt
    /// that is under way is not timed out, and one whose wait ended late is made; the first one is
    /// neither prepared nor paced; an extra one is prepared before its wait and not after it, and
    /// what is prepared is found by the one after it, since tower copies the request from there;
    /// and a request that is not copied is not seen at all. Everything else holds: what is tried
    /// again, hints, deadlines, the budget, and the true answer at the end.
    ///
    /// ```
    /// use seawall_core::{ConstMeta, WrapErrorLayer, RequestMeta, Replay};
    /// use seawall_retry::{RetryConfig, RetryLayer};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let policy = RetryLayer::new("quotes", RetryConfig::default())
    ///     .describe(ConstMeta(RequestMeta::new(Replay::Safe)))
    ///     .policy();
    /// let handle = policy.handle();
    /// let client = ServiceBuilder::new()
    ///     .retry(policy)
    ///     .layer(WrapErrorLayer)
    ///     .service(service_fn(|_: u32| async { Err::<u32, _>("down") }));
    /// assert!(client.oneshot(7).await.is_err());
    /// assert_eq!(handle.attempts(), 3);
    /// # }
    /// ```
    #[must_use]
    pub fn policy<M>(self) -> RetryPolicy<C, D, P, H, M> {
        RetryPolicy {
            handle: self.handle(),
            rules: Arc::new(self.rules),
            meta: RequestMeta::default(),
            track: None,
        }
    }
}

/// A policy for `tower::retry::Retry`; see [`RetryLayer::policy`].
///
/// `M` is what the adviser remembers of a call, which the compiler finds out.
pub struct RetryPolicy<C, D, P, H, M> {
    rules: Arc<Rules<C, D, P, H>>,
    handle: RetryHandle,
    /// What is known of the request that was copied last.
    meta: RequestMeta,
    /// The call, from its first answer on.
    track: Option<Track<M>>,
}

impl<C, D, P, H, M> RetryPolicy<C, D, P, H, M> {
    /// A handle to read the counters and the budget.
    pub fn handle(&self) -> RetryHandle {
        self.handle.clone()
    }

    fn counters(rules: &Rules<C, D, P, H>) -> &Counters {
        let all = &rules.core.ledger.counters;
        &all[thread_index() % all.len()]
    }
}

impl<C, D, P, H, M> Clone for RetryPolicy<C, D, P, H, M> {
    /// Shares the budget and the counters; a call belongs to one clone alone, as what it has paid
    /// does.
    fn clone(&self) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
            handle: self.handle.clone(),
            meta: self.meta,
            track: None,
        }
    }
}

impl<C, D, P, H, M> fmt::Debug for RetryPolicy<C, D, P, H, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

impl<C, D, P, H, Req, Res, E> Policy<Req, Res, E>
    for RetryPolicy<C, D, P, H, MemoryOf<H, Req, Res, E>>
where
    C: Classify<Res, E>,
    D: Describe<Req>,
    P: CopyRequest<Req>,
    H: Hook<Req, Res, E>,
    E: Rejectable,
{
    type Future = PolicyPause<WaitOf<H, Req, Res, E>>;

    fn retry(&mut self, req: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
        let rules = &*self.rules;
        let counters = Self::counters(rules);
        let track = self.track.get_or_insert_with(|| {
            let memory = rules.hooks.adviser().start(&self.meta);
            Track::new(&self.meta, memory, 1, false)
        });
        let outcome = track.judged(rules, counters, result)?;
        match track.consider(rules, counters, Some(req), outcome, result) {
            Next::AttemptResult => None,
            Next::Pause(pause, wait) => {
                if let Err(error) = track.prepare::<_, Res, _, _, _, _, _>(rules, req) {
                    *result = track.stopped(rules, counters, StopReason::NoPrepare, error);
                    return None;
                }
                Some(PolicyPause {
                    wait,
                    sleep: (!pause.is_zero()).then(|| sleep(pause)),
                })
            }
        }
    }

    fn clone_request(&mut self, req: &Req) -> Option<Req> {
        let rules = &*self.rules;
        let wanted = match &mut self.track {
            // In a call tower copies right before an extra attempt. It shows no answer to a policy
            // that has rejected a copy, and the last one may have to be corrected.
            Some(track) => {
                track.departed();
                true
            }
            None => {
                self.meta = rules.describe.describe(req);
                crate::decide::wants_copy(&rules.core.config, self.meta.replay, 1)
            }
        };
        if wanted { rules.copy.copy(req) } else { None }
    }
}

pin_project! {
    /// The wait before an extra attempt of a [`RetryPolicy`].
    pub struct PolicyPause<W> {
        #[pin]
        wait: Option<W>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<W: Future<Output = ()>> Future for PolicyPause<W> {
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

impl<W> fmt::Debug for PolicyPause<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyPause")
            .field("sleep", &self.sleep)
            .finish_non_exhaustive()
    }
}
