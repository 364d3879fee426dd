//! Tower's policies, budgets and backoffs in this layer.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_core::{
    BudgetHandle, CopyRequest, CostClass, ForeignBudget, Policy, RequestMeta, impl_debug,
};
use tower::retry::Policy as TowerRetryPolicy;
use tower::retry::backoff::{Backoff, MakeBackoff};
use tower::retry::budget::Budget;

use crate::hooks::Hooks;
use crate::{CompletedAttemptMut, DefaultDecision, RetryDecision, RetryLayer, RetryPredicate};

struct TowerBudget(Arc<dyn Budget + Send + Sync>);

impl ForeignBudget for TowerBudget {
    fn deposit(&self) {
        self.0.deposit();
    }

    fn withdraw(&self, _: CostClass) -> bool {
        self.0.withdraw()
    }
}

impl fmt::Debug for TowerBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a budget of tower's")
    }
}

impl<X, H> RetryLayer<X, H> {
    /// Pays for extra attempts from a budget of tower's.
    ///
    /// Tower's budgets have one price for all failures and take nothing back: an attempt that is
    /// paid for and then not made, since the call was dropped in its wait, stays paid.
    #[must_use]
    pub fn tower_budget(self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.pay_from(BudgetHandle::foreign(Arc::new(TowerBudget(budget))))
    }
}

impl<X, R, P, A> RetryLayer<X, Hooks<R, P, A>> {
    /// Waits between attempts as a backoff of tower's says, instead of the configured one. What
    /// the upstream asks for is still waited for, and the deadline ends the wait.
    ///
    /// How long a backoff of tower's waits is not known beforehand, so a wait that cannot end in
    /// time is begun, and ends with `DeadlineExceeded`.
    ///
    /// ```
    /// use seawall_retry::{RetryConfig, RetryLayer};
    /// use tower::retry::backoff::ExponentialBackoffMaker;
    ///
    /// let layer = RetryLayer::new("quotes", RetryConfig::default())
    ///     .tower_backoff(ExponentialBackoffMaker::default());
    /// ```
    #[must_use]
    pub fn tower_backoff<K>(self, maker: K) -> RetryLayer<X, Hooks<TowerBackoff<K, R>, P, A>> {
        self.map_hooks(|hooks| Hooks {
            predicate: TowerBackoff {
                maker: Arc::new(Mutex::new(maker)),
                predicate: hooks.predicate,
            },
            prepare: hooks.prepare,
            annotate: hooks.annotate,
        })
    }
}

impl<C, D, T, P, V, R, B, A> RetryLayer<Policy<C, D, T, P, V>, Hooks<R, B, A>> {
    /// Decides, copies requests and waits as a policy of tower's says, instead of the predicate,
    /// the copier and the backoff.
    ///
    /// The rules of this layer hold beside it: the policy is a predicate (see [`RetryDecision`])
    /// whose "retry" is `Retry` and whose "don't" is `Stop`. So it is not called for what must not
    /// be sent twice and may have been sent: [describe](Self::describe) the requests, or nothing
    /// but what was certainly not sent is retried. The configured attempts and the budget hold as
    /// well; leave them to the policy by `attempts(u32::MAX)` and
    /// [`without_budget`](Self::without_budget).
    ///
    /// As in tower, each call has a clone of the policy, which sees every result of it for which
    /// there is a copy of the request, successes included.
    ///
    /// ```
    /// use std::future::{Ready, ready};
    /// use seawall_retry::{RetryConfig, RetryLayer, WrapErrorLayer};
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
    ///     .assume_idempotent()
    ///     .tower_policy(Once(false));
    /// let handle = layer.handle();
    /// let client = ServiceBuilder::new()
    ///     .layer(layer)
    ///     .layer(WrapErrorLayer)
    ///     .service(service_fn(|_: u32| async { Err::<u32, _>("down") }));
    /// assert!(client.oneshot(7).await.is_err());
    /// assert_eq!(handle.counts().attempts.total(), 2);
    /// # }
    /// ```
    #[must_use]
    #[allow(clippy::type_complexity, reason = "a layer and its parameters")]
    pub fn tower_policy<K, Res, E>(
        self,
        policy: K,
    ) -> RetryLayer<Policy<C, D, T, TowerPolicy<K, Res, E>, V>, Hooks<TowerPolicy<K, Res, E>, B, A>>
    where
        K: Clone,
    {
        let copier = TowerPolicy::new(policy.clone());
        self.copy(copier).map_hooks(|hooks| Hooks {
            predicate: TowerPolicy::new(policy),
            prepare: hooks.prepare,
            annotate: hooks.annotate,
        })
    }
}

/// A backoff of tower's beside a predicate `R`; see [`RetryLayer::tower_backoff`].
///
/// Clones share the maker.
pub struct TowerBackoff<K, R = DefaultDecision> {
    maker: Arc<Mutex<K>>,
    predicate: R,
}

impl<K, R: Clone> Clone for TowerBackoff<K, R> {
    fn clone(&self) -> Self {
        Self {
            maker: Arc::clone(&self.maker),
            predicate: self.predicate.clone(),
        }
    }
}

impl_debug!(TowerBackoff<K, R> where [R: fmt::Debug]: |this| predicate = this.predicate);

impl<K, R, Req, Res, Err> RetryPredicate<Req, Res, Err> for TowerBackoff<K, R>
where
    K: MakeBackoff,
    R: RetryPredicate<Req, Res, Err>,
{
    type State = (Option<K::Backoff>, R::State);
    type Wait = <K::Backoff as Backoff>::Future;
    const ENABLED: bool = R::ENABLED;

    fn start(&self, meta: &RequestMeta) -> Self::State {
        (None, self.predicate.start(meta))
    }

    fn decide(
        &self,
        state: &mut Self::State,
        attempt: CompletedAttemptMut<'_, Req, Res, Err>,
    ) -> RetryDecision {
        self.predicate.decide(&mut state.1, attempt)
    }

    fn wait(&self, state: &mut Self::State) -> Option<Self::Wait> {
        // Made at the first wait: most calls have none.
        let backoff = state.0.get_or_insert_with(|| {
            let mut maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
            maker.make_backoff()
        });
        Some(backoff.next_backoff())
    }
}

/// A policy of tower's as a predicate and a copier; see [`RetryLayer::tower_policy`].
pub struct TowerPolicy<K, Res, E> {
    policy: K,
    results: PhantomData<fn() -> (Res, E)>,
}

impl<K, Res, E> TowerPolicy<K, Res, E> {
    const fn new(policy: K) -> Self {
        Self {
            policy,
            results: PhantomData,
        }
    }
}

impl<K: Clone, Res, E> Clone for TowerPolicy<K, Res, E> {
    fn clone(&self) -> Self {
        Self::new(self.policy.clone())
    }
}

impl_debug!(TowerPolicy<K, Res, E> where [K: fmt::Debug]: |this| policy = this.policy);

impl<K, Req, Res, E> CopyRequest<Req> for TowerPolicy<K, Res, E>
where
    K: TowerRetryPolicy<Req, Res, E> + Clone,
{
    fn copy(&self, request: &Req) -> Option<Req> {
        self.policy.clone().clone_request(request)
    }
}

/// A policy of tower's during one call, and the wait that it has returned.
pub struct TowerPolicyState<K, F> {
    policy: K,
    wait: Option<F>,
}

impl_debug!(TowerPolicyState<K, F> where [K: fmt::Debug]: |this| policy = this.policy);

impl<K, Req, Res, E> RetryPredicate<Req, Res, E> for TowerPolicy<K, Res, E>
where
    K: TowerRetryPolicy<Req, Res, E> + Clone,
{
    type State = TowerPolicyState<K, K::Future>;
    type Wait = K::Future;

    fn start(&self, _: &RequestMeta) -> Self::State {
        TowerPolicyState {
            policy: self.policy.clone(),
            wait: None,
        }
    }

    fn decide(
        &self,
        state: &mut Self::State,
        attempt: CompletedAttemptMut<'_, Req, Res, E>,
    ) -> RetryDecision {
        state.wait = state.policy.retry(attempt.request, attempt.result);
        match state.wait {
            Some(_) => RetryDecision::Retry,
            None => RetryDecision::Stop,
        }
    }

    fn wait(&self, state: &mut Self::State) -> Option<Self::Wait> {
        state.wait.take()
    }
}
