//! The layer: what its services share, and its setters.

use std::hash::Hash;
use std::sync::Arc;

use seawall_core::{ConstMeta, InstanceName, Policy, RequestMeta, impl_debug, policy_setters};
use tower_layer::Layer;

use crate::refresh::{InBackground, InPlace};
use crate::rules::{Idempotent, hook_setters};
use crate::state::{Common, State};
use crate::{Cache, CacheConfig, CacheHandle, Hooks};

/// Keeps good answers by key, and gives them to later calls.
///
/// Every service of one layer value and its clones shares what is kept, the calls under way, the counters and
/// the settings. `K` is the type of a key, `V` of what is kept; both follow from the hooks. `X` is the
/// [`Policy`]: the classifier, the describer, and for refreshes in the background the copier.
///
/// ```
/// use std::time::Duration;
/// use seawall_cache::{CacheConfig, CacheLayer, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = CacheLayer::new("quotes", CacheConfig::new(Duration::from_secs(1))?)
///     .assume_idempotent()
///     .key(|symbol: &&'static str| Some(*symbol));
/// let handle = cache.handle();
/// let mut client = ServiceBuilder::new()
///     .layer(cache)
///     .layer(WrapErrorLayer)
///     .service(service_fn(|symbol: &'static str| async move {
///         Ok::<usize, std::io::Error>(symbol.len())
///     }));
///
/// assert_eq!(client.ready().await?.call("SPY").await?, 3);
/// assert_eq!(client.ready().await?.call("SPY").await?, 3);
/// let calls = handle.counts().calls;
/// assert_eq!((calls.miss, calls.hit), (1, 1));
/// # Ok(()) }
/// ```
pub struct CacheLayer<X, K, V, H = Hooks, B = InPlace> {
    pub(crate) state: Arc<State<K, V>>,
    policy: X,
    hooks: H,
    refresh: B,
}

impl<K: Clone + Eq + Hash, V> CacheLayer<Policy, K, V> {
    /// A layer of that name, which still needs a [`key`](Self::key) or [`rules`](Self::rules).
    ///
    /// **Without a describer it caches nothing:** no request is known to be idempotent. Set
    /// [`describe`](Self::describe), or [`assume_idempotent`](Self::assume_idempotent).
    ///
    /// **Errors inside `Ok` need a classifier:** by default every `Ok` is a good answer, and is kept. See
    /// [`classify`](Self::classify): `Success` is kept, and `Ignored` with a
    /// [`negative_ttl`](crate::CacheConfigBuilder::negative_ttl).
    pub fn new(name: impl Into<InstanceName>, config: CacheConfig) -> Self {
        Self {
            state: State::new(name.into(), config),
            policy: Policy::new(),
            hooks: Hooks::new(),
            refresh: InPlace,
        }
    }
}

impl<X, K, V, H, B> CacheLayer<X, K, V, H, B> {
    /// A handle to read and control every service of this layer.
    pub fn handle(&self) -> CacheHandle<K, V> {
        CacheHandle::new(Arc::clone(&self.state))
    }
}

impl<X, K, V, H> CacheLayer<X, K, V, H> {
    /// Refreshes what is stale in the background, by tasks of the caller's Tokio runtime; otherwise the first
    /// caller that finds an answer stale fetches a new one and waits for it. For services that are `Send` and
    /// `'static`.
    #[must_use]
    pub fn refresh_in_background(self) -> CacheLayer<X, K, V, H, InBackground> {
        CacheLayer {
            state: self.state,
            policy: self.policy,
            hooks: self.hooks,
            refresh: InBackground,
        }
    }
}

hook_setters!(CacheLayer [X, K, V] [B] { state, policy, refresh });
policy_setters!(CacheLayer[K, V, H, B] { state, hooks, refresh }: classify, describe, copy);

impl<C, D, T, P, Kr, K, V, H, B> CacheLayer<Policy<C, D, T, P, Kr>, K, V, H, B> {
    /// Describes every request as [idempotent](RequestMeta::idempotent): whatever has a key is cached. For
    /// clients that only read.
    ///
    /// Short for `describe(ConstMeta(RequestMeta::idempotent()))`.
    #[must_use]
    pub fn assume_idempotent(self) -> CacheLayer<Idempotent<C, T, P, Kr>, K, V, H, B> {
        self.describe(ConstMeta(RequestMeta::idempotent()))
    }
}

impl<S, X, K, V, H, B> Layer<S> for CacheLayer<X, K, V, H, B>
where
    X: Clone,
    H: Clone,
    B: Clone,
{
    type Service = Cache<S, X, K, V, H, B>;

    fn layer(&self, inner: S) -> Self::Service {
        self.state.events.check_classifier::<S, X>();
        let common = Common {
            policy: self.policy.clone(),
            hooks: self.hooks.clone(),
            state: Arc::clone(&self.state),
        };
        let shared = self.state.stripes.share(common);
        Cache::new(inner, shared.anchor(), self.refresh.clone())
    }
}

impl<X: Clone, K, V, H: Clone, B: Clone> Clone for CacheLayer<X, K, V, H, B> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            policy: self.policy.clone(),
            hooks: self.hooks.clone(),
            refresh: self.refresh.clone(),
        }
    }
}

impl_debug!(CacheLayer<X, K, V, H, B>: |this|
    name = this.state.events.name(),
    config = this.state.config(),
);
