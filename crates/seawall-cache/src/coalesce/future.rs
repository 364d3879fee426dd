//! The future: the call of another caller, or a call.

use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, MarkDegraded, Outcome, Policies, Rejectable, Rejection, StoreResponse,
    classify_result, impl_debug,
};
use tokio::time::Instant;
use tower_service::Service;

use super::errors::CopyError;
use super::share::{Answer, Share};
use super::state::{Change, CommonLocal};
use crate::calls::{Joined, Lead, Turn, Waiting};
use crate::send::{Sending, is_for_each, is_own};
use crate::wait::Wait;
use crate::{CacheHooks, CacheRules};

pin_project! {
    /// The response of a [`Coalesce`](crate::Coalesce); `A` is what is remembered of its request.
    ///
    /// Nothing is begun before its first poll. When it completes it holds nothing of the layers below.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, and when it has to wait for the call of another caller outside
    /// of a Tokio runtime with time enabled.
    pub struct CoalesceFuture<S, Req, X, K, V, E, H, C, A>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S, Req, K, V, E>,
        call: Option<Call<X, K, V, E, H, C, A>>,
    }
}

/// A call, and whether others may share it.
pub(crate) struct Call<X, K, V, E, H, C, A> {
    pub(crate) common: CommonLocal<X, K, V, E, H, C>,
    pub(crate) role: Role<K, V, E, A>,
}

pub(crate) enum Role<K, V, E, A> {
    /// Others neither share it nor read what it changes.
    Passed,
    /// What began before its end is not shared after that.
    Change(Change<K, V, E>),
    Shared(Shared<K, V, E, A>),
}

impl<K, V, E, A> Role<K, V, E, A> {
    const fn shared(&mut self) -> Option<&mut Shared<K, V, E, A>> {
        match self {
            Self::Shared(shared) => Some(shared),
            Self::Passed | Self::Change(_) => None,
        }
    }
}

pub(crate) struct Shared<K, V, E, A> {
    /// `None` once it was joined.
    pub(crate) key: Option<K>,
    pub(crate) hash: u64,
    /// How many changes of its group had ended when it was made.
    pub(crate) epoch: u64,
    pub(crate) asked: A,
    /// Where the call is made for others, too.
    pub(crate) lead: Option<Lead<K, Answer<V, E>>>,
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, Req, K, V, E>
    where
        S: Service<Req>,
    {
        Begin { unsent: Option<(S, Req)> },
        Waiting {
            #[pin]
            wait: Wait<K, Answer<V, E>>,
            unsent: Option<(S, Req)>,
        },
        Sending { #[pin] sending: Sending<S, Req> },
        Over,
    }
}

impl<S: Service<Req>, Req, X, K, V, E, H, C, A> CoalesceFuture<S, Req, X, K, V, E, H, C, A> {
    #[inline]
    pub(crate) const fn new(service: S, request: Req, call: Call<X, K, V, E, H, C, A>) -> Self {
        let unsent = Some((service, request));
        Self {
            stage: Stage::Begin { unsent },
            call: Some(call),
        }
    }
}

impl<S, Req, X, K, V, H, C, A, R> Future for CoalesceFuture<S, Req, X, K, V, S::Error, H, C, A>
where
    S: Service<Req>,
    S::Error: Rejectable + Send + Sync + 'static,
    X: Policies<Classifier: Classify<S::Response, S::Error>>,
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
    H: CacheHooks,
    H::Storer: StoreResponse<S::Response, Stored = V, Response = R>,
    H::Rules: CacheRules<Req, S::Response, V, Key = K, Asked = A>,
    H::Mark: MarkDegraded<S::Response> + MarkDegraded<R>,
    C: CopyError<S::Error>,
{
    type Output = Result<R, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let Some(call) = this.call.as_mut() else {
                panic!("the future of a coalesced call was polled after it had completed");
            };
            let unsent = match this.stage.as_mut().project() {
                StageProj::Sending { sending } => {
                    let result = ready!(sending.poll(cx));
                    this.stage.set(Stage::Over);
                    let Some(call) = this.call.take() else {
                        unreachable!("it was there a moment ago");
                    };
                    return Poll::Ready(call.finish::<Req, _>(result));
                }
                StageProj::Begin { unsent } => match call.begin() {
                    None => unsent.take(),
                    Some(waiting) => {
                        let wait = Wait::new(waiting, Instant::now());
                        let unsent = unsent.take();
                        this.stage.set(Stage::Waiting { wait, unsent });
                        continue;
                    }
                },
                StageProj::Waiting { wait, unsent } => {
                    let max_wait = || call.common.common().state.config().max_wait();
                    let turn = ready!(wait.poll(max_wait, cx));
                    if let Some(result) = call.turn::<Req, S::Response>(turn) {
                        this.stage.set(Stage::Over);
                        *this.call = None;
                        return Poll::Ready(result);
                    }
                    unsent.take()
                }
                StageProj::Over => None,
            };
            let Some((service, request)) = unsent else {
                panic!("the call of a coalesced request was polled after it had panicked");
            };
            let sending = Sending::new(service, request);
            this.stage.set(Stage::Sending { sending });
        }
    }
}

impl<X, K: Clone + Eq + Hash, V, E, H, C, A> Call<X, K, V, E, H, C, A> {
    /// Waits for the call of another caller, if there is one.
    #[inline]
    fn begin(&mut self) -> Option<Waiting<K, Answer<V, E>>> {
        let stripe = self.common.stripe();
        let shared = self.role.shared()?;
        let key = shared.key.take()?;
        let state = &self.common.common().state;
        match state.calls.join(key, shared.hash, shared.epoch) {
            Joined::Leads(lead) => {
                stripe.led.add_here(self.common.is_here_alone());
                shared.lead = Some(lead);
                None
            }
            Joined::Waits(waiting) => Some(waiting),
        }
    }
}

impl<X, K, V, E, H, C, A> Call<X, K, V, E, H, C, A>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Rejectable + Send + Sync + 'static,
    H: CacheHooks,
    C: CopyError<E>,
{
    /// What a waiter gets; `None` where it makes a call itself.
    fn turn<Req, Res>(
        &mut self,
        turn: Turn<K, Answer<V, E>>,
    ) -> Option<Result<<H::Storer as StoreResponse<Res>>::Response, E>>
    where
        H::Storer: StoreResponse<Res, Stored = V>,
        H::Rules: CacheRules<Req, Res, V, Key = K, Asked = A>,
        H::Mark: MarkDegraded<<H::Storer as StoreResponse<Res>>::Response>,
    {
        let (common, stripe) = (self.common.common(), self.common.stripe());
        let shared = self.role.shared()?;
        let result = match turn {
            Turn::Leads(lead) => {
                stripe.handed_over.add();
                stripe.led.add();
                shared.lead = Some(lead);
                return None;
            }
            Turn::Lapsed(lead) => {
                stripe.lapsed.add();
                stripe.led.add();
                shared.lead = Some(lead);
                return None;
            }
            Turn::Alone | Turn::Answered(Answer::Alone) => None,
            Turn::Answered(Answer::Rejected(rejection)) => Some(Err(rejection.into())),
            Turn::Answered(Answer::Failed(error)) => common.errors.copy(&error).map(Err),
            Turn::Answered(Answer::Response(answer)) => {
                let (stored, degradation) = &*answer;
                let suits = common.hooks.rules().answers(&shared.asked, stored);
                suits.then(|| {
                    let mut response = common.hooks.storer().restore(stored, None);
                    if let Some(degradation) = degradation {
                        common.hooks.mark().mark(&mut response, *degradation);
                    }
                    Ok(response)
                })
            }
        };
        match &result {
            Some(_) => stripe.joined.add(),
            None => stripe.alone.add(),
        }
        result
    }

    /// What the caller gets, and what becomes of the waiters.
    #[inline]
    fn finish<Req, Res>(
        self,
        result: Result<Res, E>,
    ) -> Result<<H::Storer as StoreResponse<Res>>::Response, E>
    where
        X: Policies<Classifier: Classify<Res, E>>,
        H::Storer: StoreResponse<Res, Stored = V>,
        H::Rules: CacheRules<Req, Res, V, Key = K, Asked = A>,
        H::Mark: MarkDegraded<Res>,
    {
        let common = self.common.common();
        let storer = common.hooks.storer();
        let shared = match self.role {
            Role::Shared(shared) => shared.lead.zip(Some(shared.asked)),
            Role::Passed => None,
            Role::Change(change) => return finish_change(change, storer, result),
        };
        let Some((mut lead, asked)) = shared else {
            return result.map(|response| storer.pass(response));
        };
        if <H::Storer as StoreResponse<Res>>::AT_ONCE && result.is_ok() && lead.end_alone() {
            return result.map(|response| storer.pass(response));
        }
        let outcome = classify_result(common.policy.classifier(), &result);
        let fails = !matches!(
            outcome,
            Outcome::Success | Outcome::Ignored | Outcome::Degraded
        );
        let shares_failures = common.state.config().share_failures();
        match result {
            Ok(response) if fails && !shares_failures => Ok(storer.pass(response)),
            Ok(response) => {
                let rules = common.hooks.rules();
                let is_kept = !fails && rules.lifetime(&asked, &response).store;
                if !is_kept && !rules.is_shareable(&asked, &response, outcome) {
                    if is_for_each(&outcome) {
                        lead.answer(Answer::Alone);
                    }
                    return Ok(storer.pass(response));
                }
                let degradation = common.hooks.mark().degradation(&response);
                let share = Share {
                    lead,
                    degradation,
                    has_body: rules.has_body(&asked),
                };
                Ok(storer.store(response, share))
            }
            Err(error) => {
                if shares_failures {
                    let answer = match error.rejection() {
                        Some(rejection) => share_rejection(rejection),
                        None => common.errors.copy(&error).map(Arc::new).map(Answer::Failed),
                    };
                    if let Some(answer) = answer {
                        lead.answer(answer);
                    }
                }
                // Dropped without an answer, the next waiter makes the call.
                Err(error)
            }
        }
    }
}

/// The response of a change, with which that ends.
#[cold]
#[inline(never)]
fn finish_change<K, V, E, T, Res>(
    change: Change<K, V, E>,
    storer: &T,
    result: Result<Res, E>,
) -> Result<T::Response, E>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Send + Sync + 'static,
    T: StoreResponse<Res>,
{
    change.end();
    result.map(|response| storer.pass_guarded(response, change))
}

/// A rejection that all callers get, unless it only concerns the one that made the call.
fn share_rejection<V, E>(rejection: &Rejection) -> Option<Answer<V, E>> {
    (!is_own(rejection)).then_some(Answer::Rejected(*rejection))
}

impl_debug!(CoalesceFuture<S, Req, X, K, V, E, H, C, A> where [S: Service<Req>]: |this|
    done = this.call.is_none());
