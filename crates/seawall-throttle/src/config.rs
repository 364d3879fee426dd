//! The settings of a throttle.

use std::time::Duration;

use seawall_core::{InvalidConfig, Priority};

use crate::PriorityClass;
use crate::formula::{CLASSES, Tally, excess};
use crate::window::Totals;

/// How much more than it accepts the upstream is sent, over which window that is counted, and
/// which requests are rejected last.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Priority;
/// use seawall_throttle::{AdaptiveThrottleConfig, PriorityClass};
///
/// let config = AdaptiveThrottleConfig::builder()
///     .accept_multiplier(1.5)
///     .window(Duration::from_secs(30))
///     .exempt_from(Priority::HIGH)
///     .build()?;
/// assert_eq!(config.accept_multiplier_of(PriorityClass::Normal), 1.5);
/// assert_eq!(config.accept_multiplier_of(PriorityClass::Low), 1.25);
///
/// let invalid = AdaptiveThrottleConfig::builder().accept_multiplier(0.9).build().unwrap_err();
/// assert_eq!(
///     invalid.to_string(),
///     "`accept_multiplier` is 0.9, accepted is a finite number from 1",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveThrottleConfig {
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

impl AdaptiveThrottleConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> AdaptiveThrottleConfigBuilder {
        AdaptiveThrottleConfigBuilder::default()
    }

    seawall_core::getters! {
        /// How many requests of normal priority are sent for each one that is accepted.
        pub const fn accept_multiplier -> f64;
        /// By how much `accept_multiplier - 1` grows from one class of priority to the next.
        pub const fn priority_factor -> f64;
        /// How long a result counts.
        pub const fn window -> Duration;
        /// How many requests of a class the window must have before one is rejected.
        pub const fn min_requests -> u32;
        /// The largest share of the requests that is rejected, from 0.0001 to 1.
        pub const fn max_rejection -> f64;
        /// The priority from whose class on nothing is rejected, if there is one.
        pub const fn exempt_from -> Option<Priority>;
        /// Whether a failure of the upstream counts as not accepted.
        pub const fn count_failures -> bool;
        /// Whether the layer starts in shadow mode.
        pub const fn shadow -> bool;
        /// The seed of the random draws, if it was set.
        pub const fn seed -> Option<u64>;
    }

    /// How many requests of a class are sent for each one that is accepted.
    pub fn accept_multiplier_of(&self, class: PriorityClass) -> f64 {
        let factor = self.priority_factor.powi(class.steps_above_normal());
        // Finite, since zero accepts times infinity is not a number.
        (1.0 + (self.accept_multiplier - 1.0) * factor).min(f64::MAX)
    }

    /// How likely a call of each class is to be rejected.
    pub(crate) fn probabilities(&self, counted: &Totals) -> [f64; CLASSES] {
        PriorityClass::ALL.map(|class| self.probability(class, counted[class as usize]))
    }

    fn probability(&self, class: PriorityClass, counted: Tally) -> f64 {
        let exempt = |from| class >= PriorityClass::of(from);
        if counted.requests < u64::from(self.min_requests) || self.exempt_from.is_some_and(exempt) {
            return 0.0;
        }
        excess(counted, self.accept_multiplier_of(class)).min(self.max_rejection)
    }

    /// After how many more requests that were not accepted the probabilities are worth another
    /// evaluation: a sixty-fourth changes them little, but reaching the minimum makes them jump.
    pub(crate) fn until_evaluation(&self, counted: &Totals) -> u64 {
        let min = u64::from(self.min_requests);
        let requests = || counted.iter().map(|tally| tally.requests);
        let missing = requests().filter(|n| (1..min).contains(n)).map(|n| min - n);
        missing.fold(requests().sum::<u64>() / 64, u64::min)
    }

    /// This config with the seed of the layer, which cannot change while the layer is in use.
    pub(crate) fn keeping_seed(mut self, seed: Option<u64>) -> Result<Self, InvalidConfig> {
        match self.seed {
            Some(new) if Some(new) != seed => Err(InvalidConfig::new(
                "seed",
                new,
                "the seed that the layer was made with, or none",
            )),
            _ => {
                self.seed = seed;
                Ok(self)
            }
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let exempt = self.exempt_from.map(PriorityClass::of);
        let exempt = exempt.map_or("none", PriorityClass::as_str);
        vec![
            ("accept_multiplier", self.accept_multiplier.to_string()),
            ("priority_factor", self.priority_factor.to_string()),
            ("window", format!("{:?}", self.window)),
            ("min_requests", self.min_requests.to_string()),
            ("max_rejection", self.max_rejection.to_string()),
            ("exempt_from", exempt.to_owned()),
            ("count_failures", self.count_failures.to_string()),
            ("shadow", self.shadow.to_string()),
        ]
    }
}

impl Default for AdaptiveThrottleConfig {
    /// Two requests for each accepted one, counted over two minutes, from 10 requests on, and at
    /// most 90 % rejected.
    ///
    /// Multiplier and window are those of "Site Reliability Engineering", chapter "Handling
    /// Overload"; the 90 % are the default of failsafe-go's throttler. The book has no minimum of
    /// requests; 10 keep a single rejection from deciding.
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

/// Probabilities are kept in units of 2^-16: a smaller share would reject nothing.
const MIN_REJECTION: f64 = 0.0001;

/// Collects the settings of a throttle; see [`AdaptiveThrottleConfig::builder`].
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct AdaptiveThrottleConfigBuilder {
    config: AdaptiveThrottleConfig,
}

impl AdaptiveThrottleConfigBuilder {
    seawall_core::setters! { self.config:
        /// How many requests of normal priority are sent for each one that the upstream accepts: a
        /// finite number from 1. Default: 2.
        ///
        /// With 2, an overloaded upstream rejects one request for each that it serves. Closer to 1
        /// it has less to reject, but its recovery is noticed later. The other classes of priority
        /// follow from [`priority_factor`](Self::priority_factor).
        pub const fn accept_multiplier(f64);

        /// By how much `accept_multiplier - 1` grows from one [class of priority](PriorityClass) to
        /// the next: a number from 1 to 100. 1 treats all classes alike. Default: 2, so that a
        /// multiplier of 2 is 1.25 for the lowest class, 1.5 for the low, 2 for the normal and 3
        /// for the high one.
        pub const fn priority_factor(f64);

        /// How long a result counts, longer than zero. The window moves by sixteenths, so a result
        /// is forgotten after between 15/16 of this and all of it. Default: 2 minutes.
        pub const fn window(Duration);

        /// How many requests of a class the window must have before one is rejected, at least 1.
        /// Default: 10.
        pub const fn min_requests(u32);

        /// The largest share of the requests of a class that is rejected, from 0.0001 to 1.
        /// Default: 0.9. For a throttle that rejects nothing use [`shadow`](Self::shadow).
        ///
        /// The calls that pass are how a recovery is noticed. At 1, after a window without any
        /// accepted request, about one request per window passes. A share of `m` can cut down an
        /// overload of at most `accept_multiplier / (1 - m)` times the capacity: with the defaults,
        /// of 20 times.
        pub const fn max_rejection(f64);

        /// Rejects no request of the [class](PriorityClass) of `priority` or of a higher one: for
        /// order cancels, which are worth sending even if nine of ten fail. Not the lowest class,
        /// which would exempt all. Default: no class is exempt.
        pub const fn exempt_from(Some(Priority));

        /// Whether a response that reports a failure of the upstream (HTTP 500, gRPC `INTERNAL`, a
        /// body that broke off) counts as not accepted. Default: no.
        pub const fn count_failures(bool);

        /// Whether the layer starts in shadow mode: calls that it would reject pass, and are
        /// counted and emitted as [`Shadowed`](seawall_core::EventKind::Shadowed). Default: no.
        pub const fn shadow(bool);

        /// The seed of the random draws: the same calls on one thread are then rejected in every
        /// run. Default: a random seed for each layer.
        pub const fn seed(Some(u64));
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `accept_multiplier` is below 1 or not finite, `priority_factor` not
    /// from 1 to 100, `max_rejection` not from 0.0001 to 1, `window` or `min_requests` zero, or
    /// `exempt_from` of the lowest class.
    pub fn build(self) -> Result<AdaptiveThrottleConfig, InvalidConfig> {
        let Self { config } = self;
        let (multiplier, factor) = (config.accept_multiplier, config.priority_factor);
        if !(multiplier >= 1.0 && multiplier.is_finite()) {
            let accepted = "a finite number from 1";
            return Err(InvalidConfig::new(
                "accept_multiplier",
                multiplier,
                accepted,
            ));
        }
        if !(1.0..=100.0).contains(&factor) {
            let accepted = "a number from 1 to 100";
            return Err(InvalidConfig::new("priority_factor", factor, accepted));
        }
        if config.window.is_zero() {
            return Err(InvalidConfig::new("window", "0 s", "longer than zero"));
        }
        if config.min_requests == 0 {
            return Err(InvalidConfig::new("min_requests", 0, "at least 1"));
        }
        if !(MIN_REJECTION..=1.0).contains(&config.max_rejection) {
            let (share, accepted) = (config.max_rejection, "a number from 0.0001 to 1");
            return Err(InvalidConfig::new("max_rejection", share, accepted));
        }
        let exempt = config.exempt_from.filter(|from| *from < Priority::LOW);
        if let Some(Priority(from)) = exempt {
            let accepted = "a priority from 64, since with the lowest class nothing is rejected";
            return Err(InvalidConfig::new("exempt_from", from, accepted));
        }
        Ok(config)
    }
}
