//! The layer: one circuit per key of a request.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use seawall_core::{CompleteOnResponse, ErrorIsFailure, InstanceName};
use tower_layer::Layer;

use super::handle::BreakerRegistry;
use super::service::KeyedBreaker;
use crate::config::BreakerConfig;
use crate::layer::BreakerLayer;

/// Puts one circuit per key around a service: per host, endpoint, account or symbol.
///
/// Made by [`BreakerLayer::per_key`] or, of circuits that are used without Tower too, by
/// [`BreakerRegistry::layer`]. Clones, every service made by it and their clones share the circuits.
///
/// ```
/// use std::borrow::Cow;
/// use seawall_breaker::{BreakerConfig, BreakerLayer, State};
/// use seawall_core::WrapErrorLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// struct Order { account: u64, qty: i64 }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = BreakerConfig::builder().consecutive_failures(1).build()?;
/// let breaker = BreakerLayer::per_key("orders", config, |order: &Order| Cow::Borrowed(&order.account));
/// let accounts = breaker.handle();
/// let mut client = ServiceBuilder::new().layer(breaker).layer(WrapErrorLayer).service(service_fn(
///     |order: Order| async move {
///         if order.qty > 0 { Ok(()) } else { Err(std::io::Error::other("the account is locked")) }
///     },
/// ));
///
/// let _ = client.ready().await?.call(Order { account: 7, qty: 0 }).await;
/// client.ready().await?.call(Order { account: 8, qty: 1 }).await?;
/// assert_eq!(accounts.open_keys(), [(7, State::Open)]);
/// # Ok(()) }
/// ```
pub struct KeyedBreakerLayer<K, X, C = ErrorIsFailure, H = CompleteOnResponse, B = RandomState>
where
    K: ToOwned + ?Sized,
{
    breakers: BreakerRegistry<K, B>,
    extract: X,
    classify: C,
    hold: H,
}

impl BreakerLayer {
    /// One circuit per key: `extract` finds the key in a request, borrowed where it can be, so
    /// that a call of a known key allocates nothing.
    ///
    /// A name and settings for all of them; `name` must not be a request's key (see
    /// [`InstanceName`]). See [`KeyedBreakerLayer`] for an example and [`BreakerRegistry`] for what it costs.
    pub fn per_key<K, Req, X>(
        name: impl Into<InstanceName>,
        config: BreakerConfig,
        extract: X,
    ) -> KeyedBreakerLayer<K, X>
    where
        K: ToOwned + Hash + Eq + ?Sized,
        X: for<'a> Fn(&'a Req) -> Cow<'a, K>,
    {
        BreakerRegistry::new(name, config).layer(extract)
    }
}

impl<K: ToOwned + ?Sized, X, B> KeyedBreakerLayer<K, X, ErrorIsFailure, CompleteOnResponse, B> {
    pub(crate) const fn new(breakers: BreakerRegistry<K, B>, extract: X) -> Self {
        Self {
            breakers,
            extract,
            classify: ErrorIsFailure,
            hold: CompleteOnResponse,
        }
    }
}

impl<K: ToOwned + ?Sized, X, C, H, B> KeyedBreakerLayer<K, X, C, H, B> {
    /// Judges answers with `classify`: a closure, a `fn` pointer or a type of your own.
    #[must_use]
    pub fn classify<D>(self, classify: D) -> KeyedBreakerLayer<K, X, D, H, B> {
        KeyedBreakerLayer {
            breakers: self.breakers,
            extract: self.extract,
            classify,
            hold: self.hold,
        }
    }

    /// Decides when a call is over: with its answer (the default), or with the answer's body.
    #[must_use]
    pub fn track_completion<I>(self, hold: I) -> KeyedBreakerLayer<K, X, C, I, B> {
        KeyedBreakerLayer {
            breakers: self.breakers,
            extract: self.extract,
            classify: self.classify,
            hold,
        }
    }

    /// From how many keys on a new key evicts an idle one; 10,000 unless set. See
    /// [`BreakerRegistry::set_max_keys`].
    #[must_use]
    pub fn max_keys(self, max: usize) -> Self {
        self.breakers.set_max_keys(max);
        self
    }

    /// Reads and controls the circuits from outside.
    pub fn handle(&self) -> BreakerRegistry<K, B> {
        self.breakers.clone()
    }
}

impl<S, K, X, C, H, B> Layer<S> for KeyedBreakerLayer<K, X, C, H, B>
where
    K: ToOwned + ?Sized,
    X: Clone,
    C: Clone,
    H: Clone,
    B: BuildHasher,
{
    type Service = KeyedBreaker<S, K, X, C, H, B>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedBreaker::new(
            inner,
            self.breakers.anchor(),
            self.extract.clone(),
            self.classify.clone(),
            self.hold.clone(),
        )
    }
}

impl<K: ToOwned + ?Sized, X: Clone, C: Clone, H: Clone, B> Clone
    for KeyedBreakerLayer<K, X, C, H, B>
{
    fn clone(&self) -> Self {
        Self {
            breakers: self.breakers.clone(),
            extract: self.extract.clone(),
            classify: self.classify.clone(),
            hold: self.hold.clone(),
        }
    }
}

impl<K: ToOwned + ?Sized, X, C, H, B> fmt::Debug for KeyedBreakerLayer<K, X, C, H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyLayer")
            .field("breakers", &self.breakers)
            .finish_non_exhaustive()
    }
}
