//! The layer: what its services share, and its setters.

use std::sync::Arc;

use seawall_core::carry::Carried;
use seawall_core::{ConstMeta, InstanceName, Policy, RequestMeta, impl_debug, policy_setters};
use tower_layer::Layer;

use super::errors::NoErrorCopies;
use super::state::{Common, State};
use crate::rules::{Idempotent, hook_setters};
use crate::{Coalesce, CoalesceConfig, CoalesceHandle, Hooks};

/// Callers of one key that come while a call is under way get its answer, and make none themselves.
///
/// An answer may be from before its caller has asked, though from no longer ago than the call that it shares has
/// taken. What was written by then is in it where the [rules](Self::rules) name
/// [changes](crate::Ask::Change), as those of HTTP do: what began before a change of its group had ended is given to
/// none that asks after that. By a [`key`](Self::key) alone this layer knows of no change, nor of one made by
/// another program: a read that must see it gets a key of its own, or none, as after an order.
///
/// Nothing is kept: the next caller makes a call again. Where answers may be used for some time, use a
/// [`CacheLayer`](crate::CacheLayer), which shares calls, too.
///
/// Every service of one layer value and its clones shares the calls under way, the counters and the settings.
/// `K` is the type of a key, `V` of what is shared of a response, `E` of the service's error; they follow from
/// the service and the hooks. `X` is the [`Policy`]: the classifier and the describer.
///
/// ```
/// use std::time::Duration;
/// use seawall_cache::{CoalesceConfig, CoalesceLayer, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let coalesce = CoalesceLayer::new("quotes", CoalesceConfig::default())
///     .assume_idempotent()
///     .key(|symbol: &&'static str| Some(*symbol));
/// let handle = coalesce.handle();
/// let client = ServiceBuilder::new()
///     .layer(coalesce)
///     .layer(WrapErrorLayer)
///     .service(service_fn(|symbol: &'static str| async move {
///         tokio::time::sleep(Duration::from_millis(50)).await;
///         Ok::<usize, std::io::Error>(symbol.len())
///     }));
///
/// let (one, other) = tokio::join!(client.clone().oneshot("SPY"), client.oneshot("SPY"));
/// assert_eq!((one?, other?), (3, 3));
/// let counts = handle.counts();
/// assert_eq!((counts.led, counts.joined), (1, 1));
/// # Ok(()) }
/// ```
pub struct CoalesceLayer<X, K, V, E, H = Hooks, C = NoErrorCopies> {
    pub(crate) state: Arc<State<K, V, E>>,
    policy: X,
    hooks: H,
    errors: C,
}

impl<K, V, E> CoalesceLayer<Policy, K, V, E> {
    /// A layer of that name, which still needs a [`key`](Self::key) or [`rules`](Self::rules).
    ///
    /// **Without a describer it coalesces nothing:** no request is known to be idempotent. Set
    /// [`describe`](Self::describe), or [`assume_idempotent`](Self::assume_idempotent).
    ///
    /// **Errors inside `Ok` need a classifier:** by default every `Ok` is a good answer, and is shared.
    pub fn new(name: impl Into<InstanceName>, config: CoalesceConfig) -> Self {
        Self {
            state: State::new(name.into(), config),
            policy: Policy::new(),
            hooks: Hooks::new(),
            errors: NoErrorCopies,
        }
    }
}

impl<X, K, V, E, H, C> CoalesceLayer<X, K, V, E, H, C> {
    /// Sets how an error is copied for waiters, a [`CopyError`](crate::CopyError); none is unless set, and the next
    /// waiter makes the call again. It has an effect where the settings
    /// [share failures](crate::CoalesceConfigBuilder::share_failures).
    #[must_use]
    pub fn copy_error<C2>(self, errors: C2) -> CoalesceLayer<X, K, V, E, H, C2> {
        CoalesceLayer {
            state: self.state,
            policy: self.policy,
            hooks: self.hooks,
            errors,
        }
    }

    /// As [`carry_hooks`](Self::carry_hooks), for the copies of errors.
    #[must_use]
    pub fn carry_errors(self) -> CoalesceLayer<X, K, V, E, H, Carried<C>> {
        CoalesceLayer {
            state: self.state,
            policy: self.policy,
            hooks: self.hooks,
            errors: Carried(self.errors),
        }
    }

    /// A handle to read and control every service of this layer.
    pub fn handle(&self) -> CoalesceHandle<K, V, E> {
        CoalesceHandle::new(Arc::clone(&self.state))
    }
}

hook_setters!(CoalesceLayer [X, K, V, E] [C] { state, policy, errors });
policy_setters!(CoalesceLayer[K, V, E, H, Co] { state, hooks, errors }: classify, describe);

impl<C, D, T, P, Kr, K, V, E, H, Co> CoalesceLayer<Policy<C, D, T, P, Kr>, K, V, E, H, Co> {
    /// Describes every request as [idempotent](RequestMeta::idempotent): whatever has a key is coalesced. For
    /// clients that only read.
    ///
    /// Short for `describe(ConstMeta(RequestMeta::idempotent()))`.
    #[must_use]
    pub fn assume_idempotent(self) -> CoalesceLayer<Idempotent<C, T, P, Kr>, K, V, E, H, Co> {
        self.describe(ConstMeta(RequestMeta::idempotent()))
    }
}

impl<S, X, K, V, E, H, C> Layer<S> for CoalesceLayer<X, K, V, E, H, C>
where
    X: Clone,
    H: Clone,
    C: Clone,
{
    type Service = Coalesce<S, X, K, V, E, H, C>;

    fn layer(&self, inner: S) -> Self::Service {
        self.state.events.check_classifier::<S, X>();
        let common = Common {
            policy: self.policy.clone(),
            hooks: self.hooks.clone(),
            errors: self.errors.clone(),
            state: Arc::clone(&self.state),
        };
        Coalesce::new(inner, self.state.stripes.share(common).anchor())
    }
}

impl<X: Clone, K, V, E, H: Clone, C: Clone> Clone for CoalesceLayer<X, K, V, E, H, C> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            policy: self.policy.clone(),
            hooks: self.hooks.clone(),
            errors: self.errors.clone(),
        }
    }
}

impl_debug!(CoalesceLayer<X, K, V, E, H, C>: |this|
    name = this.state.events.name(),
    config = this.state.config(),
);
