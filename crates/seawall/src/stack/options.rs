//! The layers, and the kinds of layers, that a stack has on demand.

use super::slots::Slots;

/// For each slot a method that exchanges its layer.
macro_rules! exchange {
    ($(
        $(#[$meta:meta])*
        $exchange:ident($field:ident: $Old:ident) -> [$($New:ident),*],
        keeping $($other:ident),*;
    )+) => {
        impl<R, H, T, B, L, C, M, A, D, G, J> Slots<R, H, T, B, L, C, M, A, D, G, J> {$(
            $(#[$meta])*
            pub(crate) fn $exchange<N>(
                self,
                change: impl FnOnce($Old) -> N,
            ) -> Slots<$($New),*> {
                Slots {
                    $field: change(self.$field),
                    $($other: self.$other,)*
                }
            }
        )+}
    };
}

exchange! {
    with_retry(retry: R) -> [N, H, T, B, L, C, M, A, D, G, J],
        keeping hedge, throttle, bulkhead, rate_limit, breaker, health, attempt_timeout, departure, answers, chaos;
    with_hedge(hedge: H) -> [R, N, T, B, L, C, M, A, D, G, J],
        keeping retry, throttle, bulkhead, rate_limit, breaker, health, attempt_timeout, departure, answers, chaos;
    with_throttle(throttle: T) -> [R, H, N, B, L, C, M, A, D, G, J],
        keeping retry, hedge, bulkhead, rate_limit, breaker, health, attempt_timeout, departure, answers, chaos;
    with_bulkhead(bulkhead: B) -> [R, H, T, N, L, C, M, A, D, G, J],
        keeping retry, hedge, throttle, rate_limit, breaker, health, attempt_timeout, departure, answers, chaos;
    with_rate_limit(rate_limit: L) -> [R, H, T, B, N, C, M, A, D, G, J],
        keeping retry, hedge, throttle, bulkhead, breaker, health, attempt_timeout, departure, answers, chaos;
    with_breaker(breaker: C) -> [R, H, T, B, L, N, M, A, D, G, J],
        keeping retry, hedge, throttle, bulkhead, rate_limit, health, attempt_timeout, departure, answers, chaos;
    with_health(health: M) -> [R, H, T, B, L, C, N, A, D, G, J],
        keeping retry, hedge, throttle, bulkhead, rate_limit, breaker, attempt_timeout, departure, answers, chaos;
    with_attempt_timeout(attempt_timeout: A) -> [R, H, T, B, L, C, M, N, D, G, J],
        keeping retry, hedge, throttle, bulkhead, rate_limit, breaker, health, departure, answers, chaos;
    with_departure(departure: D) -> [R, H, T, B, L, C, M, A, N, G, J],
        keeping retry, hedge, throttle, bulkhead, rate_limit, breaker, health, attempt_timeout, answers, chaos;
    with_answers(answers: G) -> [R, H, T, B, L, C, M, A, D, N, J],
        keeping retry, hedge, throttle, bulkhead, rate_limit, breaker, health, attempt_timeout, departure, chaos;
    #[cfg(feature = "chaos")]
    with_chaos(chaos: J) -> [R, H, T, B, L, C, M, A, D, G, N],
        keeping retry, hedge, throttle, bulkhead, rate_limit, breaker, health, attempt_timeout, departure, answers;
}

/// Writes the methods of a stack by which it gets layers that it does not have by default.
///
/// The stack is `Stack<rest.., Slots<..>>` and has a method
/// `fn map_slots(self, change: impl FnOnce(InstanceName, O) -> O2) -> Stack<rest.., O2>`, and
/// `fn replaced(&self) -> &Replaced`.
macro_rules! option_setters {
    ($Stack:ident[$($rest:ident),*]) => {
        /// Options: layers that a stack has on demand. Those that it does not have cost nothing.
        /// They have the name of the stack. Ask for [`handles`](Self::handles) after the last one.
        ///
        /// [`rate_limit_per_key`](Self::rate_limit_per_key), [`breaker_per_key`](Self::breaker_per_key),
        /// [`adaptive_concurrency`](Self::adaptive_concurrency) and
        /// [`learned_attempt_timeout`](Self::learned_attempt_timeout) replace a layer. The new one
        /// starts with the settings of the old one that it has, too, and is off where that is
        /// bypassed; any other command is not taken over. From then on it is on its own: what the
        /// handles of the stack before the option change, and a file that is read again, reach the old
        /// layer alone. Configure the new one by its handle.
        impl<$($rest,)* R, H, T, B, L, C, M, A, D, G, J>
            $Stack<$($rest,)* $crate::Slots<R, H, T, B, L, C, M, A, D, G, J>>
        {
            /// Sends a request that may be sent twice a second time when its response is slow, and
            /// takes the first good response. Right inside of retry, whose budget pays for it.
            ///
            /// ```
            /// use std::time::Duration;
            /// use seawall::HedgeConfig;
            ///
            /// let config = HedgeConfig::builder().delay(Duration::from_millis(300)).build()?;
            /// let stack = seawall::market_data("feed").build()?.hedge(config);
            /// assert_eq!(stack.handles().hedge.counts().extra.begun, 0);
            /// # Ok::<(), seawall::InvalidConfig>(())
            /// ```
            #[must_use]
            pub fn hedge(
                self,
                config: $crate::HedgeConfig,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<R, $crate::HedgeLayer, T, B, L, C, M, A, D, G, J>,
            >
            where
                R: $crate::stack::Slot<Handle = $crate::RetryHandle>,
            {
                self.map_slots(|name, slots| {
                    let budget = slots.retry.handle().budget().cloned();
                    let layer = $crate::HedgeLayer::new(name, config);
                    slots.with_hedge(|_| match budget {
                        Some(budget) => layer.shared_budget(budget),
                        None => layer,
                    })
                })
            }

            /// Rejects the share of the calls that an overloaded upstream would reject. Inside of
            /// retry, outside of the circuit and of everything that waits.
            ///
            /// ```
            /// use seawall::AdaptiveThrottleConfig;
            ///
            /// let stack = seawall::ai_api("my-model")
            ///     .build()?
            ///     .throttle(AdaptiveThrottleConfig::default());
            /// assert_eq!(stack.handles().throttle.rejection_probability(), 0.0);
            /// # Ok::<(), seawall::InvalidConfig>(())
            /// ```
            #[must_use]
            pub fn throttle(
                self,
                config: $crate::AdaptiveThrottleConfig,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<R, H, $crate::AdaptiveThrottleLayer, B, L, C, M, A, D, G, J>,
            > {
                self.map_slots(|name, slots| {
                    slots.with_throttle(|_| $crate::AdaptiveThrottleLayer::new(name, config))
                })
            }

            /// Observes the attempts that are made anyway, and reports whether the upstream is
            /// healthy. Rejects nothing. Right outside of the attempt timeout.
            ///
            /// ```
            /// use seawall::{CheckConfig, HealthConfig, HealthMonitor, Status};
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// let stack = seawall::broker("my-broker").build()?.health(HealthConfig::default());
            /// assert_eq!(stack.handles().health.status(), Status::Unknown);
            ///
            /// let monitor = HealthMonitor::new("desk");
            /// monitor.register_layer(stack.handles().health, CheckConfig::default())?;
            /// # Ok(()) }
            /// ```
            #[must_use]
            pub fn health(
                self,
                config: $crate::HealthConfig,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<R, H, T, B, L, C, $crate::HealthLayer, A, D, G, J>,
            > {
                self.map_slots(|name, slots| {
                    slots.with_health(|_| $crate::HealthLayer::new(name, config))
                })
            }

            /// Limits calls per key within the limit of all: per endpoint, account or symbol, by
            /// the [key](crate::RequestMeta::with_key) that `describe` gives a request. A call
            /// takes from both limits or from none. The stack of a provider that limits models alone
            /// has no limit of all calls, and then none but that of the key. The limit of all is an instance of its own
            /// then, the [account](crate::KeyedRateLimitHandle::account), named as the stack with
            /// `/account` behind. Both replace the stack's, so a file that is read again does not change
            /// them.
            ///
            /// ```
            /// use std::time::Duration;
            /// use seawall::{KeyedRateLimitConfig, PartitionKey, RateLimitConfig};
            ///
            /// let each = RateLimitConfig::builder().rate(3, Duration::from_secs(1)).burst(3);
            /// let stack = seawall::broker("my-broker")
            ///     .build()?
            ///     .rate_limit_per_key(KeyedRateLimitConfig::new(each)?);
            /// let quotes = PartitionKey::of("quotes");
            /// assert_eq!(stack.handles().rate_limit.tokens(quotes), 3.0);
            /// # Ok::<(), seawall::InvalidConfig>(())
            /// ```
            #[must_use]
            pub fn rate_limit_per_key(
                self,
                config: $crate::KeyedRateLimitConfig,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<R, H, T, B, $crate::KeyedRateLimitLayer, C, M, A, D, G, J>,
            >
            where
                L: $crate::stack::Limits,
            {
                self.replaced().note($crate::stack::Part::RateLimit);
                let old = self.slots().rate_limit.handle();
                let layer = $crate::stack::per_key(self.name(), config, &old);
                self.map_slots(|_, slots| slots.with_rate_limit(|_| layer))
            }

            /// One circuit per key in place of one for all: per host, endpoint, account or symbol,
            /// each with the settings of the stack's. `extract` finds the key in a request,
            /// borrowed where it can be. A circuit per key has no gate, since its key is not known
            /// outside of the waits: it rejects after them. They replace the stack's, so a file that is
            /// read again does not change them.
            ///
            /// ```
            /// use std::borrow::Cow;
            ///
            /// fn by_path(request: &http::Request<String>) -> Cow<'_, str> {
            ///     Cow::Borrowed(request.uri().path())
            /// }
            /// let stack = seawall::broker("my-broker").build()?.breaker_per_key(by_path);
            /// assert!(stack.handles().breaker.open_keys().is_empty());
            /// # Ok::<(), seawall::InvalidConfig>(())
            /// ```
            #[must_use]
            pub fn breaker_per_key<K, Req, F>(
                self,
                extract: F,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<R, H, T, B, L, $crate::KeyedBreakerLayer<$crate::Policy, K, F>, M, A, D, G, J>,
            >
            where
                C: $crate::stack::Circuit,
                K: ToOwned + std::hash::Hash + Eq + ?Sized,
                F: for<'a> Fn(&'a Req) -> std::borrow::Cow<'a, K>,
            {
                self.replaced().note($crate::stack::Part::Breaker);
                self.map_slots(|name, slots| {
                    slots.with_breaker(|one| {
                        let old = one.handle();
                        let config = $crate::stack::Configure::config(&old);
                        let layer = $crate::KeyedBreakerLayer::new(name, config, extract);
                        if $crate::stack::Configure::is_bypassed(&old) {
                            layer.handle().force_closed();
                        }
                        layer
                    })
                })
            }

            /// Moves the number of permits with the load that the upstream can serve, learned
            /// from the latency and the outcomes of the calls. The bulkhead's settings stay, save
            /// for the number of permits. It replaces the stack's, so a file that is read again does not
            /// change it.
            ///
            /// ```
            /// use seawall::AdaptiveConfig;
            ///
            /// let config = AdaptiveConfig::builder().initial(5).max(50).build()?;
            /// let stack = seawall::broker("my-broker").build()?.adaptive_concurrency(config);
            /// assert_eq!(stack.handles().bulkhead.snapshot().limit, 5);
            /// # Ok::<(), seawall::InvalidConfig>(())
            /// ```
            #[must_use]
            pub fn adaptive_concurrency(
                self,
                config: $crate::AdaptiveConfig,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<R, H, T, $crate::AdaptiveBulkheadLayer, L, C, M, A, D, G, J>,
            >
            where
                B: $crate::stack::Permits,
            {
                self.replaced().note($crate::stack::Part::Bulkhead);
                self.map_slots(|name, slots| {
                    slots.with_bulkhead(|fixed| {
                        let old = fixed.handle();
                        let bulkhead = $crate::stack::Configure::config(&old);
                        let layer = $crate::AdaptiveBulkheadLayer::new(name, bulkhead, config);
                        $crate::stack::keep_bypass(&old, &layer.handle());
                        layer
                    })
                })
            }

            /// Prepares each request at its departure, below everything that waits, once per
            /// attempt and in the order of departure: with a timestamp, a nonce, a signature over
            /// both. What [`prepare`](Self::prepare) writes may be as old as the waits of the stack
            /// are long. See [`DepartureLayer`](crate::DepartureLayer).
            ///
            /// ```
            /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
            /// use http::{HeaderValue, Request};
            ///
            /// static NONCE: AtomicU64 = AtomicU64::new(1);
            ///
            /// fn sign<B, E>(request: &mut Request<B>) -> Result<(), E> {
            ///     let nonce = NONCE.fetch_add(1, Relaxed);
            ///     request.headers_mut().insert("x-nonce", HeaderValue::from(nonce));
            ///     Ok(())
            /// }
            /// # use tower::{Layer, ServiceExt, service_fn};
            /// # type Body = http_body_util::Full<bytes::Bytes>;
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let broker = service_fn(|request: Request<Body>| async move {
            /// #     assert_eq!(request.headers()["x-nonce"], "1");
            /// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
            /// # });
            /// let stack = seawall::broker("my-broker").build()?.on_departure(sign);
            /// let request = Request::get("/v2/positions").body(Body::default())?;
            /// let response = stack.layer(broker).oneshot(request).await?;
            /// # assert!(response.status().is_success());
            /// # Ok(()) }
            /// ```
            #[must_use]
            pub fn on_departure<N>(
                self,
                hook: N,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<R, H, T, B, L, C, M, A, $crate::DepartureLayer<N>, G, J>,
            > {
                self.map_slots(|_, slots| {
                    slots.with_departure(|_| $crate::DepartureLayer::new(hook))
                })
            }

            /// Learns from recent responses how long one attempt may take, in place of the fixed
            /// timeout. The handle of the attempt timeout configures what is learned; a file that is
            /// read again does not.
            ///
            /// # Errors
            ///
            /// [`InvalidConfig`](crate::InvalidConfig) when the longest timeout that can be learned
            /// is not shorter than the deadline.
            ///
            /// ```
            /// use std::time::Duration;
            /// use seawall::LearnedConfig;
            ///
            /// let learned = LearnedConfig::builder()
            ///     .initial(Duration::from_secs(5))
            ///     .max(Duration::from_secs(10))
            ///     .build()?;
            /// let stack = seawall::market_data("feed").build()?.learned_attempt_timeout(learned)?;
            /// assert_eq!(stack.handles().attempt_timeout.timeout(), Some(Duration::from_secs(5)));
            /// # Ok::<(), seawall::InvalidConfig>(())
            /// ```
            pub fn learned_attempt_timeout(
                self,
                config: $crate::LearnedConfig,
            ) -> Result<
                $Stack<
                    $($rest,)*
                    $crate::Slots<
                        R, H, T, B, L, C, M,
                        $crate::AttemptTimeoutLayer<
                            $crate::Policy,
                            $crate::timeout::NoOverride,
                            $crate::timeout::Learned,
                        >,
                        D, G, J,
                    >,
                >,
                $crate::InvalidConfig,
            >
            where
                A: $crate::stack::Attempts,
            {
                let config = $crate::AttemptTimeoutConfig::learned(config);
                let longest = $crate::stack::longest(config);
                $crate::settings::check_attempt(longest, self.deadline())?;
                self.replaced().note($crate::stack::Part::AttemptTimeout);
                Ok(self.map_slots(|name, slots| {
                    slots.with_attempt_timeout(|fixed| {
                        let layer = $crate::AttemptTimeoutLayer::new(name, config);
                        $crate::stack::keep_bypass(&fixed.handle(), &layer.handle());
                        layer
                    })
                }))
            }
        }

        /// What answers without the upstream, outside of retry and inside of the deadline, and what makes
        /// the client fail on purpose. Each is given as a layer that has the stack's name and no policy of
        /// its own: its [`Policy`](crate::Policy) is the stack's.
        impl<$($rest,)* R, H, T, B, L, C, M, A, D, F, K, Z, J>
            $Stack<
                $($rest,)*
                $crate::Slots<R, H, T, B, L, C, M, A, D, $crate::Answers<F, K, Z>, J>,
            >
        {
            /// Answers calls that fail by the steps of `layer`: a value, a function, another service, the
            /// last good answer. What it answers means [`Outcome::Degraded`](crate::Outcome::Degraded), and is
            /// marked as `layer.mark(..)` says: without it, the caller cannot distinguish it from an answer of
            /// the upstream. For HTTP it is `HttpMark`.
            ///
            /// Reads alone are answered so ([`Replay::Safe`](crate::Replay::Safe)): no order, and no cancel
            /// either, though that may be sent twice.
            ///
            /// # Errors
            ///
            /// [`InvalidConfig`](crate::InvalidConfig) when the layer has not the name of the stack.
            ///
            /// ```
            /// use seawall::fallback::{Degraded, FallbackConfig, FallbackLayer, MarkInValue, Step};
            /// use seawall::{ConstMeta, Policy, RequestMeta, WrapErrorLayer};
            /// use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
            ///
            /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// let hold: Step<&str, _> = Step::value("hold", Degraded::fresh("HOLD"));
            /// let fallback = FallbackLayer::new("opinions", FallbackConfig::default(), [hold])?
            ///     .mark(MarkInValue);
            /// let reads = Policy::new().describe(ConstMeta(RequestMeta::idempotent()));
            /// let stack = seawall::ai_api("opinions").build_generic(reads)?.fallback(fallback)?;
            /// let handles = stack.handles();
            /// let opinions = ServiceBuilder::new()
            ///     .layer(stack)
            ///     .layer(WrapErrorLayer)
            ///     .service(service_fn(|_: &str| async {
            ///         Err::<Degraded<&str>, _>(std::io::Error::other("down"))
            ///     }));
            /// let opinion = opinions.oneshot("SPY?").await?;
            /// assert_eq!((*opinion.value(), opinion.is_degraded()), ("HOLD", true));
            /// assert_eq!(handles.fallback.counts().answered, 1);
            /// assert_eq!(handles.telemetry.counts().calls.degraded, 1);
            /// # Ok(()) }
            /// ```
            pub fn fallback<Req, Res, Mark, Fresh>(
                self,
                layer: $crate::fallback::FallbackLayer<$crate::Policy, Req, Res, Mark, Fresh>,
            ) -> Result<
                $Stack<
                    $($rest,)*
                    $crate::Slots<
                        R, H, T, B, L, C, M, A, D,
                        $crate::Answers<
                            $crate::fallback::FallbackLayer<$crate::Policy, Req, Res, Mark, Fresh>,
                            K, Z,
                        >,
                        J,
                    >,
                >,
                $crate::InvalidConfig,
            > {
                $crate::stack::check_name(layer.handle().name(), self.name())?;
                Ok(self.map_slots(|_, slots| {
                    slots.with_answers(|answers| answers.with_fallback(layer))
                }))
            }

            /// Keeps good answers by key and gives them to later calls, which then take no permit, no token
            /// and no attempt. What is stale is marked as `layer.mark(..)` says: without it, the caller cannot
            /// distinguish it from what is fresh. For HTTP it is `HttpMark`.
            ///
            /// # Errors
            ///
            /// [`InvalidConfig`](crate::InvalidConfig) when the layer has not the name of the stack.
            ///
            /// ```
            /// use std::time::Duration;
            /// use seawall::cache::{CacheConfig, CacheLayer, Degraded, MarkInValue};
            /// use seawall::{ConstMeta, Policy, RequestMeta, WrapErrorLayer};
            /// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
            ///
            /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// let config = CacheConfig::builder(Duration::from_secs(1))
            ///     .stale_on_failure(Duration::from_secs(3600))
            ///     .build()?;
            /// let cache = CacheLayer::new("feed", config)
            ///     .key(|symbol: &&'static str| Some(*symbol))
            ///     .mark(MarkInValue);
            /// let reads = Policy::new().describe(ConstMeta(RequestMeta::idempotent()));
            /// let stack = seawall::market_data("feed").build_generic(reads)?.cache(cache)?;
            /// let handles = stack.handles();
            /// let mut feed = ServiceBuilder::new()
            ///     .layer(stack)
            ///     .layer(WrapErrorLayer)
            ///     .service(service_fn(|symbol: &'static str| async move {
            ///         Ok::<_, std::io::Error>(Degraded::fresh(symbol.len()))
            ///     }));
            /// for _ in 0..2 {
            ///     assert_eq!(feed.ready().await?.call("SPY").await?, Degraded::fresh(3));
            /// }
            /// assert_eq!(handles.cache.counts().calls.hit, 1);
            /// assert_eq!(handles.telemetry.counts().attempts.success, 1);
            /// # Ok(()) }
            /// ```
            pub fn cache<Key, Kept, Hooks, Refresh>(
                self,
                layer: $crate::cache::CacheLayer<$crate::Policy, Key, Kept, Hooks, Refresh>,
            ) -> Result<
                $Stack<
                    $($rest,)*
                    $crate::Slots<
                        R, H, T, B, L, C, M, A, D,
                        $crate::Answers<
                            F,
                            $crate::cache::CacheLayer<$crate::Policy, Key, Kept, Hooks, Refresh>,
                            Z,
                        >,
                        J,
                    >,
                >,
                $crate::InvalidConfig,
            > {
                $crate::stack::check_name(layer.handle().name(), self.name())?;
                Ok(self.map_slots(|_, slots| {
                    slots.with_answers(|answers| answers.with_cache(layer))
                }))
            }

            /// Lets callers that ask for the same at the same time share one call. Nothing is kept: where answers
            /// may be used for some time, [`cache`](Self::cache) shares calls, too.
            ///
            /// # Errors
            ///
            /// [`InvalidConfig`](crate::InvalidConfig) when the layer has not the name of the stack.
            pub fn coalesce<Key, Kept, Error, Hooks, Copies>(
                self,
                layer: $crate::cache::CoalesceLayer<$crate::Policy, Key, Kept, Error, Hooks, Copies>,
            ) -> Result<
                $Stack<
                    $($rest,)*
                    $crate::Slots<
                        R, H, T, B, L, C, M, A, D,
                        $crate::Answers<
                            F, K,
                            $crate::cache::CoalesceLayer<
                                $crate::Policy, Key, Kept, Error, Hooks, Copies,
                            >,
                        >,
                        J,
                    >,
                >,
                $crate::InvalidConfig,
            > {
                $crate::stack::check_name(layer.handle().name(), self.name())?;
                Ok(self.map_slots(|_, slots| {
                    slots.with_answers(|answers| answers.with_coalesce(layer))
                }))
            }

            /// Makes the client fail on purpose while faults are started by
            /// [`handles().chaos`](crate::StackHandles::chaos): around the client, so that every layer
            /// meets what it would meet of an upstream.
            ///
            /// # Errors
            ///
            /// [`InvalidConfig`](crate::InvalidConfig) when the layer has not the name of the stack.
            #[cfg(feature = "chaos")]
            pub fn chaos<Faults: $crate::chaos::FaultHooks>(
                self,
                layer: $crate::chaos::ChaosLayer<$crate::Policy, Faults>,
            ) -> Result<
                $Stack<
                    $($rest,)*
                    $crate::Slots<
                        R, H, T, B, L, C, M, A, D,
                        $crate::Answers<F, K, Z>,
                        $crate::chaos::ChaosLayer<$crate::Policy, Faults>,
                    >,
                >,
                $crate::InvalidConfig,
            > {
                $crate::stack::check_name(layer.handle().name(), self.name())?;
                Ok(self.map_slots(|_, slots| slots.with_chaos(|_| layer)))
            }
        }

        /// Hooks of the retry.
        impl<$($rest,)* Ra, Rb, Rc, H, T, B, L, C, M, A, D, G, J>
            $Stack<
                $($rest,)*
                $crate::Slots<
                    $crate::RetryLayer<$crate::Policy, $crate::retry::Hooks<Ra, Rb, Rc>>,
                    H, T, B, L, C, M, A, D, G, J,
                >,
            >
        {
            /// Asks `predicate` after each attempt whether there should be another one; see
            /// [`RetryPredicate`](crate::retry::RetryPredicate) for what it can change and what it
            /// cannot.
            ///
            /// ```
            /// use http::{Request, Response};
            /// use seawall::retry::{CompletedAttempt, RetryDecision};
            ///
            /// // A report that is still being made is asked for again.
            /// fn until_made<B, C, E>(
            ///     attempt: CompletedAttempt<'_, Request<B>, Response<C>, E>,
            /// ) -> RetryDecision {
            ///     match attempt.result {
            ///         Ok(response) if response.status() == 202 => RetryDecision::Retry,
            ///         _ => RetryDecision::Default,
            ///     }
            /// }
            /// # use tower::{Layer, ServiceExt, service_fn};
            /// # type Body = http_body_util::Full<bytes::Bytes>;
            /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let left = std::rc::Rc::new(std::cell::Cell::new(3));
            /// # let vendor = service_fn(move |_: Request<Body>| {
            /// #     left.set(left.get() - 1);
            /// #     let status = if left.get() == 0 { 200 } else { 202 };
            /// #     let response = Response::builder().status(status).body(Body::default());
            /// #     std::future::ready(Ok::<_, std::convert::Infallible>(response.unwrap()))
            /// # });
            /// let stack = seawall::market_data("reports").build()?.retry_if(until_made);
            /// let report = Request::get("/report").body(Body::default())?;
            /// let response = stack.layer(vendor).oneshot(report).await?;
            /// assert_eq!(response.status(), 200);
            /// # Ok(()) }
            /// ```
            #[must_use]
            pub fn retry_if<N>(
                self,
                predicate: N,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<
                    $crate::RetryLayer<$crate::Policy, $crate::retry::Hooks<N, Rb, Rc>>,
                    H, T, B, L, C, M, A, D, G, J,
                >,
            > {
                self.map_slots(|_, slots| slots.with_retry(|retry| retry.retry_if(predicate)))
            }

            /// Prepares each request before its attempt, the first one included: to number it, say.
            /// Above the waits of the stack: timestamps, nonces and signatures belong into
            /// [`on_departure`](Self::on_departure). See
            /// [`PrepareAttempt`](crate::retry::PrepareAttempt).
            ///
            /// ```
            /// use http::{HeaderValue, Request};
            /// use seawall::retry::Attempt;
            ///
            /// fn number<B, E>(request: &mut Request<B>, attempt: Attempt) -> Result<(), E> {
            ///     request.headers_mut().insert("x-attempt", HeaderValue::from(attempt.number));
            ///     Ok(())
            /// }
            /// # use tower::{Layer, ServiceExt, service_fn};
            /// # type Body = http_body_util::Full<bytes::Bytes>;
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let broker = service_fn(|request: Request<Body>| async move {
            /// #     assert_eq!(request.headers()["x-attempt"], "1");
            /// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
            /// # });
            /// let stack = seawall::broker("my-broker").build()?.prepare(number);
            /// let request = Request::get("/v2/positions").body(Body::default())?;
            /// let response = stack.layer(broker).oneshot(request).await?;
            /// # assert!(response.status().is_success());
            /// # Ok(()) }
            /// ```
            #[must_use]
            pub fn prepare<N>(
                self,
                prepare: N,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<
                    $crate::RetryLayer<$crate::Policy, $crate::retry::Hooks<Ra, N, Rc>>,
                    H, T, B, L, C, M, A, D, G, J,
                >,
            > {
                self.map_slots(|_, slots| slots.with_retry(|retry| retry.prepare(prepare)))
            }

            /// Annotates results that were given up on, so that the caller can distinguish a
            /// failure that was not retried for lack of budget from one that was. See
            /// [`AnnotateGiveUp`](crate::retry::AnnotateGiveUp).
            ///
            /// ```
            /// use http::{Request, Response};
            /// use seawall::retry::Stopped;
            ///
            /// fn note<B, E>(result: &mut Result<Response<B>, E>, stopped: Stopped) {
            ///     if let Ok(response) = result {
            ///         response.extensions_mut().insert(stopped);
            ///     }
            /// }
            /// # use tower::{Layer, ServiceExt, service_fn};
            /// # type Body = http_body_util::Full<bytes::Bytes>;
            /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let broker = service_fn(|_: Request<Body>| {
            /// #     let response = Response::builder().status(500).body(Body::default());
            /// #     std::future::ready(Ok::<_, std::convert::Infallible>(response.unwrap()))
            /// # });
            /// let stack = seawall::broker("my-broker").build()?.annotate_give_up(note);
            /// let request = Request::get("/v2/positions").body(Body::default())?;
            /// let response = stack.layer(broker).oneshot(request).await?;
            /// assert!(response.extensions().get::<Stopped>().is_some());
            /// # Ok(()) }
            /// ```
            #[must_use]
            pub fn annotate_give_up<N>(
                self,
                annotate: N,
            ) -> $Stack<
                $($rest,)*
                $crate::Slots<
                    $crate::RetryLayer<$crate::Policy, $crate::retry::Hooks<Ra, Rb, N>>,
                    H, T, B, L, C, M, A, D, G, J,
                >,
            > {
                self.map_slots(|_, slots| {
                    slots.with_retry(|retry| retry.annotate_give_up(annotate))
                })
            }
        }
    };
}
pub(crate) use option_setters;
