//! The settings of a throttle.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Priority, Ratio};

use super::PriorityClass;
use super::formula::{CLASSES, Tally, excess};
use super::window::Totals;

/// How much more than it accepts the upstream is sent, over which time it is counted, and who is
/// rejected last.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Priority;
/// use seawall_ratelimit::{PriorityClass, AdaptiveThrottleConfig};
///
/// let config = AdaptiveThrottleConfig::builder()
///     .accept_multiplier(1.5)
///     .window(Duration::from_secs(30))
///     .exempt_from(Priority::HIGH)
///     .build()?;
/// assert_eq!(config.accept_multiplier_of(PriorityClass::Normal), 1.5);
/// assert_eq!(config.accept_multiplier_of(PriorityClass::Low), 1.25);
///
/// let rejected = AdaptiveThrottleConfig::builder().accept_multiplier(0.9).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`k` is 0.9, accepted is a finite number from 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveThrottleConfig {
    accept_multiplier: f64,
    priority_factor: f64,
    window: NonZeroDuration,
    min_requests: NonZeroCount,
    max_rejection: Ratio,
    exempt_from: Option<Priority>,
    count_failures: bool,
    shadow: bool,
    seed: Option<u64>,
}

impl AdaptiveThrottleConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> AdaptiveThrottleConfigBuilder {
        AdaptiveThrottleConfigBuilder::default()
    }

    /// How many requests are sent for each one that is accepted, for requests of normal priority.
    pub const fn accept_multiplier(&self) -> f64 {
        self.accept_multiplier
    }

    /// How many requests of a class are sent for each one that is accepted.
    pub fn accept_multiplier_of(&self, class: PriorityClass) -> f64 {
        let k = 1.0 + (self.accept_multiplier - 1.0) * self.priority_factor.powi(class.steps());
        // Times no accepts at all, infinity would be no number.
        k.min(f64::MAX)
    }

    /// By how much `k - 1` grows from one class of priority to the next.
    pub const fn priority_factor(&self) -> f64 {
        self.priority_factor
    }

    /// How long an answer counts.
    pub const fn window(&self) -> NonZeroDuration {
        self.window
    }

    /// How many requests of its class are in the window before one is rejected.
    pub const fn min_requests(&self) -> NonZeroCount {
        self.min_requests
    }

    /// The largest share of the requests that is rejected.
    pub const fn max_rejection(&self) -> Ratio {
        self.max_rejection
    }

    /// The priority from whose class on nothing is rejected, if there is one.
    pub const fn exempt_from(&self) -> Option<Priority> {
        self.exempt_from
    }

    /// Whether a failure at the work counts like a rejection to do it.
    pub const fn count_failures(&self) -> bool {
        self.count_failures
    }

    /// Whether the layer only watches.
    pub const fn shadow(&self) -> bool {
        self.shadow
    }

    /// What the draws are made from, if that was set.
    pub const fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// How likely a call of each class is to be rejected.
    pub(crate) fn probabilities(&self, counted: &Totals) -> [f64; CLASSES] {
        PriorityClass::ALL.map(|class| self.probability(class, counted[class as usize]))
    }

    fn probability(&self, class: PriorityClass, counted: Tally) -> f64 {
        let passes = |from| class >= PriorityClass::of(from);
        if counted.requests < u64::from(self.min_requests.get())
            || self.exempt_from.is_some_and(passes)
        {
            return 0.0;
        }
        excess(counted, self.accept_multiplier_of(class)).min(self.max_rejection.get())
    }

    /// After how many more requests that were not accepted the probabilities are worth another
    /// look: a sixty-fourth moves them by little, and the least number makes them jump.
    pub(crate) fn until_look(&self, counted: &Totals) -> u64 {
        let least = u64::from(self.min_requests.get());
        let requests = || counted.iter().map(|tally| tally.requests);
        let missing = requests()
            .filter(|n| (1..least).contains(n))
            .map(|n| least - n);
        missing.fold(requests().sum::<u64>() / 64, u64::min)
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let always = self.exempt_from.map(PriorityClass::of);
        let always = always.map_or("none", PriorityClass::as_str);
        vec![
            ("k", self.accept_multiplier.to_string()),
            ("priority_factor", self.priority_factor.to_string()),
            ("window", format!("{:?}", self.window.get())),
            ("min_requests", self.min_requests.get().to_string()),
            ("max_rejection", self.max_rejection.get().to_string()),
            ("always_pass", always.to_owned()),
            ("count_failures", self.count_failures.to_string()),
            ("shadow", self.shadow.to_string()),
        ]
    }
}

impl Default for AdaptiveThrottleConfig {
    /// Two requests for each accepted one, counted over two minutes, from 10 requests on, and at
    /// most 90 % rejected.
    ///
    /// `accept_multiplier` and the window are those of "Site Reliability Engineering", chapter "Handling
    /// Overload"; the 90 % are the default of failsafe-go's throttler. The book has no least
    /// number of requests; 10 keep a single rejection from deciding.
    fn default() -> Self {
        AdaptiveThrottleConfigBuilder::default()
            .build()
            .expect("the defaults are within their bounds")
    }
}

/// Collects the settings of a throttle; see [`AdaptiveThrottleConfig::builder`].
#[derive(Clone, Debug)]
pub struct AdaptiveThrottleConfigBuilder {
    accept_multiplier: f64,
    priority_factor: f64,
    window: Duration,
    min_requests: u32,
    max_rejection: f64,
    exempt_from: Option<Priority>,
    count_failures: bool,
    shadow: bool,
    seed: Option<u64>,
}

impl Default for AdaptiveThrottleConfigBuilder {
    fn default() -> Self {
        Self {
            accept_multiplier: 2.0,
            priority_factor: 2.0,
            window: Duration::from_secs(120),
            min_requests: 10,
            max_rejection: 0.9,
            exempt_from: None,
            count_failures: false,
            shadow: false,
            seed: None,
        }
    }
}

impl AdaptiveThrottleConfigBuilder {
    /// How many requests are sent for each one that the upstream accepts: a finite number from 1.
    /// Default: 2.
    ///
    /// With 2, an upstream in overload rejects one request for each that it serves; nearer to 1
    /// it has less to reject, and it takes longer until its recovery is noticed. This is the `accept_multiplier`
    /// of requests of normal priority, see [`priority_factor`](Self::priority_factor).
    #[must_use]
    pub const fn accept_multiplier(mut self, accept_multiplier: f64) -> Self {
        self.accept_multiplier = accept_multiplier;
        self
    }

    /// By how much `k - 1` grows from one [class of priority](PriorityClass) to the next: a
    /// number from 1 to 100. 1 treats all alike. Default: 2, so that a `accept_multiplier` of 2 is 1.25 for the
    /// lowest class, 1.5 for the low, 2 for the normal and 3 for the high one.
    #[must_use]
    pub const fn priority_factor(mut self, factor: f64) -> Self {
        self.priority_factor = factor;
        self
    }

    /// How long an answer counts, longer than zero. The window moves by sixteenths, so an answer
    /// is forgotten after between 15/16 of this and all of it. Default: 2 minutes.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many requests of its class are in the window before one is rejected, at least 1.
    /// Default: 10.
    #[must_use]
    pub const fn min_requests(mut self, requests: u32) -> Self {
        self.min_requests = requests;
        self
    }

    /// The largest share of the requests of a class that is rejected, from 0 to 1. Default: 0.9.
    ///
    /// What passes is how a recovery is noticed. At 1, after a time in which nothing was
    /// accepted, about one request per window passes. A share of `m` bounds what an overload of
    /// more than `k / (1 - m)` times the capacity can be cut down to: with the defaults, of 20
    /// times.
    #[must_use]
    pub const fn max_rejection(mut self, share: f64) -> Self {
        self.max_rejection = share;
        self
    }

    /// Rejects nothing that belongs to the [class](PriorityClass) of `priority` or to one above:
    /// for cancels, which are worth a try even if nine out of ten are in vain. Default: nothing is
    /// exempt.
    #[must_use]
    pub const fn exempt_from(mut self, priority: Priority) -> Self {
        self.exempt_from = Some(priority);
        self
    }

    /// Whether an answer that says that the upstream failed at the work (HTTP 500, gRPC
    /// `INTERNAL`, a body that broke off) counts like a rejection to do it. Default: no.
    #[must_use]
    pub const fn count_failures(mut self, count: bool) -> Self {
        self.count_failures = count;
        self
    }

    /// Whether the layer only watches: what it would reject passes, and is counted and told as
    /// [`Shadowed`](seawall_core::EventKind::Shadowed). Default: no.
    #[must_use]
    pub const fn shadow(mut self, on: bool) -> Self {
        self.shadow = on;
        self
    }

    /// What the draws are made from: the same calls on one thread are then rejected in every run.
    /// Read when the layer is made. Default: another one for each layer.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `accept_multiplier` is below 1 or no finite number; when `priority_factor` is no
    /// number from 1 to 100, or `max_rejection` none from 0 to 1; when `window` or `min_requests`
    /// is zero.
    pub fn build(self) -> Result<AdaptiveThrottleConfig, InvalidConfig> {
        if !(self.accept_multiplier >= 1.0 && self.accept_multiplier.is_finite()) {
            return Err(InvalidConfig::new(
                "k",
                self.accept_multiplier,
                "a finite number from 1",
            ));
        }
        if !(1.0..=100.0).contains(&self.priority_factor) {
            return Err(InvalidConfig::new(
                "priority_factor",
                self.priority_factor,
                "a number from 1 to 100",
            ));
        }
        Ok(AdaptiveThrottleConfig {
            accept_multiplier: self.accept_multiplier,
            priority_factor: self.priority_factor,
            window: NonZeroDuration::new(self.window).map_err(|e| e.in_field("window"))?,
            min_requests: NonZeroCount::new(self.min_requests)
                .map_err(|e| e.in_field("min_requests"))?,
            max_rejection: Ratio::new(self.max_rejection)
                .map_err(|e| e.in_field("max_rejection"))?,
            exempt_from: self.exempt_from,
            count_failures: self.count_failures,
            shadow: self.shadow,
            seed: self.seed,
        })
    }
}
