//! The layer: owner of the limiter.

use std::fmt;

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{Clock, DefaultMeta, EventSource, InstanceName};
use tower_layer::Layer;

use crate::feedback::{FeedbackLayer, Source};
use crate::limiter::Limiter;
use crate::meter::WallClock;
use crate::observe::{Common, Stripe};
use crate::{MetaCost, RateLimit, RateLimitConfig, RateLimitHandle};

/// Limits how many calls depart per time; see the [crate](crate).
///
/// Its clones and every service that they make share the limits. `D` says what a request is: by
/// default one that costs 1. `P` says what it costs of each limit: by default what `D` says.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{RequestMeta, Replay};
/// use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
///
/// let config = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5).build()?;
/// let layer = RateLimitLayer::new("quotes", config).describe(|symbols: &Vec<String>| {
///     RequestMeta::new(Replay::Safe).with_cost(symbols.len().try_into().unwrap_or(u32::MAX))
/// });
/// assert_eq!(layer.handle().tokens(), 5.0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct RateLimitLayer<D = DefaultMeta, P = MetaCost> {
    shared: Shared<Common, Stripe>,
    describe: D,
    price: P,
}

impl RateLimitLayer {
    /// A layer with limits of its own, of which nothing is used. `name` is what rejections and
    /// metrics call it.
    pub fn new(name: impl Into<InstanceName>, config: RateLimitConfig) -> Self {
        let clock = Clock::start();
        let common = Common {
            limiter: Limiter::new(config, clock.now(), WallClock::now(clock.now())),
            clock,
            observer: EventSource::new("ratelimit", name),
        };
        Self {
            shared: Shared::new(common, Stripes::auto(), Stripe::default),
            describe: DefaultMeta,
            price: MetaCost,
        }
    }
}

impl<D, P> RateLimitLayer<D, P> {
    /// Says what a request is: its cost, its tokens, its priority, its deadline. Asked once per
    /// call.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> RateLimitLayer<D2, P> {
        RateLimitLayer {
            shared: self.shared,
            describe,
            price: self.price,
        }
    }

    /// Says what a request costs of each limit, where that is not what `describe` says. Asked once
    /// per call and limit.
    #[must_use]
    pub fn price<P2>(self, price: P2) -> RateLimitLayer<D, P2> {
        RateLimitLayer {
            shared: self.shared,
            describe: self.describe,
            price,
        }
    }

    /// A layer to be put below this one, next to the client, that reads with `feedback` what the
    /// answers say, and corrects the limits by it.
    pub fn feedback<F>(&self, feedback: F) -> FeedbackLayer<F, D, P>
    where
        D: Clone,
        P: Clone,
    {
        let (describe, price) = (self.describe.clone(), self.price.clone());
        let source = Source::Whole(self.shared.clone());
        FeedbackLayer::new(source, feedback, describe, price)
    }

    pub(crate) fn shared(&self) -> Shared<Common, Stripe> {
        self.shared.clone()
    }

    /// A handle to read and to control the limits from outside.
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle::new(self.shared.clone())
    }
}

impl<S, D: Clone, P: Clone> Layer<S> for RateLimitLayer<D, P> {
    type Service = RateLimit<S, D, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let (describe, price) = (self.describe.clone(), self.price.clone());
        RateLimit::new(inner, self.shared.anchor(), describe, price)
    }
}

impl<D, P> fmt::Debug for RateLimitLayer<D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("name", &self.shared.common().observer.name())
            .field("config", &self.shared.common().limiter.config())
            .finish_non_exhaustive()
    }
}
