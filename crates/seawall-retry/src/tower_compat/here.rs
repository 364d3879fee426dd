//! What is tower's, in this layer.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::{CopyRequest, RequestMeta};
use tower::retry::Policy;
use tower::retry::backoff::{Backoff, MakeBackoff};
use tower::retry::budget::Budget;

use crate::purse::Purse;
use crate::{AttemptResult, DefaultDecision, Hooks, RetryDecision, RetryLayer, RetryPredicate};

impl<C, D, P, H> RetryLayer<C, D, P, H> {
    /// Pays for extra attempts from a budget of tower's.
    ///
    /// Tower's budgets have one price for all failures and take nothing back: an attempt that is
    /// paid for and then not made, since the call was dropped in its pause, stays paid.
    #[must_use]
    pub fn tower_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.rules.core.budget = Purse::Towers(budget);
        self
    }
}

impl<C, D, P, A, B, M> RetryLayer<C, D, P, Hooks<A, B, M>> {
    /// Waits between attempts as a backoff of tower's says, in place of the configured one. What
    /// the upstream asks for is still waited for, and the deadline ends the wait.
    ///
    /// How long a backoff of tower's waits is not known beforehand, so a wait that cannot end in
    /// time is begun, and ends with `DeadlineExceeded`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_retry::{RetryConfig, RetryLayer};
    /// use tower::retry::backoff::ExponentialBackoffMaker;
    ///
    /// let layer = RetryLayer::new("quotes", RetryConfig::default())
    ///     .tower_backoff(ExponentialBackoffMaker::default());
    /// ```
    #[must_use]
    #[allow(clippy::type_complexity, reason = "a layer and its parameters")]
    pub fn tower_backoff<K>(
        self,
        maker: K,
    ) -> RetryLayer<C, D, P, Hooks<TowerBackoff<K, A>, B, M>> {
        self.hooked(|hooks| Hooks {
            advise: TowerBackoff {
                maker: Arc::new(Mutex::new(maker)),
                advise: hooks.advise,
            },
            prepare: hooks.prepare,
            annotate_give_up: hooks.annotate_give_up,
        })
    }

    /// Decides, copies requests and waits as a policy of tower's says, in place of the predicate,
    /// the copier and the backoff.
    ///
    /// The rules of this layer hold beside it: the policy is an adviser (see [`RetryDecision`]) whose
    /// "retry" is `Again` and whose "don't" is `Stop`. So it is not asked about what must not be
    /// sent twice and may have been sent: [describe](Self::describe) the requests, or nothing but
    /// what was certainly not sent is tried again. The configured attempts and the budget hold as
    /// well; leave them to the policy by `attempts(u32::MAX)` and
    /// [`without_budget`](Self::without_budget).
    ///
    /// As in tower, each call has a clone of the policy, which sees every answer of it for which
    /// there is a copy of the request, successes included.
    ///
    /// ```
    /// use std::future::{Ready, ready};
    /// use seawall_core::{ConstMeta, WrapErrorLayer, RequestMeta, Replay};
    /// use seawall_retry::{RetryConfig, RetryLayer};
    /// use tower::{ServiceBuilder, ServiceExt, retry::Policy, service_fn};
    ///
    /// #[derive(Clone)]
    /// struct Once(bool);
    /// impl<Res, E> Policy<u32, Res, E> for Once {
    ///     type Future = Ready<()>;
    ///     fn retry(&mut self, _: &mut u32, result: &mut Result<Res, E>) -> Option<Ready<()>> {
    ///         let again = result.is_err() && !std::mem::replace(&mut self.0, true);
    ///         again.then(|| ready(()))
    ///     }
    ///     fn clone_request(&mut self, request: &u32) -> Option<u32> {
    ///         Some(*request)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let layer = RetryLayer::new("quotes", RetryConfig::default())
    ///     .describe(ConstMeta(RequestMeta::new(Replay::Safe)))
    ///     .tower_policy(Once(false));
    /// let handle = layer.handle();
    /// let client = ServiceBuilder::new()
    ///     .layer(layer)
    ///     .layer(WrapErrorLayer)
    ///     .service(service_fn(|_: u32| async { Err::<u32, _>("down") }));
    /// assert!(client.oneshot(7).await.is_err());
    /// assert_eq!(handle.attempts(), 2);
    /// # }
    /// ```
    #[must_use]
    #[allow(clippy::type_complexity, reason = "a layer and its parameters")]
    pub fn tower_policy<K, Res, E>(
        self,
        policy: K,
    ) -> RetryLayer<C, D, TowerPolicy<K, Res, E>, Hooks<TowerPolicy<K, Res, E>, B, M>>
    where
        K: Clone,
    {
        let copy = TowerPolicy::new(policy.clone());
        self.copy(copy).hooked(|hooks| Hooks {
            advise: TowerPolicy::new(policy),
            prepare: hooks.prepare,
            annotate_give_up: hooks.annotate_give_up,
        })
    }
}

/// A backoff of tower's beside an adviser `A`; see [`RetryLayer::tower_backoff`].
///
/// Clones share the maker.
pub struct TowerBackoff<K, A = DefaultDecision> {
    maker: Arc<Mutex<K>>,
    advise: A,
}

impl<K, A: Clone> Clone for TowerBackoff<K, A> {
    fn clone(&self) -> Self {
        Self {
            maker: Arc::clone(&self.maker),
            advise: self.advise.clone(),
        }
    }
}

impl<K, A: fmt::Debug> fmt::Debug for TowerBackoff<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerBackoff")
            .field("advise", &self.advise)
            .finish_non_exhaustive()
    }
}

impl<K, A, Req, Res, Err> RetryPredicate<Req, Res, Err> for TowerBackoff<K, A>
where
    K: MakeBackoff,
    A: RetryPredicate<Req, Res, Err>,
{
    type Memory = (Option<K::Backoff>, A::Memory);
    type Wait = <K::Backoff as Backoff>::Future;
    const ASKED: bool = A::ASKED;

    fn start(&self, meta: &RequestMeta) -> Self::Memory {
        (None, self.advise.start(meta))
    }

    fn advise(
        &self,
        memory: &mut Self::Memory,
        answer: AttemptResult<'_, Req, Res, Err>,
    ) -> RetryDecision {
        self.advise.advise(&mut memory.1, answer)
    }

    fn wait(&self, memory: &mut Self::Memory) -> Option<Self::Wait> {
        // Made at the first wait: most calls have none.
        let backoff = memory.0.get_or_insert_with(|| {
            let mut maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
            maker.make_backoff()
        });
        Some(backoff.next_backoff())
    }
}

/// A policy of tower's as an adviser and a copier; see [`RetryLayer::tower_policy`].
pub struct TowerPolicy<K, Res, E> {
    policy: K,
    answers: PhantomData<fn() -> (Res, E)>,
}

impl<K, Res, E> TowerPolicy<K, Res, E> {
    const fn new(policy: K) -> Self {
        Self {
            policy,
            answers: PhantomData,
        }
    }
}

impl<K: Clone, Res, E> Clone for TowerPolicy<K, Res, E> {
    fn clone(&self) -> Self {
        Self::new(self.policy.clone())
    }
}

impl<K: fmt::Debug, Res, E> fmt::Debug for TowerPolicy<K, Res, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TowerPolicy").field(&self.policy).finish()
    }
}

impl<K, Req, Res, E> CopyRequest<Req> for TowerPolicy<K, Res, E>
where
    K: Policy<Req, Res, E> + Clone,
{
    fn copy(&self, request: &Req) -> Option<Req> {
        self.policy.clone().clone_request(request)
    }
}

/// A policy during one call, and the wait that it answered with.
pub struct PolicyMemory<K, F> {
    policy: K,
    wait: Option<F>,
}

impl<K: fmt::Debug, F> fmt::Debug for PolicyMemory<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyMemory")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl<K, Req, Res, E> RetryPredicate<Req, Res, E> for TowerPolicy<K, Res, E>
where
    K: Policy<Req, Res, E> + Clone,
{
    type Memory = PolicyMemory<K, K::Future>;
    type Wait = K::Future;

    fn start(&self, _: &RequestMeta) -> Self::Memory {
        PolicyMemory {
            policy: self.policy.clone(),
            wait: None,
        }
    }

    fn advise(
        &self,
        memory: &mut Self::Memory,
        answer: AttemptResult<'_, Req, Res, E>,
    ) -> RetryDecision {
        memory.wait = memory.policy.retry(answer.request, answer.result);
        match memory.wait {
            Some(_) => RetryDecision::Retry,
            None => RetryDecision::Stop,
        }
    }

    fn wait(&self, memory: &mut Self::Memory) -> Option<Self::Wait> {
        memory.wait.take()
    }
}
