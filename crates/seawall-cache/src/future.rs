//! The future: what is kept, the call of another caller, or a call.

use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use seawall_core::{Classify, MarkDegraded, Policies, Rejectable, StoreResponse, impl_debug};
use tokio::time::Instant;
use tower_service::Service;

use crate::calls::{Joined, Turn, Waiting};
use crate::fetch::{Fetch, Kind, degraded};
use crate::kept::Found;
use crate::send::Sending;
use crate::state::{Answer, CommonLocal};
use crate::wait::Wait;
use crate::{CacheHooks, CacheRules};

pin_project! {
    /// The response of a [`Cache`](crate::Cache): `R` of what the caller gets, `A` of what is remembered of its
    /// request.
    ///
    /// Nothing is begun before its first poll. When it completes it holds nothing of the layers below.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed, and when it has to wait for the call of another caller outside
    /// of a Tokio runtime with time enabled.
    pub struct ResponseFuture<S, Req, X, H, K, V, A, R>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S, Req, K, V, R>,
        // `None` where the answer is there, and when it has completed.
        fetch: Option<Fetch<X, H, K, V, A>>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, Req, K, V, R>
    where
        S: Service<Req>,
    {
        Answered { response: Option<R> },
        Begin {
            unsent: Option<(S, Req)>,
            // Since when it has waited, where it begins again.
            since: Option<Instant>,
        },
        Waiting {
            #[pin]
            wait: Wait<K, Answer<V>>,
            unsent: Option<(S, Req)>,
        },
        Sending { #[pin] sending: Sending<S, Req> },
        Over,
    }
}

impl<S: Service<Req>, Req, X, H, K, V, A, R> ResponseFuture<S, Req, X, H, K, V, A, R> {
    #[inline]
    pub(crate) const fn answered(response: R) -> Self {
        let response = Some(response);
        Self {
            stage: Stage::Answered { response },
            fetch: None,
        }
    }

    #[inline]
    pub(crate) const fn begin(
        service: S,
        request: Req,
        common: CommonLocal<X, H, K, V>,
        kind: Kind<K, V, A>,
    ) -> Self {
        let unsent = Some((service, request));
        Self {
            stage: Stage::Begin {
                unsent,
                since: None,
            },
            fetch: Some(Fetch { common, kind }),
        }
    }
}

/// What the first poll of a call leads to.
enum Begun<K, V, R> {
    Send,
    Wait(Waiting<K, Answer<V>>),
    Answered(R),
}

impl<X, H, K, V, A> Fetch<X, H, K, V, A>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    H: CacheHooks,
{
    fn begin<Req, Res>(&mut self) -> Begun<K, V, <H::Storer as StoreResponse<Res>>::Response>
    where
        H::Storer: StoreResponse<Res, Stored = V>,
        H::Rules: CacheRules<Req, Res, V, Key = K, Asked = A>,
        H::Mark: MarkDegraded<<H::Storer as StoreResponse<Res>>::Response>,
    {
        let common = self.common.common();
        let Kind::Keyed(keyed) = &mut self.kind else {
            return Begun::Send;
        };
        let (state, hooks) = (&common.state, &common.hooks);
        keyed.begin(state);
        if let Some(entry) = keyed.meanwhile.take() {
            keyed.lead = keyed.lead_refresh(state, &entry);
            if keyed.lead.is_none() {
                self.common.stripe().calls.refreshing.add();
                let reason = seawall_core::Degradation::STALE;
                return Begun::Answered(degraded::<Res, X, H, K, V>(common, &entry, reason));
            }
        }
        if !keyed.demand.call
            && let Some(stored) = hooks.rules().not_cached(&keyed.asked)
        {
            return Begun::Answered(hooks.storer().restore(&stored, None));
        }
        if keyed.lead.is_none() {
            let waits = keyed.demand.look_up && keyed.demand.max_age != Some(Duration::ZERO);
            if !waits || !state.coalesces() {
                return Begun::Send;
            }
            let key = keyed.key.clone();
            match state.calls.join(key, keyed.hash, keyed.guard.epoch()) {
                Joined::Waits(waiting) => return Begun::Wait(waiting),
                Joined::Leads(lead) => keyed.lead = Some(lead),
            }
        }
        // Another call may have ended between the look-up and this.
        let kept = &state.kept;
        let found = kept.look_up(&keyed.key, state.now(), &keyed.demand);
        if let Found::Fresh(entry) = found
            && hooks.rules().answers(&keyed.asked, &entry.stored)
        {
            keyed.answer(Answer::Kept(Arc::clone(&entry)));
            self.common.stripe().calls.joined.add();
            let age = Some(entry.age(state.now()));
            return Begun::Answered(hooks.storer().restore(&entry.stored, age));
        }
        Begun::Send
    }

    /// What a waiter gets of the answer to the call of another one; `None` where it makes one itself.
    fn turn<Req, Res>(
        &mut self,
        turn: Turn<K, Answer<V>>,
    ) -> Option<<H::Storer as StoreResponse<Res>>::Response>
    where
        H::Storer: StoreResponse<Res, Stored = V>,
        H::Rules: CacheRules<Req, Res, V, Key = K, Asked = A>,
        H::Mark: MarkDegraded<<H::Storer as StoreResponse<Res>>::Response>,
    {
        let common = self.common.common();
        let Kind::Keyed(keyed) = &mut self.kind else {
            return None;
        };
        match turn {
            Turn::Answered(Answer::Kept(entry)) => {
                if entry.suits_late(common.state.now(), &keyed.demand)
                    && common.hooks.rules().answers(&keyed.asked, &entry.stored)
                {
                    self.common.stripe().calls.joined.add();
                    return Some(common.hooks.storer().restore(&entry.stored, None));
                }
            }
            Turn::Answered(Answer::Failed(reason)) => {
                if let Some(stale) = keyed.stale::<Req, Res, X, H>(common) {
                    self.common.stripe().calls.stale.add();
                    return Some(degraded::<Res, X, H, K, V>(common, &stale, reason));
                }
            }
            Turn::Answered(Answer::Alone) | Turn::Alone => {}
            Turn::Leads(lead) | Turn::Lapsed(lead) => keyed.lead = Some(lead),
        }
        keyed.begin(&common.state);
        None
    }
}

impl<S, Req, X, H, K, V, A, R> Future for ResponseFuture<S, Req, X, H, K, V, A, R>
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
    type Output = Result<R, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let StageProj::Answered { response } = this.stage.as_mut().project()
            && let Some(response) = response.take()
        {
            return Poll::Ready(Ok(response));
        }
        let result = ready!(poll_fetch::<S, Req, X, H, K, V, A, R>(
            this.stage.as_mut(),
            this.fetch,
            cx
        ));
        // What the layers below hold is given back before the caller goes on.
        this.stage.set(Stage::Over);
        Poll::Ready(match (result, this.fetch.take()) {
            (Ended::Answered(response), _) => Ok(response),
            (Ended::Completed(result), Some(fetch)) => fetch.finish::<Req, _, _>(result),
            (Ended::Completed(_), None) => panic!("the call of a cache was polled after its end"),
        })
    }
}

/// What a call of the inner service ends with.
type ResultOf<S, Req> = Result<<S as Service<Req>>::Response, <S as Service<Req>>::Error>;

/// How a call ends.
enum Ended<T, R> {
    Completed(T),
    Answered(R),
}

#[inline(never)]
fn poll_fetch<S, Req, X, H, K, V, A, R>(
    mut stage: Pin<&mut Stage<S, Req, K, V, R>>,
    fetch: &mut Option<Fetch<X, H, K, V, A>>,
    cx: &mut Context<'_>,
) -> Poll<Ended<ResultOf<S, Req>, R>>
where
    S: Service<Req>,
    K: Clone + Eq + Hash + Send + Sync + 'static,
    H: CacheHooks,
    H::Storer: StoreResponse<S::Response, Stored = V, Response = R>,
    H::Rules: CacheRules<Req, S::Response, V, Key = K, Asked = A>,
    H::Mark: MarkDegraded<R>,
{
    loop {
        let Some(fetch) = fetch.as_mut() else {
            panic!("the future of a cache was polled after it had completed");
        };
        let send = match stage.as_mut().project() {
            StageProj::Sending { sending } => return sending.poll(cx).map(Ended::Completed),
            StageProj::Begin { unsent, since } => {
                let (unsent, since) = (unsent.take(), *since);
                match fetch.begin::<Req, S::Response>() {
                    Begun::Answered(response) => return Poll::Ready(Ended::Answered(response)),
                    Begun::Send => unsent,
                    Begun::Wait(waiting) => {
                        let wait = Wait::new(waiting, since.unwrap_or_else(Instant::now));
                        stage.set(Stage::Waiting { wait, unsent });
                        continue;
                    }
                }
            }
            StageProj::Waiting { mut wait, unsent } => {
                let max_wait = || fetch.common.common().state.config().max_wait();
                let turn = ready!(wait.as_mut().poll(max_wait, cx));
                let again = matches!(turn, Turn::Answered(Answer::Failed(_)));
                if let Some(response) = fetch.turn::<Req, S::Response>(turn) {
                    return Poll::Ready(Ended::Answered(response));
                }
                let unsent = unsent.take();
                if again {
                    let since = Some(wait.since());
                    stage.set(Stage::Begin { unsent, since });
                    continue;
                }
                unsent
            }
            StageProj::Answered { .. } | StageProj::Over => None,
        };
        let Some((service, request)) = send else {
            panic!("the future of a cache was polled after it had completed");
        };
        let sending = Sending::new(service, request);
        stage.set(Stage::Sending { sending });
    }
}

impl_debug!(ResponseFuture<S, Req, X, H, K, V, A, R> where [S: Service<Req>]: |this|
    is_fetching = this.fetch.is_some());
