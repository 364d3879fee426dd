//! What a cache must know of the requests and responses of a service.

use std::hash::Hash;
use std::time::Duration;

use seawall_core::carry::{Carried, ClassifiedResponse, Described, Storage, StoredOutcome};
use seawall_core::{AnyAge, ConstMeta, NoMark, Outcome, Policy, SharedReadings, StoreClone};

/// Says under which key the answer to a request is kept, for how long, and for which requests.
///
/// Closures and `fn` pointers `Fn(&Req) -> Option<Key>` are rules: `None` is not cached, and everything
/// else follows the settings of the layer. `seawall-http` has `HttpCache`, which follows RFC 9111.
///
/// ```
/// # use seawall_cache::{Ask, CacheRules};
/// fn by_symbol(request: &&'static str) -> Option<&'static str> {
///     request.strip_prefix("quote ")
/// }
/// let ask = CacheRules::<&'static str, u32, u32>::ask(&by_symbol, &"quote SPY");
/// assert!(matches!(ask, Ask::Keyed(keyed) if keyed.key == "SPY"));
/// let ask = CacheRules::<&'static str, u32, u32>::ask(&by_symbol, &"order SPY");
/// assert!(matches!(ask, Ask::Pass));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say under which key the answers to requests of type `{Req}` are kept",
    label = "no rules for this service's requests and responses",
    note = "rules are a `fn(&Request) -> Option<Key>`, a closure of that shape, or a type that implements `CacheRules`; set them with `.key(..)` or `.rules(..)`, for HTTP an `HttpCache` of `seawall-http`"
)]
pub trait CacheRules<Req, Res, St> {
    /// What answers are kept under. It has everything in it that makes answers differ, credentials included.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// What is remembered of a request until its response is there.
    type Asked;

    /// What `request` asks of the cache. Called once per call.
    fn ask(&self, request: &Req) -> Ask<Self::Key, Self::Asked>;

    /// What `key` weighs, beside what is kept under it, in the unit of the
    /// [storer](seawall_core::StoreSink::put); nothing unless implemented. Where a remote side chooses keys, their
    /// length belongs here, so that [`max_weight`](crate::CacheConfigBuilder::max_weight) bounds memory.
    fn key_weight(&self, key: &Self::Key) -> u64 {
        let _ = key;
        0
    }

    /// How long `response` may be kept; by the settings of the layer unless implemented. Asked of good
    /// responses alone.
    fn lifetime(&self, asked: &Self::Asked, response: &Res) -> Lifetime {
        let _ = (asked, response);
        Lifetime::DEFAULT
    }

    /// Whether `response` may be given to the callers of its key that wait for this very call; where it
    /// [may be kept](Self::lifetime) unless implemented. Asked of responses whose lifetime says that they may not be
    /// kept, and of failures that are shared. `outcome` is what the classifier says.
    ///
    /// Where it may not, each waiter makes its own call if the outcome is [`Success`](Outcome::Success) or
    /// [`Degraded`](Outcome::Degraded), and otherwise one after the other.
    fn is_shareable(&self, asked: &Self::Asked, response: &Res, outcome: Outcome) -> bool {
        let _ = outcome;
        self.lifetime(asked, response).store
    }

    /// Whether the response has a body, as that to a HEAD has none whatever its head says; not known unless
    /// implemented. It is for the [storer](seawall_core::StoreSink::has_body), which sees no request.
    fn has_body(&self, asked: &Self::Asked) -> Option<bool> {
        let _ = asked;
        None
    }

    /// Whether what is kept under its key answers this request; `true` unless implemented.
    fn answers(&self, asked: &Self::Asked, stored: &St) -> bool {
        let _ = (asked, stored);
        true
    }

    /// The answer to a request which [wants no call](Demand::call), and for which nothing is kept. The
    /// call is made where there is none, as unless implemented.
    fn not_cached(&self, asked: &Self::Asked) -> Option<St> {
        let _ = asked;
        None
    }
}

/// What a request asks of a cache.
// Exhaustive: whichever layer asks has to handle each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<K, A = ()> {
    /// Nothing: its answer is not kept, and no other is given to it.
    Pass,
    /// It may change what is kept: when it was executed, or may have been, everything of this
    /// [group](Keyed::group) is invalid. That is once its response is there, and again once that is at its end, or
    /// dropped.
    Change {
        /// The group.
        group: u64,
    },
    /// Its answer is kept.
    Keyed(Keyed<K, A>),
}

/// Under which key an answer is kept, and what its request wants.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed<K, A = ()> {
    /// The key.
    pub key: K,
    /// What is remembered of the request.
    pub asked: A,
    /// What becomes invalid together, as a hash: everything of one target. None unless set.
    pub group: Option<u64>,
    /// What the request wants.
    pub demand: Demand,
}

impl<K> Keyed<K> {
    /// An answer that is kept under `key`.
    pub const fn new(key: K) -> Self {
        Self {
            key,
            asked: (),
            group: None,
            demand: Demand::DEFAULT,
        }
    }
}

impl<K, A> Keyed<K, A> {
    /// Sets what is remembered of the request.
    #[must_use]
    pub fn with_asked<A2>(self, asked: A2) -> Keyed<K, A2> {
        Keyed {
            key: self.key,
            asked,
            group: self.group,
            demand: self.demand,
        }
    }

    /// Sets what becomes invalid together.
    #[must_use]
    pub fn with_group(mut self, group: u64) -> Self {
        self.group = Some(group);
        self
    }

    /// Sets what the request wants.
    #[must_use]
    pub fn with_demand(mut self, demand: Demand) -> Self {
        self.demand = demand;
        self
    }
}

/// What a request wants of a cache.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Whether it takes what is kept, and the answer to a call that is under way.
    pub look_up: bool,
    /// Whether it takes what is stale.
    pub stale: bool,
    /// Whether the call may be made.
    pub call: bool,
    /// The greatest age that it takes.
    pub max_age: Option<Duration>,
    /// For how long the answer must stay fresh. Where it is longer than zero nothing stale is given, nor where the
    /// upstream fails.
    pub min_fresh: Duration,
    /// How long ago what it takes without a call may have become stale. It is marked as degraded, and counts as
    /// `stale`.
    pub max_stale: Duration,
}

impl Demand {
    /// Takes whatever the settings of the layer allow.
    pub const DEFAULT: Self = Self {
        look_up: true,
        stale: true,
        call: true,
        max_age: None,
        min_fresh: Duration::ZERO,
        max_stale: Duration::ZERO,
    };
}

impl Default for Demand {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How long a response may be kept, as far as that does not follow the settings of the layer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Whether it may be kept at all. Where not, [`CacheRules::is_shareable`] says whether waiters get it.
    pub store: bool,
    /// How long it is fresh from when it was made: an answer that is `age` old is fresh for that much less.
    pub fresh: Option<Duration>,
    /// How long it may be used after that while a new one is fetched.
    pub stale_while_revalidate: Option<Duration>,
    /// How long it may be used after it was fresh, where the upstream fails: also where a refresh fails that
    /// [`stale_while_revalidate`](Self::stale_while_revalidate) allows.
    pub stale_on_failure: Option<Duration>,
    /// How old it is already. It counts against the times of the settings, too.
    pub age: Duration,
    /// How old it was when it was sent, where another cache has reported that. The time of the call is added, from its
    /// beginning in this layer, and the greater of that and [`age`](Self::age) counts.
    pub age_when_sent: Option<Duration>,
}

impl Lifetime {
    /// By the settings of the layer.
    pub const DEFAULT: Self = Self {
        store: true,
        fresh: None,
        stale_while_revalidate: None,
        stale_on_failure: None,
        age: Duration::ZERO,
        age_when_sent: None,
    };

    /// Not kept.
    pub const NONE: Self = Self {
        store: false,
        ..Self::DEFAULT
    };
}

impl Default for Lifetime {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[diagnostic::do_not_recommend]
impl<F, Req, Res, St, K> CacheRules<Req, Res, St> for F
where
    F: Fn(&Req) -> Option<K>,
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    type Key = K;
    type Asked = ();

    #[inline]
    fn ask(&self, request: &Req) -> Ask<K> {
        self(request).map_or(Ask::Pass, |key| Ask::Keyed(Keyed::new(key)))
    }
}

impl<P, Req, Res, St, R> CacheRules<P, Res, StoredOutcome<St>> for Carried<R>
where
    P: Storage<Value = Described<Req>>,
    Res: ClassifiedResponse,
    R: CacheRules<Req, Res::Value, St>,
{
    type Key = R::Key;
    type Asked = R::Asked;

    fn ask(&self, described: &P) -> Ask<R::Key, R::Asked> {
        SharedReadings::apart(|| self.0.ask(&described.get().request))
    }

    fn key_weight(&self, key: &R::Key) -> u64 {
        self.0.key_weight(key)
    }

    fn lifetime(&self, asked: &R::Asked, response: &Res) -> Lifetime {
        self.0.lifetime(asked, response.value())
    }

    fn is_shareable(&self, asked: &R::Asked, response: &Res, outcome: Outcome) -> bool {
        self.0.is_shareable(asked, response.value(), outcome)
    }

    fn has_body(&self, asked: &R::Asked) -> Option<bool> {
        self.0.has_body(asked)
    }

    fn answers(&self, asked: &R::Asked, stored: &StoredOutcome<St>) -> bool {
        self.0.answers(asked, stored.stored())
    }

    fn not_cached(&self, asked: &R::Asked) -> Option<StoredOutcome<St>> {
        let stored = self.0.not_cached(asked)?;
        Some(StoredOutcome::new(stored, Outcome::Ignored))
    }
}

/// Whether a key begins with a text, so that everything below it can be invalidated.
pub trait PrefixKey {
    /// Whether it does.
    fn has_prefix(&self, prefix: &str) -> bool;
}

macro_rules! text_keys {
    ($($Text:ty),*) => {$(
        impl PrefixKey for $Text {
            fn has_prefix(&self, prefix: &str) -> bool {
                self.starts_with(prefix)
            }
        }
    )*};
}
text_keys!(String, &str, Box<str>, std::sync::Arc<str>);

/// The hooks of a cache, or of a layer that coalesces: its rules, what is kept of a response, how a response is
/// marked as degraded, and which requests want no degraded one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooks<R = NoRules, T = StoreClone, M = NoMark, W = AnyAge> {
    pub(crate) rules: R,
    pub(crate) storer: T,
    pub(crate) mark: M,
    pub(crate) fresh: W,
}

impl Hooks {
    /// Responses are kept as clones, stale ones are not marked, and every request takes them.
    pub const fn new() -> Self {
        Self {
            rules: NoRules,
            storer: StoreClone::new(),
            mark: NoMark,
            fresh: AnyAge,
        }
    }
}

/// [`Hooks`] of plain requests and responses, for those that carry what they are.
pub type CarriedHooks<R, T, M, W> = Hooks<Carried<R>, Carried<T>, Carried<M>, Carried<W>>;

/// The parts of [`Hooks`].
pub trait CacheHooks {
    /// See [`CacheRules`].
    type Rules;
    /// See [`StoreResponse`](seawall_core::StoreResponse).
    type Storer;
    /// See [`MarkDegraded`](seawall_core::MarkDegraded).
    type Mark;
    /// See [`WantsFresh`](seawall_core::WantsFresh).
    type Fresh;

    /// Under which key an answer is kept.
    fn rules(&self) -> &Self::Rules;
    /// What is kept of a response.
    fn storer(&self) -> &Self::Storer;
    /// How a response is marked as degraded.
    fn mark(&self) -> &Self::Mark;
    /// Which requests want no degraded answer.
    fn fresh(&self) -> &Self::Fresh;
}

impl<R, T, M, W> CacheHooks for Hooks<R, T, M, W> {
    type Rules = R;
    type Storer = T;
    type Mark = M;
    type Fresh = W;

    #[inline]
    fn rules(&self) -> &R {
        &self.rules
    }

    #[inline]
    fn storer(&self) -> &T {
        &self.storer
    }

    #[inline]
    fn mark(&self) -> &M {
        &self.mark
    }

    #[inline]
    fn fresh(&self) -> &W {
        &self.fresh
    }
}

/// A policy whose requests are all idempotent.
pub(crate) type Idempotent<C, T, P, Kr> = Policy<C, ConstMeta, T, P, Kr>;

/// No rules yet: a layer with it makes no service. See `key` and `rules` of the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoRules;

/// The setters of the hooks, for a layer with the field `hooks`.
macro_rules! hook_setters {
    ($Layer:ident [$($before:ident),*] [$($after:ident),*] { $($field:ident),* }) => {
        impl<$($before,)* R, T, M, W $(, $after)*>
            $Layer<$($before,)* $crate::Hooks<R, T, M, W> $(, $after)*>
        {
            fn map_hooks<H2>(
                self,
                change: impl FnOnce($crate::Hooks<R, T, M, W>) -> H2,
            ) -> $Layer<$($before,)* H2 $(, $after)*> {
                $Layer {
                    hooks: change(self.hooks),
                    $($field: self.$field,)*
                }
            }

            /// For a layer between [`DescribeLayer`](seawall_core::carry::DescribeLayer) and
            /// [`ClassifyLayer`](seawall_core::carry::ClassifyLayer): its hooks are of plain requests and
            /// responses as before, and work on those that carry what they are. Its policy is
            /// [`carried`](seawall_core::carry::carried).
            #[must_use]
            pub fn carry_hooks(
                self,
            ) -> $Layer<$($before,)* $crate::rules::CarriedHooks<R, T, M, W> $(, $after)*> {
                self.map_hooks(|hooks| $crate::Hooks {
                    rules: seawall_core::carry::Carried(hooks.rules),
                    storer: seawall_core::carry::Carried(hooks.storer),
                    mark: seawall_core::carry::Carried(hooks.mark),
                    fresh: seawall_core::carry::Carried(hooks.fresh),
                })
            }

            /// Keeps the answer to a request under `key(&request)`, a `Fn(&Req) -> Option<Key>`; of `None`
            /// nothing is kept.
            #[must_use]
            pub fn key<F, Req, Key>(
                self,
                key: F,
            ) -> $Layer<$($before,)* $crate::Hooks<F, T, M, W> $(, $after)*>
            where
                F: Fn(&Req) -> Option<Key>,
            {
                self.rules(key)
            }

            /// Sets the rules: keys, lifetimes, and which kept answer suits a request.
            #[must_use]
            pub fn rules<R2>(
                self,
                rules: R2,
            ) -> $Layer<$($before,)* $crate::Hooks<R2, T, M, W> $(, $after)*> {
                self.map_hooks(|hooks| $crate::Hooks {
                    rules,
                    storer: hooks.storer,
                    mark: hooks.mark,
                    fresh: hooks.fresh,
                })
            }

            /// Sets what is kept of a response; a clone of it unless set.
            #[must_use]
            pub fn store<T2>(
                self,
                storer: T2,
            ) -> $Layer<$($before,)* $crate::Hooks<R, T2, M, W> $(, $after)*> {
                self.map_hooks(|hooks| $crate::Hooks {
                    rules: hooks.rules,
                    storer,
                    mark: hooks.mark,
                    fresh: hooks.fresh,
                })
            }

            /// Sets how a response is marked as degraded, and how that is read; not at all unless set.
            #[must_use]
            pub fn mark<M2>(
                self,
                mark: M2,
            ) -> $Layer<$($before,)* $crate::Hooks<R, T, M2, W> $(, $after)*> {
                self.map_hooks(|hooks| $crate::Hooks {
                    rules: hooks.rules,
                    storer: hooks.storer,
                    mark,
                    fresh: hooks.fresh,
                })
            }

            /// Sets which requests want no degraded answer; none unless set.
            #[must_use]
            pub fn fresh_only<W2>(
                self,
                fresh: W2,
            ) -> $Layer<$($before,)* $crate::Hooks<R, T, M, W2> $(, $after)*> {
                self.map_hooks(|hooks| $crate::Hooks {
                    rules: hooks.rules,
                    storer: hooks.storer,
                    mark: hooks.mark,
                    fresh,
                })
            }
        }

        impl<$($before,)* H $(, $after)*> $Layer<$($before,)* H $(, $after)*> {
            /// Sets all hooks at once.
            #[must_use]
            pub fn hooks<H2: $crate::CacheHooks>(
                self,
                hooks: H2,
            ) -> $Layer<$($before,)* H2 $(, $after)*> {
                $Layer {
                    hooks,
                    $($field: self.$field,)*
                }
            }
        }
    };
}
pub(crate) use hook_setters;
