//! The layer: owner of the bucket.

use std::fmt;

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{Clock, Name, Observer, Undescribed};
use tower_layer::Layer;

use crate::line::Limiter;
use crate::observe::{Common, Stripe};
use crate::{RateLimit, RateLimitConfig, RateLimitHandle};

/// Limits how many calls depart per time; see the [crate](crate).
///
/// Its clones and every service that they make share one bucket. `D` says what a request costs:
/// by default 1.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Meta, Replay};
/// use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
///
/// let config = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5).build()?;
/// let layer = RateLimitLayer::new("quotes", config).describe(|symbols: &Vec<String>| {
///     Meta::new(Replay::Safe).with_cost(symbols.len().try_into().unwrap_or(u32::MAX))
/// });
/// assert_eq!(layer.handle().tokens(), 5.0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct RateLimitLayer<D = Undescribed> {
    shared: Shared<Common, Stripe>,
    describe: D,
}

impl RateLimitLayer {
    /// A layer with a bucket of its own, full. `name` is what refusals and metrics call it.
    pub fn new(name: impl Into<Name>, config: RateLimitConfig) -> Self {
        let common = Common {
            limiter: Limiter::new(&config),
            clock: Clock::start(),
            config,
            observer: Observer::new("ratelimit", name),
        };
        Self {
            shared: Shared::new(common, Stripes::auto(), Stripe::default),
            describe: Undescribed,
        }
    }
}

impl<D> RateLimitLayer<D> {
    /// Says what a request costs: [`Meta::cost`](seawall_core::Meta). Asked once per call.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> RateLimitLayer<D2> {
        RateLimitLayer {
            shared: self.shared,
            describe,
        }
    }

    /// A handle to read the rate limit from outside.
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle::new(self.shared.clone())
    }
}

impl<S, D: Clone> Layer<S> for RateLimitLayer<D> {
    type Service = RateLimit<S, D>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.shared.anchor(), self.describe.clone())
    }
}

impl<D> fmt::Debug for RateLimitLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("name", &self.shared.common().observer.name())
            .field("config", &self.shared.common().config)
            .finish_non_exhaustive()
    }
}
