//! The service: looks up, and fetches what is not there.

use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{
    Classify, CopyRequest, Degradation, Describe, MarkDegraded, Misconfiguration, Policies,
    Rejectable, StoreResponse, WantsFresh, impl_debug,
};
use tower_service::Service;

use crate::fetch::{Keyed, Kind, degraded};
use crate::fill::Change;
use crate::kept::{Entry, Found};
use crate::refresh::{InPlace, Refresh, RefreshBy};
use crate::state::CommonAnchor;
use crate::{Ask, CacheHooks, CacheRules, Hooks, ResponseFuture};

/// A service whose answers are kept; see [`CacheLayer`](crate::CacheLayer).
///
/// It is always ready: what is kept needs nothing of the inner service. A call that is made polls a clone of
/// that ready, in the future, and calls it.
pub struct Cache<S, X, K, V, H = Hooks, B = InPlace> {
    inner: S,
    common: CommonAnchor<X, H, K, V>,
    refresh: B,
}

impl<S, X, K, V, H, B> Cache<S, X, K, V, H, B> {
    pub(crate) const fn new(inner: S, common: CommonAnchor<X, H, K, V>, refresh: B) -> Self {
        Self {
            inner,
            common,
            refresh,
        }
    }
}

seawall_core::inner_accessors!(Cache<S, X, K, V, H, B>);

/// What is remembered of a request.
type AskedOf<H, Req, Res, V> = <<H as CacheHooks>::Rules as CacheRules<Req, Res, V>>::Asked;
/// What the future of a call is.
type FutureOf<S, Req, X, H, K, V, A> =
    ResponseFuture<S, Req, X, H, K, V, A, ResponseOf<H, <S as Service<Req>>::Response>>;
/// What the caller gets.
type ResponseOf<H, Res> = <<H as CacheHooks>::Storer as StoreResponse<Res>>::Response;

impl<S, Req, K, V, X, H, B> Service<Req> for Cache<S, X, K, V, H, B>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
    X: Policies<
            Classifier: Classify<S::Response, S::Error>,
            Describer: Describe<Req>,
            Copier: CopyRequest<Req>,
        >,
    H: CacheHooks,
    H::Storer: StoreResponse<S::Response, Stored = V>,
    H::Rules: CacheRules<Req, S::Response, V, Key = K>,
    H::Mark: MarkDegraded<S::Response> + MarkDegraded<ResponseOf<H, S::Response>>,
    H::Fresh: WantsFresh<Req>,
    B: RefreshBy<
        Refresh<S, Req, X, H, K, V, AskedOf<H, Req, S::Response, V>, ResponseOf<H, S::Response>>,
    >,
{
    type Response = ResponseOf<H, S::Response>;
    type Error = S::Error;
    type Future = ResponseFuture<
        S,
        Req,
        X,
        H,
        K,
        V,
        AskedOf<H, Req, S::Response, V>,
        ResponseOf<H, S::Response>,
    >;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let (stripe, alone) = self.common.here_alone();
        let common = self.common.common();
        let state = &common.state;
        let asked = match state.is_bypassed() {
            true => Ask::Pass,
            false => common.hooks.rules().ask(&request),
        };
        let asked = match asked {
            Ask::Keyed(asked) => asked,
            Ask::Pass => return self.pass(request, None),
            Ask::Change { group } => {
                let change = Change::new(Arc::clone(state), group);
                return self.pass(request, Some(change));
            }
        };
        if !common
            .policy
            .describer()
            .describe(&request)
            .replay
            .is_read()
        {
            return self.pass_unsafe(request);
        }
        let now = state.now();
        let found = state.kept.look_up(&asked.key, now, &asked.demand);
        let rules = common.hooks.rules();
        let stale = match found {
            Found::Fresh(entry) if rules.answers(&asked.asked, &entry.stored) => {
                stripe.calls.hit.add_here(alone);
                let age = Some(entry.age(now));
                let response = common.hooks.storer().restore(&entry.stored, age);
                return ResponseFuture::answered(response);
            }
            Found::Refresh(entry) if rules.answers(&asked.asked, &entry.stored) => Some(entry),
            _ => None,
        };
        let hash = state.kept.hash(&asked.key);
        let takes_stale = asked.demand.stale && !common.hooks.fresh().wants_fresh(&request);
        let keyed = Keyed {
            hash,
            guard: state.kept.guard(hash, asked.group),
            key: asked.key,
            lead: None,
            asked: asked.asked,
            demand: asked.demand,
            began: now,
            takes_stale,
            meanwhile: None,
            is_refresh: false,
        };
        match stale {
            Some(entry) if takes_stale => self.refresh(request, keyed, entry),
            _ => self.begin(request, Kind::Keyed(keyed)),
        }
    }
}

impl<S: Clone, X, K, V, H, B> Cache<S, X, K, V, H, B> {
    fn begin<Req, A, R>(
        &mut self,
        request: Req,
        kind: Kind<K, V, A>,
    ) -> ResponseFuture<S, Req, X, H, K, V, A, R>
    where
        S: Service<Req>,
    {
        let common = self.common.follow().again();
        let service = self.inner.clone(); // clone: waits, polled ready later
        ResponseFuture::begin(service, request, common, kind)
    }

    fn pass<Req, A, R>(
        &mut self,
        request: Req,
        change: Option<Change<K, V>>,
    ) -> ResponseFuture<S, Req, X, H, K, V, A, R>
    where
        S: Service<Req>,
    {
        self.common.here().calls.passed.add();
        self.begin(request, Kind::Passed(change))
    }

    #[cold]
    fn pass_unsafe<Req, A, R>(&mut self, request: Req) -> ResponseFuture<S, Req, X, H, K, V, A, R>
    where
        S: Service<Req>,
        X: Policies<Describer: Describe<Req>>,
    {
        if !X::Describer::IS_DEFAULT {
            return self.pass(request, None);
        }
        self.common.here().calls.not_described.add();
        let events = &self.common.common().state.events;
        events.misconfigure(Misconfiguration::Undescribed);
        self.begin(request, Kind::Passed(None))
    }

    /// Gives what is stale to a request that takes it so.
    fn give_stale<Req, A>(&self, entry: &Entry<V>) -> FutureOf<S, Req, X, H, K, V, A>
    where
        S: Service<Req>,
        K: Clone + Eq + Hash,
        H: CacheHooks,
        H::Storer: StoreResponse<S::Response, Stored = V>,
        H::Mark: MarkDegraded<ResponseOf<H, S::Response>>,
    {
        self.common.here().calls.stale.add();
        let common = self.common.common();
        let stale = degraded::<S::Response, X, H, K, V>(common, entry, Degradation::STALE);
        ResponseFuture::answered(stale)
    }

    /// Gives what is stale, and has a new answer fetched, unless the request takes it so: in the background, or by this
    /// caller, unless another one does so already.
    #[cold]
    fn refresh<Req, A>(
        &mut self,
        request: Req,
        mut keyed: Keyed<K, V, A>,
        entry: Arc<Entry<V>>,
    ) -> FutureOf<S, Req, X, H, K, V, A>
    where
        S: Service<Req>,
        K: Clone + Eq + Hash,
        X: Policies<Copier: CopyRequest<Req>>,
        H: CacheHooks,
        H::Storer: StoreResponse<S::Response, Stored = V>,
        H::Mark: MarkDegraded<ResponseOf<H, S::Response>>,
        B: RefreshBy<Refresh<S, Req, X, H, K, V, A, ResponseOf<H, S::Response>>>,
    {
        if entry.is_taken_stale(keyed.began, &keyed.demand) {
            return self.give_stale(&entry);
        }
        if !B::is_in_background() {
            keyed.meanwhile = Some(entry);
            return self.begin(request, Kind::Keyed(keyed));
        }
        let local = self.common.follow().again();
        let common = local.common();
        keyed.lead = keyed.lead_refresh(&common.state, &entry);
        if keyed.lead.is_some() {
            let copy = common.policy.copier().copy(&request);
            if let Some((copy, permit)) = copy.zip(common.state.refresh_permit()) {
                local.stripe().refreshes.begun.add();
                keyed.is_refresh = true;
                let service = self.inner.clone(); // clone: waits, polled ready later
                let call = ResponseFuture::begin(service, copy, local.again(), Kind::Keyed(keyed));
                self.refresh
                    .spawn(Refresh::new(call, local.again(), permit));
            } else {
                local.stripe().refreshes.skipped.add();
            }
        }
        local.stripe().calls.refreshing.add();
        let stale = degraded::<S::Response, X, H, K, V>(common, &entry, Degradation::STALE);
        ResponseFuture::answered(stale)
    }
}

impl<S: Clone, X, K, V, H, B: Clone> Clone for Cache<S, X, K, V, H, B> {
    /// Shares everything but the inner service.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            common: self.common.clone(),
            refresh: self.refresh.clone(),
        }
    }
}

impl_debug!(Cache<S, X, K, V, H, B> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.common.common().state.events.name(),
    config = this.common.common().state.config(),
);
