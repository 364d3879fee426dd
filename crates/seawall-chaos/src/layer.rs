//! The layer.

use std::sync::Arc;

use seawall_core::{ConstMeta, InstanceName, Policy, RequestMeta, impl_debug, policy_setters};
use tower_layer::Layer;

use crate::state::State;
use crate::store::{Forget, Store};
use crate::{Chaos, ChaosConfig, ChaosHandle, ErrorFaults, FaultHooks, InjectedError};

/// Makes a service fail on purpose; see the [crate](crate).
///
/// All services of one layer value and its clones share the faults. `X` is the [`Policy`]: the
/// describer says what may be hit, the copier makes the second copy of a duplicated request. `H` makes
/// the responses and the errors, see [`MakeFault`](crate::MakeFault).
///
/// **Without a describer it hits nothing**: no request is known to be a read, and a request that
/// may be an order is spared. Set [`describe`](Self::describe), or
/// [`assume_idempotent`](Self::assume_idempotent); or, in front of a simulator,
/// [`simulated_upstream`](crate::ChaosConfigBuilder::simulated_upstream). The first call that is spared
/// for this reason is emitted and logged as [`Undescribed`](seawall_core::Misconfiguration).
///
/// It stands right around the client, below everything that is to be tested: what is injected is then
/// classified, counted and tried again as if the upstream had done it.
pub struct ChaosLayer<X = Policy, H: FaultHooks = ErrorFaults> {
    state: Arc<State>,
    policy: X,
    hooks: H,
    store: Arc<Store<H::Kept>>,
}

// A derived one would ask `Clone` of what is kept.
impl<X: Clone, H: FaultHooks + Clone> Clone for ChaosLayer<X, H> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            policy: self.policy.clone(),
            hooks: self.hooks.clone(),
            store: Arc::clone(&self.store),
        }
    }
}

impl ChaosLayer {
    /// A layer with no fault on. Errors are made by `From<InjectedError>`.
    pub fn new(name: impl Into<InstanceName>, config: ChaosConfig) -> Self {
        let state = Arc::new(State::new(name.into(), config));
        with_hooks(state, Policy::new(), ErrorFaults::default())
    }
}

fn with_hooks<X, H: FaultHooks>(state: Arc<State>, policy: X, hooks: H) -> ChaosLayer<X, H> {
    state.set_hooks(&hooks);
    let store = Arc::new(Store::new(state.config.max_kept()));
    let forget: Arc<dyn Forget> = Arc::<Store<H::Kept>>::clone(&store);
    state.add_store(Arc::downgrade(&forget));
    ChaosLayer {
        state,
        policy,
        hooks,
        store,
    }
}

policy_setters!(ChaosLayer[H {FaultHooks}] { state, hooks, store }: describe, copy);

impl<C, D, T, P, K, H: FaultHooks> ChaosLayer<Policy<C, D, T, P, K>, H> {
    /// Describes every request as [idempotent](RequestMeta::idempotent), a read: each may be hit. For clients
    /// that only read.
    ///
    /// Short for `describe(ConstMeta(RequestMeta::idempotent()))`.
    #[must_use]
    pub fn assume_idempotent(self) -> ChaosLayer<Policy<C, ConstMeta, T, P, K>, H> {
        self.describe(ConstMeta(RequestMeta::idempotent()))
    }
}

impl<X, H: FaultHooks> ChaosLayer<X, H> {
    /// Makes errors with `errors`, and no other faults than those of [`ErrorFaults`].
    ///
    /// ```
    /// use seawall_chaos::{ChaosConfig, ChaosLayer, InjectedError};
    ///
    /// #[derive(Debug)]
    /// enum FeedError { Down }
    ///
    /// let layer = ChaosLayer::new("feed", ChaosConfig::default())
    ///     .errors(|_: InjectedError| FeedError::Down);
    /// # let _ = layer.handle();
    /// ```
    #[must_use]
    pub fn errors<F, Err>(self, errors: F) -> ChaosLayer<X, ErrorFaults<F>>
    where
        F: Fn(InjectedError) -> Err,
    {
        self.faults(ErrorFaults::new(errors))
    }

    /// Makes faults with `hooks`. To be set before faults are started and services are made.
    #[must_use]
    pub fn faults<H2: FaultHooks>(self, hooks: H2) -> ChaosLayer<X, H2> {
        with_hooks(self.state, self.policy, hooks)
    }

    /// A handle to start and stop faults.
    pub fn handle(&self) -> ChaosHandle {
        ChaosHandle::new(Arc::clone(&self.state))
    }
}

impl<S, X: Clone, H: FaultHooks + Clone> Layer<S> for ChaosLayer<X, H> {
    type Service = Chaos<S, X, H>;

    fn layer(&self, inner: S) -> Self::Service {
        Chaos::new(
            inner,
            Arc::clone(&self.state),
            self.policy.clone(),
            self.hooks.clone(),
            Arc::clone(&self.store),
        )
    }
}

impl_debug!(ChaosLayer<X, H> where [H: FaultHooks]: |this|
    name = this.state.source.name(),
    config = this.state.config,
);
