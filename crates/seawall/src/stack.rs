//! The order of a stack, once for all of them.

use std::time::Duration;

use seawall_breaker::{Breaker, BreakerHandle, BreakerLayer, Gate};
use seawall_bulkhead::{Bulkhead, BulkheadHandle, BulkheadLayer};
use seawall_core::{
    AlreadyRegistered, Budget, CompleteOnResponse, DefaultMeta, ErrorIsFailure, InstanceName,
    InvalidConfig, Registry,
};
use seawall_ratelimit::{FeedbackLayer, RateLimit, RateLimitHandle, RateLimitLayer};
use seawall_retry::{CloneRequest, Retry, RetryHandle, RetryLayer};
use seawall_timeout::{
    AttemptTimeout, AttemptTimeoutHandle, AttemptTimeoutLayer, Deadline, DeadlineHandle,
    DeadlineLayer, NoPropagation,
};
use tower_layer::Layer;

use crate::settings::Settings;

/// Every layer of a client, in the order in which they belong.
///
/// Clones share all state, and so do the services that one stack makes. The type parameters are
/// the classifier `C`, the describer `D`, the hold `H`, the copier `P` and the stamp `T`; a stack
/// of `fn` pointers or of types of your own can be named in a struct field as
/// [`StackService`].
///
/// ```
/// use seawall::{ConstMeta, Error, WrapErrorLayer, RequestMeta, Replay, ClientStack};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stack = seawall::market_data("feed").build_generic()?.describe(ConstMeta(RequestMeta::new(Replay::Safe)));
/// let mut feed = ServiceBuilder::new()
///     .layer(stack)
///     .layer(WrapErrorLayer)
///     .service(service_fn(|symbol: String| async move { Ok::<_, std::io::Error>(symbol.len()) }));
/// assert_eq!(feed.ready().await?.call("SPY".to_owned()).await?, 3);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ClientStack<C, D, H, P, T> {
    deadline: DeadlineLayer<T>,
    retry: RetryLayer<C, D, P>,
    bulkhead: BulkheadLayer<H, D>,
    rate_limit: RateLimitLayer<D>,
    breaker: BreakerLayer<C, H>,
    attempt_timeout: AttemptTimeoutLayer<D>,
}

/// The service that a [`ClientStack`] makes of `S`: a type that can be named.
pub type StackService<S, C, D, H, P, T> = Deadline<
    Retry<Gate<Bulkhead<RateLimit<Breaker<AttemptTimeout<S, D>, C, H>, D>, H, D>>, C, D, P>,
    T,
>;

impl ClientStack<ErrorIsFailure, DefaultMeta, CompleteOnResponse, CloneRequest, NoPropagation> {
    pub(crate) fn new(
        name: InstanceName,
        settings: &Settings,
        budget: Budget,
    ) -> Result<Self, InvalidConfig> {
        let stack = Self::of(name, settings, budget)?;
        let (attempt, deadline) = (settings.attempt_timeout, settings.deadline);
        // A call that the deadline cuts off is no vote: the circuit would never open. A deadline
        // of "for ever" cuts nothing off.
        if attempt >= deadline && deadline != Duration::MAX {
            return Err(InvalidConfig::new(
                "attempt_timeout",
                format!("{attempt:?}"),
                format!("shorter than the deadline, {deadline:?}"),
            ));
        }
        Ok(stack)
    }

    fn of(name: InstanceName, settings: &Settings, budget: Budget) -> Result<Self, InvalidConfig> {
        Ok(Self {
            deadline: DeadlineLayer::new(name, settings.deadline)
                .map_err(|e| e.in_field("deadline"))?,
            retry: RetryLayer::new(name, settings.retry.clone()).budget(budget),
            bulkhead: BulkheadLayer::new(name, settings.bulkhead),
            rate_limit: RateLimitLayer::new(name, settings.rate_limit.clone()),
            breaker: BreakerLayer::new(name, settings.breaker.clone()),
            attempt_timeout: AttemptTimeoutLayer::new(name, settings.attempt_timeout)
                .map_err(|e| e.in_field("attempt_timeout"))?,
        })
    }
}

impl<C, D, H, P, T> ClientStack<C, D, H, P, T> {
    /// Judges answers with `classify`, for breaker and retry alike.
    #[must_use]
    pub fn classify<C2: Clone>(self, classify: C2) -> ClientStack<C2, D, H, P, T> {
        ClientStack {
            deadline: self.deadline,
            retry: self.retry.classify(classify.clone()),
            bulkhead: self.bulkhead,
            rate_limit: self.rate_limit,
            breaker: self.breaker.classify(classify),
            attempt_timeout: self.attempt_timeout,
        }
    }

    /// Reads replay safety, cost, tokens, priority and deadline of each request with `describe`.
    #[must_use]
    pub fn describe<D2: Clone>(self, describe: D2) -> ClientStack<C, D2, H, P, T> {
        ClientStack {
            deadline: self.deadline,
            retry: self.retry.describe(describe.clone()),
            bulkhead: self.bulkhead.describe(describe.clone()),
            rate_limit: self.rate_limit.describe(describe.clone()),
            breaker: self.breaker,
            attempt_timeout: self.attempt_timeout.describe(describe),
        }
    }

    /// Decides when a call is over: with its answer, or with the answer's body.
    #[must_use]
    pub fn track_completion<H2: Clone>(self, hold: H2) -> ClientStack<C, D, H2, P, T> {
        ClientStack {
            deadline: self.deadline,
            retry: self.retry,
            bulkhead: self.bulkhead.track_completion(hold.clone()),
            rate_limit: self.rate_limit,
            breaker: self.breaker.track_completion(hold),
            attempt_timeout: self.attempt_timeout,
        }
    }

    /// Copies requests for further attempts with `copy`.
    #[must_use]
    pub fn copy<P2>(self, copy: P2) -> ClientStack<C, D, H, P2, T> {
        ClientStack {
            deadline: self.deadline,
            retry: self.retry.copy(copy),
            bulkhead: self.bulkhead,
            rate_limit: self.rate_limit,
            breaker: self.breaker,
            attempt_timeout: self.attempt_timeout,
        }
    }

    /// Writes the deadline of each call into its request with `propagate`, which may answer an earlier
    /// one that the request came with.
    #[must_use]
    pub fn propagate<T2>(self, propagate: T2) -> ClientStack<C, D, H, P, T2> {
        ClientStack {
            deadline: self.deadline.propagate(propagate),
            retry: self.retry,
            bulkhead: self.bulkhead,
            rate_limit: self.rate_limit,
            breaker: self.breaker,
            attempt_timeout: self.attempt_timeout,
        }
    }

    /// A layer to be put between the stack and the client, that corrects the rate limit by what
    /// answers say: how much is left, how long to stay away, how much was really used. Not part of
    /// the stack itself, since what says so depends on the client; see
    /// [`FeedbackLayer`](seawall_ratelimit::FeedbackLayer).
    pub fn feedback<F>(&self, feedback: F) -> FeedbackLayer<F, D>
    where
        D: Clone,
    {
        self.rate_limit.feedback(feedback)
    }

    /// Handles of every layer, to read and to control them.
    pub fn handles(&self) -> StackHandles {
        StackHandles {
            deadline: self.deadline.handle(),
            retry: self.retry.handle(),
            bulkhead: self.bulkhead.handle(),
            rate_limit: self.rate_limit.handle(),
            breaker: self.breaker.handle(),
            attempt_timeout: self.attempt_timeout.handle(),
        }
    }

    /// Adds every layer to `registry`.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when the registry has a stack of that name; what was added before
    /// stays.
    pub fn register(&self, registry: &Registry) -> Result<(), AlreadyRegistered> {
        let handles = self.handles();
        registry.register(handles.deadline)?;
        registry.register(handles.retry)?;
        registry.register(handles.bulkhead)?;
        registry.register(handles.rate_limit)?;
        registry.register(handles.breaker)?;
        registry.register(handles.attempt_timeout)
    }
}

impl<S, C, D, H, P, T> Layer<S> for ClientStack<C, D, H, P, T>
where
    S: Clone,
    C: Clone,
    D: Clone,
    H: Clone,
    P: Clone,
    T: Clone,
{
    type Service = StackService<S, C, D, H, P, T>;

    fn layer(&self, client: S) -> Self::Service {
        // Innermost, so that it measures the upstream and none of our own waits.
        let service = self.attempt_timeout.layer(client);
        // Inside of the waits: judges the call that departs, and rejects at departure what was
        // queued when the circuit opened.
        let service = self.breaker.layer(service);
        // The last wait before the departure: what the provider sees is what was granted.
        let service = self.rate_limit.layer(service);
        // Around the rate limit, with the same scope: no more calls wait for a token than there
        // are places, and a place stays taken until the answer's body has ended.
        let service = self.bulkhead.layer(service);
        // Outside of the waits: an open circuit costs neither a place nor a token.
        let service = self.breaker.gate().layer(service);
        // Outside of the breaker: each attempt is one vote, and no place is held while it backs
        // off.
        let service = self.retry.layer(service);
        // Outermost: bounds waits, attempts and readiness together.
        self.deadline.layer(service)
    }
}

/// Handles of every layer of a stack.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct StackHandles {
    /// The overall deadline.
    pub deadline: DeadlineHandle,
    /// Attempts and budget.
    pub retry: RetryHandle,
    /// Places and queue.
    pub bulkhead: BulkheadHandle,
    /// Tokens and their queue.
    pub rate_limit: RateLimitHandle,
    /// The circuit, of the gate and of the breaker.
    pub breaker: BreakerHandle,
    /// The attempt timeout.
    pub attempt_timeout: AttemptTimeoutHandle,
}
