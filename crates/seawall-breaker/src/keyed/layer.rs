//! The layer: one circuit per key of a request.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use seawall_core::carry::Carried;
use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use super::registry::BreakerRegistry;
use super::service::KeyedBreaker;
use crate::config::BreakerConfig;

/// Puts one circuit per key around a service: per host, endpoint, account or symbol.
///
/// Clones, every service made by it and their clones share the circuits. Its [`Policy`] finds the
/// outcome of a result (`classify`) and the moment at which a call is over (`track_completion`).
///
/// ```
/// use std::borrow::Cow;
/// use seawall_breaker::{BreakerConfig, CircuitState, KeyedBreakerLayer, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// struct Order { account: u64, qty: i64 }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = BreakerConfig::builder().consecutive_failures(1).build()?;
/// let breaker =
///     KeyedBreakerLayer::new("orders", config, |order: &Order| Cow::Borrowed(&order.account));
/// let accounts = breaker.handle();
/// let mut client = ServiceBuilder::new().layer(breaker).layer(WrapErrorLayer).service(service_fn(
///     |order: Order| async move {
///         if order.qty > 0 { Ok(()) } else { Err(std::io::Error::other("the account is locked")) }
///     },
/// ));
///
/// let _ = client.ready().await?.call(Order { account: 7, qty: 0 }).await;
/// client.ready().await?.call(Order { account: 8, qty: 1 }).await?;
/// assert_eq!(accounts.open_keys(), [(7, CircuitState::Open)]);
/// # Ok(()) }
/// ```
pub struct KeyedBreakerLayer<X, K: ToOwned + ?Sized, F, B = RandomState> {
    registry: BreakerRegistry<K, B>,
    key_fn: F,
    policy: X,
}

impl<K, F> KeyedBreakerLayer<Policy, K, F>
where
    K: ToOwned + Hash + Eq + ?Sized,
{
    /// One circuit per key: `key_fn` finds the key in a request, borrowed where it can be, so that
    /// a call of a known key allocates nothing.
    ///
    /// A name and settings for all of them; `name` must not be the key of a request (see
    /// [`InstanceName`]). See [`BreakerRegistry`] for what it costs.
    pub fn new<Req>(name: impl Into<InstanceName>, config: BreakerConfig, key_fn: F) -> Self
    where
        F: for<'a> Fn(&'a Req) -> Cow<'a, K>,
    {
        BreakerRegistry::new(name, config).layer(key_fn)
    }
}

impl<K: ToOwned + ?Sized, B> BreakerRegistry<K, B> {
    /// Puts these circuits around a service.
    pub fn layer<Req, F>(&self, key_fn: F) -> KeyedBreakerLayer<Policy, K, F, B>
    where
        F: for<'a> Fn(&'a Req) -> Cow<'a, K>,
    {
        KeyedBreakerLayer {
            registry: self.clone(),
            key_fn,
            policy: Policy::new(),
        }
    }
}

impl<X, K: ToOwned + ?Sized, F, B> KeyedBreakerLayer<X, K, F, B> {
    /// The same layer between a [`DescribeLayer`](seawall_core::carry::DescribeLayer) and a
    /// [`ClassifyLayer`](seawall_core::carry::ClassifyLayer): its key function, which is for the
    /// requests of the service itself, sees those.
    #[must_use]
    pub fn carry_key(self) -> KeyedBreakerLayer<X, K, Carried<F>, B> {
        KeyedBreakerLayer {
            registry: self.registry,
            key_fn: Carried(self.key_fn),
            policy: self.policy,
        }
    }

    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> KeyedBreakerLayer<Y, K, F, B> {
        KeyedBreakerLayer {
            registry: self.registry,
            key_fn: self.key_fn,
            policy: change(self.policy),
        }
    }

    /// From how many keys on a new key evicts an idle one; 10,000 unless set. See
    /// [`BreakerRegistry::set_max_keys`].
    #[must_use]
    pub fn max_keys(self, max: usize) -> Self {
        self.registry.set_max_keys(max);
        self
    }

    /// Reads and controls the circuits from outside.
    pub fn handle(&self) -> BreakerRegistry<K, B> {
        self.registry.clone()
    }
}

policy_setters!(KeyedBreakerLayer[K {ToOwned + ?Sized}, F, B]: classify, track_completion);

impl<S, X, K, F, B> Layer<S> for KeyedBreakerLayer<X, K, F, B>
where
    X: Clone,
    K: ToOwned + ?Sized,
    F: Clone,
    B: BuildHasher,
{
    type Service = KeyedBreaker<S, X, K, F, B>;

    fn layer(&self, inner: S) -> Self::Service {
        let events = &self.registry.state().setup.breaker_events;
        events.check_classifier::<S, X>();
        KeyedBreaker::new(
            inner,
            self.registry.anchor(),
            self.key_fn.clone(),
            self.policy.clone(),
        )
    }
}

impl<X: Clone, K: ToOwned + ?Sized, F: Clone, B> Clone for KeyedBreakerLayer<X, K, F, B> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            key_fn: self.key_fn.clone(),
            policy: self.policy.clone(),
        }
    }
}

impl<X, K: ToOwned + ?Sized, F, B> fmt::Debug for KeyedBreakerLayer<X, K, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreakerLayer")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}
